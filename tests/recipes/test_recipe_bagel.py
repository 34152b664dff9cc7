from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import odd_pictures
import pytest
from PIL import Image
from recipe_cases import RecipeCases, save
from served_recipe import STUBS, Served

FILES = {
    "llm_config.json": json.dumps({"hidden_size": 3584}),
    "vit_config.json": json.dumps({"num_hidden_layers": 27, "rope": True}),
    "tokenizer.json": "{}",
    "ae.safetensors": "",
    "ema.safetensors": "",
}
REVISION = "b" * 40


class TestBagel(RecipeCases):
    recipe, script = "bagel", "serve_bagel.py"
    options: dict[str, Any] = {}
    control = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|endoftext|>", "<|object_ref_start|>"]
    size = (1024, 1024)
    parameters = {"draw", "edit", "think", "quantization", "template", "vae_device", "checkout"}
    kinds = ["chat", "image", "edit"]

    @pytest.fixture(scope="class", autouse=True)
    def weights(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        folder = tmp_path_factory.mktemp("hub") / "models--ByteDance-Seed--BAGEL-7B-MoT" / "snapshots" / REVISION
        folder.mkdir(parents=True)
        for name, text in FILES.items():
            (folder / name).write_text(text)
        type(self).snapshot = folder
        yield folder

    snapshot: Path

    def local_options(self) -> dict[str, Any]:
        return {}

    def local_arguments(self) -> list[str]:
        return ["--checkout", str(STUBS / "bagel" / "repository"), "--weights", str(self.snapshot)]

    def test_the_revision_of_the_weights_is_read_from_the_hubs_folder(self, served: Served) -> None:
        assert served.ready["parameters"]["revision"] == REVISION

    def test_an_edited_picture_has_the_shape_of_the_one_it_was_made_from(self, served: Served, tmp_path: Path) -> None:
        wide = save(tmp_path, odd_pictures.encoded(Image.new("RGB", (400, 200), "red"), "PNG"))
        answer = served.ask(kind="edit", text="paint it blue", images=[{"path": str(wide)}], seed=3)
        (edited,) = answer["images"]
        with Image.open(edited["path"]) as picture:
            assert picture.size == (64, 32)
            assert picture.getpixel((0, 0))[0] == 20  # guidance by the picture: 2.0 where it edits
        with Image.open(io.BytesIO(served.draw("a boat", seed=3))) as picture:
            assert picture.getpixel((0, 0))[0] == 10  # and 1.0 where it draws

    def test_a_size_that_it_cannot_draw_is_one_clean_error(self, served: Served) -> None:
        assert served.ask(kind="image", text="a boat", size="1000x1000")["retry"] is False
        with Image.open(io.BytesIO(served.draw("a boat", size="768x512"))) as picture:
            assert picture.size == (768, 512)

    def test_words_where_a_picture_was_due_are_an_answer(self, served: Served) -> None:
        answer = served.ask(kind="image", text="WORDS ONLY")
        assert (answer["images"], answer["finish"], "error" in answer) == ([], "stop", False)

    def test_a_way_of_sampling_that_it_does_not_have_is_refused(self, served: Served) -> None:
        assert "top_p" in served.ask(kind="chat", text="hello", top_p=0.5)["error"]
