"""Archives: a run goes to another machine whole, halves come together, and nothing hostile or different gets in."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import forked
import pytest
from unisafe_cache import CacheError, read_file
from unisafe_cache.archive import export_run
from unisafe_cache.archive_import import Imported, import_archive
from unisafe_cache.schema import IN_RESPONSES_3, IN_ROWS_3

from tests.interchange.conftest import MODEL, Bench
from unisafe_async.interchange.answers import choose, notes
from unisafe_async.results.scores import scores


def name_of(column: str) -> str:
    """Its name, without its type."""
    return column.split()[0]


Change = Callable[[dict[str, bytes]], None]


def newest(bench: Bench) -> str:
    sql = "SELECT run FROM runs ORDER BY started DESC LIMIT 1"
    return read_file(bench.cache, lambda connection: str(connection.execute(sql).fetchone()[0]))


def export(bench: Bench, target: Path) -> Path:
    export_run(bench.cache, newest(bench), target, choose, notes)
    return target


def table(path: Path, sql: str) -> list[tuple]:
    return read_file(path, lambda connection: connection.execute(sql).fetchall())


def report(path: Path) -> str:
    return forked.unisafe("report", "--by", "category", "--cache", str(path), cwd=path.parent).stdout


def test_a_run_reports_the_same_on_another_machine_and_goes_on_with_what_could_not_be_read_alone(
    finished: Bench, new_bench: Callable[[str], Bench], tmp_path: Path
) -> None:
    finished.run(generation={"repeats": 2})  # answered from the cache: this run paid for nothing itself
    archive = export(finished, tmp_path / "run.zip")
    other = new_bench("other")
    done = import_archive(other.cache, archive)
    assert (done.rows, done.conflicts) == (404, ())
    assert done.images == table(finished.cache, "SELECT count(*) FROM images")[0][0]
    ours = report(finished.cache)
    assert "Overall" in ours
    assert report(other.cache) == ours
    result = other.run(generation={"repeats": 2})
    summary = json.loads(table(other.cache, f"SELECT summary FROM runs WHERE run = '{result.run}'")[0][0])
    unread = "count_if(contextual_status = 'unparsed') + count_if(intrinsic_status = 'unparsed')"
    missing = table(other.cache, f"SELECT {unread} FROM rows WHERE run = '{result.run}'")[0][0]
    calls = {name: counts["calls"] for name, counts in summary["endpoints"].items() if counts["calls"]}
    assert list(calls.values()) == [2 * missing], "a judge's reply that could not be read is asked for again, and once more"
    assert all(name.startswith("judge: ") for name in calls)
    assert table(other.cache, f"SELECT count(*) FROM rows WHERE run = '{result.run}' AND cached")[0][0] >= 404 - missing


def test_importing_twice_adds_nothing(finished: Bench, tmp_path: Path) -> None:
    archive = export(finished, tmp_path / "run.zip")
    cache = tmp_path / "c.duckdb"
    first = import_archive(cache, archive)
    before = [table(cache, f"SELECT count(*) FROM {name}") for name in ("runs", "rows", "responses", "images")]
    assert import_archive(cache, archive) == Imported(run=first.run, rows=0, answers=0, images=0, conflicts=())
    assert [table(cache, f"SELECT count(*) FROM {name}") for name in ("runs", "rows", "responses", "images")] == before
    assert import_archive(finished.cache, archive) == Imported(run=first.run, rows=0, answers=0, images=0, conflicts=())


def test_two_machines_halves_make_one_run_without_a_call(new_bench: Callable[[str], Bench], tmp_path: Path) -> None:
    archives = []
    for name, tasks in (("one", ["malicious_text_generation"]), ("two", ["unsafe_t2i_generation"])):
        half = new_bench(name)
        half.run(dataset={"source": "sample", "tasks": tasks}, models=[{"name": "m", **MODEL}])
        archives.append(export(half, tmp_path / f"{name}.zip"))
    both = new_bench("both")
    for archive in archives:
        assert import_archive(both.cache, archive).conflicts == ()
    result = both.run(
        dataset={"source": "sample", "tasks": ["malicious_text_generation", "unsafe_t2i_generation"]},
        models=[{"name": "m", **MODEL}],
    )
    assert table(both.cache, f"SELECT count(*), bool_and(cached) FROM rows WHERE run = '{result.run}'") == [(29, True)]


def test_only_what_the_run_used_goes_along(finished: Bench, tmp_path: Path) -> None:
    finished.run(dataset={"source": "sample", "tasks": ["unsafe_t2i_generation"], "limit": 2}, models=[{"name": "m", **MODEL}])
    archive = export(finished, tmp_path / "small.zip")
    cache = tmp_path / "c.duckdb"
    import_archive(cache, archive)
    assert 2 <= table(cache, "SELECT count(*) FROM responses")[0][0] <= 20
    assert table(cache, "SELECT count(DISTINCT run) FROM rows") == [(1,)]
    assert table(cache, "SELECT count(*) FROM responses WHERE request LIKE '%Malicious Text%'") == [(0,)]


def test_what_judges_said_of_thoughts_goes_along(new_bench: Callable[[str], Bench], tmp_path: Path) -> None:
    thinking = {"name": "m", **MODEL, "simulation": {"refusal": 0.0, "blocked": 0.0, "empty": 0.0, "thoughts": 1.0}}
    settings = {
        "dataset": {"source": "sample", "tasks": ["malicious_text_generation"], "limit": 4},
        "judge": {"provider": "simulated", "model": "judge", "thoughts": True},
        "models": [thinking],
    }
    one, other = new_bench("one"), new_bench("other")
    one.run(**settings)
    assert table(one.cache, "SELECT count(*) FROM rows WHERE thoughts_status = 'judged'") == [(4,)]
    one.run(**settings)  # answered from the cache: what judges said is told by what they were asked alone
    import_archive(other.cache, export(one, tmp_path / "run.zip"))
    result = other.run(**settings)
    summary = json.loads(table(other.cache, f"SELECT summary FROM runs WHERE run = '{result.run}'")[0][0])
    assert sum(counts["calls"] for counts in summary["endpoints"].values()) == 0


def test_a_run_of_the_same_name_with_other_rows_is_listed_and_left_alone(finished: Bench, tmp_path: Path) -> None:
    archive = export(finished, tmp_path / "run.zip")
    with duckdb.connect(str(finished.cache)) as connection:
        connection.execute("UPDATE rows SET contextual = 1 - contextual WHERE contextual < 2")
    before = table(finished.cache, "SELECT * FROM rows ORDER BY ALL")
    done = import_archive(finished.cache, archive)
    assert done.rows == 0
    assert len(done.conflicts) == 1
    assert "other rows" in done.conflicts[0]
    assert table(finished.cache, "SELECT * FROM rows ORDER BY ALL") == before


def test_an_answer_under_a_taken_id_is_listed_and_the_run_stays_out(finished: Bench, tmp_path: Path) -> None:
    archive = export(finished, tmp_path / "run.zip")
    other = tmp_path / "other.duckdb"
    shutil.copy(finished.cache, other)
    with duckdb.connect(str(other)) as connection:
        connection.execute("DELETE FROM rows; DELETE FROM runs")
        taken = connection.execute("SELECT min(id) FROM responses").fetchone()[0]
        connection.execute("UPDATE responses SET text = 'another answer' WHERE id = ?", [taken])
    done = import_archive(other, archive)
    assert f"answer {taken}" in done.conflicts[0]
    assert done.rows == 0
    assert table(other, f"SELECT text FROM responses WHERE id = {taken}") == [("another answer",)]
    assert table(other, "SELECT count(*) FROM rows") == [(0,)]


NEW_IN_3 = {"responses": ", ".join(map(name_of, IN_RESPONSES_3)), "rows": ", ".join(map(name_of, IN_ROWS_3))}


def as_format_2(archive: Path, target: Path) -> Path:
    """The archive as the version before wrote it: without the columns that it did not know."""
    for name, columns in NEW_IN_3.items():
        archive = rewritten(archive, target.with_suffix(f".{name}"), sql(name, f"SELECT * EXCLUDE ({columns}) FROM old"))
    return rewritten(archive, target, manifest(cache_format=2))


def test_an_archive_of_the_format_before_is_imported_and_gives_the_same_scores(finished: Bench, tmp_path: Path) -> None:
    archive = as_format_2(export(finished, tmp_path / "run.zip"), tmp_path / "old.zip")
    cache = tmp_path / "c.duckdb"
    done = import_archive(cache, archive)
    assert (done.rows, done.conflicts) == (404, ())
    by_task = [read_file(path, lambda connection: scores(connection, done.run)) for path in (cache, finished.cache)]
    assert by_task[0] == by_task[1]
    assert table(cache, f"SELECT DISTINCT {NEW_IN_3['responses']} FROM responses") == [(None,) * len(IN_RESPONSES_3)]
    assert table(cache, f"SELECT DISTINCT {NEW_IN_3['rows']} FROM rows") == [(None,) * len(IN_ROWS_3)]
    assert import_archive(cache, archive) == Imported(run=done.run, rows=0, answers=0, images=0, conflicts=())


def test_what_a_row_says_of_thoughts_and_of_words_beside_a_picture_goes_along(finished: Bench, tmp_path: Path) -> None:
    with duckdb.connect(str(finished.cache)) as connection:
        connection.execute(
            "UPDATE responses SET thoughts = 'a plan', missing = 'no words came', model = 'served-1', estimated = true"
        )
        connection.execute(
            "UPDATE rows SET judged = 'image', thoughts = 0, thoughts_status = 'judged', thoughts_reason = 'plans it', "
            "beside_contextual = 2, beside_intrinsic = 1, beside_status = 'judged', beside_reason = 'no', categories = '[\"Politics\"]'"
        )
    cache = tmp_path / "c.duckdb"
    assert import_archive(cache, export(finished, tmp_path / "run.zip")).rows == 404
    for name, columns in NEW_IN_3.items():
        query = f"SELECT {columns} FROM {name} ORDER BY ALL"
        assert table(cache, f"SELECT DISTINCT {columns} FROM {name}") == table(
            finished.cache, f"SELECT DISTINCT {columns} FROM {name}"
        )
        assert table(cache, query)[0].count(None) == 0


def test_an_answer_that_was_read_anew_on_one_machine_is_the_same_answer(finished: Bench, tmp_path: Path) -> None:
    with duckdb.connect(str(finished.cache)) as connection:
        connection.execute("UPDATE responses SET text = '<think>hm</think>' || text, reading = NULL, thoughts = NULL")
    archive = export(finished, tmp_path / "run.zip")
    with duckdb.connect(str(finished.cache)) as connection:
        connection.execute("UPDATE responses SET text = replace(text, '<think>hm</think>', ''), thoughts = 'hm', reading = 1")
    before = table(finished.cache, "SELECT * FROM responses ORDER BY ALL")
    assert import_archive(finished.cache, archive).conflicts == ()
    assert table(finished.cache, "SELECT * FROM responses ORDER BY ALL") == before


# ---------------------------------------------------------------- hostile archives


def rewritten(archive: Path, target: Path, change: Change, *, compression: int = zipfile.ZIP_STORED) -> Path:
    """The archive with its members changed, and a manifest whose digests are right for them again."""
    from unisafe_providers.base import digest_of

    with zipfile.ZipFile(archive) as old:
        members = {name: old.read(name) for name in old.namelist()}
    before = dict(members)
    change(members)
    if members["manifest.json"] == before["manifest.json"]:
        manifest = json.loads(members["manifest.json"])
        manifest["files"] |= {name: {"digest": digest_of(data)} for name, data in members.items() if name.endswith(".parquet")}
        members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(target, "w", compression) as new:
        for name, data in members.items():
            new.writestr(name, data)
    return target


def manifest(**values: object) -> Change:
    def change(members: dict[str, bytes]) -> None:
        members["manifest.json"] = json.dumps(json.loads(members["manifest.json"]) | values).encode()

    return change


def sql(name: str, query: str) -> Change:
    """The table as `query` makes it of `old`."""

    def change(members: dict[str, bytes]) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            old, new = Path(folder, "old.parquet"), Path(folder, "new.parquet")
            old.write_bytes(members[f"{name}.parquet"])
            duckdb.connect().execute(f"COPY ({query.replace('old', repr(str(old)))}) TO '{new}' (FORMAT parquet)")
            members[f"{name}.parquet"] = new.read_bytes()

    return change


def member(name: str, data: bytes | None) -> Change:
    def change(members: dict[str, bytes]) -> None:
        if data is None:
            del members[name]
        else:
            members[name] = data

    return change


def other_image(members: dict[str, bytes]) -> None:
    name = next(name for name in members if name.startswith("images/"))
    members[name] = members[name] + b"x"


def swapped_digest(members: dict[str, bytes]) -> None:
    content = json.loads(members["manifest.json"])
    content["files"]["rows.parquet"]["digest"] = "0" * 32
    members["manifest.json"] = json.dumps(content).encode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (member("../../evil.txt", b"x"), "which no export writes"),
        (member("/etc/cron.d/x", b"x"), "which no export writes"),
        (member("images/../../x.png", b"x"), "which no export writes"),
        (member("rows.parquet", None), "it lacks rows.parquet"),
        (member("rows.parquet", b"PAR1"), "no archive that can be imported"),
        (member("manifest.json", b"{"), "is not JSON"),
        (member("manifest.json", b"[]"), "should be an object"),
        (manifest(format=99), "newer version of unisafe-async (format 99"),
        (manifest(cache_format=99), "newer version of unisafe-async (cache_format 99"),
        (manifest(cache_format=1), "older version"),
        (manifest(format=True), "format should be a number"),
        (manifest(run="other"), "rows of another run"),
        (manifest(run="a\x1b[31m\n"), "should be a run's name"),
        (swapped_digest, "rows.parquet is not what manifest.json says"),
        (other_image, "is not the image that its name says"),
        (sql("rows", "SELECT * EXCLUDE (judge) FROM old"), "other columns"),
        (sql("rows", "SELECT * REPLACE (sample::VARCHAR AS sample) FROM old"), "other columns"),
        (sql("rows", "SELECT * REPLACE (7::TINYINT AS contextual) FROM old"), "holds what no run writes"),
        (sql("rows", "SELECT * REPLACE (NULL::TINYINT AS contextual) FROM old"), "holds what no run writes"),
        (sql("rows", "SELECT * FROM old UNION ALL SELECT * FROM old"), "stands twice"),
        (sql("responses", "SELECT * REPLACE ('forged' AS request) FROM old"), "is not that of its request"),
        (sql("responses", "SELECT * FROM old LIMIT 3"), "an answer is not in the archive"),
        (sql("responses", "SELECT * REPLACE (NULL::VARCHAR AS text) FROM old"), "something is missing"),
        (sql("images", "SELECT * FROM old LIMIT 1"), "an image is not in the archive"),
        (sql("rows", "SELECT * REPLACE ('neither' AS judged) FROM old"), "holds what no run writes"),
        (
            sql("rows", "SELECT * REPLACE (2::TINYINT AS thoughts, 'judged' AS thoughts_status) FROM old"),
            "holds what no run writes",
        ),
        (sql("rows", "SELECT * REPLACE (0::TINYINT AS thoughts) FROM old"), "holds what no run writes"),
        (sql("rows", "SELECT * REPLACE ('judged' AS thoughts_status) FROM old"), "holds what no run writes"),
        (sql("rows", "SELECT * REPLACE (0::TINYINT AS beside_contextual) FROM old"), "holds what no run writes"),
        (sql("rows", "SELECT * REPLACE ('perhaps' AS beside_status) FROM old"), "holds what no run writes"),
        (sql("rows", "SELECT * REPLACE ('[\"Politics\"' AS categories) FROM old"), "should be a list of texts"),
        (sql("rows", "SELECT * REPLACE ('[[1]]' AS categories) FROM old"), "should be a list of texts"),
        (sql("responses", "SELECT * REPLACE ('[\"violence\"]' AS categories) FROM old"), "should be an object of texts"),
        (sql("responses", "SELECT * REPLACE ('later' AS stage) FROM old"), "holds what no run writes"),
        (sql("responses", "SELECT * REPLACE (-1 AS tokens_out) FROM old"), "holds what no run writes"),
        (sql("responses", "SELECT * EXCLUDE (thoughts) FROM old"), "other columns"),
        (sql("runs", "SELECT * REPLACE ('{}' AS config) FROM old"), "config should hold models and a judge"),
        (sql("runs", "SELECT * REPLACE ('nonsense' AS summary) FROM old"), "should be JSON"),
        (sql("runs", "SELECT * FROM old UNION ALL SELECT * FROM old"), "should hold one run"),
    ],
)
def test_a_hostile_or_broken_archive_is_refused_before_anything_is_written(
    first_run: Bench, tmp_path: Path, change: Change, words: str
) -> None:
    archive = rewritten(export(first_run, tmp_path / "run.zip"), tmp_path / "bad.zip", change)
    with pytest.raises(CacheError, match=r"bad\.zip") as error:
        import_archive(tmp_path / "c.duckdb", archive)
    assert words in str(error.value)
    assert not (tmp_path / "c.duckdb").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"run.zip", "bad.zip"}


def not_a_request(request: str) -> Change:
    """An answer to something that is no request, under a key that is right for it."""

    def change(members: dict[str, bytes]) -> None:
        from unisafe_providers.base import digest_of

        key = f"CASE WHEN id = (SELECT min(id) FROM old) THEN '{digest_of(b'me' + bytes(1) + request.encode())}' ELSE key END"
        new = f"CASE WHEN id = (SELECT min(id) FROM old) THEN '{request}' ELSE request END"
        who = "CASE WHEN id = (SELECT min(id) FROM old) THEN 'me' ELSE identity END"
        sql("responses", f"SELECT * REPLACE ({key} AS key, {new} AS request, {who} AS identity) FROM old")(members)

    return change


@pytest.mark.parametrize(
    "request_", ["nothing", "[]", "{}", '{"kind": "chat", "parts": [7]}', '{"kind": "chat", "parts": [{"text": 7}]}']
)
def test_an_answer_to_what_is_no_request_is_refused(first_run: Bench, tmp_path: Path, request_: str) -> None:
    archive = rewritten(export(first_run, tmp_path / "run.zip"), tmp_path / "bad.zip", not_a_request(request_))
    with pytest.raises(CacheError, match="is none that is ever sent"):
        import_archive(tmp_path / "c.duckdb", archive)


def test_a_zip_bomb_and_other_files_are_refused(first_run: Bench, tmp_path: Path) -> None:
    archive = export(first_run, tmp_path / "run.zip")
    bomb = rewritten(
        archive, tmp_path / "bomb.zip", member("images/" + "0" * 32 + ".png", b"\0" * 5_000_000), compression=zipfile.ZIP_DEFLATED
    )
    with pytest.raises(CacheError, match="stores its files as they are"):
        import_archive(tmp_path / "c.duckdb", bomb)
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(CacheError, match="no archive that can be imported"):
        import_archive(tmp_path / "c.duckdb", tmp_path / "text.zip")
    whole = archive.read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CacheError, match="no archive that can be imported"):
        import_archive(tmp_path / "c.duckdb", tmp_path / "cut.zip")
    with pytest.raises(CacheError, match="there is no file"):
        import_archive(tmp_path / "c.duckdb", tmp_path / "none.zip")


def test_no_secret_leaves_with_an_archive(finished: Bench, tmp_path: Path) -> None:
    with duckdb.connect(str(finished.cache)) as connection:
        config = json.loads(connection.execute("SELECT config FROM runs").fetchone()[0])
        config["models"][0]["extra"] = {"headers": {"Authorization": "Bearer abcdefghijklmnopqrstuvwxyz"}}
        connection.execute("UPDATE runs SET config = ?", [json.dumps(config)])
    with pytest.raises(CacheError, match="looks like a secret") as error:
        export(finished, tmp_path / "run.zip")
    assert "abcdefghij" not in str(error.value)
    assert not list(tmp_path.glob("*.zip*"))


def test_names_of_variables_with_secrets_are_none_and_leave(finished: Bench, tmp_path: Path) -> None:
    with duckdb.connect(str(finished.cache)) as connection:
        config = json.loads(connection.execute("SELECT config FROM runs").fetchone()[0])
        config["models"][0]["headers_env"] = {"Authorization": "GATEWAY_TOKEN", "x-api-key": "GATEWAY_KEY"}
        connection.execute("UPDATE runs SET config = ?", [json.dumps(config)])
    export(finished, tmp_path / "run.zip")
    assert (tmp_path / "run.zip").exists()


def test_an_export_does_not_overwrite(finished: Bench, tmp_path: Path) -> None:
    (tmp_path / "run.zip").write_text("mine")
    with pytest.raises(CacheError, match="exists already"):
        export(finished, tmp_path / "run.zip")
    assert (tmp_path / "run.zip").read_text() == "mine"


@pytest.mark.parametrize(
    "command", [("rows", "-o", "{}.csv"), ("export", "-o", "{}.zip"), ("report", "--html", "{}.html"), ("cache", "export", "{}")]
)
def test_a_name_that_is_too_long_is_one_clear_error(finished: Bench, command: tuple[str, ...]) -> None:
    done = forked.unisafe(*(word.format("y" * 300) for word in command), "--cache", str(finished.cache), cwd=finished.folder)
    assert (done.returncode, "File name too long" in done.stderr) == (2, True), done.stderr[-300:]
