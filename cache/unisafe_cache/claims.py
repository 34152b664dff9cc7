"""Claims: several runs on one cache make one call for each question.

Before a run asks a question, it locks one byte of `FILE.claims`, at a place that the question's key gives. The operating system
keeps such a lock in memory and drops it when the process ends, however it ends: nobody renews it, and nothing is written. The
first bytes of the file count commits of answers and begun batch jobs. So a run looks into the database again only if another run
has added something since.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from struct import Struct
from threading import Lock
from typing import ClassVar

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

COUNTERS = Struct("<QQ")
"""The start of the file: the counts of commits and of batch jobs."""
HEAD = COUNTERS.size
PLACES = 2**31 - 16 if sys.platform == "win32" else 2**62
"""Places for claims after the counts; Windows' call takes 32 bits. If two questions share a place, one waits for the other."""
TAKEN = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})
"""The operating system's errors for a byte that another process has locked."""


class Claims:
    """The claims of this process on one cache file; `of` returns the object that all its users in this process share.

    Such locks belong to a process. So the object remembers its own claims too, and opens the file once.

    Attributes:
        made: how many commits and batch jobs in `counts` are this process's own.
        unsupported: why nothing can be claimed here, as on a network file system without locks; empty if claims work.
    """

    _shared: ClassVar[dict[str, Claims]] = {}
    _sharing = Lock()

    def __init__(self, path: Path) -> None:
        self.made = (0, 0)
        self.unsupported = ""
        self._path = path
        self._users = 0
        self._held: set[int] = set()
        self._guard = Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)

    @classmethod
    def of(cls, cache: Path) -> Claims:
        """The claims on the cache file `cache`, until `let_go`. Raises OSError if the file beside it cannot be created."""
        path = Path(f"{os.path.realpath(cache)}.claims")
        with cls._sharing:
            claims = cls._shared.get(str(path))
            if claims is None:
                claims = cls._shared[str(path)] = cls(path)
            claims._users += 1
            return claims

    def let_go(self) -> None:
        """One user less; the last one closes the file, which ends all claims."""
        with self._sharing:
            self._users -= 1
            if not self._users:
                del self._shared[str(self._path)]
                os.close(self._file)

    # -------------------------------------------------------- claims

    def take(self, place: int) -> bool:
        """Claim `place` (any whole number); returns False while another user, in this process or another one, has it."""
        place = HEAD + place % PLACES
        with self._guard:
            if place in self._held or not self._is_locked(place):
                return False
            self._held.add(place)
            return True

    def release(self, place: int) -> None:
        """Give up a claim from `take`."""
        place = HEAD + place % PLACES
        with self._guard:
            self._held.discard(place)
            try:  # noqa: SIM105 it is done for every call, and a context manager costs a microsecond
                self._unlock(place)
            except OSError:  # without locks there is none to drop
                pass

    def _is_locked(self, place: int) -> bool:
        """Whether this process now has the byte locked; True also if there are no locks (then `unsupported` says so)."""
        if self.unsupported:
            return True
        try:
            self._lock(place)
        except OSError as error:
            if error.errno in TAKEN:
                return False
            self.unsupported = f"{self._path.parent} has no locks ({error.strerror})"
        return True

    if sys.platform == "win32":

        def _lock(self, place: int) -> None:
            os.lseek(self._file, place, os.SEEK_SET)
            msvcrt.locking(self._file, msvcrt.LK_NBLCK, 1)

        def _unlock(self, place: int) -> None:
            os.lseek(self._file, place, os.SEEK_SET)
            msvcrt.locking(self._file, msvcrt.LK_UNLCK, 1)

    else:

        def _lock(self, place: int) -> None:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)

        def _unlock(self, place: int) -> None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    # -------------------------------------------------------- counts

    @property
    def counts(self) -> tuple[int, int]:
        """How many commits of answers and how many begun batch jobs there were, by all processes."""
        commits, jobs = COUNTERS.unpack(self._read().ljust(HEAD, b"\0"))
        return commits, jobs

    def add(self, commits: int = 0, jobs: int = 0) -> None:
        """Increase the counts before the commit, while the database is held: a reader of the new count waits for it."""
        before = self.counts
        self._write(before[0] + commits, before[1] + jobs)
        self.made = self.made[0] + commits, self.made[1] + jobs

    if sys.platform == "win32":

        def _read(self) -> bytes:
            with self._guard:
                os.lseek(self._file, 0, os.SEEK_SET)
                return os.read(self._file, HEAD)

        def _write(self, *counts: int) -> None:
            with self._guard:
                os.lseek(self._file, 0, os.SEEK_SET)
                os.write(self._file, COUNTERS.pack(*counts))

    else:

        def _read(self) -> bytes:
            try:
                return os.pread(self._file, HEAD, 0)
            except OSError as error:  # the network share is gone: the cache itself says so at its next use
                self.unsupported = f"{self._path} cannot be read ({error.strerror})"
                return bytes(HEAD)

        def _write(self, *counts: int) -> None:
            os.pwrite(self._file, COUNTERS.pack(*counts), 0)
