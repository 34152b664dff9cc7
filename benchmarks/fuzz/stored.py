"""Odd archives, cache files and plugins, which one machine makes and another takes."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import duckdb

from benchmarks.fuzz.odd import BEYOND, NUMBERS, TEXTS, broken_bytes, json_text, mutated, odd_value

TABLES = ("rows", "responses", "runs", "opinions", "images")


def odd_archive(random: Random, sound: Path, odd: Path) -> None:
    """A copy of the archive `sound` with a table, its manifest, a name or its bytes changed; digests are mended."""
    with zipfile.ZipFile(sound) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    what = random.random()
    if what < 0.1:
        odd.write_bytes(broken_bytes(random, sound.read_bytes()))
        return
    if what < 0.7:
        table = random.choice([name for name in TABLES if f"{name}.parquet" in members])
        members[f"{table}.parquet"] = _odd_parquet(random, members[f"{table}.parquet"], table, odd.parent)
    manifest: Any = json.loads(members["manifest.json"])
    for name, entry in manifest["files"].items():
        if name in members and isinstance(entry, dict):
            entry["digest"] = hashlib.blake2b(members[name], digest_size=16).hexdigest()
    if what >= 0.7:
        manifest = mutated(random, manifest, random.randrange(1, 3))
    members["manifest.json"] = json_text(manifest).encode()
    if random.random() < 0.1:
        members[random.choice(("../up", "/abs", "images/x.png", "a\\b", "rows.parquet/x"))] = b"x"
    with zipfile.ZipFile(odd, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _odd_parquet(random: Random, data: bytes, table: str, folder: Path) -> bytes:
    path = folder / "table.parquet"
    path.write_bytes(data)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE {table} AS SELECT * FROM read_parquet('{path}')")
        _change_table(random, connection, table)
        if not connection.execute("SELECT 1 FROM duckdb_columns() WHERE table_name = ?", [table]).fetchall():
            connection.execute(f"CREATE TABLE {table} (odd INTEGER)")
        connection.execute(f"COPY (SELECT * FROM {table}) TO '{path}' (FORMAT parquet)")
    changed = path.read_bytes()
    path.unlink()
    return changed


def odd_cache(random: Random, sound: Path, odd: Path) -> None:
    """A copy of the cache `sound` in which values, columns, tables or bytes are others."""
    shutil.copy(sound, odd)
    if random.random() < 0.1:
        data = bytearray(odd.read_bytes())
        for _ in range(random.randrange(1, 20)):
            data[random.randrange(len(data))] = random.randrange(256)
        odd.write_bytes(data[: random.choice((len(data), len(data), random.randrange(len(data))))])
        return
    with duckdb.connect(str(odd)) as connection:
        for _ in range(random.randrange(1, 3)):
            _change_table(random, connection, random.choice((*TABLES, "batches", "unisafe_meta")))


def _change_table(random: Random, connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """One change of a value, a column or the whole table; what DuckDB itself refuses leaves it as it was."""
    columns = connection.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table]).fetchall()
    if not columns:
        return
    name, kind = random.choice(columns)
    statements: list[tuple[str, list[Any]]] = [(f'UPDATE {table} SET "{name}" = ?', [_odd_of(random, kind)])] * 12
    statements += [
        (f'UPDATE {table} SET "{name}" = ? WHERE rowid % 3 = 0', [_odd_of(random, kind)]),
        (f'ALTER TABLE {table} DROP COLUMN "{name}"', []),
        (f'ALTER TABLE {table} RENAME COLUMN "{name}" TO "{random.choice(("odd", "ROWS", "a b"))}"', []),
        (f'ALTER TABLE {table} ALTER "{name}" TYPE VARCHAR', []),
        (f"DROP TABLE {table}", []),
        (f"ALTER TABLE {table} RENAME TO hidden_{table}; CREATE VIEW {table} AS SELECT * FROM hidden_{table}", []),
        (f"INSERT INTO {table} SELECT * FROM {table}", []),
        (f"DELETE FROM {table}", []),
    ]
    statement, values = random.choice(statements)
    try:
        connection.execute(statement, values)
    except (duckdb.Error, UnicodeEncodeError, OverflowError):
        return


def _odd_of(random: Random, kind: str) -> Any:
    """An odd value that a column of that type may hold."""
    if kind == "VARCHAR":
        looks = (json_text(odd_value(random)), random.choice(TEXTS), "bogus")
        return random.choice(looks).encode("utf-8", "replace").decode()
    if kind == "TIMESTAMP":
        return random.choice(("0001-01-01", "290000-01-01", "-290000-01-01 (BC)", "infinity", "1970-01-01", None))
    if kind == "DOUBLE":
        return random.choice((*BEYOND, 1e308, -1.0, None))
    if kind.endswith("[]"):
        return random.choice(([], None, ["../up"], [""], ["x"] * 3))
    if kind == "BLOB":
        return random.choice((b"", b"\0", None))
    if kind == "BOOLEAN":
        return random.choice((True, False, None))
    return random.choice((*(number for number in NUMBERS if isinstance(number, int)), None))


# ---------------------------------------------------------------- plugins

PLACES = ("import", "make", "identity", "capabilities", "reported", "enter", "exit", "call", "devices", "release", "listing")
NONSENSE = (
    "None",
    "42",
    "'words'",
    "b'bytes'",
    "[]",
    "{}",
    "object()",
    "float('nan')",
    "'\\ud800'",
    "'x' * 100_000",
    "(yield)",
    "raise Exception('odd')",
    "raise KeyError('odd')",
    "raise SystemExit(7)",
    "raise RecursionError",
    "raise MemoryError",
    "raise StopIteration",
    "raise StopAsyncIteration",
    "raise UnicodeDecodeError('utf-8', b'\\xff', 0, 1, 'odd')",
    "raise ExceptionGroup('odd', [ValueError('a'), OSError('b')])",
    "raise asyncio.CancelledError",
    "raise TimeoutError",
    "raise Exception('\\x1b[31m\\ud800' + 'x' * 10_000)",
    "__import__('nothing_of_that_name')",
    "Response(text=None)",
    "Response(text='a', images=('x',))",
    "Response(text='a', usage=None)",
    "Response(text='a', usage=Usage(tokens_in=-1, tokens_out=2**40))",
    "Response(text='a\\ud800\\0')",
    "Response(text='a', finish='odd')",
    "Response(text='a', latency='soon')",
)
MODULE = """
import asyncio
from unisafe_providers import Capabilities, Limits, Response, Usage

{imported}

class Odd:
    def __init__(self, settings):
        self.settings = settings
        {make}
        self.identity = "odd|" + settings.model
        self.capabilities = settings.capabilities
        self.reported = Limits()
        {set}

    async def __aenter__(self):
        {enter}
        return self

    async def __aexit__(self, *_):
        {exit}

    async def call(self, request):
        {call}
        return Response(text=request.text, usage=Usage(tokens_in=3, tokens_out=5))

    {more}
"""


def write_plugin(site: Path, place: str, nonsense: str, random: Random) -> None:
    """A package in the folder `site`, whose provider `odd` is nonsense at `place`."""
    raises = nonsense.startswith("raise ")
    plain = nonsense if raises or nonsense == "(yield)" else f"return {nonsense}"
    parts = {"imported": "", "make": "", "set": "", "enter": "", "exit": "pass", "call": "", "more": ""}
    if place == "import":
        parts["imported"] = nonsense if nonsense != "(yield)" else ""
    elif place in ("identity", "capabilities", "reported", "devices"):
        parts["set"] = nonsense if raises else f"self.{place} = {nonsense if nonsense != '(yield)' else None}"
    elif place in ("release", "listing"):
        parts["more"] = f"async def {place}(self, *_):\n        {plain}\n    devices = ('cpu',)"
    elif place == "make":
        parts["make"] = nonsense if nonsense != "(yield)" else ""
    else:
        parts[place] = plain if nonsense != "(yield)" or place == "call" else "pass"
    info = site / "odd-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: odd\nVersion: {random.choice(('1.0', '1.0', 'x y', ''))}\n")
    target = random.choice(
        ("odd_plugin:Odd",) * 6 + ("odd_plugin:Missing", "odd_plugin", "odd plugin:x", ":", "odd_plugin:Odd.call")
    )
    (info / "entry_points.txt").write_text(f"[unisafe.providers]\nodd = {target}\n")
    (site / "odd_plugin.py").write_text(MODULE.format(**parts))
