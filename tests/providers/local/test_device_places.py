"""Where bench.toml puts a local model: one device, copies, or one model over several GPUs; and what a worker then sees of it all."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from unisafe_providers.base import Capabilities, Misconfigured, Request, Text
from unisafe_providers.local import LocalProvider, LocalSettings, process

from unisafe_async import ConfigError, parse_config
from unisafe_async.run.devices import Devices
from unisafe_async.run.endpoints import provider_of

JUDGE = {"provider": "simulated", "model": "judge"}
UUIDS = ("GPU-aaaa", "GPU-bbbb", "GPU-cccc")


def parsed(**keys: Any) -> Any:
    library = keys.pop("provider", "transformers")
    model = {"name": "m", "model": "org/name", "provider": library, **keys}
    return parse_config({"models": [model], "judge": JUDGE}).models[0]


@pytest.fixture
def three_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which `nvidia-smi` lists three GPUs."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    lines = "".join(f"GPU {place}: NVIDIA H100 (UUID: {uuid})\n" for place, uuid in enumerate(UUIDS))
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("keys", "devices"),
    [
        ({"device": "cuda:2"}, ("cuda:2",)),
        ({"device": ["cuda:0", "cuda:1"]}, ("cuda:0", "cuda:1")),
        ({"device": "MIG-1111"}, ("MIG-1111",)),
        ({"devices": ["cuda:0", "cuda:2"]}, ("cuda:0", "cuda:2")),
        ({"devices": "all"}, ("cuda:0", "cuda:1", "cuda:2")),
        ({"devices": [["cuda:0", "cuda:1"], "cuda:2"]}, ("cuda:0", "cuda:1", "cuda:2")),
        ({"spread": True}, ("cuda:0", "cuda:1", "cuda:2")),
        ({"device": "npu:1"}, ("npu:1",)),
    ],
)
@pytest.mark.usefixtures("three_gpus")
def test_a_model_takes_turns_on_all_of_its_devices(keys: dict[str, Any], devices: tuple[str, ...]) -> None:
    provider = provider_of(parsed(**keys), Path())
    assert provider.devices == devices  # type: ignore[attr-defined]
    assert Devices.of(provider) == frozenset(devices)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"device": "cpu", "devices": ["cpu"]}, "devices: stands beside `device`; keep one of the two"),
        ({"devices": ["cuda", "cuda:0"]}, "devices: names a device twice"),
        ({"devices": [["cuda:0", "cuda:1"], "cuda:1"]}, "devices: names a device twice"),
        ({"device": ["cuda:0", "cuda:0"]}, "device: names a device twice"),
        ({"device": []}, "device: needs at least one entry"),
        ({"device": ["cuda:0", "gpu"]}, "device[1]: should look like auto, cpu, cuda:0"),
        ({"device": 3}, "device: should be a text, found 3"),
        ({"devices": "some"}, "devices: should be one of 'all', found 'some'"),
        (
            {"device": ["cuda:0", "cpu"]},
            "device: a model is spread over GPUs that are named, such as cuda:0 and cuda:1, and not over",
        ),
        ({"devices": [["auto", "cuda:1"]]}, "devices: a model is spread over GPUs that are named"),
        ({"device": ["cuda:0", "xpu:0"]}, "device: a model is spread over GPUs of one kind, and not over cuda:0 and xpu:0"),
        ({"device": ["MIG-1", "MIG-2"]}, "device: a process sees one MIG part only"),
        ({"spread": True, "device": "cpu"}, "spread: takes all GPUs, and `device` is cpu; keep one of the two"),
        ({"spread": True, "device": ["cuda:0", "cuda:1"]}, "spread: stands beside a list in `device`"),
        ({"spread": True, "devices": "all"}, "spread: stands beside `devices`; for copies that are spread"),
        ({"model": "a/b.gguf", "quantization": "4bit"}, "quantization: a GGUF file is quantized already; keep one of the two"),
        ({"provider": "diffusers", "offload": True, "device": "cpu"}, "offload: saves the memory of a GPU, and there is none"),
        ({"provider": "diffusers", "offload": True, "spread": True}, "offload: keeps a pipeline in the memory of one GPU"),
        ({"provider": "diffusers", "offload": True, "quantization": "8bit"}, "offload: stands beside `quantization`"),
        ({"offload": True}, "offload: goes with"),
    ],
)
def test_a_mistake_is_named_by_its_key(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parsed(**keys)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"bench.toml: models[0].{message}")


# ---------------------------------------------------------------- what a worker sees

TELLING = """
import json, os, sys
json.dump(dict(os.environ), open(sys.argv[1], "w"))
sys.stdin.buffer.read(1)
"""


@pytest.mark.usefixtures("three_gpus")
async def test_a_worker_sees_its_own_gpus_and_no_key_of_an_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"weights")
    secrets = dict.fromkeys(
        ("OPENAI_API_KEY", "MY_VENDOR", "HF_API_KEY", "VLLM_KEY", "SGLANG_TOKEN", "UNISAFE_ACCESS_KEY_ID"), "sk-1"
    )
    kept = {
        "HF_HOME": str(tmp_path),
        "HF_TOKEN": "five",
        "OMP_NUM_THREADS": "1",
        "https_proxy": "http://proxy:1",
        "LANG": "C.UTF-8",
    }
    for name, value in {**secrets, **kept}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", TELLING, str(tmp_path / "seen.json")))
    settings = LocalSettings(library="transformers", model=str(tmp_path / "model"))
    async with LocalProvider(settings, Capabilities(), ["cuda:1+cuda:2"]) as provider:
        assert provider.notes == []
        with pytest.raises(Exception, match="ended"):
            await provider.call(Request(kind="chat", parts=(Text("rain"),)))
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["CUDA_VISIBLE_DEVICES"] == "GPU-bbbb,GPU-cccc"
    assert {name: seen.get(name) for name in kept} == kept
    assert not secrets.keys() & seen.keys()


@pytest.mark.usefixtures("three_gpus")
async def test_auto_says_that_other_gpus_are_idle(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    async with LocalProvider(LocalSettings(library="transformers", model=str(tmp_path)), Capabilities()) as provider:
        assert provider.notes == ['device = "auto" takes the first GPU, and 2 more are idle; devices = "all" puts a copy on each']


@pytest.mark.usefixtures("three_gpus", "forked_models")
async def test_a_device_that_torch_does_not_have_is_named_as_people_call_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    settings = LocalSettings(library="transformers", model=str(tmp_path))
    async with LocalProvider(settings, Capabilities(), ["cuda:1+cuda:2"]) as provider:
        with pytest.raises(Misconfigured, match=r"device 'cuda:1\+cuda:2' was asked for, but there is no CUDA GPU that this torch"):
            await provider.call(Request(kind="chat", parts=(Text("rain"),)))
