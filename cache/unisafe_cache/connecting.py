"""All connections to DuckDB: each reaches only the files that it was opened for, and loads no extension."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import duckdb

from unisafe_cache.sql_texts import quote_sql

SHUT: Mapping[str, bool] = {
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "allow_unsigned_extensions": False,
    "python_enable_replacements": False,
}
"""Settings: no foreign code, and no variable of the program as a table."""
NO_ACCESS = "enable_external_access"
"""False: only the database's own files and no network, whatever a view or a function in a stranger's file asks for."""
BESIDE = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
"""The files that DuckDB writes for a database file, besides its folder for overflow."""
NAME = "cache"
"""The name of the database file within its connection."""
Setting = str | bool | int | float | list[str]


def connect(*, files: Sequence[Path] = (), settings: Mapping[str, Setting] | None = None) -> duckdb.DuckDBPyConnection:
    """A connection to an empty database in memory; its configuration is locked.

    Args:
        files: other files, or folders with their content, that it may read and write.
        settings: DuckDB's own settings, such as `threads` and `memory_limit`.
    """
    return _connect([str(file.absolute()) for file in files], {**SHUT, **(settings or {})})


def engine_of(
    path: Path, *, files: Sequence[Path] = (), settings: Mapping[str, Setting] | None = None
) -> duckdb.DuckDBPyConnection:
    """As `connect`; in addition it attaches and detaches the database file at `path`, in a tenth of a connection's time."""
    where = _resolve(path)
    paths = [*(str(file.absolute()) for file in files), *(f"{where}{ending}" for ending in BESIDE)]
    return _connect(paths, {**SHUT, **(settings or {}), "temp_directory": f"{where}.tmp"})


def _connect(paths: Sequence[str], config: Mapping[str, Setting]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={**config, NO_ACCESS: bool(paths)})
    try:
        with suppress(duckdb.InvalidInputException):  # in a notebook without ipywidgets there is no bar, and no way to say so
            connection.execute("SET enable_progress_bar = false")  # it would be printed between a command's own lines
        if paths:
            connection.execute("SET allowed_directories = $1", [[path for path in paths if os.path.isdir(path)]])
            connection.execute("SET allowed_paths = $1", [[path for path in paths if not os.path.isdir(path)]])
            connection.execute(f"SET {NO_ACCESS} = false")
        connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return connection


def _resolve(path: Path) -> str:
    """The real path of the file: `md:x` is an ordinary name, and DuckDB keeps its log beside the file that a link leads to."""
    return os.path.realpath(path)


def take_in(connection: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool) -> None:
    """Open the file as the database in which names are looked up."""
    connection.execute(f"ATTACH {quote_sql(_resolve(path))} AS {NAME} ({'READ_ONLY' if read_only else 'READ_WRITE'})")
    connection.execute(f"USE {NAME}.main")


def let_out(connection: duckdb.DuckDBPyConnection) -> None:
    """Close the file and roll back open transactions. Raises duckdb.Error if that fails."""
    with suppress(duckdb.TransactionException):  # there was none
        connection.rollback()
    connection.execute(f"USE memory.main; DETACH {NAME}")
