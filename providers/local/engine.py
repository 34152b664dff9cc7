"""What runs a model: prepares requests one by one and answers them by the batch."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from providers.base import Request, Response, digest_of

if TYPE_CHECKING:
    from providers.local.device import Device


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request made ready.

    Args:
        request: what was asked.
        group: requests of one group can be answered together.
        length: tokens of the prompt (for images: of its text).
        room: tokens of the answer at most; 0 for images.
        payload: what the engine wants to remember, such as the prompt in the model's template.
    """

    request: Request
    group: Hashable
    length: int
    room: int
    payload: Any = None


class Engine(Protocol):
    """A loaded model on a device.

    Attributes:
        first, most: how many requests a batch begins with, and how large it may become by itself.
        tokens: how many tokens it may hold, padding and room for the answers included; None for no such limit.
    """

    device: Device
    first: int
    most: int
    tokens: int | None

    def prepare(self, request: Request) -> Prepared:
        """Raises Rejected for a request that the model cannot answer."""
        ...

    def answer(self, batch: Sequence[Prepared]) -> list[Response]:
        """One response for each, in order. Raises what the library raises; running out of memory is no failure."""
        ...


def seed_of(request: Request) -> int:
    """63 bits for this request's own random numbers: the same for the same request, whatever batch it is in."""
    return int(digest_of(request.canonical)[:16], 16) >> 1
