"""Checks a file before anything in it is read: it may hold our tables with our columns, and nothing that runs during a query.

A view may have the name of an expected table. A macro may have the name of any function, even of `+`. A trigger, a default or a
generated column runs when a row is added. So this module calls only catalog functions, each by its full name, and applies no
function to their results. It ignores plain tables of other names: they hold data, and nothing here reads them.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from unisafe_cache.errors import CacheError
from unisafe_cache.schema import CREATE, UPGRADES, VERDICTS, VERSION, columns_of

META = "unisafe_meta"
VIEW = "verdicts"
"""The only view that we create. Nothing here reads it; a process that writes to the file replaces a different view."""

HELD = """
SELECT 'table', schema_name, table_name FROM system.main.duckdb_tables() WHERE database_name = $1
UNION ALL SELECT 'view', schema_name, view_name FROM system.main.duckdb_views() WHERE database_name = $1
UNION ALL SELECT 'macro', schema_name, function_name FROM system.main.duckdb_functions() WHERE database_name = $1
UNION ALL SELECT 'trigger', schema_name, trigger_name FROM system.main.duckdb_triggers() WHERE database_name = $1
UNION ALL SELECT 'index', schema_name, index_name FROM system.main.duckdb_indexes() WHERE database_name = $1
UNION ALL SELECT 'sequence', schema_name, sequence_name FROM system.main.duckdb_sequences() WHERE database_name = $1
UNION ALL SELECT 'type', schema_name, type_name FROM system.main.duckdb_types() WHERE database_name = $1 AND NOT internal
"""
COLUMNS = """
SELECT table_name, column_name, data_type, column_default, is_generated, is_nullable FROM system.main.duckdb_columns()
WHERE database_name = $1 AND schema_name = 'main' ORDER BY table_name, column_index
"""
CONSTRAINTS = "SELECT table_name, constraint_text FROM system.main.duckdb_constraints() WHERE database_name = $1"
VIEW_TEXT = "SELECT sql FROM system.main.duckdb_views() WHERE database_name = $1 AND view_name = $2"

Connection = duckdb.DuckDBPyConnection


def format_of(connection: Connection, path: Path) -> int | None:
    """The format of the cache in a file; None if the file is empty. Raises CacheError for any other file."""
    database = _read_database(connection)
    held = [(str(kind), str(schema), str(name)) for kind, schema, name in connection.execute(HELD, [database]).fetchall()]
    if not held:
        return None
    if ("table", "main", META) not in held:
        names = ", ".join(sorted(name for *_, name in held)[:3])
        raise CacheError(
            f"{path} is a DuckDB file, but not one of unisafe-async (it holds {names}); name another file under [cache] path"
        )
    version = _read_version(connection, path)
    for kind, schema, name in held:
        if kind != "table" and (kind, schema, name) != ("view", "main", VIEW):
            raise CacheError(
                f"{path} holds the {kind} {name[:80]!r}, which unisafe-async did not make and which may run when the file is read; "
                f'where the file is yours, drop it (DROP {kind.upper()} "{name[:80]}"), else do not use it'
            )
    _check_columns(connection, database, path, version)
    return version


def _read_database(connection: Connection) -> str:
    """DuckDB's name of the file's database."""
    found = connection.execute("SELECT system.main.current_database()").fetchone()
    assert found is not None
    return str(found[0])


def _read_version(connection: Connection, path: Path) -> int:
    try:
        found = connection.execute(f"SELECT version FROM main.{META}").fetchmany(2)
    except duckdb.Error:
        found = []
    if len(found) != 1 or not isinstance(found[0][0], int) or found[0][0] < 1:
        raise _altered(path, f"{META} does not say its format")
    if found[0][0] > VERSION:
        raise CacheError(
            f"{path} was made by a newer version of unisafe-async (cache format {found[0][0]}, this one reads {VERSION}); "
            "upgrade unisafe-async, or name another file under [cache] path"
        )
    return int(found[0][0])


def _check_columns(connection: Connection, database: str, path: Path, version: int) -> None:
    """Check that our tables match their format: columns, types and order; no default, no generated column, no constraint."""
    expected = columns_of(version)
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in expected}
    for table, column, kind, default, generated, nullable in connection.execute(COLUMNS, [database]).fetchall():
        if table in expected:
            found[table].append((column, kind))
            if default is not None or generated or not nullable:
                raise _altered(path, f"column {column[:80]!r} of table {table} has a default, an expression or a condition")
    for table, columns in expected.items():
        if found[table] != columns:
            wrong = [column for column, *_ in {*found[table]} ^ {*columns}] or ["their order"]
            raise _altered(
                path, f"table {table} is missing, or has other columns than format {version} has ({sorted(wrong)[0][:80]!r})"
            )
    for table, text in connection.execute(CONSTRAINTS, [database]).fetchall():
        if table in expected:
            raise _altered(path, f"table {table} has a constraint ({text[:80]})")


def _altered(path: Path, why: str) -> CacheError:
    return CacheError(f"{path} is no cache as unisafe-async makes it: {why}; name another file under [cache] path")


def create(connection: Connection) -> None:
    """Create the tables of a new file."""
    connection.begin()
    connection.execute(CREATE)
    connection.execute(f"INSERT INTO {META} VALUES (?)", [VERSION])
    connection.commit()


def upgrade(connection: Connection, version: int) -> None:
    """Upgrade a file of an older format, in one transaction."""
    connection.begin()
    for newer in range(version + 1, VERSION + 1):
        connection.execute(UPGRADES[newer])
    connection.execute(f"DELETE FROM {META}")
    connection.execute(f"INSERT INTO {META} VALUES (?)", [VERSION])
    connection.commit()


def mend_view(connection: Connection) -> None:
    """Replace the file's view if it is not ours."""
    connection.execute(VERDICTS.replace("CREATE OR REPLACE VIEW", "CREATE OR REPLACE TEMP VIEW"))
    texts = [
        str(found[0]).partition(" AS ")[2] if (found := connection.execute(VIEW_TEXT, [name, VIEW]).fetchone()) else None
        for name in ("temp", _read_database(connection))
    ]
    connection.execute(f"DROP VIEW temp.{VIEW}")
    if texts[0] != texts[1]:
        connection.execute(VERDICTS)
