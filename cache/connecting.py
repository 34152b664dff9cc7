"""Every connection to DuckDB: it reaches the files that it was opened for and no others, and loads no extension."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import duckdb

SHUT: Mapping[str, bool] = {
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "allow_unsigned_extensions": False,
    "python_enable_replacements": False,
}
"""No code from elsewhere, and no variable of the program taken for a table."""
NO_ACCESS = "enable_external_access"
"""False: no file but the database's own, and no network, whatever a view or a function in a stranger's file asks for."""
BESIDE = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
"""What DuckDB writes for a database file, besides its folder for overflow."""
Setting = str | bool | int | float | list[str]


def connected(
    path: Path | None = None,
    *,
    read_only: bool = False,
    files: Sequence[Path] = (),
    settings: Mapping[str, Setting] | None = None,
) -> duckdb.DuckDBPyConnection:
    """A connection to the database file at `path`, or to an empty database in memory; its configuration is locked.

    Args:
        files: files, or folders with all that is in them, that it may read and write besides. Then the connection begins empty and
            takes the database file in once no other file can be reached.
        settings: DuckDB's own settings, such as `threads` and `memory_limit`.
    """
    where = os.path.abspath(path) if path is not None else ""  # so that `md:x` is a file like others
    config: dict[str, Setting] = {**SHUT, NO_ACCESS: bool(files), **(settings or {})}
    if files and where:
        config["temp_directory"] = f"{where}.tmp"
    connection = duckdb.connect("" if files else where, read_only=read_only and not files, config=config)
    try:
        with suppress(duckdb.InvalidInputException):  # in a notebook without ipywidgets there is no bar, and no way to say so
            connection.execute("SET enable_progress_bar = false")  # it would be printed between a command's own lines
        if files:
            _restrict(connection, files, where)
        if files and where:
            _take_in(connection, where, read_only)
        with suppress(duckdb.InvalidInputException):  # it is locked where this process has the same file open in the same way
            connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return connection


def _restrict(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], database: str) -> None:
    folders = [str(file.absolute()) for file in files if file.is_dir()]
    paths = [str(file.absolute()) for file in files if not file.is_dir()]
    if database:
        paths += [f"{database}{ending}" for ending in BESIDE]
    connection.execute("SET allowed_directories = $1", [folders])
    connection.execute("SET allowed_paths = $1", [paths])
    connection.execute(f"SET {NO_ACCESS} = false")


def _take_in(connection: duckdb.DuckDBPyConnection, database: str, read_only: bool) -> None:
    """Make the file the database in which names are looked up."""
    quoted = database.replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS cache ({'READ_ONLY' if read_only else 'READ_WRITE'})")
    connection.execute("USE cache")
