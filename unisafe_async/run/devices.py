"""Turns on the devices of this machine: one local model at a time has a device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
from unisafe_providers.base import OnDevice, Provider
from unisafe_providers.gpus import Machine


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
    async def turn(self, provider: Provider) -> AsyncIterator[None]:
        """Inside the block the provider has its devices to itself, and gives them back at the end; a hosted provider needs none."""
        async with AsyncExitStack() as stack:
            for device in sorted(self.of(provider)):
                await stack.enter_async_context(self._turns[device])
            yield
            if isinstance(provider, OnDevice):
                await provider.release()


def _to_canonical(device: str) -> str:
    """`cuda` means `cuda:0`; `auto` becomes the device that a worker will most likely take."""
    return Machine().name_one(device)
