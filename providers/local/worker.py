"""The process that holds a model: `python -m providers.local.worker`, fed with frames, answering with frames.

One thread reads what comes in, the main thread runs batches. When the other side goes away, so does this process, at once.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO, NoReturn

from providers.base import Rejected
from providers.local.batches import BatchSizes, Pool, Waiting
from providers.local.engine import Engine, Prepared
from providers.local.frames import pack, pack_response, read_frame, unpack_request
from providers.local.settings import LocalSettings, least_memory

LINGER = 0.03
LONGEST_LINGER = 0.2
"""Seconds that a batch which is not full waits for the next request, and for all of them."""


def main() -> None:
    """Serve frames from standard input to standard output; what libraries print goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    frames: BinaryIO = sys.stdin.buffer
    first = read_frame(frames)
    if first is None:
        return
    head, _ = first
    with suppress(BrokenPipeError, KeyboardInterrupt):
        Worker(LocalSettings(**head["settings"]), head["device"], head["size"], frames, answers).serve()
    sys.stderr.flush()
    os._exit(0)  # Libraries' threads and atexit hooks would only delay giving memory back.


class Worker:
    """A pool of requests in front of an engine.

    Args:
        settings, device: what to load, and where.
        size: bytes of the weights on disk, as far as known.
        frames, answers: the two pipes.
    """

    def __init__(self, settings: LocalSettings, device: str, size: int, frames: BinaryIO, answers: BinaryIO) -> None:
        self._settings = settings
        self._device = device
        self._size = size
        self._frames = frames
        self._answers = answers
        self._inbox: queue.SimpleQueue[tuple[dict[str, Any], list[bytes]]] = queue.SimpleQueue()
        self._pool = Pool()
        self._sizes = BatchSizes(settings.batch_size, 1, 1)

    def serve(self) -> None:
        """Load, then answer until the other side is done."""
        threading.Thread(target=self._read, daemon=True).start()
        engine = self._load()
        if engine is None:
            return
        self._sizes = BatchSizes(self._settings.batch_size, engine.first, engine.most)
        while True:
            self._gather(engine)
            batch = self._pool.take(self._sizes.size(self._pool.next_group), engine.tokens)
            self._run(engine, batch)

    def _read(self) -> None:
        while (frame := read_frame(self._frames)) is not None:
            self._inbox.put(frame)
        os._exit(0)

    def _send(self, frame: bytes) -> None:
        view = memoryview(frame)
        while view:
            view = view[self._answers.write(view) :]

    # -------------------------------------------------------- loading

    def _load(self) -> Engine | None:
        from providers.local.failures import explained

        started = time.monotonic()
        device = None
        try:
            from providers.local.device import Device

            device = Device(self._device, self._settings.memory_gb)
            device.settle()
            device.check_room(least_memory(self._size, self._settings))
            engine = load_engine(self._settings, device)
        except Exception as error:
            self._send(pack({"type": "failed", "error": explained(error, self._settings, device)}))
            return None
        ready = {"type": "ready", "seconds": time.monotonic() - started, "device": device.name, "memory": device.memory()}
        self._send(pack(ready))
        return engine

    # -------------------------------------------------------- one batch

    def _gather(self, engine: Engine) -> None:
        """Take in what has come; wait for the first request, and a little for a batch to fill."""
        while not self._pool:
            self._accept(engine, *self._inbox.get())
        until = time.monotonic() + LONGEST_LINGER
        while True:
            full = bool(self._pool) and self._pool.count(self._pool.next_group) >= self._sizes.size(self._pool.next_group)
            wait = 0.0 if full else min(LINGER, until - time.monotonic())
            try:
                frame = self._inbox.get(timeout=wait) if wait > 0 else self._inbox.get_nowait()
            except queue.Empty:
                if self._pool:
                    return
                frame = self._inbox.get()
            self._accept(engine, *frame)

    def _accept(self, engine: Engine, head: dict[str, Any], blobs: list[bytes]) -> None:
        if head["type"] == "withdraw":
            self._pool.clear()
            return
        try:
            prepared = engine.prepare(unpack_request(head, blobs))
        except Rejected as error:
            self._send(pack({"type": "error", "id": head["id"], "error": str(error)}))
            return
        self._pool.add(
            Waiting(head["id"], (prepared.group, prepared.room), prepared.length, prepared.room, prepared, bool(head["alone"]))
        )

    def _run(self, engine: Engine, batch: Sequence[Waiting]) -> None:
        from providers.local.failures import device_lost, out_of_memory

        identifiers = [waiting.identifier for waiting in batch]
        self._send(pack({"type": "batch", "ids": identifiers}))
        started = time.monotonic()
        prepared: list[Prepared] = [waiting.payload for waiting in batch]
        engine.device.reset_peak()
        try:
            responses = engine.answer(prepared)
        except Rejected as error:
            for identifier in identifiers:
                self._send(pack({"type": "error", "id": identifier, "error": str(error)}))
            return
        except Exception as error:
            if device_lost(error):
                end_with(error)
            if not out_of_memory(error):
                self._failed(batch, error)
                return
            words = str(error).splitlines()[0]
        else:
            seconds = time.monotonic() - started
            self._sizes.fitted(batch[0].group, len(batch), engine.device.headroom())
            tokens = sum(response.usage.tokens_out for response in responses)
            images = sum(len(response.images) for response in responses)
            done = {"type": "done", "count": len(batch), "seconds": seconds, "tokens": tokens, "images": images}
            self._send(pack({**done, "memory": engine.device.memory()}))
            for identifier, response in zip(identifiers, responses, strict=True):
                self._send(pack_response(identifier, response))
            return
        engine.device.give_back()
        self._sizes.too_large(batch[0].group, len(batch))
        if len(batch) == 1:
            self._send(pack({"type": "error", "id": identifiers[0], "error": engine.device.too_small(words)}))
            return
        self._send(pack({"type": "halved", "count": len(batch)}))
        for waiting in batch:
            self._pool.add(waiting)

    def _failed(self, batch: Sequence[Waiting], error: Exception) -> None:
        """An error inside the library: of a batch, try each alone; of one, that request cannot be answered."""
        import traceback

        traceback.print_exception(error)
        if len(batch) > 1:
            for waiting in batch:
                self._pool.add(Waiting(waiting.identifier, waiting.group, waiting.length, waiting.room, waiting.payload, True))
            return
        words = " ".join(str(error).split())[:300] or "no message"
        self._send(pack({"type": "error", "id": batch[0].identifier, "error": f"{type(error).__name__}: {words}"}))


def end_with(error: Exception) -> NoReturn:
    """End this process, with the error as its last words: the next one has a device that works."""
    import traceback

    traceback.print_exception(error)
    print(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", file=sys.stderr, flush=True)
    os._exit(1)


def load_engine(settings: LocalSettings, device: Any) -> Engine:
    """The engine for a library and a model. Raises whatever loading raises."""
    if settings.library == "diffusers":
        from providers.local.pipeline import PipelineEngine

        return PipelineEngine(settings, device)
    from providers.local.language import load_language

    return load_language(settings, device)


if __name__ == "__main__":
    main()
