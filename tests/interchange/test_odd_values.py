"""Values that no run writes, in a stranger's cache or archive: each command says so in one line, or shows what it can; none
fails.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import sys
import traceback
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import forked
import pytest
from unisafe_cache import CacheError
from unisafe_cache.archive_import import import_archive

from tests.interchange.conftest import MODEL, Bench
from tests.interchange.test_archive import export, newest, rewritten, sql
from unisafe_async import cli

WILD: dict[str, list[Any]] = {
    "VARCHAR": [
        "",
        "bogus",
        None,
        "\x1b[31mred\u202e",
        "x" * 5_000,
        "../../x",
        "[bold]x[/bold]",
        "[/]",
        "{}",
        "[]",
        "7",
        "a\nb",
        "\u2028",
    ],
    "INTEGER": [-1, 0, None, 2**31 - 1, -(2**31)],
    "BIGINT": [-1, 0, None, 2**63 - 1],
    "TINYINT": [-1, 0, 2, 3, None, 127],
    "DOUBLE": [float("nan"), float("inf"), -1.0, 1e308, None],
    "BOOLEAN": [None, True],
    "TIMESTAMP": ["290000-01-01", "infinity", "0001-01-01", "9999-12-31", None],
    "VARCHAR[]": [None, [], [None], ["../x"]],
    "BLOB": [b"", b"x", None],
}
WILD_JSON = [None, 0, -1, 1.5, "", "x", [], {}, [[]], {"a": {}}, True, 10**30, ["a", 1], "\x1b[31m", float("nan")]
JSON = ("config", "summary", "versions", "request")
COMMANDS = (
    *(
        ["report"],
        ["report", "--by", "category", "--ci", "--blocks"],
        ["report", "--by", "named"],
        ["report", "--html", "p.html", "--embed"],
    ),
    *(
        ["tables"],
        ["tables", "-f", "json", "--by", "subcategory"],
        ["tables", "-f", "latex"],
        ["tables", "-f", "parquet", "-o", "t.parquet"],
    ),
    *(["rows", "-o", "r.csv"], ["rows", "-o", "r.json"], ["rows", "-o", "r.parquet"], ["export", "-o", "x.zip"]),
    *(["export-official", "-o", "official"], ["compare", "A", "B"], ["compare", "--backbone"], ["compare", "--paper"]),
    *(["runs"], ["cache", "stats"], ["cache", "export", "tables"], ["batches"], ["show", "malicious_text_generation/1"]),
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Two models and two judges, with thoughts and words beside pictures: something in every column."""
    bench = Bench(tmp_path_factory.mktemp("small"))
    both = {**MODEL, "simulation": {"thoughts": 0.5, "beside": 0.5}}
    judges = [{"name": name, "provider": "simulated", "model": "judge", "simulation": {"garbled": 0.1}} for name in ("j", "k")]
    judges[1]["simulation"] = {"garbled": 0.2}
    bench.run(
        dataset={"source": "sample", "limit": 14},
        judge={"mode": "panel", "judges": judges, "thoughts": True},
        models=[{"name": "A", **both, "backbone": "B", "utility": 50.0}, {"name": "B", **both, "model": "permissive"}],
    )
    return bench


@pytest.fixture(scope="module")
def archive(small: Bench) -> Path:
    return export(small, small.folder / "run.zip")


def unisafe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command printed; fails with the traceback where it has one."""
    monkeypatch.setattr(sys, "argv", ["unisafe", *arguments])
    try:
        cli.main()
    except SystemExit as ended:
        if ended.code not in (0, 1, 2):
            pytest.fail(f"unisafe {' '.join(arguments)} ended with {ended.code}")
    except Exception:
        pytest.fail(f"unisafe {' '.join(arguments)}: {traceback.format_exc()}")
    shown = capsys.readouterr()
    assert not re.search(r"[\x00-\x08\x0e-\x1f\u202a-\u202e]", shown.err)
    return shown.out + shown.err


def odd_json(text: str, chance: random.Random) -> str:
    """`text` with one of its values, at any depth, another or gone."""
    content = json.loads(text)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key, inner in [*(value.items() if isinstance(value, dict) else enumerate(value))]:
            places.append((value, key))
            if isinstance(inner, dict | list):
                walk(inner)

    walk(content)
    inside, key = chance.choice(places)
    if chance.random() < 0.25:
        del inside[key]
    else:
        inside[key] = chance.choice(WILD_JSON)
    return json.dumps(content)


def make_odd(connection: duckdb.DuckDBPyConnection, chance: random.Random, tables: list[str]) -> str:
    """Change one column of one row, or of all; returns which."""
    table = chance.choice(tables)
    columns = connection.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [table]).fetchall()
    named = [column for column in columns if column[0] in JSON]
    column, kind = chance.choice(named if named and chance.random() < 0.5 else columns)
    where = (
        ""
        if chance.random() < 0.5
        else f" WHERE rowid = (SELECT rowid FROM {table} ORDER BY hash(rowid + {chance.randrange(99)}) LIMIT 1)"
    )
    old = connection.execute(f"SELECT {column} FROM {table} LIMIT 1").fetchone()
    value = odd_json(old[0], chance) if column in JSON and old and chance.random() < 0.9 else chance.choice(WILD[kind])
    connection.execute(f"UPDATE {table} SET {column} = ?::{kind}{where}", [value])
    return f"{table}.{column} = {str(value)[:60]!r}"


@pytest.mark.parametrize("seed", range(10))
def test_no_command_fails_at_a_cache_that_somebody_changed(
    small: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    chance = random.Random(seed)
    shutil.copy(small.cache, tmp_path)
    monkeypatch.chdir(tmp_path)
    with duckdb.connect("unisafe.duckdb") as connection:
        print(make_odd(connection, chance, ["rows", "rows", "responses", "runs", "runs", "opinions", "images"]))
    for arguments in chance.sample(COMMANDS, 4):
        unisafe(monkeypatch, capsys, *arguments, "--cache", "unisafe.duckdb")


@pytest.mark.parametrize("seed", range(6))
def test_an_archive_that_is_taken_is_shown_by_every_command(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    chance = random.Random(1_000 + seed)
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(archive) as content, duckdb.connect() as connection:
        table = chance.choice(["rows", "responses", "runs", "opinions"])
        content.extract(f"{table}.parquet", tmp_path)
        connection.execute(f"CREATE TABLE {table} AS FROM '{table}.parquet'")
        print(make_odd(connection, chance, [table]))
        connection.execute(f"COPY {table} TO 'odd.parquet' (FORMAT parquet)")
    odd = rewritten(archive, tmp_path / "odd.zip", sql(table, "SELECT * FROM 'odd.parquet'"))
    try:
        import_archive(tmp_path / "unisafe.duckdb", odd)
    except CacheError:
        return
    for arguments in chance.sample(COMMANDS, 4):
        said = unisafe(monkeypatch, capsys, *arguments, "--cache", "unisafe.duckdb")
        assert "cannot be read" not in said


@pytest.mark.parametrize(
    ("table", "change", "column"),
    [
        ("rows", "'bogus' AS task", "task"),
        ("rows", "'bogus' AS category", "category"),
        ("rows", "'Politics' AS category", "category"),
        ("rows", "'bogus' AS subcategory", "subcategory"),
        ("rows", "'bogus' AS outcome", "outcome"),
        ("rows", "'bogus' AS contextual_status", "contextual_status"),
        ("rows", "-1::INTEGER AS sample", "sample"),
        ("rows", "TIMESTAMP '290000-01-01' AS created", "created"),
        ("rows", "'x' || item AS item", "item"),
        ("rows", "'' AS model", "model"),
        ("runs", "TIMESTAMP '290000-01-01' AS started", "started"),
        ("runs", "TIMESTAMP 'infinity' AS ended", "ended"),
        ("runs", "'bogus' AS status", "status"),
        ("responses", "'nan'::DOUBLE AS cost", "cost"),
        ("responses", "1e308::DOUBLE AS cost", "cost"),
        ("responses", "-1.0::DOUBLE AS cost", "cost"),
        ("responses", "'inf'::DOUBLE AS latency", "latency"),
        ("responses", "-5::INTEGER AS tokens_in", "tokens_in"),
        ("responses", "'bogus' AS finish", "finish"),
        ("responses", "'bogus' AS stage", "stage"),
        ("responses", "TIMESTAMP '1850-01-01' AS created", "created"),
        ("opinions", "'bogus' AS status", "status"),
        ("opinions", "'bogus' AS question", "question"),
        ("opinions", "-1::INTEGER AS position", "position"),
        ("images", "'text/html' AS media_type", "media_type"),
    ],
)
def test_a_value_beyond_its_column_is_refused_in_an_archive_by_the_column_s_name(
    archive: Path, tmp_path: Path, table: str, change: str, column: str
) -> None:
    odd = rewritten(archive, tmp_path / "odd.zip", sql(table, f"SELECT * REPLACE ({change}) FROM old"))
    with pytest.raises(CacheError, match=rf"{table}: holds what no run writes: {column} of ") as caught:
        import_archive(tmp_path / "c.duckdb", odd)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "c.duckdb").exists()


def test_a_run_whose_name_is_a_path_is_written_beside_the_others(small: Bench, tmp_path: Path) -> None:
    shutil.copy(small.cache, tmp_path)
    with duckdb.connect(str(tmp_path / "unisafe.duckdb")) as connection:
        for table in ("runs", "rows", "opinions", "responses"):
            connection.execute(f"UPDATE {table} SET run = '../../evil' WHERE run = ?", [newest(small)])
    (tmp_path / "deep" / "er").mkdir(parents=True)
    done = forked.unisafe("export", "--cache", str(tmp_path / "unisafe.duckdb"), cwd=tmp_path / "deep" / "er")
    assert done.returncode == 0
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.zip")] == [Path("deep/er/evil.unisafe.zip")]


def test_a_category_that_nobody_knows_is_shown(small: Bench, tmp_path: Path) -> None:
    shutil.copy(small.cache, tmp_path)
    with duckdb.connect(str(tmp_path / "unisafe.duckdb")) as connection:
        connection.execute("UPDATE rows SET category = 'Strange matters', subcategory = 'Stranger ones'")
    for arguments in (["report", "--by", "category"], ["tables", "--by", "category"], ["report", "--html", "p.html"]):
        done = forked.unisafe(*arguments, "--cache", "unisafe.duckdb", cwd=tmp_path)
        assert done.returncode in (0, 1), done.stderr
    assert (tmp_path / "p.html").exists()
