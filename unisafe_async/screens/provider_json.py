"""`unisafe providers --json`, and of one provider: what the screens say, as data; docs/json.md describes each key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from unisafe_async.config.section_keys import Key
from unisafe_async.screens.provider_facts import list_facts
from unisafe_async.screens.provider_keys import find_provider
from unisafe_async.screens.providers import Known


def build_providers_json(known: Iterable[Known]) -> dict[str, Any]:
    """Every provider that bench.toml can name."""
    return {"providers": [_build_known(one) for one in known]}


def build_provider_json(known: Known, keys: Sequence[Key]) -> dict[str, Any]:
    """One provider: the facts that its screen shows, its blocks, and the keys that it adds to its section."""
    spec = find_provider(known.name)
    blocks = spec.vendor.blocks if spec.vendor is not None else ()
    return {
        **_build_known(known),
        "facts": {name.lower(): words for name, words in list_facts(spec, datetime.now(UTC).date())},
        "blocks": [{"looks": one.looks, "means": one.means, "checked": one.checked, "source": one.source} for one in blocks],
        "keys": [{"key": one.name, "may_be": one.values, "default": one.default, "meaning": one.meaning} for one in keys],
    }


def _build_known(one: Known) -> dict[str, Any]:
    """Its name and place; `key_set` says whether the variable with the key is set, null where there is none."""
    return {
        "name": one.name,
        "kind": one.kind,
        "title": one.what,
        "wire": one.wire,
        "address": one.address,
        "key_env": one.key_env,
        "key_set": not one.key.endswith("not set") if one.key_env else None,
        "note": one.note,
        "broken": one.broken,
    }
