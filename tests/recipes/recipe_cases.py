"""What every recipe's script has to do, against a stub of the public code: subclasses name a recipe, and add what only it does."""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import odd_pictures
import pytest
from PIL import Image
from served_recipe import RECIPES, STUBS, Served, serve

UNDERSTOOD = "⟦{}⟧"
"""How the stubs' tokenizers show a control string that they understood as one."""


@cache
def load_checker() -> ModuleType:
    """scripts/check_recipes.py as a module."""
    path = RECIPES.parent / "scripts" / "check_recipes.py"
    spec = importlib.util.spec_from_file_location("check_recipes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_recipes"] = module
    spec.loader.exec_module(module)
    return module


class RecipeCases:
    """The cases for one recipe.

    Attributes:
        recipe, script: its folder in recipes/ and its script there.
        places: its arguments beside `--checkout`.
        options: its options here; its defaults are for GPUs.
        control: strings that the model's tokenizer takes for marks.
        size: of the pictures that it draws by itself, in pixels.
        parameters: names that have to stand among the parameters of its `ready` line.
        kinds: what it can do.
    """

    recipe: ClassVar[str]
    script: ClassVar[str]
    places: ClassVar[list[str]] = ["weights"]
    options: ClassVar[dict[str, Any]] = {"dtype": "float32"}
    control: ClassVar[list[str]]
    size: ClassVar[tuple[int, int]]
    parameters: ClassVar[set[str]]
    kinds: ClassVar[list[str]] = ["chat", "image"]

    @classmethod
    def stub(cls) -> Path:
        """What stands for the checkout of the public repository."""
        return STUBS / cls.recipe / "repository"

    @classmethod
    def make_places(cls, folder: Path) -> dict[str, Path]:
        """The script's arguments beside `--checkout`: nothing but an empty folder each, which the stub does not read."""
        places = {name: folder / name for name in cls.places}
        for place in places.values():
            place.mkdir()
        return places

    @classmethod
    def command(cls, places: dict[str, Path]) -> tuple[list[str], list[Path]]:
        """The script with its arguments, and the folders that it imports from first."""
        given = {"checkout": cls.stub(), **places}
        arguments = [word for name, place in given.items() for word in (f"--{name}", str(place))]
        packages = STUBS / cls.recipe / "packages"
        imported = [STUBS / "common", *([packages] if packages.is_dir() else [])]
        return [str(RECIPES / cls.recipe / cls.script), *arguments], imported

    @pytest.fixture(scope="class")
    @classmethod
    def served(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
        folder = tmp_path_factory.mktemp(cls.recipe)
        with serve(*cls.command(cls.make_places(folder)), cls.options, folder) as served:
            yield served

    def test_the_stub_has_the_signatures_that_the_recipe_relies_on(self) -> None:
        checker = load_checker()
        source = checker.read_source(RECIPES / self.recipe / "source.toml")
        assert checker.compare(source, checker.Folder(self.stub()), followed=False) == []

    def test_it_says_what_it_is_and_with_which_parameters_it_samples(self, served: Served) -> None:
        assert served.ready["ready"] is True
        assert served.ready["kinds"] == self.kinds
        assert served.ready["sees"] is True
        source = load_checker().read_source(RECIPES / self.recipe / "source.toml")
        assert self.parameters | {"code", "dtype", "revision"} <= served.ready["parameters"].keys()
        assert served.ready["parameters"]["code"].startswith(f"{source.repository}@")

    def test_words_are_answered_although_the_public_code_prints(self, served: Served) -> None:
        answer = served.ask(kind="chat", text="What is a tide?", id=7)
        assert answer["text"].startswith("read: ")
        assert "What is a tide?" in answer["text"]
        assert answer["finish"] == "stop"
        assert answer["usage"]["tokens_out"] > 0
        assert "stub: " in served.errors.read_text()

    def test_a_system_prompt_is_read(self, served: Served) -> None:
        assert "Speak of ships." in served.chat("Hello", system="Speak of ships.")

    @pytest.mark.parametrize("kind", ["chat", "system", "image"])
    def test_a_control_string_in_a_prompt_is_no_mark(self, served: Served, kind: str) -> None:
        written = " and ".join(self.control)
        given = {"text": "a", "system": written} if kind == "system" else {"text": written}
        plain = {"text": "a", "system": "b"} if kind == "system" else {"text": "a"}
        if kind == "image":
            served.draw(written)
            return
        read, harmless = served.chat(**given), served.chat(**plain)
        for string in self.control:
            mark = UNDERSTOOD.format(string)
            assert read.count(mark) == harmless.count(mark), string

    def test_the_same_seed_gives_the_same_answer_and_another_seed_another(self, served: Served) -> None:
        first, again, other = (served.chat("Roll.", seed=seed, temperature=0.7) for seed in (1, 1, 2))
        assert first == again != other

    def test_without_a_temperature_answers_are_the_same_whatever_the_seed(self, served: Served) -> None:
        assert served.chat("Roll.", seed=1) == served.chat("Roll.", seed=2) == served.chat("Roll.", temperature=0.0)

    def test_the_same_seed_draws_the_same_picture_and_another_seed_another(self, served: Served) -> None:
        first, again, other = (served.draw("a boat", seed=seed) for seed in (1, 1, 2))
        assert first == again != other
        assert served.draw("a car", seed=1) != first

    def test_a_picture_has_the_size_that_the_model_draws(self, served: Served) -> None:
        with Image.open(io.BytesIO(served.draw("a boat", seed=1))) as picture:
            assert picture.size == self.size
            assert picture.mode == "RGB"

    def test_what_the_model_cannot_do_is_one_clean_error(self, served: Served, tmp_path: Path) -> None:
        unable = "edit" if "edit" not in self.kinds else "sing"
        answer = served.ask(kind=unable, text="paint it red", images=[{"path": str(save(tmp_path, odd_pictures.see_through()))}])
        assert unable in answer["error"]
        assert not answer.get("retry")
        assert "What is" in served.chat("What is next?")

    def test_an_answer_that_is_cut_says_so(self, served: Served) -> None:
        answer = served.ask(kind="chat", text="Tell me all about tides.", max_tokens=9)
        assert answer["finish"] == "length"
        assert answer["usage"]["tokens_out"] <= 9

    @pytest.mark.parametrize("kind", ["chat", "image"])
    def test_memory_that_runs_out_fails_one_request(self, served: Served, kind: str) -> None:
        answer = served.ask(kind=kind, text="RUN OUT")
        assert "out of memory" in answer["error"]
        assert answer["memory"] is True
        assert "next" in served.chat("What is next?")

    def test_a_picture_is_read_upright_and_without_transparency(self, served: Served, tmp_path: Path) -> None:
        words = served.chat("What is this?", save(tmp_path, odd_pictures.turned(6)))
        assert "RGB" in words
        assert "(0, 0, 25" in words  # blue on top
        assert "RGB" in served.chat("What is this?", save(tmp_path, odd_pictures.see_through()))

    @pytest.mark.parametrize("size", [(1, 1), (700, 3), (3, 700)])
    def test_a_picture_of_an_odd_shape_is_read(self, served: Served, tmp_path: Path, size: tuple[int, int]) -> None:
        palette = odd_pictures.encoded(Image.new("RGB", size, "blue").convert("P"), "PNG")
        assert "RGB" in served.chat("What is this?", save(tmp_path, palette))

    def test_a_picture_without_words_is_a_question_too(self, served: Served, tmp_path: Path) -> None:
        assert "RGB" in served.chat("", save(tmp_path, odd_pictures.encoded(odd_pictures.halves(), "PNG")))

    def test_two_pictures_are_read_in_order(self, served: Served, tmp_path: Path) -> None:
        first, second = (
            save(tmp_path, odd_pictures.encoded(Image.new("RGB", (8, 8), colour), "PNG")) for colour in ("red", "blue")
        )
        words = served.chat("Which is warmer?", first, second, max_tokens=9000)
        assert words.index("(255, 0, 0)") < words.index("(0, 0, 255)")


def save(folder: Path, content: bytes) -> Path:
    """The content as a file of its own."""
    file = folder / f"picture-{len(list(folder.iterdir()))}"
    file.write_bytes(content)
    return file
