"""The list of batch jobs at any width: ids, figures and times whole, models by the user's names, errors in one line of a pipe."""

from __future__ import annotations

import io
import re
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner
from unisafe_cache.batches import BatchRecord, accept_batch, begin_batch
from unisafe_cache.file import CacheFile

from unisafe_async.cli import app
from unisafe_async.run.batches.vendor_jobs import Look
from unisafe_async.screens.batch_jobs import print_batches

CREATED = datetime(2026, 11, 25, 1, 2)
IDS = ("batch_0123456789abcdef0123456789abcdef0123", "msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d")  # Azure's have 42 characters
LONG = "accounts/a-team-of-ours/models/the-one-that-is-tuned-on-mild-stand-ins-v17"


def job(place: int, identity: str, status: str = "submitted") -> BatchRecord:
    return BatchRecord(
        id=IDS[place], identity=identity, keys=("k",) * 1_234, status=status, max_cost=1.54, run="run", created=CREATED
    )


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 140])
@pytest.mark.parametrize("name", ["m", LONG])
def test_ids_figures_and_times_of_jobs_are_whole(width: int, name: str) -> None:
    console = Console(file=io.StringIO(), width=width)
    jobs = [job(0, "a"), job(1, "b", "collected")]
    print_batches(console, jobs, {}, {"a": name, "b": f"{name}-b"})
    shown = console.file.getvalue().partition("1 job under way")[0]  # type: ignore[attr-defined]
    for whole in (*IDS, "under way", "collected", "by 26 Nov 01:02"):
        assert whole in shown
    assert shown.count("25 Nov 01:02") == shown.count("1,234 requests") == 2
    assert all(len(line) <= width or len(line.split()) == 1 for line in shown.splitlines())  # what has no spaces is never broken


@pytest.mark.parametrize("screen", [True, False])
def test_what_a_vendor_says_is_whole_and_one_line_where_there_is_no_screen(screen: bool) -> None:
    console = Console(file=io.StringIO(), width=80 if screen else 160, soft_wrap=not screen)
    said = "Anthropic knows no job of that name to this key: " + "look at the key and the address. " * 8
    print_batches(console, [job(0, "a")], {job(0, "a"): Look(failed=said)}, {"a": "m"})
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    sentence = f"{IDS[0]}: {said.strip()}"
    if screen:
        assert sentence in " ".join(shown.split())
        assert max(map(len, shown.splitlines())) <= 80
    else:
        assert sentence in shown.splitlines()


MODEL = '[[models]]\nname = "{name}"\nprovider = "anthropic"\nmodel = "cautious"\nbase_url = "{address}"\nkey_env = "NO_KEY"\n'
BENCH = '[cache]\npath = "run.duckdb"\n[judge]\nprovider = "simulated"\nmodel = "judge"\n'
ADDRESSES = ("http://127.0.0.1:8137", "https://gateway.example.org")


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """Two entries with one model at two addresses, and a job of each."""
    models = [MODEL.format(name=name, address=address) for name, address in zip(("claude", "ours"), ADDRESSES, strict=True)]
    file = tmp_path / "bench.toml"
    file.write_text(BENCH + "".join(models))
    cache = CacheFile(tmp_path / "run.duckdb")
    for id_, address in zip(IDS, ADDRESSES, strict=True):
        record = BatchRecord(
            id=f"tag-{id_}",
            identity=f"anthropic|{address}|cautious",
            keys=("k",),
            status="submitting",
            max_cost=0.0,
            run="run",
            created=CREATED,
        )
        cache.work(lambda connection, record=record: begin_batch(connection, record, ["{}"], 0))
        cache.work(lambda connection, id_=id_: accept_batch(connection, f"tag-{id_}", id_))
    cache.close()
    return file


def listed(bench: Path) -> dict[str, str]:
    """The name above each job's id."""
    words = ["batches", "--config", str(bench), "--cache", str(bench.with_name("run.duckdb"))]
    done = CliRunner(env={"COLUMNS": "140"}).invoke(app, words)
    assert done.exit_code == 0, done.output + str(done.exception)
    return {id_: re.search(rf"^ *(\S.*?)  .*\n *{id_}", done.output, re.M)[1] for id_ in IDS}  # type: ignore[index]


def test_a_job_is_listed_under_the_name_that_the_user_gave_its_model(bench: Path) -> None:
    assert listed(bench) == {IDS[0]: "claude", IDS[1]: "ours"}


@pytest.mark.parametrize("text", [None, "[[models]\n", BENCH + MODEL.format(name="x", address="https://elsewhere.example.org")])
def test_without_a_configuration_that_names_it_a_job_has_its_vendors_name_and_host(bench: Path, text: str | None) -> None:
    bench.unlink()
    if text is not None:
        bench.write_text(text)
    assert listed(bench) == {IDS[0]: "cautious at 127.0.0.1:8137", IDS[1]: "cautious at gateway.example.org"}
