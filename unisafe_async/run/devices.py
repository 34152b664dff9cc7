"""Turns on the devices of this machine: one local model at a time has a device."""

from __future__ import annotations

import logging
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
from unisafe_providers.base import OnDevice, Provider

from unisafe_async.gateway import Endpoint

log = logging.getLogger(__name__)


class Devices:
    """Turns on devices, in the order in which they are asked for."""

    def __init__(self) -> None:
        self._turns: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

    @staticmethod
    def of(provider: Provider) -> frozenset[str]:
        """The devices of a provider's model; none for a hosted model."""
        return frozenset(map(_to_canonical, provider.devices)) if isinstance(provider, OnDevice) else frozenset()

    @staticmethod
    def load_cost(provider: Provider) -> int:
        """The cost of loading, in bytes of weights."""
        return provider.size if isinstance(provider, OnDevice) else 0

    @asynccontextmanager
    async def turn(self, endpoint: Endpoint) -> AsyncIterator[None]:
        """Inside the block the model has its devices to itself, and gives them back at the end; a hosted one needs none.

        If the block is cancelled, the run is over, and the provider's `__aexit__` ends the model.
        """
        async with AsyncExitStack() as stack:
            for device in sorted(self.of(endpoint.provider)):
                await stack.enter_async_context(self._turns[device])
            yield
            await self.release(endpoint)

    @staticmethod
    async def release(endpoint: Endpoint) -> None:
        """Have the model give its devices back; whoever comes next goes on even if it cannot."""
        if not isinstance(endpoint.provider, OnDevice):
            return
        try:
            await endpoint.provider.release()
        except Exception as error:
            log.warning("%s: the device could not be given back: %s: %s", endpoint.name, type(error).__name__, error)


def _to_canonical(device: str) -> str:
    """`cuda` means `cuda:0`; `auto` becomes the device that a worker will most likely take, as far as we can see without torch."""
    if device == "auto":
        if Path("/proc/driver/nvidia/version").exists() and os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1"):
            return "cuda:0"
        return "mps" if sys.platform == "darwin" else "cpu"
    return "cuda:0" if device == "cuda" else device
