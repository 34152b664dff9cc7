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
    """A prepared request, or what is left to do of one.

    Args:
        request: the request.
        group: requests of one group can share a batch.
        length: tokens of the prompt, those of its images and of the answer so far included.
        room: the most tokens that are still to come, text or image; 0 for a pipeline's images.
        payload: data of the engine, such as the prompt in the model's template.
        first: the first size of a batch of this group; None for the engine's.
    """

    request: Request
    group: Hashable
    length: int
    room: int
    payload: Any = None
    first: int | None = None


class Watch:
    """What an engine tells while it works on a batch; this one listens to nothing."""

    def note(self, rows: int = 0) -> None:
        """One step is done: a token for each of `rows`, or a step of diffusion."""

    def wants_rest(self, live: int, rows: int, left: int) -> bool:
        """Whether to stop now and give back the rows that have not ended, which go on in a later batch.

        Args:
            live, rows: rows that have not ended, and all rows.
            left: the most steps that one of them may still take.
        """
        return False


UNWATCHED = Watch()


class Engine(Protocol):
    """A loaded model on a device.

    Attributes:
        first, max_batch: the first size of a batch, and the largest size that it may grow to.
        first_tokens: tokens of the first batch, with padding and room for the answers; None if tokens say little about memory.
        tokens: the most tokens in a batch; None for no limit.
    """

    device: Device
    first: int
    max_batch: int
    first_tokens: int | None
    tokens: int | None

    def prepare(self, request: Request) -> Prepared:
        """Raises Rejected for a request that the model cannot answer."""
        ...

    def answer(self, batch: Sequence[Prepared], watch: Watch = UNWATCHED) -> list[Response | Prepared]:
        """For each request, in order, its response, or where `watch` wanted the rest back: what is left to do of it.

        Raises what the library raises; if memory runs out, that is no failure.
        """
        ...


def seed_of(request: Request) -> int:
    """A 63-bit seed for this request's own random numbers: it is the same in every batch."""
    return int(digest_of(request.canonical)[:16], 16) >> 1
