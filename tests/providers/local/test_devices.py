"""A device as a worker uses it: one interface to every kind of accelerator, several of them for one model.

There is no accelerator where these tests run. What torch offers for one is a stand-in with the functions of torch.cuda and torch.xpu.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_models import LLAMA, STABLE_DIFFUSION
from unisafe_providers.gpus import Machine
from unisafe_providers.local.settings import LocalSettings

GIB = 1024**3


class Accelerators:
    """What `torch.get_device_module` gives for a kind of which there are some: their free and whole memory in GiB."""

    def __init__(self, *memory: tuple[float, float]) -> None:
        self.memory = memory
        self.weights = [0.0] * len(memory)
        self.peaks = [0.0] * len(memory)
        self.fractions: dict[int, float] = {}
        self.current: Any = None
        self.emptied = 0

    def is_available(self) -> bool:
        return bool(self.memory)

    def device_count(self) -> int:
        return len(self.memory)

    def set_device(self, device: Any) -> None:
        self.current = device

    def mem_get_info(self, device: Any) -> tuple[int, int]:
        free, total = self.memory[device.index]
        return int(free * GIB), int(total * GIB)

    def get_device_properties(self, device: Any) -> Any:
        return SimpleNamespace(total_memory=int(self.memory[device.index][1] * GIB))

    def set_per_process_memory_fraction(self, fraction: float, device: Any) -> None:
        self.fractions[device.index] = fraction

    def memory_allocated(self, device: Any) -> int:
        return int(self.weights[device.index] * GIB)

    def memory_reserved(self, device: Any) -> int:
        return self.memory_allocated(device)

    def max_memory_allocated(self, device: Any) -> int:
        return int(self.peaks[device.index] * GIB)

    def reset_peak_memory_stats(self, device: Any) -> None:
        self.peaks[device.index] = self.weights[device.index]

    def empty_cache(self) -> None:
        self.emptied += 1


def have(monkeypatch: pytest.MonkeyPatch, kind: str, accelerators: Accelerators) -> None:
    """Let torch have these accelerators, and no others."""
    import torch

    def get_device_module(wanted: str) -> Any:
        if wanted != kind:
            raise RuntimeError(f"Expected one of cpu, cuda ... device type at start of device string: {wanted}")
        return accelerators

    monkeypatch.setattr(torch, "get_device_module", get_device_module)
    monkeypatch.setattr(torch.accelerator, "is_available", accelerators.is_available)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device(kind))


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_memory_of_several_gpus_is_counted_together(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from unisafe_providers.local.device import Device, NotEnoughMemory

    gpus = Accelerators((20, 24), (10, 24), (1, 24))
    have(monkeypatch, kind, gpus)
    device = Device(f"{kind}:0+{kind}:1", shown=f"{kind}:4+{kind}:5")
    device.settle()
    assert (str(gpus.current), device.name) == (f"{kind}:0", f"{kind}:4+{kind}:5")
    assert device.read_memory() == (18 * GIB, 48 * GIB)
    assert device.read_free() == 30 * GIB
    device.check_room(29 * GIB)
    with pytest.raises(NotEnoughMemory, match=rf"need at least 31\.0 GiB and {kind}:4\+{kind}:5 has 30\.0 GiB free"):
        device.check_room(31 * GIB)
    assert "18.0 of 48.0 GiB used" in device.describe_shortage("out of memory")
    gpus.weights = [4, 13, 24]
    for peaks, fits in (([5, 14, 24], True), ([5, 19, 24], False), ([14, 14, 24], False)):
        device.reset_peak()
        gpus.peaks = [float(peak) for peak in peaks]
        assert device.has_headroom() == fits, "the fullest decides, and the third is not its own"
    device.give_back()
    assert gpus.emptied == 1


def test_a_limit_holds_for_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from unisafe_providers.local.device import Device

    gpus = Accelerators((20, 24), (4, 8))
    have(monkeypatch, "cuda", gpus)
    device = Device("cuda:0+cuda:1", memory_gb=6)
    device.settle()
    assert gpus.fractions == {0: 0.25, 1: 0.75}
    assert device.read_free_of_each() == {0: 6 * GIB, 1: 4 * GIB}
    assert device.place_weights() == {"device_map": "auto", "max_memory": {0: int(5.4 * GIB), 1: int(3.6 * GIB)}}
    assert Device("cuda:1").place_weights() == {"device_map": {"": "cuda:1"}}


def test_auto_is_the_accelerator_that_torch_has(monkeypatch: pytest.MonkeyPatch) -> None:
    from unisafe_providers.local.device import Device

    have(monkeypatch, "xpu", Accelerators((20, 24)))
    assert Device("auto", shown="auto").name == "xpu:0"
    have(monkeypatch, "xpu", Accelerators())
    assert Device("auto", shown="auto").name == "cpu"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("xpu:0", "device 'xpu:0' was asked for, but there is no Intel GPU that this torch"),
        ("npu:0", "device 'npu:0' was asked for, but there is no Ascend NPU that this torch"),
        ("cuda:2", "device 'cuda:2' was asked for, but there are 1 GPUs, from cuda:0"),
        ("cuda:0+cuda:1", r"device 'cuda:0\+cuda:1' was asked for, but there are 1 GPUs"),
    ],
)
def test_a_device_that_is_not_there_is_named(wanted: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from unisafe_providers.local.device import Device, NoDevice

    have(monkeypatch, "cuda", Accelerators((20, 24)))
    with pytest.raises(NoDevice, match=words):
        Device(wanted)


def test_a_model_is_spread_in_layers_and_never_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers' own plan for a model on two GPUs that each hold a part of it."""
    import torch
    import transformers
    from transformers.integrations import accelerate
    from unisafe_providers.local.device import Device, NotEnoughMemory

    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(LLAMA.build(tmp_path / "l")))
    whole = sum(weights.numel() * weights.itemsize for weights in model.parameters()) / GIB
    for share, fits in ((0.9, True), (0.3, False)):
        have(monkeypatch, "cuda", Accelerators((share * whole, 24), (share * whole, 24)))
        device = Device("cuda:0+cuda:1")
        options = device.place_weights()
        placed = accelerate._get_device_map(model, options["device_map"], options["max_memory"], None)
        if fits:
            device.check_placement(placed)
            assert set(placed.values()) == {0, 1}
        else:
            with pytest.raises(NotEnoughMemory, match=r"its layers do not fit on cuda:0\+cuda:1: some would be left on disk"):
                device.check_placement(placed)


def test_offload_needs_a_gpu(tmp_path: Path) -> None:
    from unisafe_providers.local.device import Device
    from unisafe_providers.local.failures import Unsupported
    from unisafe_providers.local.worker import load_engine

    settings = LocalSettings(library="diffusers", model=str(STABLE_DIFFUSION.build(tmp_path / "sd")), offload=True)
    with pytest.raises(Unsupported, match="offload saves the memory of a GPU, and cpu is none; leave offload out"):
        load_engine(settings, Device("cpu"))


def test_a_model_that_is_to_be_spread_where_no_gpu_is_names_the_key_alone(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from unisafe_providers.local.device import Device, NoDevice
    from unisafe_providers.workers.places import choose_places

    if torch.accelerator.is_available():
        pytest.skip("there is a GPU")
    (place,) = choose_places("auto", [], True, Machine(tmp_path, {"PATH": ""}))
    assert "cuda" not in place
    with pytest.raises(NoDevice, match="`spread` takes all GPUs, and there is none here"):
        Device(place)
