"""Keeps what a provider and its endpoint said to each other, for `unisafe doctor --record`.

A hosted provider that is opened while a tape is set writes to it; else none of this is in the way of a call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One call and its answer, without the provider's own keys; what else must not be shown is still in it.

    Args:
        asked_for: what the call was made for, as the tape says.
        base_url: the address of the endpoint.
        method, url: of the call; `url` is the whole address.
        sent_with: the names of the call's headers.
        sent_type, sent: media type and body of the call.
        status: of the answer; None if none came, and then `failure` says why.
        headers, received: of the answer, its body unpacked.
    """

    asked_for: str
    base_url: str
    method: str
    url: str
    sent_with: tuple[str, ...]
    sent_type: str = ""
    sent: bytes = b""
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    received: bytes = b""
    failure: str = ""


@dataclass
class Tape:
    """The exchanges of one model in their order; `asked_for` names what the next calls are made for."""

    asked_for: str = ""
    exchanges: list[Exchange] = field(default_factory=list)


_TAPE: ContextVar[Tape | None] = ContextVar("tape", default=None)


def find_tape() -> Tape | None:
    """The tape that a provider writes to if it is opened now."""
    return _TAPE.get()


@contextmanager
def recording_to(tape: Tape | None) -> Iterator[None]:
    """Inside the block, providers that are opened write to `tape`."""
    before = _TAPE.set(tape)
    try:
        yield
    finally:
        _TAPE.reset(before)
