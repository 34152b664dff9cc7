"""An engine runs a model: it prepares requests one by one and answers them in batches."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from unisafe_providers.base import Request, Response, digest_of

if TYPE_CHECKING:
    from unisafe_providers.local.device import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A prepared request.

    Args:
        request: the request.
        group: requests of one group can share a batch.
        length: tokens of the prompt (for images: of its text).
        room: the most tokens of the answer; 0 for images.
        payload: data of the engine, such as the prompt in the model's template.
    """

    request: Request
    group: Hashable
    length: int
    room: int
    payload: Any = None


class Engine(Protocol):
    """A loaded model on a device.

    Attributes:
        first, max_batch: the first size of a batch, and the largest size that it may grow to.
        tokens: the most tokens in a batch, with padding and room for the answers; None for no limit.
    """

    device: Device
    first: int
    max_batch: int
    tokens: int | None

    def prepare(self, request: Request) -> Prepared:
        """Raises Rejected for a request that the model cannot answer."""
        ...

    def answer(self, batch: Sequence[Prepared]) -> list[Response]:
        """One response for each request, in order. Raises what the library raises; if memory runs out, that is no failure."""
        ...


def seed_of(request: Request) -> int:
    """A 63-bit seed for this request's own random numbers: it is the same in every batch."""
    return int(digest_of(request.canonical)[:16], 16) >> 1
