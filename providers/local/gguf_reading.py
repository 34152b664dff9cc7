"""A GGUF file is read once. By itself transformers reads it three times: for the configuration, the tokenizer and the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@contextmanager
def gguf_read_once() -> Iterator[None]:
    """While it lasts, whoever asks the package `gguf` for the same again gets the same.

    SmolLM2-135M is loaded in 7 s of CPU instead of 16 s: its file names 49,152 tokens, and what its weights are called was looked
    up for every module anew.
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
