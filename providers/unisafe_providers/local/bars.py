"""Progress bars of the libraries, which nobody sees here: each of their steps is a sign that loading goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from unisafe_providers.workers.signs import Signs


def listen_to_bars(library: str, signs: Signs) -> None:
    """Note each step of loading weights and each piece of a download."""
    from transformers.utils import logging as transformers_logging

    def wrap(factory: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Heard:
        return Heard(factory(*arguments, **options), signs, str(options.get("desc") or "loading"))

    transformers_logging.set_tqdm_hook(wrap)
    if library == "diffusers":
        from diffusers.utils import logging as diffusers_logging

        factory = diffusers_logging.tqdm
        diffusers_logging.tqdm = lambda *arguments, **options: wrap(factory, arguments, options)

    _listen_to_downloads(signs)


def _listen_to_downloads(signs: Signs) -> None:
    """Note each piece that the hub's library downloads; `from_pretrained` takes no bar of ours for that."""
    from huggingface_hub.utils import tqdm

    update = tqdm.update

    def update_and_note(bar: Any, count: float | None = 1) -> Any:
        signs.note("downloading")
        return update(bar, count)

    tqdm.update = update_and_note


class Heard:
    """A progress bar whose steps are noted."""

    def __init__(self, bar: Any, signs: Signs, words: str) -> None:
        self._bar = bar
        self._signs = signs
        self._words = words

    def __iter__(self) -> Iterator[Any]:
        for number, item in enumerate(self._bar, 1):
            yield item
            self._signs.note(f"{self._words}: {number}")

    def update(self, *arguments: Any) -> None:
        self._signs.note(self._words)
        self._bar.update(*arguments)

    def __enter__(self) -> Heard:
        self._bar.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.__exit__(*error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bar, name)
