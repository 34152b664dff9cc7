"""The device of a worker as torch sees it: its name, its memory, and giving the memory back."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from unisafe_providers.errors import UnisafeError
from unisafe_providers.gpus import ALL_GPUS, TOGETHER, split_place

GIB = 1024**3
VENDORS = {"cuda": "CUDA GPU", "xpu": "Intel GPU", "npu": "Ascend NPU"}
"""Kinds of accelerators with memory of their own, as torch calls them; ROCm's are called cuda."""
FILLED = 0.9
"""The share of the memory that weights and a batch of twice the size may fill: memory is lost between its pieces."""

FOR_WEIGHTS = 0.9
"""The share of each GPU's memory that a model which is spread may fill; the rest is for what it computes."""


class NoDevice(UnisafeError):
    """The requested device is not there."""


class NotEnoughMemory(UnisafeError):
    """The weights do not fit."""


class Device:
    """`cpu`, `cuda:0`, `mps`..., or several GPUs that one model is spread over, resolved from what the user asked for.

    CUDA, ROCm, XPU and NPU are reached through the one interface that `torch.get_device_module` gives for each of them.

    Args:
        wanted: a name, or several as in `cuda:0+cuda:1`, or `auto` for the first accelerator there is, else the CPU.
        memory_gb: the most to use on each; None for all.
        shown: what people call it, where this process has other numbers for its devices; else `wanted`.

    Attributes:
        all: the devices that the weights are on.
        torch: the first of them, which inputs go to.
        spread: whether there are several.

    Raises NoDevice.
    """

    def __init__(self, wanted: str, memory_gb: float | None = None, shown: str | None = None) -> None:
        names = _resolve(wanted, shown or wanted)
        self.name = shown if shown and wanted != "auto" else TOGETHER.join(names)
        self.all = tuple(map(torch.device, names))
        self.torch = self.all[0]
        self.spread = len(self.all) > 1
        self.cuda = self.torch.type == "cuda"
        self.accelerated = self.torch.type in VENDORS
        self._module = _find_module(self.torch.type) if self.accelerated else None
        self._limit = memory_gb
        self._base = 0
        self._weights: dict[torch.device, int] = {}

    def settle(self) -> None:
        """Set this process up for the device and its memory limit."""
        if self._module is not None:
            self._module.set_device(self.torch)
            for device in self.all if self._limit is not None else ():
                total = self._module.get_device_properties(device).total_memory
                self._module.set_per_process_memory_fraction(min(1.0, self._measure_limit(total) / total), device)
        elif self._limit is not None and sys.platform == "linux":
            import resource

            self._base = _read_data_size()
            resource.setrlimit(resource.RLIMIT_DATA, (self._base + int(self._limit * GIB), resource.RLIM_INFINITY))

    def read_memory(self) -> tuple[int, int]:
        """Bytes in use, and all bytes of the device; of several, in all."""
        if self._module is not None:
            free, total = map(sum, zip(*map(self._module.mem_get_info, self.all), strict=True))
            return total - free, total
        total = _read_meminfo("MemTotal")
        if self._limit is not None:
            return max(0, _read_data_size() - self._base), int(self._limit * GIB)
        return _read_resident(), total

    def read_free(self) -> int:
        """Bytes that can still be used; of several devices, in all."""
        if self._module is not None:
            return sum(self.read_free_of_each().values())
        return self._measure_limit(_read_meminfo("MemAvailable"))

    def read_free_of_each(self) -> dict[int, int]:
        """Bytes that can still be used on each accelerator, by its number in this process."""
        assert self._module is not None
        return {device.index: self._measure_limit(self._module.mem_get_info(device)[0]) for device in self.all}

    def _measure_limit(self, size: int) -> int:
        """`size` bytes of one device, or the user's limit if that is less."""
        return int(size if self._limit is None else min(size, self._limit * GIB))

    def check_room(self, size: int) -> None:
        """Raises NotEnoughMemory when `size` bytes of weights cannot fit."""
        free = self.read_free()
        if size > free > 0:
            raise NotEnoughMemory(f"its weights need at least {size / GIB:.1f} GiB and {self.name} has {free / GIB:.1f} GiB free")

    def place_weights(self) -> dict[str, Any]:
        """Where transformers puts the weights, as arguments for loading: on the one device, or in layers over all of them."""
        if not self.spread:
            return {"device_map": {"": str(self.torch)}}
        free = self.read_free_of_each()
        return {"device_map": "auto", "max_memory": {index: int(FOR_WEIGHTS * size) for index, size in free.items()}}

    def check_placement(self, placed: Mapping[str, Any]) -> None:
        """Raises NotEnoughMemory if layers were put elsewhere, for want of room: each token would wait for them.

        Args:
            placed: the device of each layer of a model that is spread, as transformers notes it.
        """
        outside = {str(place) for place in placed.values()} & {"cpu", "disk"}
        if self.spread and outside:
            raise NotEnoughMemory(f"its layers do not fit on {self.name}: some would be left on {' and '.join(sorted(outside))}")

    def describe_shortage(self, words: str) -> str:
        """The message for a request that does not fit even alone."""
        used, total = self.read_memory()
        return f"{self.name} has too little memory for this request alone ({used / GIB:.1f} of {total / GIB:.1f} GiB used): {words}"

    def reset_peak(self) -> None:
        """Before a batch: what is in use now is the weights; the least that was ever seen here, as batches leave things behind."""
        for device in self.all:
            used = self._reset_peak_on(device)
            self._weights[device] = min(used, self._weights.get(device, used))

    def _reset_peak_on(self, device: torch.device) -> int:
        """Bytes in use on one device, from which its peak is counted anew."""
        if self._module is not None:
            self._module.reset_peak_memory_stats(device)
            return int(self._module.memory_allocated(device))
        _reset_peak_resident()
        return _read_resident()

    def has_headroom(self) -> bool:
        """Whether a batch of twice the size should fit, by what the last one took beside the weights; the fullest device decides.

        Memory that is allocated counts. What the allocator reserves does not: it keeps that after one large batch.
        """
        return bool(self._weights) and all(self._has_headroom_on(device, weights) for device, weights in self._weights.items())

    def _has_headroom_on(self, device: torch.device, weights: int) -> bool:
        peak = _read_peak_resident() if self._module is None else int(self._module.max_memory_allocated(device))
        return weights + 2 * max(0, peak - weights) < FILLED * self._read_reachable(device)

    def _read_reachable(self, device: torch.device) -> int:
        """Bytes that this process could have on one device in all: what it has, and what is free."""
        if self._module is not None:
            reachable = int(self._module.memory_reserved(device) + self._module.mem_get_info(device)[0])
        else:
            reachable = _read_resident() + _read_meminfo("MemAvailable")
        return reachable if self._limit is None else min(reachable, int(self._limit * GIB) + self._base)

    def give_back(self) -> None:
        """Return unused memory to the system."""
        gc.collect()
        if self._module is not None:
            self._module.empty_cache()
        elif sys.platform == "linux":
            ctypes.CDLL("libc.so.6").malloc_trim(0)

    def build_generator(self, seed: int) -> Any:
        """Random numbers that are the same on every device: drawn on the CPU."""
        return torch.Generator("cpu").manual_seed(seed)


def _find_module(kind: str) -> Any:
    """What torch offers for a kind of accelerator, such as `torch.cuda`; None if it knows none."""
    if kind == "npu":
        with suppress(ImportError):
            import_module("torch_npu")
    try:
        return torch.get_device_module(kind)
    except RuntimeError:
        return None


def _resolve(wanted: str, shown: str) -> list[str]:
    """The names of the devices as torch has them."""
    if wanted == "auto":
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        kind = "cpu" if found is None or found.type not in (*VENDORS, "mps") else found.type
        return [f"{kind}:0" if kind in VENDORS else kind]
    if wanted == ALL_GPUS:
        if not torch.accelerator.is_available() or (found := torch.accelerator.current_accelerator()) is None:
            raise NoDevice("`spread` takes all GPUs, and there is none here; leave it out to run on the CPU")
        return [f"{found.type}:{number}" for number in range(torch.accelerator.device_count())]
    return [_check(name, shown) for name in split_place(wanted)]


def _check(name: str, shown: str) -> str:
    """The name with its number. Raises NoDevice."""
    kind, _, number = name.partition(":")
    if kind in VENDORS:
        module = _find_module(kind)
        if module is None or not module.is_available():
            raise NoDevice(
                f"device {shown!r} was asked for, but there is no {VENDORS[kind]} that this torch ({torch.__version__}) can use"
            )
        if int(number or 0) >= module.device_count():
            raise NoDevice(f"device {shown!r} was asked for, but there are {module.device_count()} GPUs, from {kind}:0")
        return f"{kind}:{number or 0}"
    if kind == "mps" and not torch.backends.mps.is_available():
        raise NoDevice("device 'mps' was asked for, but this is no Apple GPU")
    return name


def _read_status(path: str, name: str) -> int:
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0


def _read_meminfo(name: str) -> int:
    return _read_status("/proc/meminfo", name)


def _read_resident() -> int:
    return _read_status("/proc/self/status", "VmRSS")


def _read_peak_resident() -> int:
    return _read_status("/proc/self/status", "VmHWM") or _read_resident()


def _reset_peak_resident() -> None:
    """Let VmHWM begin anew. Source: proc_pid_clear_refs(5), value 5."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _read_data_size() -> int:
    return _read_status("/proc/self/status", "VmData")
