"""Which GPUs a machine has, what they are called, and that a model's process sees its own alone; the machines are folders here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from unisafe_providers.gpus import Machine

TWO = "GPU 0: NVIDIA H100 (UUID: GPU-aaaa)\nGPU 1: NVIDIA H100 (UUID: GPU-bbbb)\n"
DIVIDED = (
    "GPU 0: NVIDIA A100 (UUID: GPU-aaaa)\n"
    "  MIG 1g.5gb      Device  0: (UUID: MIG-1111)\n"
    "  MIG 1g.5gb      Device  1: (UUID: MIG-2222)\n"
    "GPU 1: NVIDIA A100 (UUID: GPU-bbbb)\n"
)


def machine(root: Path, *files: str, listing: str = "", **environment: str) -> Machine:
    """A Linux machine with these files, and with an `nvidia-smi` that prints `listing`."""
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("simd_count 304\n" if name.endswith("properties") else "")
    programs = root / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    if listing:
        program = programs / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{listing}END\n")
        program.chmod(0o755)
    return Machine(root, {"PATH": f"{programs}{os.pathsep}/bin{os.pathsep}/usr/bin", **environment}, "linux")


@pytest.mark.parametrize(
    ("files", "listing", "environment", "gpus", "auto"),
    [
        ((), "", {}, (), "cpu"),
        (("dev/nvidia0", "dev/nvidia1"), TWO, {}, ("GPU-aaaa", "GPU-bbbb"), "cuda:0"),
        (("dev/nvidia0",), DIVIDED, {}, ("MIG-1111", "MIG-2222", "GPU-bbbb"), "cuda:0"),
        (("dev/nvidia3", "dev/nvidia5", "dev/nvidiactl"), "", {}, ("0", "1"), "cuda:0"),
        (("proc/driver/nvidia/version",), "", {}, ("0",), "cuda:0"),
        (("dev/dxg",), "", {}, ("0",), "cuda:0"),
        (("dev/kfd",), "", {}, ("0",), "cuda:0"),
        (
            ("dev/kfd", *(f"sys/class/kfd/kfd/topology/nodes/{node}/properties" for node in (1, 2))),
            "",
            {},
            ("0", "1"),
            "cuda:0",
        ),
        (("dev/kfd",), "", {"ROCR_VISIBLE_DEVICES": "4,6,7"}, ("0", "1", "2"), "cuda:0"),
        (("dev/nvidia0",), TWO, {"CUDA_VISIBLE_DEVICES": "5,2"}, ("5", "2"), "cuda:0"),
        (("dev/nvidia0",), TWO, {"CUDA_VISIBLE_DEVICES": ""}, (), "cpu"),
        (("dev/nvidia0",), TWO, {"CUDA_VISIBLE_DEVICES": "-1"}, (), "cpu"),
        (("dev/davinci0", "dev/davinci1", "dev/davinci_manager"), "", {}, (), "npu:0"),
    ],
)
def test_a_machine_s_gpus_are_found_without_torch(
    tmp_path: Path, files: tuple[str, ...], listing: str, environment: dict[str, str], gpus: tuple[str, ...], auto: str
) -> None:
    found = machine(tmp_path, *files, listing=listing, **environment)
    assert (found.gpus, found.name_one("auto")) == (gpus, auto)
    assert found.accelerators == tuple(f"cuda:{index}" for index in range(len(gpus))) or auto == "npu:0"


def test_one_device_has_one_name_whatever_bench_toml_calls_it(tmp_path: Path) -> None:
    """Models that share a device take turns; so its names are compared."""
    found = machine(tmp_path, "dev/nvidia0", listing=DIVIDED)
    names = ("cuda", "cuda:0", "MIG-1111", "auto", "MIG-2222", "GPU-bbbb", "gpu-zzzz", "xpu", "cpu")
    assert [found.name_one(name) for name in names] == [
        *("cuda:0", "cuda:0", "cuda:0", "cuda:0", "cuda:1", "cuda:2", "gpu-zzzz", "xpu:0", "cpu")
    ]
    assert machine(tmp_path / "mac").name_one("auto") == "cpu"
    assert Machine(tmp_path / "mac", {}, "darwin").name_one("auto") == "mps"


NVIDIA, AMD = ("dev/nvidia0", "dev/nvidia1"), ("dev/kfd",)


@pytest.mark.parametrize(
    ("files", "listing", "environment", "place", "variables", "inside"),
    [
        (NVIDIA, TWO, {}, "cuda:1", {"CUDA_VISIBLE_DEVICES": "GPU-bbbb"}, "cuda:0"),
        (NVIDIA, TWO, {}, "cuda", {"CUDA_VISIBLE_DEVICES": "GPU-aaaa"}, "cuda:0"),
        (NVIDIA, TWO, {}, "auto", {"CUDA_VISIBLE_DEVICES": "GPU-aaaa"}, "auto"),
        (NVIDIA, TWO, {}, "cuda:1+cuda:0", {"CUDA_VISIBLE_DEVICES": "GPU-bbbb,GPU-aaaa"}, "cuda:0+cuda:1"),
        (NVIDIA, DIVIDED, {}, "cuda:1", {"CUDA_VISIBLE_DEVICES": "MIG-2222"}, "cuda:0"),
        (NVIDIA, TWO, {}, "MIG-9999", {"CUDA_VISIBLE_DEVICES": "MIG-9999"}, "cuda:0"),
        (NVIDIA, "", {}, "cuda:1", {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, "cuda:0"),
        (NVIDIA, TWO, {"CUDA_VISIBLE_DEVICES": "6,3"}, "cuda:1", {"CUDA_VISIBLE_DEVICES": "3"}, "cuda:0"),
        (NVIDIA, TWO, {"CUDA_VISIBLE_DEVICES": "6,3"}, "cuda:2", {}, "cuda:2"),
        (NVIDIA, TWO, {}, "cpu", {"CUDA_VISIBLE_DEVICES": "-1"}, "cpu"),
        (AMD, "", {}, "cuda:0", {"HIP_VISIBLE_DEVICES": "0"}, "cuda:0"),
        (AMD, "", {"HIP_VISIBLE_DEVICES": "2,7"}, "cuda:1", {"HIP_VISIBLE_DEVICES": "7"}, "cuda:0"),
        (
            *(AMD, "", {"CUDA_VISIBLE_DEVICES": "2,7"}, "cuda:1"),
            {"HIP_VISIBLE_DEVICES": "7", "CUDA_VISIBLE_DEVICES": "7"},
            "cuda:0",
        ),
        (AMD, "", {}, "cpu", {"HIP_VISIBLE_DEVICES": "-1", "CUDA_VISIBLE_DEVICES": "-1"}, "cpu"),
        ((), "", {}, "xpu:2+xpu:3", {"ZE_AFFINITY_MASK": "2,3"}, "xpu:0+xpu:1"),
        ((), "", {"ZE_AFFINITY_MASK": "0.1,1.0"}, "xpu:1", {"ZE_AFFINITY_MASK": "1.0"}, "xpu:0"),
        ((), "", {}, "npu:4", {"ASCEND_RT_VISIBLE_DEVICES": "4"}, "npu:0"),
        ((), "", {"ASCEND_RT_VISIBLE_DEVICES": "4"}, "npu:1", {}, "npu:1"),
        ((), "", {}, "auto", {}, "auto"),
    ],
)
def test_a_process_sees_its_own_devices_alone_and_numbers_them_from_zero(
    tmp_path: Path,
    files: tuple[str, ...],
    listing: str,
    environment: dict[str, str],
    place: str,
    variables: dict[str, str],
    inside: str,
) -> None:
    view = machine(tmp_path, *files, listing=listing, **environment).show(place)
    assert (dict(view.variables), view.place) == (variables, inside)
