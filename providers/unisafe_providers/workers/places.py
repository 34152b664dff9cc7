"""Where bench.toml puts a model: the keys `device`, `devices` and `spread`, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from unisafe_providers.gpus import ALL_GPUS, TOGETHER, Machine
from unisafe_providers.spec import ONE, SEVERAL

EXAMPLES = "auto, cpu, cuda:0, xpu:0, npu:0, mps, or the UUID that `nvidia-smi -L` shows"
DeviceName = Annotated[str, Field(pattern=r"^(auto|cpu|mps|(cuda|xpu|npu)(:\d+)?|(GPU|MIG)-[\w./-]+)$")]


def tell_number(given: Any) -> str:  # noqa: ANN401 whatever stands in the file
    """Whether a place is one device or several, for pydantic."""
    return SEVERAL if isinstance(given, list) else ONE


Place = Annotated[
    Annotated[DeviceName, Tag(ONE)] | Annotated[list[DeviceName], Field(min_length=1), Tag(SEVERAL)], Discriminator(tell_number)
]
"""What one copy of a model takes: a device, or several that it is spread over."""
Places = Annotated[
    Annotated[Literal["all"], Tag(ONE)] | Annotated[list[Place], Tag(SEVERAL)],
    Discriminator(tell_number),
]
"""A place for each copy, or one on each GPU there is."""


def list_devices(place: str | Sequence[str]) -> list[str]:
    return [place] if isinstance(place, str) else list(place)


def find_mistakes_of_places(device: str | list[str], devices: str | list[Any], spread: bool, given: set[str]) -> Iterator[str]:
    """What is wrong with the three keys, each with its key.

    Args:
        given: the keys that stand in the section.
    """
    if {"device", "devices"} <= given:
        yield "devices: stands beside `device`; keep one of the two"
    if spread and "devices" in given:
        yield "spread: stands beside `devices`; for copies that are spread, put a list for each copy into `devices`"
    elif spread and isinstance(device, list):
        yield "spread: stands beside a list in `device`, which the model is spread over already; leave spread out"
    elif spread and device != "auto":
        yield f"spread: takes all GPUs, and `device` is {device}; keep one of the two"
    if isinstance(device, list):
        yield from _find_mistakes_of_one("device", device)
    places = [] if isinstance(devices, str) else devices
    for place in places:
        if isinstance(place, list):
            yield from _find_mistakes_of_one("devices", place)
    if names_twice([name for place in places for name in list_devices(place)]):
        yield "devices: names a device twice"


def _find_mistakes_of_one(key: str, devices: list[str]) -> Iterator[str]:
    """What is wrong with the devices that one copy is spread over."""
    kinds = {"cuda" if name.startswith(("GPU-", "MIG-")) else name.partition(":")[0] for name in devices}
    if len(devices) > 1 and kinds & {"auto", "cpu", "mps"}:
        yield f"{key}: a model is spread over GPUs that are named, such as cuda:0 and cuda:1, and not over {' and '.join(devices)}"
    elif len(kinds) > 1:
        yield f"{key}: a model is spread over GPUs of one kind, and not over {' and '.join(devices)}"
    elif sum(name.startswith("MIG-") for name in devices) and len(devices) > 1:
        yield f"{key}: a process sees one MIG part only, so a model cannot be spread over several; take one, or whole GPUs"
    elif key == "device" and names_twice(devices):
        yield "device: names a device twice"


def names_twice(devices: Sequence[str]) -> bool:
    """Whether a device is named twice; `cuda` is `cuda:0`."""
    return len({f"{name}:0" if name in ("cuda", "xpu", "npu") else name for name in devices}) < len(devices)


def choose_places(device: str | list[str], devices: str | list[Any], spread: bool, machine: Machine) -> list[str]:
    """The place of each copy, such as `cuda:0`, or `cuda:0+cuda:1` for a copy that is spread.

    Without a GPU, `devices = "all"` is as `auto`; a model that is to be spread then says when it is loaded that there is none.
    """
    if spread:
        return [TOGETHER.join(machine.accelerators) or ALL_GPUS]
    if isinstance(devices, str):
        return list(machine.accelerators) or ["auto"]
    return [TOGETHER.join(list_devices(place)) for place in devices or [device]]
