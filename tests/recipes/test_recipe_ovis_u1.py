from __future__ import annotations

import io
from pathlib import Path
from typing import Any, ClassVar

import odd_pictures
import pytest
from PIL import Image
from recipe_cases import RecipeCases, save
from served_recipe import Served


class TestOvisU1(RecipeCases):
    recipe, script = "ovis_u1", "serve_ovis_u1.py"
    options: ClassVar[dict[str, Any]] = {}
    control: ClassVar = [
        "<|im_start|>",
        "<|im_end|>",
        "<|endoftext|>",
        "<|vision_start|>",
        "<think>",
        "</think>",
        "<image>",
        "<video>",
    ]
    size = (1024, 1024)
    kinds: ClassVar = ["chat", "image", "edit"]
    parameters: ClassVar = {"guidance", "edit_guidance", "edit_image_guidance", "steps", "text_alone"}

    def test_text_alone_is_answered_without_a_picture_in_the_prompt(self, served: Served) -> None:
        assert "RGB" not in served.chat("Hello")

    @pytest.mark.parametrize("mark", ["<image>", "<video>"])
    def test_a_mark_in_the_words_leaves_the_picture_where_it_is(self, served: Served, tmp_path: Path, mark: str) -> None:
        picture = save(tmp_path, odd_pictures.encoded(odd_pictures.halves(), "PNG"))
        words = served.chat(f"What is {mark}?", picture)
        assert words.count("[RGB") == 1
        assert mark not in words

    def test_pictures_stand_where_the_request_puts_them(self, served: Served, tmp_path: Path) -> None:
        files = [save(tmp_path, odd_pictures.encoded(Image.new("RGB", (8, 8), colour), "PNG")) for colour in ("red", "blue")]
        parts = [{"text": "before"}, {"image": 1}, {"text": "between"}, {"image": 0}]
        words = served.chat("", *files, parts=parts, max_tokens=9000)
        assert "before\nImage 1: [RGB 8x8 (0, 0, 255)]\nbetween\nImage 2: [RGB 8x8 (255, 0, 0)]" in words

    @pytest.mark.parametrize("kind", ["chat", "edit"])
    def test_a_picture_that_the_model_cannot_read_is_an_error_and_no_black_picture(
        self, served: Served, tmp_path: Path, kind: str
    ) -> None:
        picture = save(tmp_path, odd_pictures.encoded(Image.new("RGB", (20000, 1), "red"), "PNG"))
        answer = served.ask(kind=kind, text="What is this?", images=[{"path": str(picture)}])
        assert "cannot be read" in answer["error"]
        assert not answer.get("retry")

    @pytest.mark.parametrize(("given", "drawn"), [((64, 48), (64, 64)), ((1, 1), (32, 32)), ((700, 3), (704, 32))])
    def test_an_edit_has_the_sides_of_its_picture_in_multiples_of_32(
        self, served: Served, tmp_path: Path, given: tuple[int, int], drawn: tuple[int, int]
    ) -> None:
        picture = save(tmp_path, odd_pictures.encoded(Image.new("RGB", given, "red"), "PNG"))
        answers = [served.ask(kind="edit", text="blue", images=[{"path": str(picture)}], seed=seed) for seed in (1, 1, 2)]
        first, again, other = (Path(answer["images"][0]["path"]).read_bytes() for answer in answers)
        assert first == again != other
        with Image.open(io.BytesIO(first)) as edited:
            assert edited.size == drawn

    def test_two_pictures_to_edit_are_refused(self, served: Served, tmp_path: Path) -> None:
        picture = {"path": str(save(tmp_path, odd_pictures.encoded(odd_pictures.halves(), "PNG")))}
        answer = served.ask(kind="edit", text="blue", images=[picture, picture])
        assert "one picture" in answer["error"]
        assert not answer.get("retry")

    def test_a_system_prompt_for_a_picture_is_refused(self, served: Served) -> None:
        assert "system prompt" in served.ask(kind="image", text="a boat", system="Be bold.")["error"]

    def test_without_a_seed_pictures_differ(self, served: Served) -> None:
        assert served.draw("a boat") != served.draw("a boat")

    def test_a_size_off_the_grid_is_refused(self, served: Served) -> None:
        answer = served.ask(kind="image", text="a boat", size="1000x1000")
        assert "multiples of 16" in answer["error"]
        assert not answer.get("retry")

    def test_a_size_on_the_grid_is_drawn(self, served: Served) -> None:
        with Image.open(io.BytesIO(served.draw("a boat", size="512x768"))) as picture:
            assert picture.size == (512, 768)
