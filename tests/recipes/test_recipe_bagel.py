from __future__ import annotations

import io
import json
from pathlib import Path
from typing import ClassVar

import odd_pictures
from PIL import Image
from recipe_cases import RecipeCases, save
from served_recipe import RECIPES, STUBS, Served, serve

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
    options: ClassVar = {}
    control: ClassVar = [
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|endoftext|>",
        "<|object_ref_start|>",
    ]
    size = (1024, 1024)
    parameters: ClassVar = {"draw", "edit", "think", "quantization", "template", "vae_device"}
    kinds: ClassVar = ["chat", "image", "edit"]

    @classmethod
    def make_places(cls, folder: Path) -> dict[str, Path]:
        snapshot = folder / "models--ByteDance-Seed--BAGEL-7B-MoT" / "snapshots" / REVISION
        snapshot.mkdir(parents=True)
        for name, text in FILES.items():
            (snapshot / name).write_text(text)
        return {"weights": snapshot}

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

    def test_a_plan_stands_beside_the_picture_where_it_thinks_first(self, tmp_path: Path) -> None:
        places = {"checkout": self.stub(), **self.make_places(tmp_path)}
        command = [
            str(RECIPES / "bagel" / self.script),
            *(word for name, place in places.items() for word in (f"--{name}", str(place))),
        ]
        options = {"think": True, "quantization": "nf4", "draw": {"cfg_img_scale": 1.5}}
        with serve(command, [STUBS / "common", STUBS / "bagel" / "packages"], options, tmp_path / "work") as served:
            answer = served.ask(kind="image", text="a boat")
            assert "think words for pictures" in answer["text"]
            with Image.open(answer["images"][0]["path"]) as picture:
                assert picture.getpixel((0, 0))[0] == 15
            assert "think words for answers" in served.chat("What is a tide?")
            assert served.ready["parameters"]["draw"]["cfg_img_scale"] == 1.5
