"""What runs on the other machine: a worker's process, and a relay of its frames.

The actor holds no model: the model's process is that of this machine's models, with the same code, and ends with the actor.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
MODULE = "unisafe_providers.local.worker"
PIECE = 1 << 20
MOST_PIECES = 64
KEPT = 2_000
WAIT = 10.0
"""Seconds that a read waits for the first piece, so that a relay whose caller has gone is not held for ever."""
PATIENCE = 5.0


class Relay:
    """A worker's process on the machine where this object is.

    Args:
        environment: variables beside those of the machine's own.
        command: stands for the process's command; None for the worker's.
        without: variables of the machine's own that the process does not get.
    """

    def __init__(
        self, environment: Mapping[str, str], command: list[str] | None = None, without: Collection[str] = frozenset()
    ) -> None:
        own = {name: value for name, value in os.environ.items() if name not in without}
        path = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(  # noqa: S603 our own module
            command or [sys.executable, "-P", "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**own, "PYTHONPATH": path, **environment},
            start_new_session=True,
        )
        self._pieces: queue.Queue[bytes | None] = queue.Queue()
        self._said = b""
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_stdout, self._read_stderr)]
        for reader in self._readers:
            reader.start()

    def where(self) -> str:
        """The machine's name, and the GPUs that the process sees."""
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return f"{os.uname().nodename}{f' (GPU {gpus})' if gpus else ''}"

    def write(self, frame: bytes) -> bool:
        """Give a frame to the process; whether it took it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(frame)
            self._process.stdin.flush()
        except (OSError, ValueError):
            return False
        return True

    def read(self) -> bytes | None:
        """What the process has written: empty where nothing came for a while, None at its end."""
        pieces = []
        with suppress(queue.Empty):
            piece = self._pieces.get(timeout=WAIT)
            while piece is not None:
                pieces.append(piece)
                if len(pieces) == MOST_PIECES:
                    break
                piece = self._pieces.get_nowait()
            if piece is None:
                if not pieces:
                    return None
                self._pieces.put(None)
        return b"".join(pieces)

    def end(self) -> tuple[int | None, str]:
        """End the process; its exit code (a negative one is a signal's number) and the last line that it printed."""
        with suppress(OSError, ValueError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        code: int | None = None
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(PATIENCE)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for reader, pipe in zip(self._readers, (self._process.stdout, self._process.stderr), strict=True):
            reader.join(1.0)
            if pipe is not None and not reader.is_alive():
                pipe.close()
        said = self._said.decode("utf-8", "replace").strip().splitlines()
        return code, said[-1] if said else ""

    def _read_stdout(self) -> None:
        assert self._process.stdout is not None
        while piece := os.read(self._process.stdout.fileno(), PIECE):
            self._pieces.put(piece)
        self._pieces.put(None)

    def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        while piece := os.read(self._process.stderr.fileno(), PIECE):
            self._said = (self._said + piece)[-KEPT:]
