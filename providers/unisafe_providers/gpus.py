"""The accelerators of this machine, seen without torch: what they are called, and how a process is shown its own alone.

`cuda:1` is the second one that this program may use: of `CUDA_VISIBLE_DEVICES` if that is set (Slurm sets it), else of the order in
which `nvidia-smi` lists them. A GPU that is divided (MIG) counts as its parts, since each is a device of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

TOGETHER = "+"
"""Between the devices that one copy of a model takes: `cuda:0+cuda:1`."""
ALL_GPUS = "all GPUs"
"""The place of a model that is to be spread, where no GPU is known: it takes those that torch finds, or says that there is none."""
UUID = re.compile(r"(GPU|MIG)-[\w./-]+")
LISTED = re.compile(r"^([ \t]*)(?:GPU|MIG)\b.*\(UUID:\s*(\S+?)\)", re.M)
"""A line of `nvidia-smi -L`; the parts of a divided GPU are indented below it."""
PLACE = "UNISAFE_PLACE"
"""The variable that tells a model's process what its place is called there."""
WSL = "/usr/lib/wsl/lib"
NVIDIA, AMD, INTEL, ASCEND = "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "ASCEND_RT_VISIBLE_DEVICES"
NONE = "-1"
"""The value with which a process sees no GPU; an empty one is the same as none on Windows."""


def split_place(place: str) -> tuple[str, ...]:
    """The devices of a place: `cuda:0+cuda:1` are two."""
    return tuple(place.split(TOGETHER))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a process is shown of this machine.

    Args:
        variables: variables for its environment.
        place: its devices by the names that they have in it, such as `cuda:0+cuda:1`.
    """

    variables: Mapping[str, str]
    place: str


class Machine:
    """The accelerators of a machine, as its files, its environment and `nvidia-smi` tell; nothing is loaded.

    Args:
        root: the folder in which `dev`, `proc` and `sys` are.
        environment: the variables of this process.
        platform: as `sys.platform`.
    """

    def __init__(self, root: Path = Path("/"), environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> None:
        self._root = root
        self._environment = os.environ if environment is None else environment
        self._platform = platform

    # -------------------------------------------------------- what there is

    @cached_property
    def variable(self) -> str:
        """The variable that says which devices called `cuda` a process sees; ROCm's are called so too."""
        return AMD if self._has("dev/kfd") and not self._has("dev/nvidiactl", "dev/nvidia0", "proc/driver/nvidia") else NVIDIA

    @cached_property
    def gpus(self) -> tuple[str, ...]:
        """What stands for `cuda:0`, `cuda:1`... in `variable`: UUIDs, or numbers where no UUID is known. Empty for none."""
        given = self._read_given(self.variable)
        if given is None and self.variable == AMD:
            given = self._read_given(NVIDIA)  # HIP heeds it too
        if given is not None:
            return given
        if self.variable == AMD:
            return _number(len(self._read_given("ROCR_VISIBLE_DEVICES") or self._list_amd()))
        return self._list_uuids() or _number(self._count_nvidia())

    @property
    def accelerators(self) -> tuple[str, ...]:
        """The names of all accelerators that can be counted: `cuda:0`, `cuda:1`... or `npu:0`..."""
        found = tuple(f"cuda:{index}" for index in range(len(self.gpus)))
        return found or tuple(f"npu:{index}" for index in range(len(self._list("dev", r"davinci\d+"))))

    def name_one(self, device: str) -> str:
        """The one name of a device that may have several: `cuda` is `cuda:0`, and a UUID is the number that it has here.

        `auto` becomes the device that a worker will most likely take.
        """
        if device == "auto":
            return next(iter(self.accelerators), "mps" if self._platform == "darwin" else "cpu")
        if UUID.fullmatch(device):
            known = [index for index, gpu in enumerate(self.gpus) if gpu.lower().startswith(device.lower())]
            return f"cuda:{known[0]}" if known else device
        return f"{device}:0" if device in ("cuda", "xpu", "npu") else device

    # -------------------------------------------------------- what a process is shown

    def show(self, place: str) -> View:
        """What a process on `place` is to see: these devices alone, numbered from 0.

        A device that is not known here keeps its name, and the process sees what this one sees: then it says what is wrong.
        """
        devices = split_place(place)
        if place == "auto":
            return (
                View(variables=self._set(self.variable, self.gpus[:1]), place=place)
                if self.gpus
                else View(variables={}, place=place)
            )
        if place in ("cpu", "mps"):
            return View(variables=dict.fromkeys({NVIDIA, self.variable}, NONE), place=place)
        if all(device.startswith("cuda") or UUID.fullmatch(device) for device in devices):
            return self._show("cuda", self.variable, [self._find(device) for device in devices], place)
        for kind, variable in (("xpu", INTEL), ("npu", ASCEND)):
            if all(device.startswith(kind) for device in devices):
                seen = self._read_given(variable)
                numbers = [_index(device) for device in devices]
                tokens = [str(number) if seen is None else next(iter(seen[number : number + 1]), None) for number in numbers]
                return self._show(kind, variable, tokens, place)
        return View(variables={}, place=place)

    def _show(self, kind: str, variable: str, tokens: Sequence[str | None], place: str) -> View:
        known = [token for token in tokens if token is not None]
        if len(known) < len(tokens):
            return View(variables={}, place=place)
        inside = TOGETHER.join(f"{kind}:{index}" for index in range(len(known)))
        return View(variables=self._set(variable, known), place=inside)

    def _set(self, variable: str, tokens: Sequence[str]) -> dict[str, str]:
        ordered = variable == NVIDIA and NVIDIA not in self._environment and all(token.isdigit() for token in tokens)
        order = {"CUDA_DEVICE_ORDER": self._environment.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")} if ordered else {}
        heeded = [variable, NVIDIA] if variable == AMD and NVIDIA in self._environment else [variable]
        return {**dict.fromkeys(heeded, ",".join(tokens)), **order}

    def _find(self, device: str) -> str | None:
        """What stands for a device in `variable`."""
        if UUID.fullmatch(device):
            return device
        return next(iter(self.gpus[_index(device) : _index(device) + 1]), None)

    # -------------------------------------------------------- looking

    def _has(self, *paths: str) -> bool:
        return any((self._root / path).exists() for path in paths)

    def _list(self, folder: str, pattern: str) -> list[Path]:
        try:
            return sorted(path for path in (self._root / folder).iterdir() if re.fullmatch(pattern, path.name))
        except OSError:
            return []

    def _read_given(self, variable: str) -> tuple[str, ...] | None:
        """The devices in a variable, up to the first that is none (as CUDA reads it); None if it is not set."""
        given = self._environment.get(variable)
        if given is None:
            return None
        tokens = [token.strip() for token in given.split(",")]
        ends = [place for place, token in enumerate(tokens) if token in ("", NONE, "NoDevFiles")]
        return tuple(tokens[: ends[0]] if ends else tokens)

    def _list_uuids(self) -> tuple[str, ...]:
        path = os.pathsep.join(filter(None, [self._environment.get("PATH", ""), WSL]))
        program = shutil.which("nvidia-smi", path=path)
        return _read_listing(program) if program else ()

    def _count_nvidia(self) -> int:
        """GPUs by their files: there may be no `nvidia-smi`, as in a container; WSL 2 has one file for all of them."""
        return len(self._list("dev", r"nvidia\d+")) or int(self._has("proc/driver/nvidia/version", "dev/dxg"))

    def _list_amd(self) -> list[str]:
        """AMD's GPUs by the kernel's list of nodes, in which processors stand too; one if there is no such list."""
        nodes = self._list("sys/class/kfd/kfd/topology/nodes", r"\d+")
        able = [node.name for node in nodes if re.search(r"^simd_count [1-9]", _read(node / "properties"), re.M)]
        return able or ["0"]


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _number(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def _index(device: str) -> int:
    return int(device.partition(":")[2] or 0)


@cache
def _read_listing(program: str) -> tuple[str, ...]:
    """The UUIDs that `nvidia-smi -L` lists: of a divided GPU, those of its parts."""
    try:
        listing = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ()
    found: list[str] = []
    whole = False
    for indent, uuid in LISTED.findall(listing):
        if indent and whole:
            found.pop()
        whole = not indent
        found.append(uuid)
    return tuple(found)
