"""How many tokens the images of a request are, before a batch is built: a processor turns each into hundreds or thousands."""

from __future__ import annotations

from typing import Any

from PIL import Image as Pictures

UNKNOWN = 256
"""Tokens of an image if the processor cannot say."""
KEPT = 4_096
"""Sizes that are remembered."""


class ImageTokens:
    """Tokens that images add to a prompt, by their sizes.

    A processor that can tell from sizes alone (transformers' `_get_num_multimodal_tokens`) is asked that way; what it puts around
    an image is seen once from its own output. Any other processor makes input_ids for blank images of these sizes, once for each
    combination.

    Args:
        processor: of a vision-language model.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._around: int | None = None
        self._known: dict[tuple[tuple[int, int], ...], int] = {}

    def count(self, prompt: str, tokens: int, sizes: tuple[tuple[int, int], ...]) -> int:
        """Tokens that the images add.

        Args:
            prompt: the request in the model's template, with a placeholder for each image.
            tokens: its number of tokens, as text.
            sizes: width and height of each image, in pixels.
        """
        if sizes not in self._known:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[sizes] = self._find(prompt, tokens, sizes)
        return self._known[sizes]

    def _find(self, prompt: str, tokens: int, sizes: tuple[tuple[int, int], ...]) -> int:
        inside = self._compute(sizes)
        if inside is None or self._around is None:
            added = self._try_out(prompt, tokens, sizes)
            if inside is None:
                return len(sizes) * UNKNOWN if added is None else added
            self._around = 0 if added is None else (added - inside) // len(sizes)
        return inside + self._around * len(sizes)

    def _compute(self, sizes: tuple[tuple[int, int], ...]) -> int | None:
        """Tokens of the images by the processor's own arithmetic; None if it has none."""
        try:
            found = self._processor._get_num_multimodal_tokens(image_sizes=[[height, width] for width, height in sizes])
            return sum(map(int, found["num_image_tokens"]))
        except Exception:  # processors from a model's own code do as they like
            return None

    def _try_out(self, prompt: str, tokens: int, sizes: tuple[tuple[int, int], ...]) -> int | None:
        """Tokens that blank images add in the processor's output; None if it fails, as the request itself will then say."""
        blanks = [Pictures.new("RGB", size) for size in sizes]
        try:
            ids = self._processor(text=[prompt], images=[blanks], add_special_tokens=False, return_tensors="pt")["input_ids"]
        except Exception:
            return None
        return max(0, int(ids.shape[1]) - tokens)
