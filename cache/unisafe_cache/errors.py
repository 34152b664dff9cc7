"""Errors of a cache file, with messages that say what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from unisafe_providers.errors import UnisafeError


class CacheError(UnisafeError):
    """The cache cannot be used; the message names the file, what is wrong and what to do."""


class CacheBusy(CacheError):
    """Another program holds the file."""


class Unstorable(CacheError):
    """The tables cannot hold a value; the file is unchanged and takes other values."""


@contextmanager
def catch_unstorable(path: Path) -> Iterator[None]:
    """Inside the block, a value that DuckDB cannot convert or store raises Unstorable."""
    try:
        yield
    except (duckdb.DataError, duckdb.IntegrityError, duckdb.InvalidInputException) as error:
        raise Unstorable(f"{path}: {str(error).splitlines()[0]}") from error
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise Unstorable(f"{path}: {type(error).__name__}: {error}") from error


HELD = re.compile("Conflicting lock|Resource temporarily unavailable|Unique file handle conflict|different configuration")
"""DuckDB's message if another process, or another user in this one, has the file open."""
NO_LOCKS = re.compile("Could not set lock|No locks available|does not appear to support flock|ENOLCK|ENOSYS")
FULL = re.compile("No space left|File too large|Disk quota|disk.{0,40} full|max_temp_directory_size", re.I)
READ_ONLY_DISK = re.compile("Read-only file system")
REFUSED = re.compile("Permission denied|Operation not permitted|read-only", re.I)
BROKEN_DISK = re.compile("Input/output error|Stale (NFS )?file handle|Transport endpoint|Remote I/O", re.I)
DAMAGED = re.compile("Corrupt|checksum|Could not read enough bytes|Failed to deserialize|Serialization Error|WAL file", re.I)
ANOTHER_DUCKDB = re.compile("version number|newer version|older version")
ENCRYPTED = re.compile("encrypt", re.I)
MISSING = re.compile("No such file|does not exist")
ELSEWHERE = "name another file under [cache] path"


def is_locked(error: duckdb.Error) -> bool:
    """Whether the error means that another process, or another user in this one, has the file open."""
    return HELD.search(str(error)) is not None


def explain_error(error: Exception, path: Path) -> CacheError:
    """A CacheError with a user's words for `error`."""
    if isinstance(error, CacheError):
        return error
    words, first = str(error), _first_line(error)
    if "Conflicting lock" in words:
        holder = re.search(r"PID (\d+)", words)
        who = f"process {holder.group(1)}" if holder else "another program"
        return CacheBusy(f"{path} is held by {who}; close that program, or {ELSEWHERE}")
    if NO_LOCKS.search(words):
        return CacheError(
            f"{path} lies where files cannot be locked, as on some network file systems, so that two programs could spoil it; "
            "name a file on a disk of this machine under [cache] path"
        )
    if FULL.search(words):
        return CacheError(f"{path}: the disk is full; what was committed is kept: free some space and run again")
    if BROKEN_DISK.search(words):
        return CacheError(f"{path}: its disk or network share fails ({first}); what was committed before is kept")
    if READ_ONLY_DISK.search(words):
        return CacheError(f"{path} cannot be written: its file system is mounted read-only; {ELSEWHERE}")
    if REFUSED.search(words):
        return CacheError(_explain_refused(path))
    return CacheError(_of_file(error, path, words, first))


def explain_unwritable(error: Exception, target: Path) -> CacheError:
    """A CacheError with a user's words for `error`, which happened while writing `target`, a file that is no cache."""
    words = str(error)
    reasons = ((FULL, "the disk is full"), (READ_ONLY_DISK, "its file system is mounted read-only"), (REFUSED, "permission denied"))
    known = next((reason for pattern, reason in reasons if pattern.search(words)), "")
    return CacheError(f"{target} cannot be written: {known or getattr(error, 'strerror', None) or _first_line(error)}")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _of_file(error: Exception, path: Path, words: str, first: str) -> str:
    """The error for a mistake of the file itself."""
    if why := explain_misplaced(path):
        return why
    if isinstance(error, duckdb.IOException | OSError) and MISSING.search(words):
        return f"{path} cannot be opened: there is no such folder or file"
    if "not a valid DuckDB database" in words:
        return f"{path} is not a DuckDB file; move it away, or {ELSEWHERE}"
    if ANOTHER_DUCKDB.search(words):
        return f"{path} was made by another version of DuckDB: {first}; upgrade duckdb, or use another file"
    if isinstance(error, duckdb.Error) and ENCRYPTED.search(words):
        return f"{path} is encrypted, which a cache never is; {ELSEWHERE}"
    if isinstance(error, duckdb.Error) and DAMAGED.search(words):
        return f"{path} is damaged, or was cut short when it was copied ({first}); use another copy of it, or {ELSEWHERE}"
    return f"{path}: {first}"


def explain_misplaced(path: Path) -> str:
    """Why no file can be at `path`; empty if one can."""
    text = str(path)
    if "\0" in text:
        return f"{text!r} is no name of a file; {ELSEWHERE}"
    for part in path.parts:  # before asking the system, which may refuse such a name
        if len(os.fsencode(part)) > 250:
            return f"{part[:40]}... is too long for a file's name; {ELSEWHERE}"
    for place in (*reversed(path.parents), path):
        if place.is_symlink() and not _leads_somewhere(place, is_file=place == path):
            return f"{path} cannot be there: {place} is a link that leads nowhere; {ELSEWHERE}"
        if place != path and place.is_dir() and not os.access(place, os.X_OK):
            return f"{path} cannot be reached: this user has no permission to look into {place}; {ELSEWHERE}"
    if path.is_dir():
        return f"{path} is a folder; name a file in it under [cache] path"
    if path.exists() and not path.is_file():
        return f"{path} is no ordinary file; {ELSEWHERE}"
    for folder in path.parents:
        if folder.exists() and not folder.is_dir():
            return f"{path} cannot be there: {folder} is a file, not a folder; {ELSEWHERE}"
    return ""


def _leads_somewhere(link: Path, *, is_file: bool) -> bool:
    """Whether the target of `link` exists or can be created; a link may lead to itself."""
    target = Path(os.path.realpath(link))
    return os.path.exists(target) or (is_file and target.parent.is_dir() and not target.is_symlink())


def _explain_refused(path: Path) -> str:
    """Which user lacks which right, as far as the operating system says."""
    if path.exists() and not os.access(path, os.R_OK):
        return f"{path} cannot be read: this user has no permission; change its permissions, or {ELSEWHERE}"
    if path.exists() and not os.access(path, os.W_OK):
        return f"{path} cannot be written: the file is read-only for this user; change its permissions, or {ELSEWHERE}"
    folder = next((folder for folder in path.parents if folder.exists()), path.parent)
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{path} cannot be written: folder {folder} is read-only for this user; {ELSEWHERE}"
    return f"{path} cannot be written: its folder or file is read-only; name a file elsewhere under [cache] path"
