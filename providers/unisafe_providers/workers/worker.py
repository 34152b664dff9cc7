"""One model in one place, from the program's side: calls that wait for it, the signs of life that it gives, and its end.

A `Worker` keeps the books; how a model is started and spoken to is for its kinds: a process of ours with frames (local/), a
command with lines of JSON (command/), an actor on another machine (cluster/).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import anyio

from unisafe_providers.base import Misconfigured, Request, Response, Transient, Withdrawn

POLL = 1.0
"""Seconds between two looks at how long a worker has been silent."""


class Ended(Exception):
    """The model's process is gone; a request that was in no batch yet can be sent again."""


@dataclass(slots=True, kw_only=True)
class Call:
    """A request that waits for its answer.

    Args:
        identifier: its number, of this worker.
        alone: whether it must run by itself, because the process ended with its last batch.
        begun: whether the model works on it.
    """

    identifier: int
    request: Request
    alone: bool
    done: anyio.Event = field(default_factory=anyio.Event)
    begun: bool = False
    response: Response | None = None
    error: Exception | None = None


class Worker(ABC):
    """One model in one place.

    Args:
        title: what messages call its process, such as `the process that ran MODEL`.
        device: where the model is; empty where that is not ours to say.
        on_event: called with each report that is no answer (`ready`, `batch`, `back`, `done`, `halved`, `said`, `watched`).

    Attributes:
        ended: set when it is gone.
        failure: why this model will never work; None as long as it may.
        words: why it ended.
        details: where to read more about that; to end a message with.
        answered: how many answers it gave.
        ended_alone: whether it ended while it ran one request that was to be run alone: it ended of that request.
        heard: when it last gave a sign of life, by `time.monotonic()`.
        needed: the signal that ended it when it was stopped, such as `SIGTERM`; empty if the end of its input was enough.
    """

    def __init__(self, title: str, device: str, on_event: Callable[[Worker, dict[str, Any]], None]) -> None:
        self.title = title
        self.device = device
        self.on_event = on_event
        self.ended = anyio.Event()
        self.failure: str | None = None
        self.words = ""
        self.details = ""
        self.answered = 0
        self.ended_alone = False
        self.needed = ""
        self.heard = time.monotonic()
        self._loading = True
        self._silent = ""
        self._withdrawn = False
        self._calls: dict[int, Call] = {}
        self._next = 0

    @property
    def pid(self) -> int | None:
        """Its process on this machine; None if there is none."""
        return None

    @property
    def waiting(self) -> int:
        """Calls without an answer."""
        return len(self._calls)

    @abstractmethod
    async def run(self) -> None:
        """Start the model and hear it until it ends; if this is cancelled, it is ended."""

    @abstractmethod
    async def stop(self) -> None:
        """End the model, and return once it is gone and its memory is free."""

    @abstractmethod
    async def hand_over(self, call: Call) -> None:
        """Give a call to the model. Raises Ended, and OSError for an image that cannot be read."""

    async def forget(self) -> None:  # noqa: B027 not every kind has to do something
        """Tell the model to forget the calls that it has not begun. Raises Ended."""

    def drop(self, call: Call) -> None:  # noqa: B027 nor here
        """Nobody waits for `call` any more."""

    async def ask(self, request: Request, alone: bool) -> Response:
        """Raises Rejected, Transient, Withdrawn, or Ended for a request that was in no batch yet."""
        self._next += 1
        call = self._calls[self._next] = Call(identifier=self._next, request=request, alone=alone)
        try:
            await self.hand_over(call)
            await call.done.wait()
        except Ended:
            if call.error is None:
                raise
        finally:
            del self._calls[call.identifier]
            if not call.done.is_set():
                self.drop(call)
        if call.error is not None:
            raise call.error
        assert call.response is not None
        return call.response

    async def withdraw(self) -> None:
        """Give up the requests that are in no batch, at once, and those that come back from one."""
        self._withdrawn = True
        self._give_up_waiting()
        await self.forget()

    def _give_up_waiting(self) -> None:
        for call in self._calls.values():
            if not call.begun and not call.done.is_set():
                call.error = Withdrawn("the run was asked to stop")
                call.done.set()

    # -------------------------------------------------------- what its kinds report

    def report(self, head: dict[str, Any]) -> None:
        """Pass on a report that is no answer, and note what it says."""
        self.heard = time.monotonic()
        if head["type"] == "ready":
            self._loading = False
        elif head["type"] == "batch":
            self.begin(head["ids"])
        elif head["type"] == "back":
            self.put_back(head["ids"])
        self.on_event(self, head)

    def begin(self, identifiers: Iterable[int]) -> None:
        """The model works on these calls now."""
        for identifier in identifiers:
            if identifier in self._calls:
                self._calls[identifier].begun = True

    def put_back(self, identifiers: Iterable[int]) -> None:
        """These calls wait for another batch: they are not lost with the one under way."""
        for identifier in identifiers:
            if identifier in self._calls:
                self._calls[identifier].begun = False
        if self._withdrawn:
            self._give_up_waiting()

    def answer(self, identifier: int, outcome: Response | Exception) -> None:
        """A call has its answer, or the error that it is to raise."""
        self.heard = time.monotonic()
        call = self._calls.get(identifier)
        if call is None or call.done.is_set():
            return
        if isinstance(outcome, Response):
            call.response = outcome
        else:
            call.error = outcome
        call.done.set()

    @property
    def busy(self) -> bool:
        """Whether it loads, or has calls to work on."""
        return self._loading or any(not call.done.is_set() for call in self._calls.values())

    async def watch_silence(self, patience: float, end: Callable[[], None]) -> None:
        """Call `end` when a busy model has given no sign of life for `patience` seconds."""
        self.on_event(self, {"type": "watched", "patience": patience})
        while True:
            await anyio.sleep(min(POLL, patience / 4))
            if not self.busy:
                self.heard = time.monotonic()
            elif time.monotonic() - self.heard > patience:
                work = "loaded" if self._loading else "worked"
                self._silent = f"{self.title} was ended: no word for {patience:,.0f} s while it {work} (patience_s)"
                if self._loading:
                    self.failure = self.failure or self._silent + self.quote_log(last_line=True)
                end()
                return

    def quote_log(self, *, last_line: bool) -> str:
        """Where its log is, and with `last_line` what stands there last, to end a message with; empty for one without a log."""
        return ""

    def finish(self, words: str) -> None:
        """It is gone; `words` say why. Calls that it had begun failed in passing, and the others can be sent again."""
        self.words = words = self._silent or words
        self.details = self.quote_log(last_line=bool(self._silent))
        begun = [call for call in self._calls.values() if call.begun and not call.done.is_set()]
        self.ended_alone = len(begun) == 1 and begun[0].alone
        for call in self._calls.values():
            if not call.done.is_set():
                if self.failure is not None:
                    call.error = Misconfigured(self.failure)
                else:
                    call.error = Transient(words) if call.begun else Ended(words)
                call.done.set()
        self.ended.set()


def describe_end(title: str, code: int | None, said: str) -> str:
    """Why a process ended, as far as we can see.

    Args:
        title: what messages call it.
        code: its exit code, or a negative signal's number; None if it is not known.
        said: the last line that it printed.
    """
    if code is not None and code < 0:
        killed = ", as the kernel does when memory runs out" if code == -9 else ""
        return f"{title} was ended by signal {-code}{killed}"
    return f"{title} ended{f': {said[:300]}' if said else ''}"
