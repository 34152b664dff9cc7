"""One played vendor: how it is asked, what it answers, and what it says when its filter strikes."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from PIL import Image as Picture

BLOCKED_OF = 4
"""One prompt in so many is stopped by the vendor's filter: of 21 items of the sample, some of each task that matters."""


@dataclass(frozen=True)
class Asked:
    """One call below a vendor's address: fields of a form stand in `body` as text, files as bytes. `home` is that address."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    form: bool
    home: str
    link: str
    """Where a picture of this vendor can be fetched, without any key."""

    def needs(self, *fields: str) -> None:
        """Raises WrongCall unless the body has all these."""
        missing = [field for field in fields if field not in self.body]
        if missing:
            raise WrongCall(f"the body lacks {', '.join(missing)}")

    def refuses(self, *fields: str) -> None:
        """Raises WrongCall if the body has any of these, which the vendor does not know."""
        known = [field for field in fields if field in self.body]
        if known:
            raise WrongCall(f"the vendor knows no {', '.join(known)}")


@dataclass(frozen=True)
class Reply:
    body: object
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class WrongCall(Exception):
    """A call that breaks the vendor's protocol: 400, and the run of a test fails."""


Answer = Callable[[Asked], Reply]


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """One vendor.

    Args:
        provider, model: as bench.toml names them.
        root: what its address ends with.
        key_header, key_form: where its key stands.
        answer: answers a call that has the right key. Raises WrongCall.
        takes, gives: of the model.
        told: more keys of its section.
        wire: the name of its images' protocol, if this project must know that one too before it can take part.
    """

    provider: str
    model: str
    root: str
    answer: Answer
    key_header: str = "authorization"
    key_form: str = "Bearer {key}"
    takes: tuple[str, ...] = ("text",)
    gives: tuple[str, ...] = ("text",)
    told: dict[str, object] = field(default_factory=dict)
    wire: str = ""

    @property
    def name(self) -> str:
        return f"{self.provider} {self.model}"

    @property
    def place(self) -> str:
        """Its path at the server."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name)

    @property
    def key(self) -> str:
        return f"key-of-{self.place}-0123456789"

    @property
    def variable(self) -> str:
        return f"PLAYED_{self.place.upper().replace('-', '_')}_KEY"


def is_blocked(prompt: str) -> bool:
    """Whether the vendor's filter stops this prompt: the same at every vendor and in every run."""
    return zlib.crc32(prompt.encode()) % BLOCKED_OF == 0


def all_text(value: object) -> str:
    """All words of a request's messages, without pictures and without who says them."""
    if isinstance(value, str):
        return "" if value.startswith(("data:", "iVBOR", "/9j/", "http")) else value
    if isinstance(value, dict):
        return " ".join(filter(None, (all_text(inner) for key, inner in value.items() if key not in ("role", "type"))))
    return " ".join(filter(None, map(all_text, value))) if isinstance(value, list) else ""


@cache
def draw(colour: tuple[int, int, int] = (60, 120, 60)) -> bytes:
    """A green picture of 64 x 64."""
    out = io.BytesIO()
    Picture.new("RGB", (64, 64), colour).save(out, "PNG")
    return out.getvalue()


def drawn() -> str:
    """The picture in base64."""
    return base64.b64encode(draw()).decode()


def said(prompt: str) -> str:
    """What a model says to a prompt."""
    return f"Here is a friendly note about a garden ({zlib.crc32(prompt.encode()) % 1000})."


def verdict(prompt: str) -> str:
    """What a judge says of a response."""
    return json.dumps({"reason": "It speaks of a garden.", "verdict": int(zlib.crc32(prompt.encode()) % 4 != 0)})
