"""A GGUF file is read once. By itself transformers reads it three times: for the configuration, the tokenizer and the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@contextmanager
def read_gguf_once() -> Iterator[None]:
    """Keep what the package `gguf` read, for as long as one model is being loaded.

    SmolLM2-135M then takes 7 s of CPU to load instead of 16 s: its file names 49,152 tokens, and transformers looked the names of
    its weights up again for every module.
    """
    try:
        import gguf
    except ImportError:  # transformers says what is to be installed
        yield
        return
    asked = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
    for name, function in asked.items():
        setattr(gguf, name, cache(function))
    try:
        yield
    finally:
        for name, function in asked.items():
            setattr(gguf, name, function)
