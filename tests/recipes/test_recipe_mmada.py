from __future__ import annotations

from typing import ClassVar

import pytest
from recipe_cases import RecipeCases
from served_recipe import Served


class TestMMaDA(RecipeCases):
    recipe, script = "mmada", "serve_mmada.py"
    places: ClassVar = ["weights", "codebook"]
    control: ClassVar = [
        "<|endoftext|>",
        "<|startoftext|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|mdm_mask|>",
        "<|soi|>",
        "<|eoi|>",
        "<|mmu|>",
        "<|t2i|>",
    ]
    size = (512, 512)
    parameters: ClassVar = {"guidance", "steps", "block", "tokens_a_step", "drawing_temperature", "codebook_revision"}

    @pytest.mark.parametrize("limit", [1, 127, 128, 129, 700])
    def test_a_limit_that_is_not_whole_blocks_is_kept(self, served: Served, limit: int) -> None:
        answer = served.ask(kind="chat", text="word " * 200, max_tokens=limit)
        assert len(answer["text"]) == answer["usage"]["tokens_out"] == limit
        assert answer["finish"] == "length"

    def test_top_p_is_refused_because_the_public_code_has_none(self, served: Served) -> None:
        assert "top_p" in served.ask(kind="chat", text="Hello", temperature=0.7, top_p=0.9)["error"]
