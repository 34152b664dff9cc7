"""One device as a worker sees it: its name, its memory, and giving the memory back."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from unisafe_providers.errors import UnisafeError

GIB = 1024**3
FILLED = 0.9
"""The share of the memory that weights and a batch of twice the size may fill: memory is lost between its pieces."""


class NoDevice(UnisafeError):
    """The requested device is not there."""


class NotEnoughMemory(UnisafeError):
    """The weights do not fit."""


class Device:
    """`cpu`, `cuda:0`, `mps`..., resolved from what the user asked for.

    Args:
        wanted: a name, or `auto` for the first accelerator there is, else the CPU.
        memory_gb: the most to use; None for all.

    Raises NoDevice.
    """

    def __init__(self, wanted: str, memory_gb: float | None = None) -> None:
        self.name = _resolve(wanted)
        self.torch = torch.device(self.name)
        self.cuda = self.torch.type == "cuda"
        self._limit = memory_gb
        self._base = 0
        self._weights: int | None = None

    def settle(self) -> None:
        """Set this process up for the device and its memory limit."""
        if self.cuda:
            torch.cuda.set_device(self.torch)
            if self._limit is not None:
                total = torch.cuda.get_device_properties(self.torch).total_memory
                torch.cuda.set_per_process_memory_fraction(min(1.0, self._limit * GIB / total), self.torch)
        elif self._limit is not None and sys.platform == "linux":
            import resource

            self._base = _read_data_size()
            resource.setrlimit(resource.RLIMIT_DATA, (self._base + int(self._limit * GIB), resource.RLIM_INFINITY))

    def read_memory(self) -> tuple[int, int]:
        """Bytes in use, and all bytes of the device."""
        if self.cuda:
            free, total = torch.cuda.mem_get_info(self.torch)
            return total - free, total
        total = _read_meminfo("MemTotal")
        if self._limit is not None:
            return max(0, _read_data_size() - self._base), int(self._limit * GIB)
        return _read_resident(), total

    def read_free(self) -> int:
        """Bytes that can still be used."""
        if self.cuda:
            free = int(torch.cuda.mem_get_info(self.torch)[0])
            return free if self._limit is None else min(free, int(self._limit * GIB))
        available = _read_meminfo("MemAvailable")
        return available if self._limit is None else min(available, int(self._limit * GIB))

    def check_room(self, size: int) -> None:
        """Raises NotEnoughMemory when `size` bytes of weights cannot fit."""
        free = self.read_free()
        if size > free > 0:
            raise NotEnoughMemory(f"its weights need at least {size / GIB:.1f} GiB and {self.name} has {free / GIB:.1f} GiB free")

    def describe_shortage(self, words: str) -> str:
        """The message for a request that does not fit even alone."""
        used, total = self.read_memory()
        return f"{self.name} has too little memory for this request alone ({used / GIB:.1f} of {total / GIB:.1f} GiB used): {words}"

    def reset_peak(self) -> None:
        """Before a batch: what is in use now is the weights; the least that was ever seen here, as batches leave things behind."""
        if self.cuda:
            torch.cuda.reset_peak_memory_stats(self.torch)
            used = int(torch.cuda.memory_allocated(self.torch))
        else:
            _reset_peak_resident()
            used = _read_resident()
        self._weights = used if self._weights is None else min(self._weights, used)

    def has_headroom(self) -> bool:
        """Whether a batch of twice the size should fit, by what the last one took beside the weights.

        Memory that is allocated counts. What the allocator reserves does not: it keeps that after one large batch.
        """
        if self._weights is None:
            return False
        peak = int(torch.cuda.max_memory_allocated(self.torch)) if self.cuda else _read_peak_resident()
        return self._weights + 2 * max(0, peak - self._weights) < FILLED * self._read_reachable()

    def _read_reachable(self) -> int:
        """Bytes that this process could have in all: what it has, and what is free."""
        if self.cuda:
            reachable = int(torch.cuda.memory_reserved(self.torch) + torch.cuda.mem_get_info(self.torch)[0])
        else:
            reachable = _read_resident() + _read_meminfo("MemAvailable")
        return reachable if self._limit is None else min(reachable, int(self._limit * GIB) + self._base)

    def give_back(self) -> None:
        """Return unused memory to the system."""
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()
        elif sys.platform == "linux":
            ctypes.CDLL("libc.so.6").malloc_trim(0)

    def build_generator(self, seed: int) -> Any:
        """Random numbers that are the same on every device: drawn on the CPU."""
        return torch.Generator("cpu").manual_seed(seed)


def _resolve(wanted: str) -> str:
    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    kind = wanted.partition(":")[0]
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise NoDevice(
                f"device {wanted!r} was asked for, but there is no CUDA GPU that this torch ({torch.__version__}) can use"
            )
        index = int(wanted.partition(":")[2] or 0)
        if index >= torch.cuda.device_count():
            raise NoDevice(f"device {wanted!r} was asked for, but there are {torch.cuda.device_count()} GPUs, from cuda:0")
        return f"cuda:{index}"
    if kind == "mps" and not torch.backends.mps.is_available():
        raise NoDevice("device 'mps' was asked for, but this is no Apple GPU")
    return wanted


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
