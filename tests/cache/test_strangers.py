"""A DuckDB file of somebody else's: nothing in it runs, nothing beside it is reached, and only a cache's own tables are read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import forked
import pytest
from unisafe_cache import CacheError, read_file
from unisafe_cache.connecting import connect
from unisafe_cache.domains import SUBCATEGORIES, TASKS
from unisafe_cache.file import CacheFile
from unisafe_cache.schema import columns_of

from unisafe_async.benchmark import taxonomy

READ = "SELECT content FROM read_text('/proc/self/environ')"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "c.duckdb"
    with_it(path, lambda _: None)
    return path


def with_it(path: Path, job: Callable[[duckdb.DuckDBPyConnection], object], *, read_only: bool = False) -> object:
    file = CacheFile(path, read_only=read_only)
    try:
        return file.work(job)
    finally:
        file.close()


def changed(empty: Path, tmp_path: Path, *statements: str) -> Path:
    """A cache with something done to it by its owner."""
    path = tmp_path / "stranger.duckdb"
    shutil.copy(empty, path)
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (("ALTER TABLE responses RENAME TO theirs", f"CREATE VIEW responses AS {READ}"), "the view 'responses'"),
        ((f"CREATE VIEW duckdb_tables AS {READ}",), "the view 'duckdb_tables'"),
        (("CREATE SCHEMA other", f"CREATE VIEW other.rows AS {READ}"), "the view 'rows'"),
        (("CREATE MACRO starts_with(a, b) AS true",), "the macro 'starts_with'"),
        (('CREATE MACRO "+"(a, b) AS 1',), "the macro '+'"),
        ((f"CREATE MACRO duckdb_tables() AS TABLE {READ}",), "the macro 'duckdb_tables'"),
        (
            ("CREATE TABLE t (a INTEGER)", "CREATE TRIGGER x AFTER INSERT ON rows FOR EACH STATEMENT INSERT INTO t VALUES (1)"),
            "the trigger 'x'",
        ),
        (("CREATE INDEX i ON rows (lower(run))",), "the index 'i'"),
        (("CREATE SEQUENCE s",), "the sequence 's'"),
        (("CREATE TYPE json AS ENUM ('a')",), "the type 'json'"),
        (("ALTER TABLE rows ALTER COLUMN run SET DEFAULT current_setting('memory_limit')",), "column 'run' of table rows"),
        (
            ("DROP TABLE opinions", "CREATE TABLE opinions (run VARCHAR, item VARCHAR GENERATED ALWAYS AS (run))"),
            "column 'item' of table opinions",
        ),
        (
            (
                "DROP TABLE unisafe_meta",
                "CREATE TABLE unisafe_meta (version INTEGER CHECK (version > 0))",
                "INSERT INTO unisafe_meta VALUES (4)",
            ),
            "table unisafe_meta has a constraint",
        ),
        (("DROP TABLE opinions",), "table opinions is missing"),
        (("ALTER TABLE runs DROP COLUMN summary",), "table runs is missing, or has other columns"),
        (("ALTER TABLE runs ALTER COLUMN config TYPE BLOB",), "table runs is missing, or has other columns"),
        (("DELETE FROM unisafe_meta",), "does not say its format"),
        (("UPDATE unisafe_meta SET version = -3",), "does not say its format"),
        (("UPDATE unisafe_meta SET version = 99",), "newer version of unisafe-async (cache format 99"),
        (("DROP TABLE unisafe_meta", f"CREATE VIEW unisafe_meta AS {READ}"), "not one of unisafe-async"),
    ],
)
def test_a_file_that_holds_anything_but_the_tables_of_a_cache_is_refused_and_left_as_it_is(
    empty: Path, tmp_path: Path, statements: tuple[str, ...], words: str, read_only: bool
) -> None:
    path = changed(empty, tmp_path, *statements)
    before = path.read_bytes()
    with pytest.raises(CacheError) as caught:
        with_it(path, lambda _: None, read_only=read_only)
    assert words in str(caught.value)
    assert path.read_bytes() == before


def test_a_view_of_the_environment_in_place_of_a_table_reaches_nothing_that_is_written(empty: Path, tmp_path: Path) -> None:
    columns = ", ".join(f"NULL::{kind} AS {name}" for name, kind in columns_of(4)["responses"] if name != "text")
    view = f"CREATE VIEW responses AS SELECT {columns}, content AS text FROM read_text('/proc/self/environ')"
    path = changed(empty, tmp_path, "DROP TABLE responses", view)
    env = {"OPENAI_API_KEY": "sk-PLANTED", "PATH": "/usr/bin:/bin"}
    for arguments in (["report"], ["runs"], ["rows", "-o", "r.csv"], ["export", "-o", "x.zip"], ["cache", "export", "tables"]):
        done = forked.unisafe(*arguments, "--cache", str(path), cwd=tmp_path, env=env)
        assert done.returncode == 2
        assert "holds the view 'responses'" in done.stderr
    assert {one.name for one in tmp_path.iterdir()} <= {path.name, f"{path.name}.lock"}


def test_the_view_that_a_cache_has_is_made_anew_where_it_is_another_and_read_by_nobody_before(empty: Path, tmp_path: Path) -> None:
    path = changed(empty, tmp_path, f"CREATE OR REPLACE VIEW verdicts AS {READ}")
    text = "SELECT sql FROM duckdb_views() WHERE view_name = 'verdicts' AND database_name = 'cache'"
    assert "environ" in str(with_it(path, lambda connection: connection.execute(text).fetchall(), read_only=True))
    with pytest.raises(CacheError, match="disabled by configuration"):
        with_it(path, lambda connection: connection.execute("FROM verdicts").fetchall(), read_only=True)
    assert with_it(path, lambda connection: connection.execute("FROM verdicts").fetchall()) == []
    assert "environ" not in str(with_it(path, lambda connection: connection.execute(text).fetchall(), read_only=True))


def test_tables_of_ones_own_may_stand_beside_those_of_the_cache(empty: Path, tmp_path: Path) -> None:
    path = changed(empty, tmp_path, "CREATE TABLE notes AS SELECT 'mine' AS note", "CREATE TABLE chosen (id VARCHAR)")
    assert with_it(path, lambda connection: connection.execute("FROM notes").fetchall()) == [("mine",)]


@pytest.mark.parametrize(
    "query",
    [
        "FROM read_text('{file}')",
        "FROM read_csv('{file}')",
        "FROM glob('{folder}/*')",
        "COPY (SELECT 1) TO '{folder}/new.csv'",
        "ATTACH '{folder}/new.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "EXPORT DATABASE '{folder}/new'",
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
def test_an_open_cache_reaches_no_other_file_and_cannot_be_told_to(
    empty: Path, tmp_path: Path, query: str, read_only: bool
) -> None:
    path = tmp_path / "c.duckdb"
    shutil.copy(empty, path)
    (tmp_path / "file.txt").write_text("PLANTED")
    before = {one.name for one in tmp_path.iterdir()}
    with pytest.raises(CacheError, match=r"disabled|locked"):
        with_it(
            path, lambda c: c.execute(query.format(file=tmp_path / "file.txt", folder=tmp_path)).fetchall(), read_only=read_only
        )
    assert {one.name for one in tmp_path.iterdir()} - before <= {"c.duckdb.lock"}


def test_a_connection_of_files_reaches_those_alone(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out.csv").write_text("a\n1\n")
    with connect(files=[tmp_path / "in"]) as connection:
        connection.execute(f"COPY (SELECT 1 AS a) TO '{tmp_path / 'in' / 'x.parquet'}' (FORMAT parquet)")
        for place in (tmp_path / "out.csv", tmp_path / "in" / ".." / "out.csv"):
            with pytest.raises(duckdb.PermissionException):
                connection.execute(f"FROM read_csv('{place}')")


def test_a_program_s_variable_is_no_table(empty: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.duckdb"
    shutil.copy(empty, path)
    theirs = duckdb.sql("SELECT 1 AS a")  # noqa: F841 DuckDB looks for names among variables
    with pytest.raises(CacheError, match="theirs"):
        read_file(path, lambda connection: connection.execute("FROM theirs").fetchall())


def test_the_names_that_rows_may_hold_are_those_of_the_benchmark() -> None:
    assert set(taxonomy.TASKS) == set(TASKS)
    assert {category: subs for category, subs in SUBCATEGORIES.items() if category != "other"} == taxonomy.CATEGORIES
