"""Many requests at once to a local model, and what its provider was seen to do with them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from unisafe_providers.base import Capabilities, ProviderError, Request, Response, Text, Transient
from unisafe_providers.local import LocalProvider, LocalSettings
from unisafe_providers.workers.worker import Worker

from benchmarks.gpu.place import Place

TRIES = 5
"""How often a request is sent again after an error that may pass; in a run, the gateway does this."""


class NotedProvider(LocalProvider):
    """A local model that notes the sizes of its batches and the processes that were ready to answer.

    Attributes:
        batches: requests in each batch, in order.
        started: the processes, in order.
    """

    def __init__(self, place: Place, folder: Path, capabilities: Capabilities | None = None, **settings: Any) -> None:
        loaded = LocalSettings(library="transformers", model=str(folder), **settings)
        super().__init__(loaded, capabilities or Capabilities(), [place.device])
        self.batches: list[int] = []
        self.started: list[int | None] = []

    def note_event(self, worker: Worker, head: dict[str, Any]) -> None:
        super().note_event(worker, head)
        if head["type"] == "batch":
            self.batches.append(len(head["ids"]))
        elif head["type"] == "ready":
            self.started.append(worker.pid)


@dataclass(frozen=True)
class Answers:
    """What came of requests, in their order: answers, and errors that do not pass."""

    all: Sequence[Response | ProviderError]
    seconds: float

    @property
    def given(self) -> list[Response]:
        return [one for one in self.all if isinstance(one, Response)]

    @property
    def errors(self) -> list[ProviderError]:
        return [one for one in self.all if isinstance(one, ProviderError)]

    @property
    def speed(self) -> float:
        """Tokens a second."""
        return sum(answer.usage.tokens_out for answer in self.given) / self.seconds

    @property
    def words(self) -> str:
        errors = f"; {len(self.errors)} errors, the first: {self.errors[0]}" if self.errors else ""
        return f"{len(self.given)} of {len(self.all)} answered{errors}"


def chat(text: str, tokens: int, temperature: float = 0.0, seed: int | None = None) -> Request:
    return Request(kind="chat", parts=(Text(text),), max_tokens=tokens, temperature=temperature, seed=seed)


async def ask_all(provider: LocalProvider, requests: Sequence[Request]) -> Answers:
    """Send all requests at once."""
    outcomes: dict[int, Response | ProviderError] = {}

    async def ask(number: int, request: Request) -> None:
        for _ in range(TRIES):
            try:
                outcomes[number] = await provider.call(request)
                return
            except Transient as error:
                outcomes[number] = error
            except ProviderError as error:
                outcomes[number] = error
                return

    started = time.monotonic()
    async with anyio.create_task_group() as group:
        for number, request in enumerate(requests):
            group.start_soon(ask, number, request)
    return Answers([outcomes[number] for number in range(len(requests))], time.monotonic() - started)


async def ask_once(provider: NotedProvider, requests: Sequence[Request]) -> tuple[NotedProvider, Answers]:
    """Load a model, send it all requests at once, and unload it."""
    async with provider:
        return provider, await ask_all(provider, requests)
