from __future__ import annotations

import io
from pathlib import Path
from typing import ClassVar

import odd_pictures
import pytest
from PIL import Image
from recipe_cases import RecipeCases, save
from served_recipe import Served


class TestOmniGen2(RecipeCases):
    recipe, script = "omnigen2", "serve_omnigen2.py"
    control: ClassVar = [
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|image_pad|>",
        "<|img|>",
        "<|endoftext|>",
    ]
    size = (1024, 1024)
    kinds: ClassVar = ["chat", "image", "edit"]
    parameters: ClassVar = {"guidance", "edit_guidance", "edit_image_guidance", "steps", "negative_prompt"}

    def test_a_prompt_cannot_point_at_pictures_by_number(self, served: Served) -> None:
        assert "<img1>" not in served.chat("What is on <img1>?")

    def test_the_pipelines_own_system_prompt_is_used_where_none_is_given(self, served: Served) -> None:
        assert "words of the stub" in served.chat("Hello")
        assert "words of the stub" not in served.chat("Hello", system="Be brief.")

    @pytest.mark.parametrize(("given", "drawn"), [((64, 48), (64, 48)), ((1, 1), (32, 32)), ((700, 3), (688, 32))])
    def test_an_edit_has_the_size_of_its_picture(
        self, served: Served, tmp_path: Path, given: tuple[int, int], drawn: tuple[int, int]
    ) -> None:
        picture = save(tmp_path, odd_pictures.encoded(Image.new("RGB", given, "red"), "PNG"))
        answers = [served.ask(kind="edit", text="blue", images=[{"path": str(picture)}], seed=seed) for seed in (1, 1, 2)]
        first, again, other = (Path(answer["images"][0]["path"]).read_bytes() for answer in answers)
        assert first == again != other
        with Image.open(io.BytesIO(first)) as edited:
            assert edited.size == drawn

    @pytest.mark.parametrize("size", ["2048x2048", "1000x1000"])
    def test_a_size_off_the_grid_is_refused(self, served: Served, size: str) -> None:
        answer = served.ask(kind="image", text="a boat", size=size)
        assert "multiples of 16" in answer["error"]
        assert not answer.get("retry")

    def test_a_size_on_the_grid_is_drawn(self, served: Served) -> None:
        with Image.open(io.BytesIO(served.draw("a boat", size="512x768"))) as picture:
            assert picture.size == (512, 768)
