from __future__ import annotations

from typing import ClassVar

from recipe_cases import RecipeCases
from served_recipe import Served


class TestJanusFlow(RecipeCases):
    recipe, script = "janusflow", "serve_janusflow.py"
    places: ClassVar = ["weights", "vae"]
    options: ClassVar = {"dtype": "float32", "steps": 3}
    control: ClassVar = [
        "<image_placeholder>",
        "<begin_of_image>",
        "<end_of_image>",
        "<｜begin▁of▁generation｜>",
        "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        "<｜▁pad▁｜>",
    ]
    size = (384, 384)
    parameters: ClassVar = {"guidance", "steps", "tag", "vae_revision"}

    def test_the_processors_own_system_prompt_is_used_where_none_is_given(self, served: Served) -> None:
        assert "system words of the processor" in served.chat("Hello")

    def test_another_size_is_refused(self, served: Served) -> None:
        answer = served.ask(kind="image", text="a boat", size="1024x1024")
        assert "384x384 only" in answer["error"]
        assert not answer.get("retry")
