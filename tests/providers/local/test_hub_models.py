"""A model of the hub: what is in the cache, what is to be downloaded, and what is told before anything starts."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_hub import COMMIT, FakeHub, serving
from forked import unisafe
from huggingface_hub import constants
from tiny_models import LLAMA
from unisafe_providers.base import Capabilities, Misconfigured, Request, Response, Text
from unisafe_providers.local import LocalProvider, LocalSettings
from unisafe_providers.local.weights import find_weights
from unisafe_providers.workers.worker import Worker

SETTINGS = LocalSettings(library="transformers", model="org/name")
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
REQUEST = Request(kind="chat", parts=(Text("rain"),), max_tokens=4, temperature=0.0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """A model of two files of weights, as large models are stored."""
    folder = tmp_path / "sharded"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": dict(zip("ab", SHARDS, strict=True))}))
    for name in SHARDS:
        (folder / name).write_bytes(b"w" * 1_000)
    return folder


@pytest.fixture
def hub(sharded: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving(sharded) as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        yield found


def put_into_cache(tmp_path: Path, folder: Path, *names: str) -> None:
    """What a download leaves that was stopped after these files."""
    base = tmp_path / "home" / "hub" / "models--org--name"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text(COMMIT)
    for name in names:
        (base / "snapshots" / COMMIT / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, base / "snapshots" / COMMIT / name)


HALF = ("config.json", "model.safetensors.index.json", SHARDS[0])


def test_a_whole_model_in_the_cache_asks_nobody(tmp_path: Path, sharded: Path) -> None:
    put_into_cache(tmp_path, sharded, *HALF, SHARDS[1])
    weights = find_weights(SETTINGS)
    assert (weights.identity, weights.size, weights.download, weights.obstacle) == (f"org/name@{COMMIT}", 2_000, 0, "")


@pytest.mark.parametrize(
    ("names", "size", "download"), [(("config.json",), 2_000, 2_000), (HALF, 2_000, 1_000), ((), 2_000, 2_000)]
)
def test_of_half_a_model_it_is_said_that_the_rest_is_downloaded(
    names: tuple[str, ...], size: int, download: int, tmp_path: Path, sharded: Path, hub: FakeHub
) -> None:
    if names:
        put_into_cache(tmp_path, sharded, *names)
    weights = find_weights(SETTINGS)
    assert (weights.identity, weights.size, weights.download) == (f"org/name@{COMMIT}", size, download)
    assert not weights.obstacle
    assert not hub.downloaded


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (("config.json",), "*.safetensors is missing"),
        (HALF, f"{SHARDS[1]} is missing"),
        (HALF[:2], f"2 files are missing, such as {SHARDS[0]} and {SHARDS[1]}"),
    ],
)
@pytest.mark.parametrize("offline", [True, False])
async def test_half_a_model_without_the_hub_names_what_is_missing_and_is_known_all_the_same(
    names: tuple[str, ...], missing: str, offline: bool, tmp_path: Path, sharded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers may be in the cache of an earlier run, and they are found by its commit."""
    put_into_cache(tmp_path, sharded, *names)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    why = "and HF_HUB_OFFLINE is set" if offline else "and the hub cannot be reached (ConnectError)"
    async with LocalProvider(SETTINGS, Capabilities(), ["cpu"]) as provider:
        assert provider.identity == f"transformers:org/name@{COMMIT}:{{}}"
        with pytest.raises(Misconfigured) as raised:
            await provider.call(REQUEST)
    assert str(raised.value).startswith(f"model org/name: is not all in the hub's cache ({missing}), {why}")
    assert "run `hf download org/name` where there is a network" in str(raised.value)


@pytest.mark.parametrize("names", [(), ("config.json",)])
async def test_a_gate_that_is_closed_is_told_before_anything_starts(
    names: tuple[str, ...], tmp_path: Path, sharded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub lists a gated model for everybody, and gives its files to those who accepted its terms."""
    if names:
        put_into_cache(tmp_path, sharded, *names)
    with serving(sharded, gated="manual") as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        async with LocalProvider(SETTINGS, Capabilities(), ["cpu"]) as provider:
            assert provider.identity == f"transformers:org/name@{COMMIT}:{{}}"
            with pytest.raises(
                Misconfigured, match=r"is gated; accept its terms at https://huggingface.co/org/name, then run `hf auth"
            ):
                await provider.call(REQUEST)


def test_a_checkpoint_at_the_hub_says_how_it_is_quantized(sharded: Path, hub: FakeHub) -> None:
    (sharded / "config.json").write_text('{"model_type": "llama", "quantization_config": {"quant_method": "gptq", "bits": 4}}')
    assert (
        "is quantized by gptq, which needs gptqmodel and optimum: pip install gptqmodel optimum" in find_weights(SETTINGS).obstacle
    )


def test_a_file_that_the_hub_does_not_have_is_named(sharded: Path, hub: FakeHub) -> None:
    (sharded / "small.gguf").write_bytes(b"GGUF")
    settings = LocalSettings(library="transformers", model="org/name", gguf_file="large.gguf")
    assert "there is no GGUF file 'large.gguf' in it; there: small.gguf" in find_weights(settings).obstacle


def test_a_download_that_fits_on_no_disk_is_told(sharded: Path, hub: FakeHub) -> None:
    hub.enlarged = 10**16
    assert "0 GB are to be downloaded, and there are " in find_weights(SETTINGS).obstacle


BENCH = """
[[models]]
name = "half"
provider = "transformers"
model = "org/name"
tasks = ["malicious_text_generation"]

[judge]
provider = "simulated"
model = "judge"
"""


def test_doctor_tells_what_is_missing_and_what_will_be_downloaded_and_loads_nothing(
    tmp_path: Path, sharded: Path, hub: FakeHub
) -> None:
    put_into_cache(tmp_path, sharded, *HALF)
    (tmp_path / "bench.toml").write_text(BENCH)
    for variables, code, words in (
        ({"HF_HUB_OFFLINE": "1"}, 1, f"is not all in the hub's cache ({SHARDS[1]} is missing), and HF_HUB_OFFLINE is set"),
        ({"HF_ENDPOINT": hub.url}, 0, "0.0 MB of its weights are not here: the first load downloads them from the hub"),
    ):
        done = unisafe("doctor", "--free", cwd=tmp_path, env={**os.environ, "COLUMNS": "300", **variables})
        assert words in " ".join(done.stdout.split()), done
        assert done.returncode == code
    assert not hub.downloaded


@pytest.mark.usefixtures("sharded")
async def test_a_download_shows_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with serving(LLAMA.build(tmp_path / "llama")) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        async with LocalProvider(SETTINGS, Capabilities(), ["cpu"]) as provider:
            told = provider.note_event

            def note(worker: Worker, head: dict[str, Any]) -> None:
                told(worker, head)
                said.append(provider.status.said)

            provider.note_event = note  # type: ignore[method-assign]
            assert provider.notes == ["0.2 MB of its weights are not here: the first load downloads them from the hub"]
            answer = await provider.call(REQUEST)
            assert isinstance(answer, Response)
            assert provider.status.heard > 0
        assert "model.safetensors" in hub.downloaded
    assert any(words == "downloading model.safetensors: 0.2 MB of 0.2 MB" for words in said), said
    assert any(words.startswith("Loading weights: ") for words in said), said
    assert find_weights(SETTINGS).download == 0
    assert find_weights(SETTINGS).identity == f"org/name@{COMMIT}", "it is found without the hub, though no branch names it"
