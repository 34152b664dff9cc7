"""What a user adds to a hosted model's requests: keys for bodies, by the kind of request, and headers, also secret ones."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from unisafe_providers.base import Kind, Misconfigured

NO_KEY = "none"
"""What is sent for a key where the server wants none."""
SHORTEST_SECRET = 8
"""Anything shorter is a stand-in such as `none`, and may be part of ordinary words."""
SHORTEST_PART = 16
"""A part of a secret that is shorter may be an ordinary word too."""
CUT = b"[key]"


@dataclass(frozen=True)
class Additions:
    """What the user adds to every request of one model.

    Args:
        extra: keys for every body.
        by_kind: keys for bodies of one kind of request; they replace those of `extra`.
        headers: headers for every call, by name; they may change answers (a gateway's route), so they are part of `identity`.
        secrets: headers whose values are never shown, stored or part of `identity`.
    """

    extra: Mapping[str, object] = field(default_factory=dict)
    by_kind: Mapping[Kind, Mapping[str, object]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def identity(self) -> str:
        """The text that a model's identity ends with; empty if the user adds nothing, so that such a model keeps its cache key."""
        parts = ["|" + _sort_keys(self.extra)] if self.extra else []
        parts += [f"|{kind}={_sort_keys(extra)}" for kind, extra in sorted(self.by_kind.items()) if extra]
        if self.headers:
            parts.append("|headers=" + _sort_keys({name.lower(): value for name, value in self.headers.items()}))
        return "".join(parts)

    def merge_body(self, body: dict[str, Any], kind: Kind) -> dict[str, Any]:
        """`body` with the user's keys for requests of `kind`."""
        return {**body, **self.extra, **self.by_kind.get(kind, {})}

    def list_places(self, kind: Kind) -> dict[str, str]:
        """The keys that go into bodies of `kind`, and where bench.toml sets them."""
        own = {key: f"extra_{kind}.{key}" for key in self.by_kind.get(kind, {})}
        return {key: f"extra.{key}" for key in self.extra} | own

    def merge_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """All headers of a call: the user's replace ours of the same name; headers without a value are left out.

        Raises Misconfigured for a value that no header can carry.
        """
        for name, value in (*self.headers.items(), *self.secrets.items()):
            if not value.isascii() or not value.isprintable():
                raise Misconfigured(f"the header {name} holds a character that no HTTP header can; check headers and headers_env")
        sent = {name.lower(): value for name, value in headers.items() if value.removeprefix("Bearer ").strip()}
        return sent | {name.lower(): value for name, value in (*self.headers.items(), *self.secrets.items()) if value}


class Cutter:
    """Removes secrets from an endpoint's words, as they are and as JSON writes them; also a token or cookie that is part of one."""

    def __init__(self, *secrets: str) -> None:
        words = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
        for secret in words.copy():
            parts = [part for piece in re.split(r"[\s;,]+", secret) for part in (piece, piece.partition("=")[2])]
            words |= {part for part in parts if len(part) >= SHORTEST_PART}
        written = {form for word in words for form in (word, json.dumps(word)[1:-1], json.dumps(word)[1:-1].replace("/", "\\/"))}
        self._words = [word.encode() for word in sorted(written, key=len, reverse=True)]

    def __call__(self, content: bytes) -> bytes:
        for word in self._words:
            content = content.replace(word, CUT)
        return content


def build_form(body: Mapping[str, Any]) -> list[tuple[str, tuple[None, str]]]:
    """A body as fields of a form: tables and lists become JSON, true and false become words, null is left out."""
    return [(key, (None, _write_field(value))) for key, value in body.items() if value is not None]


def _write_field(value: object) -> str:
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _sort_keys(table: Mapping[str, object]) -> str:
    return orjson.dumps(dict(table), option=orjson.OPT_SORT_KEYS).decode()
