from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import odd_pictures
from PIL import Image
from recipe_cases import RecipeCases, save
from served_recipe import Served


class TestTar(RecipeCases):
    recipe, script = "tar", "serve_tar.py"
    options: ClassVar = {"dtype": "float32", "size": "7B", "pixels": 256, "edits": True}
    control: ClassVar = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<im_start>", "<im_end>", "<S0>", "<I7>", "<I255>"]
    size = (256, 256)
    parameters: ClassVar = {
        "guidance",
        "temperature",
        "top_p",
        "top_k",
        "scale",
        "codes",
        "pixels",
        "tokenizers_revision",
        "template",
    }
    kinds: ClassVar = ["chat", "image", "edit"]

    @classmethod
    def make_places(cls, folder: Path) -> dict[str, Path]:
        tokenizers = folder / "tokenizers"
        tokenizers.mkdir()
        for name in ("ta_tok.pth", "vq_ds16_t2i.pt", "ar_dtok_lp_256px.pth"):
            (tokenizers / name).touch()
        (folder / "weights").mkdir()
        return {"weights": folder / "weights", "tokenizers": tokenizers}

    def test_without_a_temperature_answers_are_the_same_whatever_the_seed(self, served: Served) -> None:
        """Not so here: it is sampled as the authors do, and a temperature of 0 is needed for one answer."""
        assert served.chat("Roll.", seed=1) != served.chat("Roll.", seed=2)
        assert served.chat("Roll.", seed=1, temperature=0.0) == served.chat("Roll.", seed=2, temperature=0.0)

    def test_it_is_named_after_its_size(self, served: Served) -> None:
        assert served.ready["model"] == "Tar-7B"

    def test_the_scripts_own_system_prompt_is_used_where_none_is_given(self, served: Served) -> None:
        assert "system words of the script" in served.chat("Hello")

    def test_words_where_a_picture_was_due_are_an_answer(self, served: Served) -> None:
        answer = served.ask(kind="image", text="WORDS ONLY")
        assert (answer["images"], "WORDS ONLY" in answer["text"], "error" in answer) == ([], True, False)

    def test_a_picture_is_edited_where_the_option_is_set(self, served: Served, tmp_path: Path) -> None:
        red = save(tmp_path, odd_pictures.encoded(Image.new("RGB", (8, 8), "red"), "PNG"))
        answer = served.ask(kind="edit", text="paint it blue", images=[{"path": str(red)}], seed=1)
        assert Path(answer["images"][0]["path"]).read_bytes() != served.draw("paint it blue", seed=1)

    def test_another_size_is_refused(self, served: Served) -> None:
        assert "256x256 only" in served.ask(kind="image", text="a boat", size="1024x1024")["error"]
