"""What can be wrong with a cache file, in words that say what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb


class CacheError(Exception):
    """The cache cannot be used; the message names the file, what is wrong and what to do."""


class CacheBusy(CacheError):
    """Another program holds the file."""


class Unstorable(CacheError):
    """A value that the tables cannot hold; the file is as it was, and takes others."""


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Inside the block, a value that DuckDB cannot convert or take is Unstorable."""
    try:
        yield
    except (duckdb.DataError, duckdb.IntegrityError, duckdb.InvalidInputException) as error:
        raise Unstorable(f"{path}: {str(error).splitlines()[0]}") from error
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise Unstorable(f"{path}: {type(error).__name__}: {error}") from error


def is_locked(error: duckdb.Error) -> bool:
    """Whether somebody else, in another process or in this one, has the file open."""
    if "different configuration" in str(error):
        return True
    return "Could not set lock" in str(error) or "Conflicting lock" in str(error)


def explained(error: Exception, path: Path) -> CacheError:
    """`error` in a user's words."""
    words = str(error)
    if isinstance(error, CacheError):
        return error
    if "Could not set lock" in words or "Conflicting lock" in words:
        holder = re.search(r"PID (\d+)", words)
        who = f"process {holder.group(1)}" if holder else "another program"
        return CacheBusy(f"{path} is held by {who}; close that program, or name another file under [cache] path")
    if "not a valid DuckDB database" in words:
        return CacheError(f"{path} is not a DuckDB file; move it away, or name another file under [cache] path")
    if "version number" in words or "newer version" in words or "older version" in words:
        return CacheError(
            f"{path} was made by another version of DuckDB: {words.splitlines()[0]}; upgrade duckdb, or use another file"
        )
    if (
        "No space left" in words
        or "File too large" in words
        or "Disk quota" in words
        or ("disk" in words.lower() and "full" in words.lower())
    ):
        return CacheError(f"{path}: the disk is full; what was committed is kept: free some space and run again")
    if "Permission denied" in words or "Read-only file system" in words or "read-only" in words:
        return CacheError(f"{path} cannot be written: its folder or file is read-only; name a file elsewhere under [cache] path")
    if isinstance(error, duckdb.IOException | OSError) and ("No such file" in words or "does not exist" in words):
        return CacheError(f"{path} cannot be opened: there is no such folder or file")
    return CacheError(f"{path}: {words.splitlines()[0] if words else type(error).__name__}")
