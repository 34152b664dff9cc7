"""A model on this machine as a provider like any other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import anyio
import orjson
from anyio import to_thread
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
from unisafe_providers.local.gguf_copies import name_copies
from unisafe_providers.local.process import Ended, WorkerProcess
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.local.weights import Weights, find_weights
from unisafe_providers.workers.gpus import split_place

CRASHES = 3
"""The model is given up after the process ended this often in a row without an answer."""
ENDS_ALONE = 2
"""A request is given up after it ended its process this often while it was alone in it; that does not count against the model."""
GIVEN_UP = 5
"""The model is given up too after this many such requests in a row without an answer between them."""


class LocalProvider:
    """One local model, on one device or on several.

    It loads at the first call, in a process for each device, and unloads on `release` and at the end. Calls wait in the process
    until a batch takes them, so callers may make many at once.

    Args:
        settings: what to load and how.
        capabilities: what the model takes and gives.
        places: `auto`, `cpu`, `cuda:0`..., or `cuda:0+cuda:1` for a model that is spread; if there are several, each gets a copy
            of the model, and all copies get requests.
    """

    def __init__(self, settings: LocalSettings, capabilities: Capabilities, places: Sequence[str] = ("auto",)) -> None:
        self.capabilities = capabilities
        self.reported = Limits()
        self.status = DeviceStatus()
        self.devices = tuple(device for place in places for device in split_place(place))
        self._places = tuple(places)
        self.identity = f"{settings.library}:{settings.model}"
        self._settings = settings
        self._weights: Weights | None = None
        self._failure: Misconfigured | None = None
        self._stack = AsyncExitStack()
        self._group: TaskGroup | None = None
        self._workers: list[WorkerProcess] = []
        self._crashed: set[bytes] = set()
        self._crashes = 0
        self._ends_alone: Counter[bytes] = Counter()
        self._given_up = 0
        self._withdrawn = False

    @property
    def size(self) -> int:
        """Bytes of weights, known once the provider is open; the cost of loading."""
        return self._weights.size if self._weights else 0

    async def __aenter__(self) -> Self:
        self._group = await self._stack.enter_async_context(anyio.create_task_group())
        try:
            self._weights = await to_thread.run_sync(find_weights, self._settings)
        except Misconfigured as error:
            self._failure = error
            self.status.state = "failed"
        else:
            weights = self._weights
            self._settings = replace(
                self._settings,
                model=weights.model,
                revision=weights.revision,
                gguf_file=weights.gguf_file,
                expanded=name_copies(weights.identity, weights.gguf_file),
            )
            answering = {**self._settings.answering(), "draws": self._settings.draws or None}
            known = orjson.dumps({name: value for name, value in answering.items() if value}, option=orjson.OPT_SORT_KEYS)
            self.identity = f"{self._settings.library}:{weights.identity}:{known.decode()}"
            self.status.size = weights.size
            if weights.obstacle:
                self._failure = Misconfigured(weights.obstacle)
                self.status.state = "failed"
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
                if alone:
                    self._give_up(request, error)
                self._crashed.add(request.canonical)
                raise
            except OSError as error:
                raise Rejected(f"an image of the request cannot be read: {error}") from None

    def _give_up(self, request: Request, error: Transient) -> None:
        """Raises Rejected for a request that ended its process each time it ran alone; before that, another try may succeed."""
        self._ends_alone[request.canonical] += 1
        if self._ends_alone[request.canonical] >= ENDS_ALONE:
            self._given_up += 1
            raise Rejected(f"{error}, {ENDS_ALONE} times while it ran this request alone")

    async def release(self) -> None:
        """Unload, and return once the memory is free. The next call loads again."""
        workers, self._workers = self._workers, []
        for worker in workers:
            await worker.stop()
        if workers and self.status.state != "failed":
            self.status.state = "unloaded"

    def withdraw(self) -> None:
        """Give up the calls that are in no batch yet: they raise Withdrawn, as do later calls."""
        self._withdrawn = True
        if self._group is not None:
            for worker in self._workers:
                self._group.start_soon(self._withdraw, worker)

    @staticmethod
    async def _withdraw(worker: WorkerProcess) -> None:
        try:
            await worker.withdraw()
        except Ended:
            return

    # -------------------------------------------------------- workers

    def _pick_least_busy(self) -> WorkerProcess:
        """The worker with the fewest waiting requests; the first call starts the workers."""
        if not self._workers:
            assert self._group is not None, "enter the provider first"
            assert self._weights is not None
            self.status.state, self.status.places = "loading", ()
            size = self._weights.measure_held(self._settings)
            for place in self._places:
                worker = WorkerProcess(settings=self._settings, device=place, size=size, on_event=self._on_event)
                self._workers.append(worker)
                self._group.start_soon(self._watch, worker)
        return min(self._workers, key=lambda worker: worker.waiting)

    async def _watch(self, worker: WorkerProcess) -> None:
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
            self._failure = Misconfigured(f"{worker.words}, {CRASHES} times in a row")
        elif self._given_up >= GIVEN_UP:
            self._failure = Misconfigured(f"{worker.words}, for {GIVEN_UP} requests in a row")
        if self._failure is not None:
            self.status.state = "failed"
        elif not self._workers:
            self.status.state = "unloaded"

    def _on_event(self, worker: WorkerProcess, head: dict[str, Any]) -> None:
        status = self.status
        status.heard = time.monotonic()
        match head["type"]:
            case "ready":
                status.state = "ready"
                status.places = (*status.places, head["device"])
                status.load_seconds = max(status.load_seconds, head["seconds"])
                status.memory_used, status.memory_total = head["memory"]
            case "said":
                status.said = head["words"]
            case "batch":
                status.batch = len(head["ids"])
            case "halved":
                status.halved += 1
            case "done":
                status.batch = 0
                status.tokens += head["tokens"]
                status.images += head["images"]
                status.busy_seconds += head["seconds"]
                status.memory_used, status.memory_total = head["memory"]
