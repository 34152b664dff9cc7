"""A third party's providers: one that works, one on a device of this machine, and some that are broken each in its own way.

What they were made with and asked is written to the file that ECHO_LOG names, so that a test can look at it from outside.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any, Literal, Self

import anyio
from unisafe_providers import Capabilities, DeviceStatus, Limits, ProviderSettings, Request, Response, Usage, Withdrawn


def log(**what: Any) -> None:
    if "ECHO_LOG" in os.environ:
        with Path(os.environ["ECHO_LOG"]).open("a") as file:
            file.write(json.dumps(what) + "\n")


class Echo:
    """Answers with the request's text."""

    def __init__(self, settings: ProviderSettings, *, style: Literal["plain", "loud"] = "plain", times: int = 1) -> None:
        self.settings, self.style, self.times = settings, style, times
        self.identity = f"echo|{settings.base_url}|{settings.model}|{style}|{times}"
        self.capabilities = settings.capabilities
        self.reported = Limits()
        log(made=settings.model, base_url=settings.base_url, key=bool(settings.key), timeout_s=settings.timeout_s, style=style)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def call(self, request: Request) -> Response:
        self.capabilities.check(request)
        log(asked=request.text)
        text = request.text.upper() if self.style == "loud" else request.text
        return Response(text=" ".join([text] * self.times), usage=Usage(tokens_in=len(text) // 4, tokens_out=1))


class Batches(Echo):
    """A model on a device: calls wait until as many are there as make a batch, or nobody else comes."""

    devices: tuple[str, ...] = ("cpu",)
    size = 1_000

    def __init__(self, settings: ProviderSettings, *, batch: int = 64) -> None:
        super().__init__(settings)
        self.devices = settings.devices or self.devices
        log(settings=[settings.devices, settings.batch_size, settings.extra, settings.structured])
        self.status = DeviceStatus()
        self._batch = batch
        self._waiting: list[anyio.Event] = []
        self._withdrawn = False

    async def call(self, request: Request) -> Response:
        self.capabilities.check(request)
        if self._withdrawn:
            raise Withdrawn("stopping")
        mine = anyio.Event()
        self._waiting.append(mine)
        with anyio.move_on_after(2.0):
            if len(self._waiting) < self._batch:
                await mine.wait()
        if not mine.is_set():
            log(batch=len(self._waiting), model=self.settings.model)
            for event in self._waiting:
                event.set()
            self._waiting = []
        return await super().call(request)

    async def release(self) -> None:
        log(released=True, model=self.settings.model)

    def withdraw(self) -> None:
        self._withdrawn = True


def no_provider(settings: ProviderSettings) -> object:
    return {"model": settings.model}


def raises(settings: ProviderSettings) -> Echo:
    raise RuntimeError(f"no such account for {settings.key}")


def cancels(settings: ProviderSettings) -> Echo:
    raise asyncio.CancelledError("by nobody")


class OpensNot(Echo):
    async def __aenter__(self) -> Self:
        raise OSError("the device is not plugged in")


class CancelledCalls(Echo):
    async def call(self, request: Request) -> Response:
        raise asyncio.CancelledError("by nobody")


class AnswersNone(Echo):
    async def call(self, request: Request) -> Response:
        return None  # type: ignore[return-value]


class Same(Echo):
    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.identity = "same"
        self.capabilities = Capabilities()
