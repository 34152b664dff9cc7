"""The requests of an endpoint that are being asked again, for progress displays and for the end of a run."""

from __future__ import annotations


class Retries:
    """Failed tries of requests that are still to be answered.

    Attributes:
        words: the message of the last failure.
        unfinished: failed tries of requests that the run gave up because it was asked to stop.
    """

    def __init__(self) -> None:
        self.words = ""
        self.unfinished = 0
        self._tries: dict[object, int] = {}

    @property
    def tries(self) -> int:
        """How many tries have failed of the requests that are being asked again."""
        return sum(self._tries.values())

    @property
    def unfinished_words(self) -> str:
        """`500: no such schema (59 failed tries)`: why requests were not answered before the stop; empty if none was waiting."""
        return f"{self.words} ({self.unfinished:,} failed tries)" if self.unfinished else ""

    def note_failure(self, request: object, words: str) -> None:
        """Count a failed try of a request."""
        self.words = words
        self._tries[request] = self._tries.get(request, 0) + 1

    def leave(self, request: object) -> None:
        """Forget a request that is answered or given up."""
        self._tries.pop(request, None)

    def stop(self, request: object) -> None:
        """Note that the run ends before a request is answered."""
        self.unfinished += self._tries.pop(request, 0)
