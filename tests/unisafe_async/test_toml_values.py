"""bench.toml is whatever somebody wrote: each mistake is a line with the file's name, and nothing hangs or ends the program."""

from __future__ import annotations

import math
import random
from contextlib import suppress
from pathlib import Path

import pytest
from forked import unisafe

from unisafe_async.config.bench_toml import ConfigError, load_config, parse_config

BENCH = """
[dataset]
source = "sample"
[judge]
provider = "simulated"
model = "judge"
[[models]]
name = "Sim"
provider = "simulated"
model = "balanced"
"""
HOSTED = BENCH + '[[models]]\nname = "H"\nprovider = "vllm"\nmodel = "m"\nbase_url = "http://localhost:9/v1"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = " + "[" * 5_000, "bench.toml: is nested too deeply"),
        ("x = " + "[" * 5_000 + "]" * 5_000, "bench.toml: is nested too deeply"),
        ("x = " + "{a = " * 5_000, "bench.toml: is nested too deeply"),
        (".".join("a" * 5_000) + " = 1", "is nested too deeply"),
        (HOSTED + "extra." + ".".join("a" * 3_000) + " = 1", "bench.toml: models[1].extra.a.a"),
        ("x = " + "9" * 10_000, "bench.toml: holds a number of too many digits"),
        ("x = 0x" + "f" * 9_999, "bench.toml: x: is no whole number of 64 bits"),
        (BENCH + f"[generation]\nseed = {2**63}", "bench.toml: generation.seed: is no whole number of 64 bits"),
        (BENCH + "[generation]\nrepeats = 1e30", "bench.toml: generation.repeats: should be a whole number, found 1e+30"),
        (BENCH + "[generation]\nrepeats = 1_000_000_000", "bench.toml: generation.repeats: should be <= 1000"),
        (BENCH + "[run]\nbudget_usd = inf", "bench.toml: run.budget_usd: inf is no finite number"),
        (BENCH + "simulation = { latency = inf }", "bench.toml: models[0].simulation.latency: inf is no finite number"),
        (HOSTED + "extra = { top = [1, nan] }", "bench.toml: models[1].extra.top[1]: nan is no finite number"),
        (HOSTED + "extra = { since = 1979-05-27 }", "bench.toml: models[1].extra.since: 1979-05-27 is a date"),
        (BENCH + '[cache]\npath = "a\\u0000b"', "bench.toml: cache.path: holds a NUL"),
        (BENCH + f'"{"k" * 90_000}" = 1', "unknown key"),
        (BENCH + "\n".join(f"k{number} = 1" for number in range(3_000)), "unknown key"),
        ("\x00", "bench.toml: is not TOML"),
        ("a = 1\rb = 2", "bench.toml: is not TOML"),
    ],
)
def test_odd_toml_is_a_mistake_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bench.toml").write_text(text, newline="")
    with pytest.raises(ConfigError) as raised:
        load_config(tmp_path / "bench.toml", {"generation": {}})
    assert words in str(raised.value)
    assert len(str(raised.value)) < 250_000


def test_a_table_from_python_is_looked_at_as_well() -> None:
    table = {
        "judge": {"provider": "simulated", "model": "judge"},
        "models": [{"name": "S", "provider": "simulated", "model": "balanced"}],
    }
    with pytest.raises(ConfigError, match=r"dataset\.source: holds half a character"):
        parse_config({**table, "dataset": {"source": "\ud800"}})
    with pytest.raises(ConfigError, match=r"run\.budget_usd: nan is no finite number"):
        parse_config(table, overrides={"run": {"budget_usd": math.nan}})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace('"sample"', '"/dev/zero"'), "/dev/zero cannot be read: it is a device, and only files are read"),
        (lambda text: text.replace('"sample"', f'"{"x" * 300}"'), "cannot be read: File name too long"),
        (lambda text: text.replace('"sample"', '"~nobody-here/x"'), "~nobody-here/x; `source` may also be"),
        (lambda text: text.replace('"sample"', '"hf:a b"'), "hf:a b should be hf:OWNER/NAME"),
        (lambda text: f'{text}[cache]\npath = "{"x" * 300}"', "is too long for a file's name"),
        (lambda text: f'{text}[cache]\npath = "{"x" * 300}/c.duckdb"', "is too long for a file's name"),
        (
            lambda text: f'{text}[cache]\npath = "~nobody-here/x"',
            "bench.toml: cache.path: nobody here has the home folder of '~nobody-here/x'",
        ),
        (lambda text: text.replace('model = "judge"', f'model = "judge"\nrubrics = "{"x" * 300}"'), "is no folder"),
        (lambda text: "#" * 2**24 + text, "bench.toml: is larger than 16 MiB"),
    ],
)
def test_paths_that_cannot_be_end_a_plan_and_a_run_in_one_line(tmp_path: Path, change, words: str) -> None:
    (tmp_path / "bench.toml").write_text(change(BENCH))
    for command in ("plan", "run"):
        done = unisafe(command, cwd=tmp_path, timeout=60)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done
        assert words in done.stderr


def test_a_configuration_with_anything_in_it_is_read_or_refused(tmp_path: Path) -> None:
    chance = random.Random(7)
    pieces = [
        "[",
        "]",
        "{",
        "}",
        "=",
        '"',
        "'",
        "\n",
        ".",
        ",",
        "\\",
        "1e999",
        "-0",
        "0x",
        "1979-05-27",
        "nan",
        "[[models]]",
        "\0",
        "é",
        "true",
    ]
    for _ in range(300):
        text = HOSTED
        for _ in range(chance.randint(1, 4)):
            at, much = chance.randrange(len(text)), chance.choice((0, 0, 1, 5, 30))
            text = text[:at] + "".join(chance.choices(pieces, k=chance.randint(0, 4))) + text[at + much :]
        (tmp_path / "bench.toml").write_text(text, newline="")
        with suppress(ConfigError):
            load_config(tmp_path / "bench.toml")
