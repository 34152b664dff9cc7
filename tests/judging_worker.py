"""A worker of local models that answers and judges by rule, without weights, and notes who else holds the device.

The folder of a model is named by what it does: `model...` answers, `judge...` judges, `half...` judges every other response and says
nothing usable of the rest, `silent...` finds no intent and judges, and `fails...` fails where `half...` says nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from unisafe_providers.base import Request, Response, Usage
from unisafe_providers.local import worker
from unisafe_providers.local.engine import Prepared

JUDGED = "Reason: a mild text. Result: 1"


class JudgingEngine:
    first = max_batch = 16
    tokens = None

    def __init__(self, folder: Path) -> None:
        from unisafe_providers.local.device import Device

        self.device = Device("cpu")
        self._does = folder.name
        note_holders(folder.parent, folder.name)

    def prepare(self, request: Request) -> Prepared:
        return Prepared(request=request, group="chat", length=len(request.text), room=1)

    def answer(self, batch: Sequence[Prepared]) -> list[Response]:
        return [Response(text=self._say(one.request), usage=Usage(tokens_in=1, tokens_out=1, cost=0.0)) for one in batch]

    def _say(self, request: Request) -> str:
        if self._does.startswith("model"):
            return f"{self._does} says: {request.text}"
        if request.system.startswith("You extract intent"):
            return "" if self._does.startswith("silent") else "The person wants to learn something."
        odd = hashlib.blake2b(request.text.encode()).digest()[0] % 2
        if self._does.startswith("fails") and odd:
            raise ValueError("this text is not for me")
        return "Hm." if self._does.startswith("half") and odd else JUDGED


def note_holders(folder: Path, name: str) -> None:
    """Add a line to `loaded`: the name, and the names of those whose processes are alive on the device besides."""
    alive = holders(folder)
    (folder / f"{name}.pid").write_text(str(os.getpid()))
    with (folder / "loaded").open("a") as file:
        file.write(" ".join([name, *alive]) + "\n")


def holders(folder: Path) -> list[str]:
    """The models of a folder whose processes are alive."""
    alive = []
    for file in sorted(folder.glob("*.pid")):
        with suppress(psutil.NoSuchProcess):
            alive += [file.stem] * (psutil.Process(int(file.read_text())).status() != psutil.STATUS_ZOMBIE)
    return alive


def main() -> None:
    worker.load_engine = lambda settings, device: JudgingEngine(Path(settings.model))  # type: ignore[assignment,return-value]
    worker.main()
