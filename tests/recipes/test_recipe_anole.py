from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from recipe_cases import RecipeCases
from served_recipe import Served, Stuck, serve


class TestAnole(RecipeCases):
    recipe, script = "anole", "serve_anole.py"
    options: ClassVar[dict[str, Any]] = {}
    control: ClassVar = ["<s>", "</s>", "<pad>", "<unk>", "<racm3:break>", "<eoss>", "<reserved08706>", "IMGIMGFDZ"]
    size = (512, 512)
    parameters: ClassVar = {"guidance", "image_guidance", "temperature", "top_p", "repetition_penalty", "drawing"}

    def test_without_a_temperature_answers_are_the_same_whatever_the_seed(self, served: Served) -> None:
        """Not so here: it is sampled as the authors do, and a temperature of 0 is needed for one answer."""
        assert served.chat("Roll.", seed=1) != served.chat("Roll.", seed=2)
        assert served.chat("Roll.", seed=1, temperature=0.0) == served.chat("Roll.", seed=2, temperature=0.0)

    def test_another_size_is_refused(self, served: Served) -> None:
        answer = served.ask(kind="image", text="a boat", size="1024x1024")
        assert "512x512 only" in answer["error"]
        assert not answer.get("retry")

    @pytest.mark.parametrize(("kind", "letters"), [("chat", 4095), ("image", 3072)])
    def test_a_prompt_that_leaves_no_room_for_an_answer_is_refused(self, served: Served, kind: str, letters: int) -> None:
        answer = served.ask(kind=kind, text="a" * letters)
        assert "4096" in answer["error"]
        assert not answer.get("retry")

    def test_part_of_a_picture_is_no_picture_and_is_asked_again(self, served: Served) -> None:
        answer = served.ask(kind="image", text="FEW CODES")
        assert "3 codes" in answer["error"]
        assert answer["retry"] is True

    def test_the_script_ends_with_the_models_own_process(self, tmp_path: Path) -> None:
        with (
            pytest.raises(Stuck, match="a process of the model has ended"),
            serve(*self.command(self.make_places(tmp_path)), self.options, tmp_path) as served,
        ):
            served.chat("WORKER ENDS")
