"""What a checkpoint needs is told before it is loaded: packages, files that are missing, settings that do not fit it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from unisafe_providers.base import Capabilities, Misconfigured, Request, Text
from unisafe_providers.local import LocalProvider, LocalSettings
from unisafe_providers.local.failures import explain_failure
from unisafe_providers.local.weights import Weights, find_weights

REQUEST = Request(kind="chat", parts=(Text("rain"),))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def checkpoint(folder: Path, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    (folder / "model.safetensors").write_bytes(b"weights" * 1_000)
    return folder


def pipeline(folder: Path, **config: Any) -> Path:
    """A pipeline of two parts with weights, and a scheduler without."""
    index = {"_class_name": "P", "unet": ["diffusers", "U"], "vae": ["diffusers", "V"], "scheduler": ["diffusers", "S"]}
    for part, size in (("unet", 3_000), ("vae", 1_000)):
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text(json.dumps(config if part == "unet" else {}))
        (folder / part / "diffusion_pytorch_model.safetensors").write_bytes(b"w" * size)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    (folder / "model_index.json").write_text(json.dumps({**index, "safety_checker": [None, None], "flag": True}))
    return folder


def found(folder: Path, **options: Any) -> Weights:
    return find_weights(LocalSettings(**{"library": "transformers", "model": str(folder), **options}))


@pytest.mark.parametrize(
    ("method", "needed"),
    [
        ("gptq", "gptqmodel and optimum: pip install gptqmodel optimum"),
        ("awq", "gptqmodel: pip install gptqmodel"),
        ("compressed-tensors", "compressed-tensors: pip install compressed-tensors"),
        ("quanto", "optimum-quanto: pip install optimum-quanto"),
        ("hqq", "hqq: pip install hqq"),
    ],
)
async def test_a_quantized_checkpoint_says_what_package_it_needs(method: str, needed: str, tmp_path: Path) -> None:
    """None of these packages comes with the extra `local`."""
    folder = checkpoint(tmp_path / "m", quantization_config={"quant_method": method, "bits": 4})
    async with LocalProvider(LocalSettings(library="transformers", model=str(folder)), Capabilities(), ["cpu"]) as provider:
        with pytest.raises(Misconfigured) as raised:
            await provider.call(REQUEST)
    assert str(raised.value) == f"{folder}: is quantized by {method}, which needs {needed}"


@pytest.mark.parametrize(
    "config",
    [
        {"quantization_config": {"quant_method": "fp8"}},
        {"quantization_config": {"quant_method": "mxfp4"}},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
        {"quantization_config": {"load_in_8bit": True}},
        {"text_config": {"quantization_config": {"quant_method": "bitsandbytes"}}},
        {"quantization_config": {"quant_method": "a-method-of-tomorrow"}},
    ],
)
def test_one_that_needs_nothing_or_nothing_that_is_missing_is_loaded(config: dict[str, Any], tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m", **config)
    assert not found(folder).obstacle
    assert found(folder, quantization="4bit").obstacle.endswith("leave quantization out"), "and it cannot be quantized again"


def test_a_quantized_part_of_a_pipeline_counts_too(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "p", quantization_config={"quant_method": "bitsandbytes"})
    assert not found(folder, library="diffusers").obstacle
    assert "is quantized already (bitsandbytes)" in found(folder, library="diffusers", quantization="8bit").obstacle


@pytest.mark.parametrize(
    ("options", "module", "words"),
    [
        ({"quantization": "4bit"}, "bitsandbytes", 'quantization = "4bit" needs bitsandbytes: pip install bitsandbytes'),
        (
            {"attn": "flash_attention_2"},
            None,
            'attn = "flash_attention_2" needs a package: pip install kernels, or pip install flash-',
        ),
    ],
)
def test_a_setting_whose_package_is_missing_says_so(
    options: dict[str, str], module: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint(tmp_path / "m")
    if module is not None:
        assert not found(folder, **options).obstacle
        monkeypatch.setitem(sys.modules, module, ModuleType(module))  # one without a spec cannot be imported
    assert words in found(folder, **options).obstacle


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ModuleNotFoundError("No module named 'timm'", name="timm"),
            "m: a package is missing: No module named 'timm': pip install timm",
        ),
        (ModuleNotFoundError("No module named 'gguf'", name="gguf"), "gguf is not installed: pip install 'unisafe-async[local]'"),
        (
            ImportError("Loading an X model requires x (`pip install 'x>=2'`) or so"),
            "m: a package is missing: Loading an X model requires x: pip install 'x>=2'",
        ),
    ],
)
def test_a_package_that_a_library_misses_is_one_line_with_its_command(error: ImportError, words: str) -> None:
    assert words in explain_failure(error, LocalSettings(library="transformers", model="m"), None)


# ---------------------------------------------------------------- files


def test_shards_that_are_not_all_there_are_named(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m")
    names = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": dict(zip("abc", names, strict=True))}))
    assert not found(folder).obstacle, "there is a whole file beside the index"
    (folder / "model.safetensors").rename(folder / names[0])
    assert "2 files are missing, such as model-00002-of-00003.safetensors and model-00003" in found(folder).obstacle
    for name in names[1:]:
        shutil.copy(folder / names[0], folder / name)
    assert not found(folder).obstacle


def test_a_pipeline_that_lacks_a_part_says_which(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "p")
    assert not found(folder, library="diffusers").obstacle
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    assert "vae/*.safetensors is missing there" in found(folder, library="diffusers").obstacle
    shutil.rmtree(folder / "unet")
    assert "2 files are missing, such as unet/ and vae/*.safetensors" in found(folder, library="diffusers").obstacle


def test_with_offload_the_largest_part_of_a_pipeline_has_to_fit(tmp_path: Path) -> None:
    settings = LocalSettings(library="diffusers", model=str(pipeline(tmp_path / "p")))
    weights = find_weights(settings)
    assert weights.measure_held(settings) == weights.size == 4_000
    offloaded = LocalSettings(library="diffusers", model=settings.model, offload=True)
    assert find_weights(offloaded).measure_held(offloaded) == 3_000


def test_a_download_in_half_precision_counts_where_there_is_no_other(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "p")
    for part in ("unet", "vae"):
        (folder / part / "diffusion_pytorch_model.safetensors").rename(folder / part / "diffusion_pytorch_model.fp16.safetensors")
    weights = found(folder, library="diffusers")
    assert (weights.size, weights.obstacle) == (4_000, "")


# ---------------------------------------------------------------- the cache key


async def test_the_cache_keys_of_what_was_paid_for_stay_as_they_were(tmp_path: Path) -> None:
    """Identities as they were computed before models could be spread, offloaded, or kept in full."""
    folder, drawing = tmp_path / "a", tmp_path / "d"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(b"weights" * 1_000)
    (folder / "a.gguf").write_bytes(b"GGUF" + bytes(100))
    (drawing / "unet").mkdir(parents=True)
    (drawing / "model_index.json").write_text("{}")
    (drawing / "unet" / "m.safetensors").write_bytes(b"x" * 1_000)
    every = {"dtype": "float16", "quantization": "4bit", "attn": "sdpa", "draws": True, "extra": {"b": 1, "a": 2}}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"model": str(folder)}, "transformers:afc706b070995f2052bd3a8487c2a1b0:{}"),
        (
            {"model": str(folder), **every},
            'transformers:afc706b070995f2052bd3a8487c2a1b0:{"attn":"sdpa","draws":true,"dtype":"float16","extra":{"a":2,"b":1},'
            '"quantization":"4bit"}',
        ),
        ({"model": str(folder / "a.gguf")}, 'transformers:0d02f7c57c87efdfd49aa0d88ff5ac85:{"gguf_file":"a.gguf"}'),
        (
            {"model": str(folder), "gguf_file": "a.gguf", "memory_gb": 3.0, "batch_size": 3},
            'transformers:0d02f7c57c87efdfd49aa0d88ff5ac85:{"gguf_file":"a.gguf"}',
        ),
        (
            {"library": "diffusers", "model": str(drawing), "steps": 3, "guidance": 2.0, "strength": 0.5, "offload": True},
            'diffusers:0cc07ca4395b1f7d40962f34db4adda7:{"guidance":2.0,"steps":3,"strength":0.5}',
        ),
    ]
    for options, identity in cases:
        settings = LocalSettings(**{"library": "transformers", **options})
        for places in (["cpu"], ["cuda:0+cuda:1"], ["cuda:0", "cuda:1"]):
            async with LocalProvider(settings, Capabilities(), places) as provider:
                assert provider.identity == identity
