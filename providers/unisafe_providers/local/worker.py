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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, BinaryIO, NoReturn

from unisafe_providers.base import Rejected, Response
from unisafe_providers.gpus import PLACE
from unisafe_providers.local.engine import Engine, Prepared, Watch
from unisafe_providers.local.failures import explain_failure, is_device_lost, is_out_of_memory
from unisafe_providers.local.settings import LocalSettings, estimate_least_memory
from unisafe_providers.local.telling import listening
from unisafe_providers.workers.batches import BatchSizes, Pool, Waiting, measure_tokens
from unisafe_providers.workers.frames import pack, pack_response, read_frame, unpack_request
from unisafe_providers.workers.refill import Refill
from unisafe_providers.workers.signs import EVERY, Signs

LINGER = 0.03
"""Seconds that a batch with room waits for the next request."""
GOES_ON = "goes on"
"""Marks the group of what is left of a stopped batch: it waits for its like, since the others would be padded to its length."""
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


class Following(Watch):
    """Tells the other side how a batch goes on, and stops it when its ended rows are worth replacing.

    Args:
        signs: hears of every step.
        refill: the rule; None to let every batch run to its end.
        count_waiting: how many requests could take the places of ended rows.
    """

    def __init__(self, signs: Signs, refill: Refill | None, count_waiting: Callable[[], int]) -> None:
        self._signs = signs
        self._refill = refill
        self._count_waiting = count_waiting

    def note(self, rows: int = 0) -> None:
        self._signs.note(tokens=rows)

    def wants_rest(self, live: int, rows: int, left: int) -> bool:
        if self._refill is None:
            return False
        waiting = self._count_waiting() if live < rows else 0
        return self._refill.is_worth_it(live, left, waiting, time.monotonic())


class Worker:
    """A pool of requests in front of an engine.

    Args:
        settings, device: what to load, and on which device; in this process that may have another name (`PLACE`).
        size: bytes of the weights on disk, as far as known.
        frames, answers: the two pipes.
        refills: whether the rows of a batch that have ended are replaced; answers are the same.
    """

    def __init__(
        self, settings: LocalSettings, device: str, size: int, frames: BinaryIO, answers: BinaryIO, refills: bool = True
    ) -> None:
        self._settings = settings
        self._device = device
        self._size = size
        self._frames = frames
        self._answers = answers
        self._refills = refills
        self._inbox: queue.SimpleQueue[tuple[dict[str, Any], list[bytes]]] = queue.SimpleQueue()
        self._pool = Pool()
        self._sizes = BatchSizes(settings.batch_size, 1, 1)
        self._sending = threading.Lock()
        self._signs = Signs(self._say, min(EVERY, settings.patience_s / 4))
        self._withdrawn = False

    def serve(self) -> None:
        """Load the model, then answer until the other side is done."""
        threading.Thread(target=self._read, daemon=True).start()
        self._signs.start()
        engine = self._load()
        if engine is None:
            return
        self._sizes = BatchSizes(self._settings.batch_size, engine.first, engine.max_batch, engine.first_tokens, engine.tokens)
        while True:
            self._gather(engine)
            self._run(engine, self._pool.take(self._next_size(), self._sizes.tokens(self._pool.next_group)))

    def _next_size(self) -> int:
        oldest = self._pool.oldest
        return self._sizes.size(oldest.group, oldest.first)

    def _read(self) -> None:
        while (frame := read_frame(self._frames)) is not None:
            self._withdrawn = self._withdrawn or frame[0]["type"] == "withdraw"
            self._inbox.put(frame)
        os._exit(0)

    def _send(self, frame: bytes) -> None:
        view = memoryview(frame)
        with self._sending:
            while view:
                view = view[self._answers.write(view) :]

    def _say(self, words: str) -> None:
        with suppress(OSError):  # the other side is gone, and this process ends at once
            self._send(pack({"type": "said", "words": words}))

    # -------------------------------------------------------- loading

    def _load(self) -> Engine | None:
        started = time.monotonic()
        device = None
        try:
            from unisafe_providers.local.device import Device

            device = Device(os.environ.get(PLACE) or self._device, self._settings.memory_gb, shown=self._device)
            device.settle()
            device.check_room(estimate_least_memory(self._size, self._settings))
            with listening(self._say):
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
            full = bool(self._pool) and self._pool.count(self._pool.next_group) >= self._next_size()
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
                first=prepared.first,
            )
        )

    def _run(self, engine: Engine, batch: Sequence[Waiting]) -> None:
        self._send(pack({"type": "batch", "ids": [waiting.identifier for waiting in batch]}))
        self._signs.begin(f"batch of {len(batch)}")
        started = time.monotonic()
        engine.device.reset_peak()
        try:
            outcomes = engine.answer([waiting.payload for waiting in batch], self._follow(batch, started))
        except Exception as error:
            if is_device_lost(error):
                end_with(error)
            if not is_out_of_memory(error):
                self._report_failure(batch, error)
                return
            words = str(error).splitlines()[0] if str(error) else "out of memory"
        else:
            self._finish(engine, batch, outcomes, time.monotonic() - started)
            return
        self._shrink(engine, batch, words)

    def _follow(self, batch: Sequence[Waiting], started: float) -> Following:
        """Follows a batch; when the run was asked to stop, what is under way runs to its end."""
        refill = Refill(len(batch), max(waiting.length for waiting in batch), started) if self._refills and len(batch) > 1 else None
        group = batch[0].group

        def count_waiting() -> int:
            if self._withdrawn:
                return 0
            new = 0 if GOES_ON in group else self._inbox.qsize()  # type: ignore[operator]
            return new + self._pool.count(group)

        return Following(self._signs, refill, count_waiting)

    def _finish(self, engine: Engine, batch: Sequence[Waiting], outcomes: Sequence[Response | Prepared], seconds: float) -> None:
        """Send the answers of a batch, and put back what goes on in a later one."""
        self._sizes.note_success(batch[0].group, len(batch), engine.device.has_headroom(), measure_tokens(batch))
        answered = [
            (one.identifier, outcome) for one, outcome in zip(batch, outcomes, strict=True) if isinstance(outcome, Response)
        ]
        rest = [
            replace(one, group=(outcome.group, GOES_ON), length=outcome.length, room=outcome.room, payload=outcome)
            for one, outcome in zip(batch, outcomes, strict=True)
            if isinstance(outcome, Prepared)
        ]
        tokens = sum(response.usage.tokens_out for _, response in answered)
        images = sum(len(response.images) for _, response in answered)
        done = {"type": "done", "count": len(answered), "seconds": seconds, "tokens": tokens, "images": images}
        self._send(pack({**done, "memory": engine.device.read_memory()}))
        for identifier, response in answered:
            self._send(pack_response(identifier, response))
        self._put_back(rest)

    def _put_back(self, batch: Sequence[Waiting]) -> None:
        """Let requests wait for another batch."""
        if batch:
            self._send(pack({"type": "back", "ids": [waiting.identifier for waiting in batch]}))
        for waiting in batch:
            self._pool.add(waiting)

    def _shrink(self, engine: Engine, batch: Sequence[Waiting], words: str) -> None:
        """After memory ran out: the same requests in smaller batches; one that does not fit alone cannot be answered."""
        engine.device.give_back()
        self._sizes.note_failure(batch[0].group, len(batch), measure_tokens(batch))
        if len(batch) == 1:
            self._refuse(batch[0], engine.device.describe_shortage(words))
            return
        self._send(pack({"type": "halved", "count": len(batch)}))
        self._put_back(batch)

    def _report_failure(self, batch: Sequence[Waiting], error: Exception) -> None:
        """After an error inside the library: try each request of the batch alone; a single request cannot be answered."""
        if not isinstance(error, Rejected):
            traceback.print_exception(error)
        if len(batch) > 1:
            self._put_back([replace(waiting, alone=True) for waiting in batch])
            return
        words = " ".join(str(error).split())[:300] or "no message"
        self._refuse(batch[0], str(error) if isinstance(error, Rejected) else f"{type(error).__name__}: {words}")

    def _refuse(self, waiting: Waiting, words: str) -> None:
        self._send(pack({"type": "error", "id": waiting.identifier, "error": words}))


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
