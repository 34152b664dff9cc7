"""What a model's process says while it loads: how far a download is, how many weights are loaded.

The libraries report that with progress bars. Inside `following_bars`, theirs are replaced with
bars that draw nothing and `say` how far they are.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import RLock
from typing import Any

from tqdm.std import tqdm  # type: ignore[import-untyped]

from unisafe_providers.local.model_files import describe_size

PAUSE = 1.0
"""Seconds between two reports of one bar."""
LONGEST = 200
BARS = (
    ("huggingface_hub.utils.tqdm", "tqdm"),
    ("huggingface_hub.utils._xet_progress_reporting", "tqdm"),
    ("huggingface_hub._snapshot_download", "hf_tqdm"),
    ("transformers.modeling_gguf_pytorch_utils", "tqdm"),
    ("diffusers.utils.logging", "tqdm"),
)
"""Where libraries look up their class of bars; transformers has a hook for its own."""

_listeners: list[Callable[[str], None]] = []
_lock = RLock()


def say(words: str) -> None:
    """Tell whoever listens; nobody does outside a worker."""
    with _lock:  # downloads run in several threads
        for listener in _listeners:
            listener(words[:LONGEST])


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Let `listener` hear what is said until the block ends. It is called in several threads, by one at a time."""
    _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            _listeners.remove(listener)


@contextmanager
def following_bars() -> Iterator[None]:
    """Say how far the libraries are, inside the block; a library that is not imported yet is not followed."""
    replaced = [(module, name, getattr(module, name)) for module, name in _find_bars()]
    for module, name, _ in replaced:
        setattr(module, name, Bar)
    logging: Any = sys.modules.get("transformers.utils.logging")
    hooked = hasattr(logging, "set_tqdm_hook")
    before = logging.set_tqdm_hook(lambda _, arguments, options: Bar(*arguments, **options)) if hooked else None
    try:
        yield
    finally:
        if hooked:
            logging.set_tqdm_hook(before)
        for module, name, bar in replaced:
            setattr(module, name, bar)


def _find_bars() -> list[tuple[Any, str]]:
    for path, _ in BARS:
        if path.partition(".")[0] in sys.modules:  # libraries import some of their parts when they are used
            with suppress(ImportError):
                import_module(path)
    return [(sys.modules[path], name) for path, name in BARS if path in sys.modules and hasattr(sys.modules[path], name)]


class Bar(tqdm):  # type: ignore[misc]
    """A progress bar that draws nothing: it says how far it is."""

    monitor_interval = 0  # no thread that draws

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.pop("name", None)
        super().__init__(*arguments, **{**options, "disable": False, "file": io.StringIO(), "mininterval": PAUSE, "leave": False})

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        del msg, pos
        if self.n:
            say(self.describe())
        return True

    def describe(self) -> str:
        """`downloading model-00001-of-00004.safetensors: 300.1 MB of 4.9 GB`, or `Loading weights: 12 of 291`."""
        words = " ".join(str(self.desc or "").rstrip(":. ").split())
        show = describe_size if self.unit == "B" else "{:,}".format
        if self.unit == "B":
            name = words.rpartition("/")[2]
            words = "downloading" if " " in name else f"downloading {name}".rstrip()  # a sentence names no file
        amount = show(self.n) + (f" of {show(self.total)}" if self.total else "")
        return f"{words}: {amount}" if words else amount


Bar.set_lock(RLock())
