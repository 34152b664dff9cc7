"""The process that holds a model: `python -m unisafe_providers.local.worker` reads frames and answers with frames.

One thread reads frames, the main thread runs batches. If the other side goes away, this process ends at once.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO, NoReturn

from unisafe_providers.base import Rejected
from unisafe_providers.local.engine import Engine, Prepared
from unisafe_providers.local.failures import explain_failure, is_device_lost, is_out_of_memory
from unisafe_providers.local.settings import LocalSettings, estimate_least_memory
from unisafe_providers.workers.batches import BatchSizes, Pool, Waiting
from unisafe_providers.workers.frames import pack, pack_response, read_frame, unpack_request

LINGER = 0.03
"""Seconds that a batch with room waits for the next request."""
LONGEST_LINGER = 0.2
"""Seconds that a batch with room waits altogether."""


def main() -> None:
    """Read frames from standard input and answer on standard output; libraries print to standard error."""
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
        settings, device: what to load, and on which device.
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
        """Load the model, then answer until the other side is done."""
        threading.Thread(target=self._read, daemon=True).start()
        engine = self._load()
        if engine is None:
            return
        self._sizes = BatchSizes(self._settings.batch_size, engine.first, engine.max_batch)
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
        started = time.monotonic()
        device = None
        try:
            from unisafe_providers.local.device import Device

            device = Device(self._device, self._settings.memory_gb)
            device.settle()
            device.check_room(estimate_least_memory(self._size, self._settings))
            engine = load_engine(self._settings, device)
        except Exception as error:
            self._send(pack({"type": "failed", "error": explain_failure(error, self._settings, device)}))
            return None
        ready = {"type": "ready", "seconds": time.monotonic() - started, "device": device.name, "memory": device.read_memory()}
        self._send(pack(ready))
        return engine

    # -------------------------------------------------------- one batch

    def _gather(self, engine: Engine) -> None:
        """Read the frames that have come; wait for the first request, and then a little for a full batch."""
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
            Waiting(
                identifier=head["id"],
                group=(prepared.group, prepared.room),
                length=prepared.length,
                room=prepared.room,
                payload=prepared,
                alone=bool(head["alone"]),
            )
        )

    def _run(self, engine: Engine, batch: Sequence[Waiting]) -> None:
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
            if is_device_lost(error):
                end_with(error)
            if not is_out_of_memory(error):
                self._report_failure(batch, error)
                return
            words = str(error).splitlines()[0]
        else:
            seconds = time.monotonic() - started
            self._sizes.note_success(batch[0].group, len(batch), engine.device.has_headroom())
            tokens = sum(response.usage.tokens_out for response in responses)
            images = sum(len(response.images) for response in responses)
            done = {"type": "done", "count": len(batch), "seconds": seconds, "tokens": tokens, "images": images}
            self._send(pack({**done, "memory": engine.device.read_memory()}))
            for identifier, response in zip(identifiers, responses, strict=True):
                self._send(pack_response(identifier, response))
            return
        engine.device.give_back()
        self._sizes.note_failure(batch[0].group, len(batch))
        if len(batch) == 1:
            self._send(pack({"type": "error", "id": identifiers[0], "error": engine.device.describe_shortage(words)}))
            return
        self._send(pack({"type": "halved", "count": len(batch)}))
        for waiting in batch:
            self._pool.add(waiting)

    def _report_failure(self, batch: Sequence[Waiting], error: Exception) -> None:
        """After an error inside the library: try each request of the batch alone; a single request cannot be answered."""
        traceback.print_exception(error)
        if len(batch) > 1:
            for waiting in batch:
                self._pool.add(
                    Waiting(
                        identifier=waiting.identifier,
                        group=waiting.group,
                        length=waiting.length,
                        room=waiting.room,
                        payload=waiting.payload,
                        alone=True,
                    )
                )
            return
        words = " ".join(str(error).split())[:300] or "no message"
        self._send(pack({"type": "error", "id": batch[0].identifier, "error": f"{type(error).__name__}: {words}"}))


def end_with(error: Exception) -> NoReturn:
    """End this process with the error as its last words, because the next process gets a working device."""
    traceback.print_exception(error)
    print(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", file=sys.stderr, flush=True)
    os._exit(1)


def load_engine(settings: LocalSettings, device: Any) -> Engine:
    """The engine for a library and a model. Raises whatever loading raises."""
    if settings.library == "diffusers":
        from unisafe_providers.local.pipeline import PipelineEngine

        return PipelineEngine(settings, device)
    from unisafe_providers.local.loading import load_language

    return load_language(settings, device)


if __name__ == "__main__":
    main()
