"""A model in one or several workers as a provider: turns, crashes, stopping, and giving the memory back; one code for all.

How a worker is started is for the kinds of provider (`launch`): a process of ours, a command, an actor on another machine.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup

from unisafe_providers.base import (
    Capabilities,
    DeviceStatus,
    Limits,
    Misconfigured,
    Rejected,
    Request,
    Response,
    Transient,
    Withdrawn,
)
from unisafe_providers.gpus import split_place
from unisafe_providers.workers.worker import Ended, Worker

CRASHES = 3
"""The model is given up after the process ended this often in a row without an answer."""
ENDS_ALONE = 2
"""A request is given up after it ended its process this often while it was alone in it; that does not count against the model."""
GIVEN_UP = 5
"""The model is given up too after this many such requests in a row without an answer between them."""


class PooledProvider(ABC):
    """One model, on one device or on several.

    It loads at the first call, in a worker for each device, and unloads on `release` and at the end. Calls wait in the worker
    until a batch takes them, so callers may make many at once.

    Args:
        capabilities: what the model takes and gives.
        devices: the devices that it takes turns on; if there are several, each gets a copy of the model, and all copies get
            requests; a copy that is spread takes several (`cuda:0+cuda:1`). Empty for a model whose device is not ours to give:
            then there is one copy, and it takes no turns.
        places: where the workers are, one for each, if that differs from the devices.

    Attributes:
        found: a line for each thing to know of it before it is loaded.
        last_end: why a worker ended by itself and was started again; empty if none did.
        needed: the signal that a worker needed to end at the last `release`; empty if the end of its input was enough for all.
    """

    def __init__(self, identity: str, capabilities: Capabilities, devices: Sequence[str], places: Sequence[str] = ()) -> None:
        self.identity = identity
        self.capabilities = capabilities
        self.reported = Limits()
        self.status = DeviceStatus()
        self.found: list[str] = []
        self.devices = tuple(device for place in devices for device in split_place(place))
        self._places = tuple(places) or tuple(devices) or ("",)
        self._failure: Misconfigured | None = None
        self._stack = AsyncExitStack()
        self._group: TaskGroup | None = None
        self._workers: list[Worker] = []
        self._crashed: set[bytes] = set()
        self._crashes = 0
        self._restarts = 0
        self.last_end = self.needed = ""
        self._ends_alone: Counter[bytes] = Counter()
        self._given_up = 0
        self._withdrawn = False

    @abstractmethod
    async def prepare(self) -> None:
        """Find out all that `identity` and `status.size` need, without loading. Raises Misconfigured."""

    @abstractmethod
    def launch(self, device: str) -> Worker:
        """A worker for `device`, not yet running."""

    @property
    def notes(self) -> list[str]:
        """What was found, and that it ended by itself and was started again; for the end of a run."""
        if not self._restarts or self._failure is not None:
            return self.found
        times = "once" if self._restarts == 1 else f"{self._restarts} times; the last time"
        return [*self.found, f"started again {times} because {self.last_end}"]

    @property
    def size(self) -> int:
        """Bytes of weights, known once the provider is open; the cost of loading."""
        return self.status.size

    @property
    def copies(self) -> int:
        """How many copies of the model answer at the same time."""
        return len(self._places)

    @property
    def pids(self) -> list[int]:
        """Its processes on this machine."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def __aenter__(self) -> Self:
        self._group = await self._stack.enter_async_context(anyio.create_task_group())
        try:
            await self.prepare()
        except Misconfigured as error:
            self._failure = error
            self.status.state, self.status.said = "failed", str(error)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._group is not None:
            self._group.cancel_scope.cancel()
        await self._stack.aclose()

    async def call(self, request: Request) -> Response:
        """Answer one request as part of a batch. Raises Rejected, Transient, Misconfigured or Withdrawn."""
        self.capabilities.check(request)
        while True:
            if self._failure is not None:
                raise self._failure
            if self._withdrawn:
                raise Withdrawn("the run was asked to stop")
            worker = self._pick_least_busy()
            alone = request.canonical in self._crashed
            try:
                return await worker.ask(request, alone)
            except Ended:
                continue
            except Transient as error:
                if worker.ended.is_set():
                    self._note_crash(request, error, alone)
                raise
            except OSError as error:
                raise Rejected(f"an image of the request cannot be read: {error}") from None

    def _note_crash(self, request: Request, error: Transient, alone: bool) -> None:
        """Note that a request was under way when its process ended; from now on it runs alone.

        Raises Rejected for one that ended its process each time it ran alone; before that, another try may succeed.
        """
        self._crashed.add(request.canonical)
        if not alone:
            return
        self._ends_alone[request.canonical] += 1
        if self._ends_alone[request.canonical] >= ENDS_ALONE:
            self._given_up += 1
            raise Rejected(f"{error}, {ENDS_ALONE} times while it ran this request alone")

    async def release(self) -> None:
        """Unload, and return once the memory is free. The next call loads again."""
        workers, self._workers = self._workers, []
        async with anyio.create_task_group() as group:
            for worker in workers:
                group.start_soon(worker.stop)
        self.needed = next(filter(None, (worker.needed for worker in workers)), "")
        if workers and self.status.state != "failed":
            self.status.state = "unloaded"

    def withdraw(self) -> None:
        """Give up the calls that are in no batch yet: they raise Withdrawn, as do later calls."""
        self._withdrawn = True
        if self._group is not None:
            for worker in self._workers:
                self._group.start_soon(self._withdraw, worker)

    @staticmethod
    async def _withdraw(worker: Worker) -> None:
        try:
            await worker.withdraw()
        except Ended:
            return

    # -------------------------------------------------------- workers

    def _pick_least_busy(self) -> Worker:
        """The worker with the fewest waiting requests; the first call starts the workers."""
        if not self._workers:
            assert self._group is not None, "enter the provider first"
            self.status.state, self.status.places = "loading", ()
            self.status.began = time.monotonic()
            self.status.said, self.status.heard = "", time.monotonic()
            for device in self._places:
                worker = self.launch(device)
                self._workers.append(worker)
                self._group.start_soon(self._watch, worker)
        return min(self._workers, key=lambda worker: worker.waiting)

    async def _watch(self, worker: Worker) -> None:
        """Run a worker to its end. If it ends by itself, the next call starts another one, unless that happens too often."""
        await worker.run()
        if worker not in self._workers:
            return
        self._workers.remove(worker)
        self.status.batch = 0
        if worker.answered:
            self._crashes = self._given_up = 0
        elif not worker.ended_alone:
            self._crashes += 1
        if worker.failure is not None:
            self._failure = Misconfigured(worker.failure)
        elif self._crashes >= CRASHES:
            self._failure = Misconfigured(f"{worker.words}, {CRASHES} times in a row{worker.details}")
        elif self._given_up >= GIVEN_UP:
            self._failure = Misconfigured(f"{worker.words}, for {GIVEN_UP} requests in a row{worker.details}")
        else:
            self._restarts += 1
            self.last_end = worker.words + worker.details
        if self._failure is not None:
            self.status.state = "failed"
        elif not self._workers:
            self.status.state = "unloaded"

    def note_event(self, worker: Worker, head: dict[str, Any]) -> None:
        """Note what a worker reports, for whoever shows it."""
        status = self.status
        status.heard = time.monotonic()
        match head["type"]:
            case "ready":
                status.state = "ready"
                status.places = (*status.places, head["device"])
                status.load_seconds = max(status.load_seconds, head["seconds"])
                status.memory_used, status.memory_total = head["memory"]
            case "batch":
                status.batch = len(head["ids"])
            case "halved":
                status.halved += 1
            case "said":
                status.said = head["words"]
            case "watched":
                status.patience = head["patience"]
            case "log":
                status.log = head["path"]
            case "done":
                status.batch = 0
                status.tokens += head["tokens"]
                status.images += head["images"]
                status.busy_seconds += head["seconds"]
                status.memory_used, status.memory_total = head["memory"]
