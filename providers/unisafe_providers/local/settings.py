"""The settings for loading and running a local model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Library = Literal["transformers", "diffusers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """How a model is loaded and batched.

    Args:
        library: which library runs it.
        model: a hub id (`org/name`), or the path of a folder or of a GGUF file.
        revision: branch, tag or commit at the hub; None takes the one in the hub's cache, else `main`.
        dtype: `float32`, `bfloat16`, `float16`, or `auto`, which is the checkpoint's own.
        gguf_file: the name of a GGUF file in the folder or repository. transformers only.
        expanded: where copies of the GGUF file's weights in full are kept, without the dtype that ends each name; empty for none.
        quantization: `8bit` or `4bit` by bitsandbytes.
        attn: an attention implementation that transformers knows, such as `sdpa` or `flash_attention_2`.
        trust_remote_code: run the code that comes with the model.
        batch_size: the most requests in a batch; None finds what fits.
        batch_tokens: the most tokens in a batch, padding, images and room for the answers included; None for what
            the device likes: 4096 on a CPU, and on a GPU what fits.
        memory_gb: the most memory to use on the device (of several: on each); None for all there is.
        patience_s: seconds without a sign of life after which the process is ended.
        offload: keep in the GPU's memory only the part of a pipeline that is at work. diffusers only.
        steps, guidance, strength: diffusion steps, guidance scale, and how far image-to-image may go from its image.
        sees, draws: whether a transformers model takes images, and whether it makes them.
        extra: further arguments of `generate` or of the pipeline's call; `chat_template_kwargs` go to the chat template.
    """

    library: Library
    model: str
    revision: str | None = None
    dtype: str = "auto"
    gguf_file: str | None = None
    expanded: str = ""
    quantization: str | None = None
    attn: str | None = None
    trust_remote_code: bool = False
    batch_size: int | None = None
    batch_tokens: int | None = None
    memory_gb: float | None = None
    patience_s: float = 1_800.0
    offload: bool = False
    steps: int | None = None
    guidance: float | None = None
    strength: float | None = None
    sees: bool = False
    draws: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def answering(self) -> dict[str, Any]:
        """The settings that change a model's answers, as a part of its identity. Batch sizes and devices do not change them."""
        names = ("dtype", "gguf_file", "quantization", "attn", "steps", "guidance", "strength")
        found = {name: value for name in names if (value := getattr(self, name)) not in (None, "auto")}
        return found | ({"extra": dict(self.extra)} if self.extra else {})


def estimate_least_memory(size: int, settings: LocalSettings) -> int:
    """Bytes that weights of `size` bytes on disk take at the very least; they may be stored in 32 bits."""
    if settings.quantization is not None:
        return size // (4 if settings.quantization == "8bit" else 8)
    return size // 2 if settings.dtype in ("float16", "bfloat16") else size
