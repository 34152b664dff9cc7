"""A worker of local models whose engine fails as devices and their libraries do, by a word in the request; without torch's
weights.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from unisafe_providers.base import Request, Response, Usage
from unisafe_providers.local import worker
from unisafe_providers.local.engine import Prepared

NO_ROOM = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"


class FailingEngine:
    """Answers with the request's own text. ASSERT kills the device's context, KILL the process; NAP takes its time, WIDE fits no batch of four."""

    first = max_batch = 8
    tokens = None

    def __init__(self) -> None:
        from unisafe_providers.local.device import Device

        self.device = Device("cpu")
        self._lost = False

    def prepare(self, request: Request) -> Prepared:
        return Prepared(request=request, group="chat", length=len(request.text), room=1)

    def answer(self, batch: Sequence[Prepared]) -> list[Response]:
        texts = [prepared.request.text for prepared in batch]
        if any("NAP" in text for text in texts):
            time.sleep(0.1)
        if any("KILL" in text for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        self._lost = self._lost or any("ASSERT" in text for text in texts)
        if self._lost:
            raise RuntimeError("CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported")
        if len(batch) >= 4 and any("WIDE" in text for text in texts):
            raise RuntimeError(NO_ROOM)
        return [Response(text=text, usage=Usage(tokens_in=1, tokens_out=1, cost=0.0)) for text in texts]


def main() -> None:
    worker.load_engine = lambda settings, device: FailingEngine()
    worker.main()
