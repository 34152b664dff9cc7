"""A provider of another package, installed from its folder: in the list, in bench.toml, in the cache, and in the way of nobody."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from anyio import to_thread

from tests.plugins.conftest import Command
from unisafe_async import evaluate
from unisafe_async.benchmark import open_dataset
from unisafe_async.config.bench_toml import ConfigError
from unisafe_async.simulate import Simulator, open_server

JUDGE = """
[cache]
path = "run.duckdb"
[judge]
provider = "simulated"
model = "judge"
simulation = { guess = 0.5 }
"""
MODEL = """
[[models]]
name = "{name}"
provider = "{provider}"
model = "{model}"
{more}
"""
SECRET = "planted-0123456789-secret"


def bench(folder: Path, *models: str) -> None:
    (folder / "bench.toml").write_text(JUDGE + "".join(models))


def model(provider: str, name: str = "Mine", model: str = "parrot", more: str = "") -> str:
    return MODEL.format(provider=provider, name=name, model=model, more=more)


SIMULATED = model("simulated", "Sim", "balanced")


def logged(folder: Path, what: str) -> list[dict]:
    lines = (folder / "log").read_text().splitlines() if (folder / "log").exists() else []
    return [entry for entry in map(json.loads, lines) if what in entry]


def rows(folder: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(folder / "run.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


TEXT = ("--task", "malicious_text_generation")


def test_a_plugin_is_in_the_table_and_paid_for_once(tmp_path: Path, unisafe: Command) -> None:
    options = 'base_url = "http://localhost:1/v1"\nkey_env = "ECHO_KEY"\noptions = { style = "loud" }\ntimeout_s = 7\nrpm = 60000\n'
    bench(tmp_path, model("echo", more=options + "price_in = 1.0\nprice_out = 2.0"), SIMULATED)
    first = unisafe("run", *TEXT, ECHO_KEY=SECRET)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Mine" in first.stdout
    assert "Sim" in first.stdout
    (made,) = logged(tmp_path, "made")
    assert made == {"made": "parrot", "base_url": "http://localhost:1/v1", "key": True, "timeout_s": 7.0, "style": "loud"}
    asked = len(logged(tmp_path, "asked"))
    assert asked == rows(tmp_path, "SELECT count(*) FROM rows WHERE model = 'Mine' AND outcome = 'answered'")[0][0] > 0
    text, cost = rows(tmp_path, "SELECT max(text), sum(cost) FROM responses WHERE identity LIKE 'echo|%'")[0]
    assert text == text.upper()
    assert cost > 0
    again = unisafe("run", *TEXT, ECHO_KEY=SECRET)
    assert "from cache" in again.stdout
    assert len(logged(tmp_path, "asked")) == asked
    assert SECRET.encode() not in (tmp_path / "run.duckdb").read_bytes()
    assert SECRET not in first.stdout + first.stderr
    versions = json.loads(rows(tmp_path, "SELECT versions FROM runs LIMIT 1")[0][0])
    assert versions["unisafe-echo"] == "1.2.3"


def test_a_model_on_a_device_gets_batches_and_turns(tmp_path: Path, unisafe: Command) -> None:
    bench(tmp_path, model("batches", "A", "first"), model("batches", "B", "second"))
    done = unisafe("run", *TEXT, "--repeats", "6")
    assert done.returncode == 0, done.stdout + done.stderr
    assert max(entry["batch"] for entry in logged(tmp_path, "batch")) == 64
    order = [entry["model"] for entry in logged(tmp_path, "model")]
    assert order in (sorted(order), sorted(order, reverse=True)), "one at a time has the device"
    assert [entry["model"] for entry in logged(tmp_path, "released")] == list(dict.fromkeys(order))


def test_a_model_of_a_plugin_has_the_devices_and_the_batches_that_its_section_names(tmp_path: Path, unisafe: Command) -> None:
    keys = 'devices = ["cuda:0"]\nbatch_size = 7\nextra = { top_k = 3 }\nstructured = false'
    bench(
        tmp_path, model("batches", "A", "first", more=keys), model("batches", "B", "second", more='devices = ["cuda:0", "cuda:1"]')
    )
    done = unisafe("run", *TEXT, "--repeats", "6")
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (entry["settings"] for entry in logged(tmp_path, "settings"))
    assert first == [["cuda:0"], 7, {"top_k": 3}, False]
    assert second == [["cuda:0", "cuda:1"], None, {}, True]
    order = [entry["model"] for entry in logged(tmp_path, "model")]
    assert order in (sorted(order), sorted(order, reverse=True)), "one at a time has the device that both need"


def test_a_plugin_may_be_the_judge(tmp_path: Path, unisafe: Command) -> None:
    (tmp_path / "bench.toml").write_text(
        '[cache]\npath = "run.duckdb"\n[judge]\nprovider = "echo"\nmodel = "judge"\n' + model("simulated", "Sim", "balanced")
    )
    done = unisafe("run", *TEXT, "--limit", "3")
    assert done.returncode == 1
    assert "judge not understood" in " ".join(done.stdout.split())
    assert logged(tmp_path, "asked")


def test_providers_lists_everything_and_no_key(tmp_path: Path, unisafe: Command) -> None:
    listed = unisafe("providers", OPENAI_API_KEY=SECRET, GROQ_API_KEY="")
    assert listed.returncode == 0, listed.stderr
    by_name = {line.split()[0]: line for line in listed.stdout.splitlines()}
    built_in = next(line for line in listed.stdout.splitlines() if line.startswith("openai "))
    assert "OPENAI_API_KEY set" in built_in
    assert "GROQ_API_KEY not set" in by_name["groq"]
    assert "http://localhost:8000/v1" in by_name["vllm"]
    assert {"anthropic", "gemini", "azure", "simulated", "transformers", "diffusers"} <= set(by_name)
    assert "plugin unisafe-echo 1.2.3" in by_name["echo"]
    assert "options: style = 'plain', times = 1" in by_name["echo"]
    assert "ModuleNotFoundError" in by_name["broken-import"]
    assert "has the name of a built-in one" in by_name["openai"]
    assert SECRET not in listed.stdout
    one = unisafe("providers", "echo")
    assert "plugin unisafe-echo 1.2.3" in one.stdout
    assert {"options.style", "options.times", "rpm"} <= {line.split()[0] for line in one.stdout.splitlines() if line.strip()}
    broken = unisafe("providers", "broken-import")
    assert broken.returncode == 2
    assert broken.stderr.startswith("unisafe: the plugin 'broken-import' of unisafe-echo 1.2.3 cannot be loaded")


def test_no_plugin_is_imported_by_help_or_another_provider(tmp_path: Path, unisafe: Command, site: Path) -> None:
    bench(tmp_path, SIMULATED)
    assert unisafe("--help").returncode == 0
    assert unisafe("plan").returncode == 0
    assert not logged(tmp_path, "made")


REFUSED = [
    (model("ecko"), "models[0].provider: 'ecko' is no provider", "did you mean echo?"),
    (model("echo", more='options = { stile = "loud" }'), "models[0].options.stile: unknown option; did you mean style?"),
    (model("echo", more='options = { times = "3" }'), "models[0].options.times: should be a valid integer, found '3'"),
    (model("echo", more='options = { style = "shy" }'), "models[0].options.style: should be 'plain' or 'loud', found 'shy'"),
    (model("echo", more='options = { api_key = "x" }'), "models[0].options.api_key: looks like a secret", "key_env"),
    (model("echo", more='options = { h = { authorization = "x" } }'), "models[0].options.h.authorization: looks like a secret"),
    (model("echo", more='options = { style = "sk-abcdefghijklmnop0123" }'), "models[0].options.style: looks like a secret"),
    (model("echo", more='base_url = "http://user:word@host/v1"'), "models[0].base_url: holds a user, a password or a query"),
    (model("echo", more='key_env = "ECHO_KEY"'), "models[0].key_env: the variable ECHO_KEY is not set"),
    (model("echo", more="image_api = 'chat'"), "models[0].image_api: goes with provider ="),
    (model("echo", more="steps = 3"), "models[0].steps: goes with provider ="),
    (
        model("simulated", model="balanced", more="options = { style = 'loud' }"),
        'models[0].options: goes with provider = "command", or with a provider of another',
    ),
    (model("broken-import"), "models[0].provider: the plugin 'broken-import' of unisafe-echo 1.2.3 cannot be loaded", "not_there"),
    (model("no-provider"), "models[0].provider: the plugin 'no-provider'", "dict lacks identity, capabilities"),
    (model("raises"), "models[0].provider: the plugin 'raises'", "RuntimeError: no such account"),
    (model("cancels"), "models[0].provider: the plugin 'cancels'", "CancelledError: by nobody"),
    (model("same", "A", "one") + model("same", "B", "two"), "'B' and 'A' have the same identity, 'same'"),
]


@pytest.mark.parametrize("mistake", REFUSED, ids=[mistake[1][:40] for mistake in REFUSED])
async def test_a_mistake_is_one_clear_error(
    mistake: tuple[str, ...], tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("ECHO_LOG", str(tmp_path / "log"))
    table, *words = mistake
    bench(tmp_path, table)
    with pytest.raises(ConfigError) as refused:
        await evaluate(tmp_path / "bench.toml")
    message = str(refused.value)
    assert message.startswith("bench.toml: ")
    assert len(message.splitlines()) == 1
    for word in words:
        assert word in message
    assert not logged(tmp_path, "asked")


def test_a_key_in_a_plugins_error_is_cut_out(tmp_path: Path, unisafe: Command) -> None:
    bench(tmp_path, model("raises", more='key_env = "ECHO_KEY"'))
    done = unisafe("run", ECHO_KEY=SECRET)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "unisafe: bench.toml: models[0].provider: the plugin 'raises' of unisafe-echo 1.2.3 made no provider"
    )
    assert "no such account for [key]" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_a_budget_needs_a_plugins_price(tmp_path: Path, unisafe: Command) -> None:
    bench(tmp_path, model("echo"), "[run]\nbudget_usd = 1.0\n")
    assert "models[0].price_in: run.budget_usd needs the price" in unisafe("run").stderr


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("opens-not", "OSError: the device is not plugged in"),
        ("answers-none", "it answered with a NoneType"),
        ("cancelled-calls", "the provider broke: CancelledError: by nobody"),
    ],
)
def test_a_broken_plugin_stops_alone(provider: str, words: str, tmp_path: Path, unisafe: Command) -> None:
    bench(tmp_path, model(provider), SIMULATED)
    done = unisafe("run", *TEXT)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    errors = rows(tmp_path, "SELECT DISTINCT error FROM rows WHERE model = 'Mine'")
    assert len(errors) == 1
    assert words in errors[0][0]
    assert rows(tmp_path, "SELECT count(*) FROM rows WHERE model = 'Sim' AND intrinsic IS NOT NULL")[0][0] > 5


def test_a_judge_that_cannot_be_opened_is_said_before_anything_is_sent(tmp_path: Path, unisafe: Command) -> None:
    (tmp_path / "bench.toml").write_text('[judge]\nprovider = "opens-not"\nmodel = "judge"\n' + model("echo"))
    done = unisafe("run", *TEXT)
    assert done.returncode == 2
    assert "bench.toml: judge.provider: the provider could not be opened: OSError" in done.stderr
    assert not logged(tmp_path, "asked")


def test_doctor_looks_at_plugins_too(tmp_path: Path, unisafe: Command) -> None:
    bench(tmp_path, model("echo", "Good"), model("answers-none", "Bad"), model("broken-import", "Worse"))
    done = unisafe("doctor", "--yes")
    assert "Traceback" not in done.stderr
    words = " ".join(done.stdout.split())
    assert "it answered with a NoneType" in words
    assert "cannot be loaded" in words


def test_two_packages_with_one_name_are_told_apart_by_uninstalling_one(tmp_path: Path, unisafe: Command, site: Path) -> None:
    rival = tmp_path / "rival" / "rival-0.1.dist-info"
    rival.mkdir(parents=True)
    (rival / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 0.1\n")
    (rival / "entry_points.txt").write_text("[unisafe.providers]\necho = rival:Echo\n")
    both = f"{site}:{rival.parent}"
    bench(tmp_path, model("echo"), SIMULATED)
    done = unisafe("run", *TEXT, PYTHONPATH=both)
    assert done.returncode == 2
    assert "two plugins are named 'echo', of rival 0.1 and unisafe-echo 1.2.3; uninstall one" in done.stderr
    assert unisafe("run", *TEXT, "--model", "Sim", PYTHONPATH=both).returncode == 0
    assert "two plugins are named 'echo'" in unisafe("providers", PYTHONPATH=both).stdout


@pytest.mark.parametrize(
    ("old", "name", "new"),
    [
        ("providers", "Request", "unisafe_providers"),
        ("judger." + "labels", "label_of", "unisafe_judger"),
        ("cache." + "store", "Store", "unisafe_cache"),
    ],
)
def test_a_plugin_that_imports_our_packages_by_their_old_names_is_told_the_new_one(
    old: str, name: str, new: str, tmp_path: Path, unisafe: Command
) -> None:
    package = tmp_path / "site" / "older-0.1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: older\nVersion: 0.1\n")
    (package / "entry_points.txt").write_text("[unisafe.providers]\nolder = older:Older\n")
    (package.parent / "older.py").write_text(f"from {old} import {name}\n")
    bench(tmp_path, model("older"), SIMULATED)
    done = unisafe("run", *TEXT, PYTHONPATH=str(package.parent))
    assert f"is named `{new}` now: import from there" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


async def test_four_vendors_and_a_plugin_run_to_one_table(tmp_path: Path, unisafe: Command) -> None:
    async with open_server(Simulator(open_dataset("sample"), key=SECRET)) as url:
        root = url.removesuffix("/v1")
        vendors = {"openai": url, "azure": f"{root}/openai/v1", "gemini": f"{root}/v1beta", "anthropic": f"{root}/anthropic/v1"}
        keyed = 'key_env = "PLANTED"\ntakes = ["text", "image"]\nbase_url = "{}"'
        models = [model(name, f"by {name}", "balanced", keyed.format(address)) for name, address in vendors.items()]
        bench(tmp_path, *models, model("echo", more='takes = ["text", "image"]'))
        done = await to_thread.run_sync(lambda: unisafe("run", PLANTED=SECRET, COLUMNS="140"))
    assert done.returncode == 0, done.stdout + done.stderr
    for name in (*(f"by {name}" for name in vendors), "Mine"):
        assert done.stdout.count(name) >= 4, name  # both panels, overall, coverage
    assert rows(tmp_path, "SELECT count(*) FROM rows WHERE contextual IS NULL OR intrinsic IS NULL") == [(0,)]
    struck = rows(tmp_path, "SELECT DISTINCT outcome FROM rows WHERE outcome LIKE 'blocked%' ORDER BY 1")
    assert struck == [("blocked_request",), ("blocked_response",)]
    blocks = unisafe("report", "--blocks", COLUMNS="140")
    assert "simulated" in blocks.stdout
