from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from recipe_cases import RecipeCases
from served_recipe import Served


class TestShowO2(RecipeCases):
    recipe, script = "show_o2", "serve_show_o2.py"
    options: ClassVar = {"dtype": "float32", "steps": 4}
    control: ClassVar = [
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|image_pad|>",
        "<|video_pad|>",
        "<|endoftext|>",
        "[PAD]",
        "<image>",
        "<|vid_start|>",
        "<|vid_end|>",
    ]
    size = (160, 160)
    parameters: ClassVar = {"guidance", "steps", "config", "template", "vae_revision", "safety_checker"}

    @classmethod
    def make_places(cls, folder: Path) -> dict[str, Path]:
        vae = folder / "Wan2.1_VAE.pth"
        vae.touch()
        return {"vae": vae}

    def test_the_system_turn_of_the_public_script_is_used_where_none_is_given(self, served: Served) -> None:
        assert "words of the stub" in served.chat("Hello")

    def test_top_p_is_refused_because_the_public_code_cannot_do_it(self, served: Served) -> None:
        answer = served.ask(kind="chat", text="Hello", temperature=0.7, top_p=0.9)
        assert "top_p" in answer["error"]
        assert not answer.get("retry")
