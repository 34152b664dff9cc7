"""What a checkpoint needs before it can be loaded here: packages, and settings that fit it. Nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any

from unisafe_providers.local.settings import LocalSettings

METHODS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "gptq": (("gptqmodel", "gptqmodel"), ("optimum", "optimum")),
    "awq": (("gptqmodel", "gptqmodel"),),
    "bitsandbytes": (("bitsandbytes", "bitsandbytes"),),
    "bitsandbytes_4bit": (("bitsandbytes", "bitsandbytes"),),
    "bitsandbytes_8bit": (("bitsandbytes", "bitsandbytes"),),
    "compressed-tensors": (("compressed_tensors", "compressed-tensors"),),
    "quanto": (("optimum.quanto", "optimum-quanto"),),
    "fbgemm_fp8": (("fbgemm_gpu", "fbgemm-gpu-genai"),),
    "aqlm": (("aqlm", "aqlm[gpu,cpu]"),),
    "hqq": (("hqq", "hqq"),),
    "eetq": (("kernels", "kernels"),),
    "higgs": (("flute", "flute-kernel"), ("fast_hadamard_transform", "fast_hadamard_transform")),
    "auto-round": (("auto_round", "auto-round"),),
    "torchao": (("torchao", "torchao"),),
    "quark": (("quark", "amd-quark"),),
    "vptq": (("vptq", "vptq"),),
    "spqr": (("spqr_quant", "spqr_quant[gpu]"),),
    "fp_quant": (("fp_quant", "fp_quant"),),
    "sinq": (("sinq", "sinq"),),
}
"""Packages that transformers asks for, by `quant_method`: the module, and what pip calls it.

Read from `validate_environment` in transformers/quantizers (5.24); fp8 and mxfp4 need no package.
"""
FLASH = {
    "flash_attention_2": (("flash_attn", "flash-attn --no-build-isolation"),),
    "flash_attention_3": (("flash_attn_interface", "flash-attn-3"),),
}
"""Packages of attention implementations; the package `kernels` does for each of them."""


def find_obstacle(settings: LocalSettings, configs: Iterable[Mapping[str, Any]]) -> str:
    """Why a model cannot be loaded as it is set, with what would be right; empty if nothing is known to stand in the way.

    Args:
        configs: the configurations of the checkpoint, or of each part of a pipeline.
    """
    methods = sorted({method for config in configs if (method := find_method(config))})
    if settings.quantization is not None:
        if methods:
            return f"{settings.model}: is quantized already ({', '.join(methods)}); leave quantization out"
        if not _is_installed("bitsandbytes"):
            return f'{settings.model}: quantization = "{settings.quantization}" needs bitsandbytes: pip install bitsandbytes'
    for method in methods:
        lacking = [package for module, package in METHODS.get(method, ()) if not _is_installed(module)]
        if lacking:
            return (
                f"{settings.model}: is quantized by {method}, which needs {' and '.join(lacking)}: pip install {' '.join(lacking)}"
            )
    for module, package in FLASH.get(settings.attn or "", ()):
        if not _is_installed(module) and not _is_installed("kernels"):
            return f'{settings.model}: attn = "{settings.attn}" needs a package: pip install kernels, or pip install {package}'
    return ""


def find_method(config: Mapping[str, Any]) -> str:
    """How a checkpoint is quantized, such as `gptq`, by its configuration or that of a part of it; empty if it is not."""
    for part in (config, *(part for part in config.values() if isinstance(part, Mapping))):
        found = part.get("quantization_config") or part.get("compression_config")
        if isinstance(found, Mapping):
            bits = found.get("load_in_4bit") or found.get("load_in_8bit")
            return str(found.get("quant_method") or ("bitsandbytes" if bits else "an unnamed method"))
    return ""


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # of a module inside a package that is not there
        return False
