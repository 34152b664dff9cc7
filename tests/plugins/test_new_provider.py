"""`unisafe new-provider`: what it writes works as it stands: it installs, its own test passes, and a run uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest
from unisafe_providers.conformance import conforms

from tests.plugins.conftest import Command, installed
from unisafe_async.benchmark import open_dataset
from unisafe_async.simulate import Simulator, open_server

JUDGE = """
[judge]
provider = "simulated"
model = "judge"
"""
BENCH = """
[cache]
path = "run.duckdb"
[judge]
provider = "simulated"
model = "judge"
[[models]]
name = "Mine"
provider = "my-api"
model = "balanced"
base_url = "{url}"
takes = ["text", "image"]
instruction = "Be brief."
"""


async def test_a_new_provider_is_installed_tested_and_run(tmp_path: Path, unisafe: Command) -> None:
    from anyio import to_thread

    written = unisafe("new-provider", "my-api")
    assert written.returncode == 0, written.stderr
    package = tmp_path / "unisafe-my-api"
    assert {path.name for path in package.iterdir()} == {"pyproject.toml", "README.md", "unisafe_my_api", "tests"}
    site = installed(package, tmp_path / "site")
    tested = subprocess.run(  # noqa: ASYNC221
        [sys.executable, "-m", "pytest", "-q", str(package)],
        cwd=package,
        env={**os.environ, "COLUMNS": "400", "PYTHONPATH": str(site)},
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert tested.returncode == 0, tested.stdout
    assert "1 passed" in tested.stdout
    assert "plugin unisafe-my-api 0.1.0" in unisafe("providers", path=site).stdout
    async with open_server(Simulator(open_dataset("sample"))) as url:
        (tmp_path / "bench.toml").write_text(BENCH.format(url=url))
        ran = await to_thread.run_sync(partial(unisafe, "run", "--limit", "8", path=site))
        again = await to_thread.run_sync(partial(unisafe, "run", "--limit", "8", path=site))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "6 items: 6 judged" in ran.stdout
    assert "6 from cache" in again.stdout


def test_the_installed_plugin_conforms(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import anyio

    monkeypatch.syspath_prepend(str(site))
    from unisafe_echo import Batches, Echo

    anyio.run(partial(conforms, partial(Echo, style="loud")))
    anyio.run(partial(conforms, partial(Batches, batch=1)))


def test_nothing_is_overwritten_and_names_are_checked(tmp_path: Path, unisafe: Command) -> None:
    (tmp_path / "mine").mkdir()
    assert unisafe("new-provider", "one", "--folder", "mine").returncode == 0
    (tmp_path / "mine" / "README.md").write_text("my own words")
    for arguments, words in (
        (["one", "--folder", "mine"], "mine is there already"),
        (["openai"], "'openai' is taken by a built-in provider"),
        (["echo"], "'echo' is taken by the plugin of unisafe-echo 1.2.3"),
        (["Not A Name"], "lower-case letters and digits"),
        (["../up"], "lower-case letters and digits"),
        (["async"], "the module unisafe_async"),
        (["one", "--command", "--folder", "mine"], "mine is there already"),
        (["../up", "--command"], "cannot be the name of a script"),
    ):
        done = unisafe("new-provider", *arguments)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert (tmp_path / "mine" / "README.md").read_text() == "my own words"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "log") == ["mine"]


def test_a_script_is_called_as_its_model_is(tmp_path: Path, unisafe: Command) -> None:
    written = unisafe("new-provider", "--command", "Show-o2.5")
    assert written.returncode == 0, written.stderr
    assert (tmp_path / "Show-o2.5" / "serve_show_o2_5.py").exists()
    assert 'name = "Show-o2.5"' in written.stdout


def test_the_script_of_a_command_answers_at_once_without_any_package(tmp_path: Path, unisafe: Command) -> None:
    written = unisafe("new-provider", "--command", "my-model")
    assert written.returncode == 0, written.stderr
    start = written.stdout.index("# for bench.toml")
    assert {path.name for path in (tmp_path / "my-model").iterdir()} == {"serve_my_model.py", "unisafe_serve.py"}
    entry = tomllib.loads(written.stdout[start : written.stdout.index("Now `")])["models"][0]
    assert entry["files"] == ["my-model/serve_my_model.py"]
    asked = [{"hello": {"protocol": 1, "options": {"greeting": "Hey"}}}, {"id": 1, "kind": "chat", "text": "good morning"}]
    done = subprocess.run(
        [entry["command"][0], "-S", "-E", *entry["command"][1:]],  # no site-packages: the standard library alone
        cwd=tmp_path,
        input="\n".join(map(json.dumps, asked)),
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    ready, answer = map(json.loads, done.stdout.splitlines())
    assert (ready["model"], ready["kinds"], ready["parameters"]) == ("my-model", ["chat"], {"greeting": "Hey"})
    assert answer == {"id": 1, "text": "Hey: good morning", "images": [], "finish": "stop"}
    (tmp_path / "bench.toml").write_text(JUDGE + written.stdout[start : written.stdout.index("Now `")])
    line = f"unisafe check-command -- {sys.executable} my-model/serve_my_model.py"
    assert line in written.stdout
    for words in ("unisafe check-command my-model", line):
        assert f"`{words}`" in written.stdout
        checked = unisafe(*words.split()[1:])
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert "it keeps the protocol" in checked.stdout
