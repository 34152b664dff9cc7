"""From a section with `serve` to the command line that starts its server, and to the variables that the server gets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unisafe_providers.base import Misconfigured
from unisafe_providers.named_files import expand_path
from unisafe_providers.workers.environment import pick_environment
from unisafe_providers.workers.processes import PATIENCE

HOST = "127.0.0.1"
PYTHON = ("python", "python3")
VISIBLE = {"cuda": "CUDA_VISIBLE_DEVICES", "xpu": "ZE_AFFINITY_MASK", "npu": "ASCEND_RT_VISIBLE_DEVICES"}
"""The variable that says which devices of a kind a process sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is started for one model.

    Args:
        command: the command line, in which `{port}` stands for the port.
        model: what requests call the model.
        ready: the path that answers 200 once requests are taken.
        patience: seconds without a word in the server's log before it counts as hanging, while it starts.
        environment: all variables of the server.
        folder: its working folder.
        leave: seconds between SIGTERM and SIGKILL.
    """

    command: tuple[str, ...]
    model: str
    ready: str
    patience: float
    environment: Mapping[str, str]
    folder: Path
    leave: float = PATIENCE


def fill_command(
    words: Sequence[str], *, model: str, name: str, weights: Sequence[str], count: int, port: str = "{port}"
) -> list[str]:
    """A command line with the words in braces filled in; `{weights}` alone becomes several words. Other braces stay."""
    filled: list[str] = []
    for word in words:
        if word == "{weights}":
            filled += weights
            continue
        for mark, value in (("model", model), ("name", name), ("host", HOST), ("count", str(count)), ("port", port)):
            word = word.replace(f"{{{mark}}}", value)
        filled.append(word)
    return filled


def place_program(program: str, python: str | None) -> str:
    """The program of an environment: what stands beside its interpreter, or the interpreter itself."""
    if python is None or os.sep in program:
        return program
    return python if program in PYTHON else str(Path(python).parent / program)


def find_program(program: str, folder: Path, environment: Mapping[str, str]) -> str:
    """The program's file. Raises Misconfigured if there is none."""
    path = str(expand_path(folder, program)) if os.sep in program or program.startswith("~") else program
    found = shutil.which(path, path=environment.get("PATH"))
    if found is None:
        where = "is no program on this machine" if os.sep in program else "is not on PATH"
        raise Misconfigured(
            f"{program} {where}, so its server cannot be started: install it, or name the interpreter of the environment that "
            'holds it: serve = { python = "/envs/NAME/bin/python" }'
        )
    return os.path.abspath(found)


def find_weights(model: str, folder: Path) -> str:
    """A path of this machine that `model` names, else `model`, which is a name at a hub."""
    path = expand_path(folder, model)
    return os.path.abspath(path) if os.path.exists(path) else model


def build_environment(names: Sequence[str], python: str | None, devices: Sequence[str]) -> dict[str, str]:
    """The variables of a server: the usual few, those that `names` lists, and which devices it sees."""
    environment = pick_environment(names, restrict_devices(devices, os.environ))
    if python is not None:
        environment["PATH"] = os.pathsep.join(filter(None, [str(Path(python).parent), environment.get("PATH", "")]))
    return environment | {"PYTHONUNBUFFERED": "1"}


def restrict_devices(devices: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that let a process see `devices` alone; none where the model may take what it likes (`auto`, `mps`)."""
    if set(devices) == {"cpu"}:
        return dict.fromkeys(VISIBLE.values(), "")
    seen: dict[str, list[str]] = {}
    for device in devices:
        kind, _, index = device.partition(":")
        if kind in VISIBLE:
            before = [name for name in environment.get(VISIBLE[kind], "").split(",") if name]
            number = int(index or 0)
            seen.setdefault(VISIBLE[kind], []).append(before[number] if number < len(before) else str(number))
    return {variable: ",".join(numbers) for variable, numbers in seen.items()}
