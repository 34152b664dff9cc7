"""Turns on the devices of this machine: one local model at a time has a device."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import anyio
from unisafe_providers.base import OnDevice, Provider
from unisafe_providers.gpus import Machine

from unisafe_async.gateway import Endpoint
from unisafe_async.run.lanes import Lane
from unisafe_async.run.turns import Turn, choose_next, estimate_work

log = logging.getLogger(__name__)


class Devices:
    """Turns on devices, in the order of turns.py.

    Args:
        waiting: a turn for each model that has devices; all of them are to be ended.
    """

    def __init__(self, waiting: Sequence[Turn] = ()) -> None:
        self._waiting = list(waiting)
        self._begins = {turn.name: anyio.Event() for turn in waiting}
        self._free = set().union(*(turn.devices for turn in waiting))
        self._held = dict[str, frozenset[str]]()
        self._kept_waiting = set[str]()

    @staticmethod
    def of(provider: Provider) -> frozenset[str]:
        """The devices of a provider's model; none for a hosted model."""
        return frozenset(map(_to_canonical, provider.devices)) if isinstance(provider, OnDevice) else frozenset()

    async def wait_for_turn(self, endpoint: Endpoint) -> None:
        """Return once the model has its devices to itself; at once for a hosted one."""
        if endpoint.name in self._begins:
            self._begin()
            if not self._begins[endpoint.name].is_set():
                self._kept_waiting.add(endpoint.name)
            await self._begins[endpoint.name].wait()

    def find_holders(self, name: str) -> dict[str, str]:
        """The devices that a model waits for now, each with the model that has it; empty if it does not wait."""
        turn = next((turn for turn in self._waiting if turn.name == name), None)
        if turn is None or name not in self._kept_waiting:
            return {}
        holders = {device: holder for holder, devices in self._held.items() for device in devices}
        return {device: holders[device] for device in sorted(turn.devices) if device in holders}

    async def end_turn(self, endpoint: Endpoint) -> None:
        """Have the model give its devices back, and begin the turns that waited for them; it may have needed no turn.

        Where this is not reached, the run is cancelled, and the provider's `__aexit__` ends the model.
        """
        await self.release(endpoint)
        if endpoint.name not in self._begins:
            return
        if self._begins[endpoint.name].is_set():
            self._free |= self._held.pop(endpoint.name, frozenset())
        else:
            self._waiting = [turn for turn in self._waiting if turn.name != endpoint.name]
        self._begin()

    def _begin(self) -> None:
        """Begin the turns that can begin now."""
        for turn in choose_next(self._waiting, self._free):
            self._waiting.remove(turn)
            self._free -= turn.devices
            self._held[turn.name] = turn.devices
            self._begins[turn.name].set()

    @staticmethod
    async def release(endpoint: Endpoint) -> None:
        """Have the model give its devices back; whoever comes next goes on even if it cannot."""
        if not isinstance(endpoint.provider, OnDevice):
            return
        try:
            await endpoint.provider.release()
        except Exception as error:
            log.warning("%s: the device could not be given back: %s: %s", endpoint.name, type(error).__name__, error)


def list_turns(lanes: Sequence[Lane]) -> list[Turn]:
    """The turns of the models that have devices of this machine."""
    sizes = {lane.endpoint.name: lane.endpoint.provider.size for lane in lanes if isinstance(lane.endpoint.provider, OnDevice)}
    return [
        Turn(
            name=lane.endpoint.name,
            devices=devices,
            work=estimate_work(lane.total - lane.pictures, lane.pictures, sizes[lane.endpoint.name], sizes.values()),
            size=sizes[lane.endpoint.name],
        )
        for lane in lanes
        if (devices := Devices.of(lane.endpoint.provider))
    ]


def _to_canonical(device: str) -> str:
    """`cuda` means `cuda:0`; `auto` becomes the device that a worker will most likely take."""
    return Machine().name_one(device)
