"""A worker of local models whose engine fails as devices and their libraries do, by a word in the request; without torch's
weights.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from unisafe_providers.base import Request, Response, Usage
from unisafe_providers.local import worker
from unisafe_providers.local.engine import Prepared, Watch
from unisafe_providers.local.settings import LocalSettings

NO_ROOM = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"


class FailingEngine:
    """Answers with the request's own text.

    ASSERT kills the device's context, KILL the process; NAP takes its time, WIDE fits no batch of four; HANG waits for ever, as a
    driver may; WORK takes four seconds, in steps. WRITES n is an answer of n steps; LATER is of a group of its own.
    """

    first = max_batch = 8
    first_tokens = tokens = None

    def __init__(self) -> None:
        from unisafe_providers.local.device import Device

        self.device = Device("cpu")
        self._lost = False

    def prepare(self, request: Request) -> Prepared:
        group = next((word for word in ("WRITES", "LATER") if request.text.startswith(word)), "chat")
        return Prepared(request=request, group=group, length=len(request.text), room=1_000 if group == "WRITES" else 1, payload=0)

    def answer(self, batch: Sequence[Prepared], watch: Watch) -> list[Response | Prepared]:
        texts = [prepared.request.text for prepared in batch]
        if batch[0].group == "WRITES":
            return self.write(batch, watch)
        if any("NAP" in text for text in texts):
            time.sleep(0.1)
        if any("KILL" in text for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        if any("HANG" in text for text in texts):
            threading.Event().wait()
        if any("WORK" in text for text in texts):
            for _ in range(80):
                time.sleep(0.05)
                watch.note(len(batch))
        self._lost = self._lost or any("ASSERT" in text for text in texts)
        if self._lost:
            raise RuntimeError("CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported")
        if len(batch) >= 4 and any("WIDE" in text for text in texts):
            raise RuntimeError(NO_ROOM)
        return [Response(text=text, usage=Usage(tokens_in=1, tokens_out=1, cost=0.0)) for text in texts]

    def write(self, batch: Sequence[Prepared], watch: Watch) -> list[Response | Prepared]:
        """Answers of several steps; what the watch wants back goes on later."""
        wanted = [int(prepared.request.text.split()[1]) for prepared in batch]
        left = [steps - prepared.payload for steps, prepared in zip(wanted, batch, strict=True)]
        step, live = 0, len(batch)
        while live:
            time.sleep(0.002)
            step += 1
            live = sum(steps > step for steps in left)
            watch.note(live)
            if live and watch.wants_rest(live, len(batch), 1_000 - step):
                break
        return [
            Response(text=prepared.request.text, usage=Usage(tokens_in=1, tokens_out=total, cost=0.0))
            if steps <= step
            else replace(prepared, payload=prepared.payload + step, length=prepared.length + step, room=prepared.room - step)
            for total, steps, prepared in zip(wanted, left, batch, strict=True)
        ]


def main() -> None:
    worker.load_engine = load_engine
    worker.main()


def load_engine(settings: LocalSettings, device: object) -> FailingEngine:
    """The engine; with `extra = { hangs = true }` loading never ends."""
    if settings.extra.get("hangs"):
        threading.Event().wait()
    return FailingEngine()
