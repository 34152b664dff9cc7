"""A cassette: what `unisafe doctor --record` keeps of its few calls, as JSON that people read before they send it to anybody.

VCR.py, pytest-recording and the cassettes of pydantic-ai keep the same things: calls, answers, status, headers. Theirs are YAML and
name what is to be removed; this is JSON, which every tool reads and this project has a parser for, and it names what is kept.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from unisafe_providers.endpoint_options import EndpointOptions

from unisafe_async.config.bench_toml import Config
from unisafe_async.config.secret_words import OPTION, find_secrets
from unisafe_async.config.sections import JudgeEndpointSection, ModelSection
from unisafe_async.errors import UsageError
from unisafe_async.files import write_whole
from unisafe_async.run.cassettes.exchanges import describe_exchange, learn, leave_out_polls
from unisafe_async.run.cassettes.outcomes import describe_limits
from unisafe_async.run.cassettes.scrubbing import Scrubber, list_forms
from unisafe_async.run.diagnosis import CheckedEndpoint

FORMAT = 1
MODE = 0o600
"""A cassette is its owner's alone until they send it."""
OWN = frozenset(
    {"headers", "headers_env", "serve", "device", "devices", "env", "python", "name", "provider", "mode", "max_concurrency"}
)
"""Options that name what is a user's own, or that say how their machine starts a server."""
MARKED = ("address", "model")
"""Free checks whose marks a played cassette gives again; all others look at bench.toml or at this machine."""


@dataclass(frozen=True, kw_only=True)
class Cassette:
    """A cassette's content, what was removed from it, and how many exchanges it holds."""

    content: dict[str, Any]
    removed: Mapping[str, int]
    exchanges: int


def check_free(file: Path) -> None:
    """Check before any call is paid that `file` can be written and is not there yet. Raises UsageError."""
    if file.exists() or file.is_symlink():
        raise UsageError(f"--record {file}: exists already, and nothing is written over it; name another file, or delete it first")
    if not file.parent.is_dir():
        raise UsageError(f"--record {file}: there is no folder {file.parent}")
    if not os.access(file.parent, os.W_OK):
        raise UsageError(f"--record {file}: the folder {file.parent} cannot be written to")


def build_cassette(config: Config, checked_endpoints: Sequence[CheckedEndpoint]) -> Cassette:
    """The cassette of a doctor run; models that were not asked over HTTP are left out."""
    recorded = [checked for checked in checked_endpoints if checked.tape is not None and checked.tape.exchanges]
    removed: Counter[str] = Counter()
    models = [_describe_model(config, checked, removed) for checked in recorded]
    content = {
        "format": FORMAT,
        "made_by": f"unisafe-async {version('unisafe-async')}, unisafe doctor --record",
        "recorded": datetime.now(UTC).date().isoformat(),
        "models": models,
    }
    return Cassette(content=content, removed=+removed, exchanges=sum(len(model["exchanges"]) for model in models))


def _describe_model(config: Config, checked: CheckedEndpoint, removed: Counter[str]) -> dict[str, Any]:
    section, vendor = checked.section, checked.section.preset
    assert checked.tape is not None
    theirs = urlsplit((vendor.base_url if vendor is not None else None) or "").netloc
    hosts = {urlsplit(one.base_url).netloc for one in checked.tape.exchanges} - {theirs}
    scrubber = Scrubber(
        _list_secrets(checked),
        private_hosts=[host for host in hosts if not host.startswith(("127.0.0.1", "localhost"))],
        private_folders=[str(config.base), os.path.dirname(section.model) if os.path.isabs(section.model) else ""],
    )
    for one in checked.tape.exchanges:
        learn(one, section.model, scrubber)
    exchanges = []
    for one, left_out in leave_out_polls(checked.tape.exchanges):
        exchanges.append(describe_exchange(one, section.model, scrubber) | ({"polls_left_out": left_out} if left_out else {}))
    found = {
        "provider": section.provider,
        "title": vendor.title if vendor is not None else section.provider,
        "model": scrubber.text(section.model),
        "address": scrubber.text(checked.tape.exchanges[0].base_url),
        "judge": isinstance(section, JudgeEndpointSection),
        "section": scrubber.body(_list_options(config, checked)),
        "expected": describe_expected(checked),
        "exchanges": exchanges,
    }
    removed.update(scrubber.removed)
    return found


def _list_secrets(checked: CheckedEndpoint) -> list[str]:
    """Every value that this model is asked with and that nobody may see."""
    section = checked.section
    headers = list(section.headers.values()) if hasattr(section, "headers") else []
    named = [os.environ.get(variable, "").strip() for variable in section.secret_variables.values()]
    return [*named, *_secrets_of_environment(), *(value for value in headers if OPTION.search(value))]


def _secrets_of_environment() -> list[str]:
    """The values of variables that are named as secrets are, such as `AWS_SESSION_TOKEN`."""
    return [value.strip() for name, value in os.environ.items() if OPTION.search(name) and len(value.strip()) >= 12]


def _list_options(config: Config, checked: CheckedEndpoint) -> dict[str, Any]:
    """What stands in the section and changes what is asked; nothing that names a key, an address, a price or a limit."""
    section = checked.section
    common = {"takes", "gives"} if isinstance(section, ModelSection) else {"takes", "kind", "max_tokens", "thinking"}
    given = section.model_dump(include=set(section.model_fields_set) - {"tasks"})
    own = section.spec.options.model_fields.keys() - EndpointOptions.model_fields.keys() - OWN
    found = {key: value for key, value in given.items() if key in common | own and value not in (None, {}, [])}
    if isinstance(section, ModelSection):
        found["tasks"] = [task.key for task in config.tasks_of(section)]
        if config.generation.image_size is not None:
            found["image_size"] = config.generation.image_size
    return found


def describe_expected(checked: CheckedEndpoint) -> dict[str, Any]:
    """How this model's exchanges came out; tests play them and look for the same."""
    probes = [check for check, _ in checked.probes]
    marks = {finding.check: finding.mark for finding in checked.findings if finding.check in (*MARKED, *probes)}
    limits = describe_limits(checked.endpoint.provider.reported) if checked.endpoint is not None else {}
    return {"marks": marks, "probes": checked.outcomes, "limits": limits}


def find_leaks(cassette: Cassette, checked_endpoints: Iterable[CheckedEndpoint]) -> list[str]:
    """The places of a finished cassette that look like a secret, or that hold a key in any form."""
    text = json.dumps(cassette.content, ensure_ascii=False)
    known = [secret for checked in checked_endpoints for secret in _list_secrets(checked)]
    held = ["the whole text holds the value of a variable with a secret"] if any(form in text for form in list_forms(known)) else []
    return held + [place for place in find_secrets(cassette.content, "cassette") if ".logprobs" not in place]


def write_cassette(file: Path, cassette: Cassette, checked_endpoints: Iterable[CheckedEndpoint]) -> None:
    """Write a cassette that holds no secret. Raises UsageError for one that does, and if the file cannot be written."""
    leaks = find_leaks(cassette, checked_endpoints)
    if leaks:
        raise UsageError(f"--record {file}: not written, because it still looks as if it held a secret: {'; '.join(leaks[:5])}")
    check_free(file)
    try:
        with write_whole(file) as draft:
            draft.write_text(json.dumps(cassette.content, indent=2, ensure_ascii=False) + "\n", "utf-8")
        file.chmod(MODE)
    except OSError as error:
        raise UsageError(f"--record {file}: cannot be written: {error.strerror}") from None
