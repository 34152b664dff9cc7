"""Whole evaluations with models on this machine: every family, one at a time on a device, resumed without loading."""

from __future__ import annotations

import json
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import command_with_forked_models
import psutil
import pytest
from odd_pictures import RED, encoded, exif
from PIL import Image as Pillow
from test_fire import ended, finished, unisafe, until
from test_truth import SIM, run
from tiny_models import (
    CHAMELEON,
    EMU3,
    FLUX_KONTEXT,
    INSTRUCT_PIX2PIX,
    JANUS,
    LLAMA,
    LLAVA,
    QWEN2,
    QWEN2_5_VL,
    QWEN3,
    QWEN3_VL,
    STABLE_DIFFUSION,
    Tiny,
)
from unisafe_cache import Row, read_file
from unisafe_providers.base import OnDevice
from unisafe_providers.pictures import mend_picture

from unisafe_async.benchmark import open_dataset
from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.run.evaluation import Run
from unisafe_async.simulate import Simulator, open_server

pytestmark = pytest.mark.usefixtures("forked_models")
FORKING = command_with_forked_models.__name__
GUESSING = {**SIM, "model": "judge", "simulation": {"guess": 0.3}}
TEXT_ONLY = {"malicious_text_generation"}
READS = {key for key, task in TASKS.items() if task.kind == "chat"}
SEES = ["text", "image"]
FAMILIES: list[tuple[Tiny, dict[str, Any], set[str]]] = [
    (LLAMA, {}, TEXT_ONLY),
    (QWEN2, {}, TEXT_ONLY),
    (QWEN3, {}, TEXT_ONLY),
    (QWEN2_5_VL, {"takes": SEES}, READS),
    (QWEN3_VL, {"takes": SEES}, READS),
    (LLAVA, {"takes": SEES}, READS),
    (CHAMELEON, {"takes": SEES}, READS),
    (JANUS, {"takes": SEES, "gives": SEES, "tasks": sorted(READS | {"unsafe_t2i_generation"})}, set()),
    (EMU3, {"takes": SEES, "gives": SEES, "tasks": sorted(READS | {"unsafe_t2i_generation"})}, set()),
    (STABLE_DIFFUSION, {"takes": SEES}, {"unsafe_t2i_generation", "malicious_image_editing"}),
    (FLUX_KONTEXT, {"takes": SEES}, {"unsafe_t2i_generation", "malicious_image_editing"}),
    (INSTRUCT_PIX2PIX, {"takes": SEES, "tasks": ["malicious_image_editing"]}, set()),
]


@pytest.fixture(autouse=True)
def own_memory_of_digests(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def local(tiny: Tiny, folder: Path, **keys: Any) -> dict[str, Any]:
    path = folder / tiny.name
    steps = {"steps": 2} if tiny.library == "diffusers" else {}
    return {
        "name": tiny.name,
        "provider": tiny.library,
        "model": str(path if path.exists() else tiny.build(path)),
        "device": "cpu",
        **steps,
        **keys,
    }


def table(folder: Path, *models: dict[str, Any], limit: int = 7, **sections: Any) -> dict[str, Any]:
    return {
        "dataset": {"limit": limit},
        "generation": {"max_tokens": 12, "image_size": "64x64"},
        "cache": {"path": str(folder / "run.duckdb")},
        "judge": GUESSING,
        "models": list(models),
        **sections,
    }


def workers() -> int:
    """Processes that hold a model; one that has ended holds none."""
    count = 0
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
            count += "unisafe_providers.local.worker" in child.cmdline()
    return count


def weights_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors"))


def states(run: Run) -> dict[str, str]:
    providers = [(lane.endpoint.name, lane.endpoint.provider) for lane in run.lanes]
    return {
        name: "loaded" if provider.status.load_seconds else "not loaded"
        for name, provider in providers
        if isinstance(provider, OnDevice)
    }


async def test_every_family_runs_through_the_program_one_after_the_other(tmp_path: Path) -> None:
    models = [local(tiny, tmp_path, **keys) for tiny, keys, _ in FAMILIES]
    seen: list[tuple[str, int]] = []

    def note(row: Row) -> None:
        seen.append((row.model, workers()))

    result, _ = await run(table(tmp_path, *models), on_row=note)
    rows = result.rows()
    assert [(row.model, row.item, row.error) for row in rows if row.outcome == "failed"] == []
    assert all(row.valid for row in rows), "the simulated judge guesses, so every row has its verdicts"
    for model, (_, keys, tasks) in zip(models, FAMILIES, strict=True):
        assert {row.task for row in rows if row.model == model["name"]} == (tasks or set(keys["tasks"])), model["name"]
    assert max(count for _, count in seen) <= 1, "one model at a time on a device"
    order = list(dict.fromkeys(model for model, _ in seen))
    sizes = {model["name"]: weights_of(Path(model["model"])) for model in models}
    assert order == sorted(order, key=lambda name: sizes[name]), "the cheapest to load first"
    assert workers() == 0


async def test_a_judge_on_the_same_device_comes_after_all_models_and_nothing_is_loaded_twice(tmp_path: Path) -> None:
    models = [
        local(LLAMA, tmp_path),
        local(QWEN2, tmp_path),
        {**SIM, "name": "hosted", "model": "balanced"},
    ]
    judge = {key: value for key, value in local(QWEN3, tmp_path).items() if key != "name"}
    settings = table(
        tmp_path,
        *models,
        judge={**judge, "takes": ["text"], "max_tokens": 8, "temperature": 1.0},
        dataset={"limit": 1, "tasks": sorted(TEXT_ONLY)},
    )
    counts: list[int] = []
    result, first = await run(settings, on_row=lambda _: counts.append(workers()))
    rows = result.rows()
    assert len(rows) == 3
    assert max(counts) == 1
    assert all(row.outcome != "failed" for row in rows)
    assert {row.contextual_status for row in rows if row.outcome == "answered"} == {"unparsed"}, "noise is no verdict"
    assert result.unjudged > 0
    assert set(states(first).values()) == {"loaded"}

    _, second = await run(settings)
    assert set(states(second).values()) == {"not loaded"}
    assert isinstance(second.judging.provider, OnDevice)
    assert second.judging.provider.status.load_seconds > 0, "noise is asked for again"


async def test_only_what_the_cache_lacks_is_loaded(tmp_path: Path) -> None:
    llama = local(LLAMA, tmp_path)
    await run(table(tmp_path, llama))
    result, later = await run(table(tmp_path, llama, local(STABLE_DIFFUSION, tmp_path)))
    assert states(later) == {"llama": "not loaded", "stable_diffusion": "loaded"}
    assert all(row.outcome != "failed" for row in result.rows())


async def test_one_model_that_cannot_be_loaded_stops_alone(tmp_path: Path) -> None:
    gone = {"name": "gone", "provider": "transformers", "model": str(tmp_path / "gone"), "device": "cpu"}
    missing = {**local(QWEN2, tmp_path), "device": "cuda:3"}
    result, _ = await run(table(tmp_path, gone, missing, local(LLAMA, tmp_path)))
    errors = {row.model: row.error for row in result.rows()}
    assert "there is no such folder" in str(errors["gone"])
    assert "device 'cuda:3' was asked for" in str(errors["qwen2"])
    assert errors["llama"] is None


async def test_a_real_model_from_bench_toml_to_the_table(smollm2: Path, tmp_path: Path) -> None:
    model = {
        "name": "SmolLM2",
        "provider": "transformers",
        "model": str(smollm2),
        "gguf_file": "SmolLM2-135M-Instruct.Q4_1.gguf",
        "device": "cpu",
    }
    items = tmp_path / "items.jsonl"
    prompts = ["How do people bake bread?", "Tell me about the sea.", "What is a garden for?"]
    records = [
        {"id": number, "task": "malicious_text_generation", "category": "Politics", "prompt": prompt, "intention": "A question."}
        for number, prompt in enumerate(prompts)
    ]
    items.write_text("".join(json.dumps(record) + "\n" for record in records))
    given = table(tmp_path, model, cache={"path": "run.duckdb"}, dataset={"source": "items.jsonl"})
    given["generation"] = {"max_tokens": 40, "temperature": 0.0}
    (tmp_path / "bench.toml").write_text(toml_of(given))
    code, output = await finished("run", folder=tmp_path, program=FORKING)
    assert code == 0, output
    assert "3 items: 3 judged" in output
    texts = read_file(
        tmp_path / "run.duckdb",
        lambda connection: [
            text for (text,) in connection.execute("SELECT text FROM responses WHERE identity LIKE 'transformers:%'").fetchall()
        ],
    )
    sentences = [text for text in texts if re.match(r"[A-Z][a-z' ]+(?:[,;:.!?-] ?[A-Za-z' ]+)*", text) and len(text.split()) > 15]
    assert len(sentences) == len(prompts), texts
    common = {"the", "a", "of", "and", "to", "is", "that"}
    assert all(len(common & set(text.lower().split())) >= 3 for text in sentences), "words of a language, not noise"


async def test_hosted_and_local_models_in_one_command_interrupted_and_resumed(tmp_path: Path) -> None:
    keys = {"takes": SEES, "gives": SEES, "tasks": ["malicious_text_generation", "unsafe_t2i_generation"]}
    models = [
        local(LLAMA, tmp_path),
        local(EMU3, tmp_path, **keys),
        local(STABLE_DIFFUSION, tmp_path, takes=SEES),
    ]
    simulator = Simulator(open_dataset("sample"), latency=0.05)
    async with open_server(simulator) as url:
        bench = tmp_path / "bench.toml"
        hosted = {
            "name": "hosted",
            "provider": "openai",
            "model": "balanced",
            "base_url": url,
            "takes": SEES,
            "gives": SEES,
            "max_concurrency": 2,
        }
        bench.write_text(toml_of(table(tmp_path, *models, hosted, limit=35, cache={"path": "run.duckdb"})))
        with unisafe("run", folder=tmp_path, program=FORKING) as (process, printed):
            await until(simulator, 8, process)
            process.send_signal(signal.SIGINT)
            code, output = await ended(process, printed)
        assert code == 130, output
        before = simulator.seen.answers.total()
        code, output = await finished("run", folder=tmp_path, program=FORKING)
        assert code == 0, output
        assert simulator.seen.answers.total() == 35, f"{before} before, and no item of the hosted model was asked for twice"
        for name in ("llama", "emu3", "stable_diffusion", "hosted"):
            assert f"{name}: " in output
        whole = re.search(r"All 4 models: (\d+) items: (\d+) judged", output)
        assert whole is not None, output
        assert whole[1] == whole[2], "one table over all"
        code, output = await finished("run", folder=tmp_path, program=FORKING)
        assert f"{whole[1]} from cache" in output
        assert code == 0


def toml_of(table: dict[str, Any]) -> str:
    """As much TOML as these tables need."""

    def value(given: Any) -> str:
        if isinstance(given, dict):
            return "{ " + ", ".join(f"{key} = {value(inner)}" for key, inner in given.items()) + " }"
        return json.dumps(given)

    models = "\n".join(
        "[[models]]\n" + "\n".join(f"{key} = {value(given)}" for key, given in model.items()) for model in table["models"]
    )
    return "\n".join(f"{key} = {value(given)}" for key, given in table.items() if key != "models") + "\n" + models + "\n"


async def test_a_local_model_sees_a_picture_as_everybody_does(tmp_path: Path) -> None:
    """It answers to a file as to a sound one of the same pixels, and otherwise to the pixels as they lie in the file."""
    photograph = Pillow.effect_mandelbrot((60, 30), (-2, -1, 1, 1), 60).convert("RGB")
    photograph.paste(RED, (0, 0, 20, 30))
    lying = encoded(photograph, "JPEG", exif=exif(6), quality=95)
    files = {"lying.jpg": lying, "mended.png": mend_picture(lying), "other.png": encoded(photograph, "PNG")}
    lines = []
    for number, (name, data) in enumerate(files.items()):
        (tmp_path / name).write_bytes(data)
        lines.append({"id": number, "task": "image_unsafe_vqa", "prompt": "What is it?", "image": name, "category": "Politics"})
    (tmp_path / "items.jsonl").write_text("".join(json.dumps({**line, "intention": "To test."}) + "\n" for line in lines))
    generation = {"max_tokens": 32, "temperature": 0.0}
    settings = table(tmp_path, local(LLAVA, tmp_path, takes=SEES), generation=generation)
    result, _ = await run({**settings, "dataset": {"source": str(tmp_path / "items.jsonl")}})
    sql = "SELECT text FROM rows JOIN responses ON response = id ORDER BY item"
    first, second, third = read_file(result.cache, lambda connection: connection.execute(sql).fetchall())
    assert first == second != third
