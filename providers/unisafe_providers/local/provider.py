"""A model on this machine as a provider like any other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

import orjson
from anyio import to_thread

from unisafe_providers.base import Capabilities, Misconfigured
from unisafe_providers.gpus import Machine
from unisafe_providers.local.gguf_copies import name_copies
from unisafe_providers.local.model_files import describe_size
from unisafe_providers.local.process import WorkerProcess
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.local.weights import Weights, find_weights
from unisafe_providers.workers.framed import FramedWorker
from unisafe_providers.workers.frames import pack
from unisafe_providers.workers.pool import PooledProvider
from unisafe_providers.workers.worker import Worker


class Launch(Protocol):
    """How a worker of ours is started: as a process here, or somewhere else. `load` is the frame that it gets first."""

    def __call__(
        self, *, title: str, device: str, on_event: Callable[[Worker, dict[str, Any]], None], load: bytes
    ) -> FramedWorker: ...


class LocalProvider(PooledProvider):
    """One local model, on one device or on several, each in a process of its own.

    Args:
        settings: what to load and how.
        capabilities: what the model takes and gives.
        devices: `auto`, `cpu`, `cuda:0`..., or `cuda:0+cuda:1` for a model that is spread over two; if there are several, each gets
            a copy of the model, and all copies get requests.
        launch: starts a worker; else a process on this machine.
        turns: the devices that it takes turns on, if workers are elsewhere.

    Attributes:
        found: a line for each thing to know of where it is loaded from and where it runs.
    """

    def __init__(
        self,
        settings: LocalSettings,
        capabilities: Capabilities,
        devices: Sequence[str] = ("auto",),
        launch: Launch = WorkerProcess,
        turns: Sequence[str] = (),
    ) -> None:
        super().__init__(f"{settings.library}:{settings.model}", capabilities, turns or devices, devices)
        self._settings = settings
        self._launch = launch
        self._elsewhere = bool(turns)
        self._held = 0

    async def prepare(self) -> None:
        """Find the weights: their commit or digest is part of the identity."""
        weights = await to_thread.run_sync(find_weights, self._settings)
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
        self._held = weights.measure_held(self._settings)
        self.found = await to_thread.run_sync(_list_notes, weights, self.devices)
        if weights.obstacle and not self._elsewhere:  # what this machine lacks, another one may have
            raise Misconfigured(weights.obstacle)

    def launch(self, device: str) -> Worker:
        settings = {**asdict(self._settings), "extra": dict(self._settings.extra)}
        load = pack({"type": "load", "settings": settings, "device": device, "size": self._held})
        title = f"the process that ran {self._settings.model}"
        worker = self._launch(title=title, device=device, on_event=self.note_event, load=load)
        worker.patience = self._settings.patience_s
        return worker


def _list_notes(weights: Weights, devices: Sequence[str]) -> list[str]:
    notes = []
    if weights.download:
        notes.append(f"{describe_size(weights.download)} of its weights are not here: the first load downloads them from the hub")
    idle = Machine().accelerators[1:] if devices == ("auto",) else ()
    if idle:
        notes.append(f'device = "auto" takes the first GPU, and {len(idle)} more are idle; devices = "all" puts a copy on each')
    return notes
