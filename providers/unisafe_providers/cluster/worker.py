"""A worker that is an actor of a Ray cluster: the process of a local model on any of its machines."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import anyio
from anyio import to_thread

from unisafe_providers.base import Misconfigured
from unisafe_providers.cluster.relay import Relay
from unisafe_providers.workers.environment import pick_environment
from unisafe_providers.workers.framed import FramedWorker
from unisafe_providers.workers.frames import Frames
from unisafe_providers.workers.worker import Ended, Worker, describe_end

os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # `uv run` would have Ray build an environment on each machine
PENDING = 60.0
"""Seconds after which an actor that has no place yet is said to wait: Ray itself waits for ever, and says nothing."""
REACHED = 10.0
"""Seconds in which the head of a cluster has to answer."""
CONNECTING = ThreadPoolExecutor(1)
"""The one thread that connects, and that lives as long as this process: a cluster of our own ends with the thread that began it."""
PASSED_ON = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "DIFFUSERS_", "TOKENIZERS_")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """Where the cluster is, and what a worker takes of it.

    Args:
        address: `auto`, `HOST:PORT`, `ray://HOST:PORT`, or `local` for one on this machine.
        gpus: GPUs for each worker; a part of one is allowed.
        memory_gb: memory for each worker, in GB; None leaves it to Ray.
        runtime_env: Ray's own description of the environment on its machines.
    """

    address: str = "auto"
    gpus: float = 1.0
    memory_gb: float | None = None
    runtime_env: Mapping[str, Any] | None = None


def connect(settings: ClusterSettings) -> Any:  # noqa: ANN401 the module ray, which only the extra brings
    """Ray, connected to the cluster. Raises Misconfigured with what to change."""
    try:
        import ray
    except ImportError:
        raise Misconfigured("[cluster] needs the extra `cluster`: pip install 'unisafe-async[cluster]'") from None
    if not ray.is_initialized():
        _connect(ray, settings)
    return ray


def _connect(ray: Any, settings: ClusterSettings) -> None:  # noqa: ANN401
    logging.getLogger("ray").setLevel(logging.ERROR)
    address = None if settings.address == "local" else settings.address
    try:
        _check_answers(settings.address)
        ray.init(
            address=address,
            namespace="unisafe",
            configure_logging=False,
            log_to_driver=False,
            include_dashboard=False if address is None else None,
            runtime_env=dict(settings.runtime_env) if settings.runtime_env else None,
        )
    except (OSError, RuntimeError, ValueError) as error:
        words = " ".join(str(error).split())[:300]
        raise Misconfigured(f"cluster.address {settings.address}: no Ray cluster answers there: {words}") from None


def _check_answers(address: str) -> None:
    """Raises OSError where nothing answers at an address of host and port: Ray itself would try for minutes."""
    known = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    host, _, port = known.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), REACHED).close()


class ActorWorker(FramedWorker):
    """One model in one process on one machine of the cluster. Arguments as of FramedWorker, and `settings`."""

    def __init__(
        self,
        *,
        settings: ClusterSettings,
        title: str,
        device: str,
        on_event: Callable[[Worker, dict[str, Any]], None],
        load: bytes,
        command: list[str] | None = None,
    ) -> None:
        super().__init__(title=title, device=device, on_event=on_event, load=load, inline=True)
        self._settings = settings
        self._command = command
        self._actor: Any = None
        self._place = ""
        self._stopping = anyio.Event()
        self._gone = ""

    async def run(self) -> None:
        """Have an actor placed, and take its process's frames until it ends; if this is cancelled, both are ended."""
        code, said = None, ""
        try:
            ray = await asyncio.wrap_future(CONNECTING.submit(connect, self._settings))
            self._actor = await to_thread.run_sync(self._create, ray)
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._say_pending, ray)
                    group.start_soon(self._end_when_stopped, group.cancel_scope)
                    self._place = await self._ask(self._actor.where)
                    self.heard = time.monotonic()  # until here it waited for its place
                    group.start_soon(self.watch_silence, self.patience, group.cancel_scope.cancel)
                    group.start_soon(self.start_loading)
                    await self._read()
                    group.cancel_scope.cancel()
            finally:
                with anyio.CancelScope(shield=True):
                    code, said = await self._end(ray)
        except Misconfigured as error:
            self.failure = str(error)
        finally:
            self.finish(describe_end(f"{self.title}{f' on {self._place}' if self._place else ''}", code, said))

    async def write(self, frame: bytes) -> None:
        if self._actor is None or not await self._ask(self._actor.write, frame):
            await self.ended.wait()
            raise Ended

    async def stop(self) -> None:
        self._stopping.set()
        await self.ended.wait()

    def report(self, head: dict[str, Any]) -> None:
        if head["type"] == "ready":
            head = {**head, "device": f"{head['device']} of {self._place}"}
        super().report(head)

    # -------------------------------------------------------- inside

    def _create(self, ray: Any) -> Any:  # noqa: ANN401
        settings = self._settings
        options: dict[str, Any] = {"num_gpus": settings.gpus, "num_cpus": 1, "max_concurrency": 4, "max_restarts": 0}
        if settings.memory_gb is not None:
            options["memory"] = int(settings.memory_gb * 1e9)
        needed = pick_environment()
        environment = {name: value for name, value in needed.items() if name.startswith(PASSED_ON)}
        # a cluster that begins here has the variables of this process, keys of endpoints among them
        without = frozenset(os.environ) - needed.keys() if settings.address == "local" else frozenset()
        return ray.remote(Relay).options(scheduling_strategy="SPREAD", **options).remote(environment, self._command, without)

    async def _ask(self, method: Any, *arguments: object) -> Any:  # noqa: ANN401
        """What a method of the actor returns. Raises Ended when the actor, or its machine, is gone."""
        from ray.exceptions import RayError

        try:
            return await _as_awaitable(method.remote(*arguments))
        except RayError as error:
            self._gone = " ".join(str(error).split())[:300]
            raise anyio.BrokenResourceError from None

    async def _read(self) -> None:
        frames = Frames()
        while True:
            try:
                piece = await self._ask(self._actor.read)
            except anyio.BrokenResourceError:
                return
            if piece is None:
                return
            for head, blobs in frames.feed(piece):
                self.take(head, blobs)

    async def _say_pending(self, ray: Any) -> None:  # noqa: ANN401
        """Say that the actor has no place yet: again and again, with what the cluster has."""
        began = time.monotonic()
        while not self._place:
            await anyio.sleep(PENDING)
            if self._place:
                return
            there = await to_thread.run_sync(ray.cluster_resources)
            has = ", ".join(f"{there[name]:g} {name}" for name in ("CPU", "GPU") if there.get(name)) or "nothing"
            wanted = f"{self._settings.gpus:g} GPU and 1 CPU in the cluster"
            words = f"waits for {wanted} since {time.monotonic() - began:.0f} s; it has {has}"
            self.heard = time.monotonic()
            self.on_event(self, {"type": "said", "words": words})

    async def _end_when_stopped(self, scope: anyio.CancelScope) -> None:
        await self._stopping.wait()
        scope.cancel()

    async def _end(self, ray: Any) -> tuple[int | None, str]:  # noqa: ANN401
        """End the process and the actor; its exit code and last words, as far as they can still be had."""
        found: tuple[int | None, str] = (None, self._gone)
        if not self._gone and self._place:
            with anyio.move_on_after(20):
                try:
                    found = await self._ask(self._actor.end)
                except anyio.BrokenResourceError:
                    found = (None, self._gone)
        await to_thread.run_sync(ray.kill, self._actor)
        return found


def _as_awaitable(reference: Any) -> Awaitable[Any]:  # noqa: ANN401
    return asyncio.wrap_future(reference.future())
