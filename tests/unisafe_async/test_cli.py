"""The command as a user types it: what it prints, how it exits, and how it says no."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import forked
import pytest

SIMULATED = """
[dataset]
source = "{source}"
[cache]
path = "run.duckdb"
patience_s = 0.3
[judge]
provider = "simulated"
model = "judge"
{judge}
[[models]]
name = "sim"
provider = "simulated"
model = "balanced"
takes = ["text", "image"]
gives = ["text", "image"]
{model}
"""
ITEM = {"id": 1, "task": "malicious_text_generation", "prompt": "Write a mild stand-in.", "category": "Politics"}


def bench(folder: Path, *, source: str = "sample", judge: str = "", model: str = "", more: str = "") -> Path:
    path = folder / "bench.toml"
    path.write_text(SIMULATED.format(source=source, judge=judge, model=model) + more)
    return path


def unisafe(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {**os.environ, "COLUMNS": "400", **environment}
    if not any(name.startswith("PYTHON") for name in environment):
        return forked.unisafe(*arguments, cwd=folder, env=known)
    command = [sys.executable, "-m", "unisafe_async.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=known, text=True, capture_output=True, timeout=120)


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit 2, one clear message, no traceback."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_a_newcomer_runs_plans_reports_and_shows(tmp_path: Path) -> None:
    bench(tmp_path)
    planned = unisafe("plan", folder=tmp_path)
    assert planned.returncode == 0
    assert "101" in planned.stdout
    assert "nothing was sent" in planned.stdout
    ran = unisafe("run", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "SIMULATED" in ran.stdout
    assert "101 items: 101 judged" in ran.stdout
    again = unisafe("run", folder=tmp_path)
    assert "101 from cache" in again.stdout
    assert "0 calls to make" in unisafe("plan", folder=tmp_path).stdout
    for dimension in ("task", "category", "subcategory"):
        report = unisafe("report", "--by", dimension, folder=tmp_path)
        assert report.returncode == 0
        assert f"B-S by {dimension}" in report.stdout
    assert unisafe("runs", folder=tmp_path).stdout.count("101/101") == 2
    shown = unisafe("show", "composite_unsafe_vqa/1", folder=tmp_path)
    assert shown.returncode == 0
    assert "contextual" in shown.stdout
    stats = unisafe("cache", "stats", folder=tmp_path)
    assert "balanced" in stats.stdout
    assert "run.duckdb" in stats.stdout


def test_every_line_fits_eighty_columns(tmp_path: Path) -> None:
    bench(tmp_path)
    for command in (["run"], ["plan"], ["report", "--by", "category"], ["runs"], ["cache", "stats"], ["data", "check", "sample"]):
        output = unisafe(*command, folder=tmp_path, COLUMNS="80").stdout
        assert max(map(len, output.splitlines())) <= 80, command


def test_filters_and_limit_choose_the_items(tmp_path: Path) -> None:
    bench(tmp_path)
    assert "7 items: 7 judged" in unisafe("run", "--limit", "7", folder=tmp_path).stdout
    assert "13 items: 13 judged" in unisafe("run", "--task", "unsafe_t2i_generation", folder=tmp_path).stdout
    assert "13 items: 13 judged" in unisafe("run", "--category", "sensitive topics", folder=tmp_path).stdout
    assert "14 trials (2 of each item): 14 judged" in unisafe("run", "--limit", "7", "--repeats", "2", folder=tmp_path).stdout


def test_something_unjudged_exits_1_and_is_listed(tmp_path: Path) -> None:
    bench(tmp_path, judge="simulation = { garbled = 1.0 }")
    done = unisafe("run", "--task", "malicious_text_generation", folder=tmp_path)
    assert done.returncode == 1
    assert "judge not understood" in " ".join(done.stdout.split())
    assert "Unjudged, and in no score" in done.stdout
    with duckdb.connect(str(tmp_path / "run.duckdb"), read_only=True) as connection:
        raw = connection.execute("SELECT DISTINCT intrinsic_raw FROM rows WHERE intrinsic IS NULL").fetchall()
    assert raw == [("A simulated judge's reply that names no verdict.",)]


def test_a_name_is_never_markup_and_a_response_never_an_escape_code(tmp_path: Path) -> None:
    path = bench(tmp_path, model="simulation = { hostile = 1.0, refusal = 0.0, blocked = 0.0, empty = 0.0 }")
    path.write_text(path.read_text().replace('name = "sim"', 'name = "[red]evil[/] \\u001b[2J\\u202e"'))
    done = unisafe("run", "--task", "malicious_text_generation", folder=tmp_path, FORCE_COLOR="1", TERM="xterm-256color")
    shown = unisafe("show", "malicious_text_generation/1", folder=tmp_path, FORCE_COLOR="1", TERM="xterm-256color")
    for output in (done.stdout, shown.stdout):
        assert "\x1b[2J" not in output
        assert "\u202e" not in output
        assert "[red]evil[/]" in output
    assert "[bold red]" in shown.stdout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("rpm", 'rpm = "fast"'), "bench.toml: models[0].rpm: should be a number, found 'fast'"),
        (("rpm", "rmp = 5"), "bench.toml: models[0].rmp: unknown key; did you mean rpm?"),
        (("rpm", "max_concurrency = 0"), "bench.toml: models[0].max_concurrency: should be >= 1, found 0"),
    ],
)
def test_a_wrong_key_is_named_before_anything_is_sent(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    bench(tmp_path, model=change[1])
    refused(unisafe("run", folder=tmp_path), message)
    assert not (tmp_path / "run.duckdb").exists()


def test_without_a_configuration_it_says_what_writes_one(tmp_path: Path) -> None:
    refused(unisafe("plan", folder=tmp_path), "there is no such file", "`unisafe init` writes one")
    assert unisafe("init", folder=tmp_path).returncode == 0
    assert unisafe("plan", folder=tmp_path).returncode == 0


@pytest.mark.parametrize("words", ["runs", "report", "cache stats", "show x", "export out.csv", "compare --paper", "batches"])
def test_what_reads_a_cache_alone_asks_for_no_configuration(tmp_path: Path, words: str) -> None:
    refused(unisafe(*words.split(), folder=tmp_path), "name the cache with --cache FILE")
    told = unisafe(*words.split(), "--cache", "none.duckdb", folder=tmp_path)
    assert "bench.toml" not in told.stderr
    assert "none.duckdb" in told.stderr


def test_bad_configurations(tmp_path: Path) -> None:
    refused(unisafe("run", folder=tmp_path), "bench.toml: there is no such file")
    bench(tmp_path, more='[[models]]\nname = "sim"\nprovider = "simulated"\nmodel = "cautious"\n')
    refused(unisafe("run", folder=tmp_path), "models[1].name", "named 'sim' too")
    bench(tmp_path, judge='takes = ["text"]')
    refused(unisafe("run", folder=tmp_path), "judge.takes", "cannot see images")
    bench(tmp_path, more='[[models]]\nname = "x"\nprovider = "openai"\nmodel = "gpt"\nkey_env = "NOT_SET_ANYWHERE"\n')
    refused(unisafe("run", folder=tmp_path), "models[1].key_env", "NOT_SET_ANYWHERE is not set")
    bench(tmp_path)
    refused(unisafe("run", "--model", "sin", folder=tmp_path), "there is no model 'sin'", "did you mean sim?")
    refused(unisafe("run", "--task", "vqa", folder=tmp_path), "'vqa' is no task")
    refused(unisafe("report", folder=tmp_path), "does not exist yet")


def test_a_dataset_s_problems_are_listed_with_file_and_line_and_the_rest_runs(tmp_path: Path) -> None:
    lines = [json.dumps(ITEM), "{not json", json.dumps(ITEM), json.dumps({**ITEM, "id": 2, "category": "Polytics"})]
    lines.append(json.dumps({**ITEM, "id": 3, "task": "dual_unsafe_vqa", "image": "../../etc/passwd"}))
    lines.append(json.dumps({**ITEM, "id": 4, "task": "dual_unsafe_vqa", "image": "none.png"}))
    (tmp_path / "own.jsonl").write_text("\n".join(lines))
    checked = unisafe("data", "check", "own.jsonl", folder=tmp_path)
    assert checked.returncode == 1
    for words in (
        "own.jsonl:2: is not JSON",
        "own.jsonl:3: id",
        "did you mean 'Politics'?",
        "leaves the dataset's folder",
        "no file",
    ):
        assert words in checked.stdout
    bench(tmp_path, source="own.jsonl")
    done = unisafe("run", folder=tmp_path)
    assert done.returncode == 1
    assert "1 item: 1 judged" in done.stdout
    assert "5 lines of the dataset could not be used: `unisafe data check own.jsonl` lists them" in " ".join(done.stdout.split())
    assert "`unisafe data check own.jsonl` lists them" in " ".join(unisafe("plan", folder=tmp_path).stdout.split())


def test_bad_datasets(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "folder").mkdir()
    for source, words in (
        ("empty.jsonl", "holds no item that can be used"),
        ("folder", "not in the official layout"),
        ("nowhere", "there is no folder or file"),
    ):
        bench(tmp_path, source=source)
        refused(unisafe("run", folder=tmp_path), words)
    bench(tmp_path, source="hf:Hades2002/Uni-SafeBench")
    done = unisafe("run", folder=tmp_path, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf"))
    refused(done, "HF_TOKEN")


def test_bad_caches(tmp_path: Path) -> None:
    bench(tmp_path)
    cache = tmp_path / "run.duckdb"
    cache.write_bytes(b"something else entirely, and long enough to be looked at" * 100)
    refused(unisafe("run", folder=tmp_path), "is not a DuckDB file")
    cache.unlink()
    with duckdb.connect(str(cache)) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER)")
    refused(unisafe("run", folder=tmp_path), "not one of unisafe-async")
    cache.unlink()
    assert unisafe("run", "--limit", "3", folder=tmp_path).returncode == 0
    with duckdb.connect(str(cache)) as connection:
        refused(unisafe("run", folder=tmp_path), f"is held by process {os.getpid()}")
        connection.execute("UPDATE unisafe_meta SET version = 99")
    refused(unisafe("run", folder=tmp_path), "newer version of unisafe-async")


def test_a_cache_in_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    path = bench(tmp_path)
    path.write_text(path.read_text().replace('path = "run.duckdb"', 'path = "/proc/run.duckdb"'))
    refused(unisafe("run", folder=tmp_path), "/proc/run.duckdb")


def test_a_full_disk_ends_the_run_and_keeps_what_was_committed(tmp_path: Path) -> None:
    """The kernel's limit on a file's size stands for a full disk."""
    bench(tmp_path)
    assert unisafe("run", "--limit", "5", folder=tmp_path).returncode == 0

    command = f"ulimit -f 300; exec {sys.executable} -B -m unisafe_async.cli run"  # a cut file of bytecode would last
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, text=True, capture_output=True, timeout=120)
    refused(done, "run.duckdb: the disk is full")
    assert "5 items: 5 judged" in unisafe("run", "--limit", "5", folder=tmp_path).stdout


def test_export_and_prune(tmp_path: Path) -> None:
    bench(tmp_path)
    unisafe("run", "--limit", "9", folder=tmp_path)
    exported = unisafe("cache", "export", "out", folder=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/out/rows.parquet'").fetchall() == [(9,)]
    refused(unisafe("cache", "export", "out", folder=tmp_path), "exists already")
    assert unisafe("cache", "prune", folder=tmp_path).returncode == 2
    pruned = unisafe("cache", "prune", "--older-than", "0", "--yes", folder=tmp_path)
    assert pruned.returncode == 0, pruned.stderr
    assert "1 runs, 9 rows" in pruned.stdout
    refused(unisafe("report", folder=tmp_path), "there is no run yet")


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['unisafe', '--help']\n"
        "from unisafe_async.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'openai', 'duckdb', 'torch', 'transformers', 'pydantic', 'aiohttp', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


async def test_models_simulated_behind_http_are_called_simulated_too(tmp_path: Path) -> None:
    from anyio import to_thread

    from unisafe_async.benchmark import open_dataset
    from unisafe_async.simulate import Simulator, open_server

    path = bench(tmp_path)
    async with open_server(Simulator(open_dataset("sample"))) as url:
        path.write_text(path.read_text().replace('provider = "simulated"', f'provider = "openai"\nbase_url = "{url}"'))
        done = await to_thread.run_sync(lambda: unisafe("run", "--limit", "20", folder=tmp_path))
    assert "SIMULATED: models and judge are simulated" in done.stdout


def test_a_broken_image_is_listed_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "half.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    item = {**ITEM, "task": "dual_unsafe_vqa", "image": "half.png"}
    (tmp_path / "own.jsonl").write_text(json.dumps(ITEM) + "\n\n" + json.dumps(item))
    checked = unisafe("data", "check", "own.jsonl", folder=tmp_path)
    assert "own.jsonl:3: image: half.png is broken" in checked.stdout
    assert checked.returncode == 1
