"""scripts/check_recipes.py on a small public repository that is made here, and that its authors change."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from recipe_cases import RECIPES, load_checker

MODULE = """
import torch
from somewhere import Sampler as TheSampler

if torch:
    @decorated
    def draw(prompt, steps=50, *, guidance: float = 7.5, **rest) -> None: ...

SYSTEM: str = "words"

class Model(Base):
    @property
    def device(self): ...

    def __init__(self, name, dtype=torch.bfloat16):
        self.tokenizer, self.size = name, 1
        self.register_buffer("places", None)

    @staticmethod
    def load(path, /, *parts): ...

@dataclass
class Options:
    steps: int = 50
    seed: int | None = None
"""
NOTED = """
repository = "public/model"
commit = "{commit}"

[[relies_on]]
path = "model.py"
name = "draw"
parameters = ["prompt", "steps=50", "*", "guidance=7.5", "**rest"]

[[relies_on]]
path = "model.py"
name = "Model"
parameters = ["name", "dtype=torch.bfloat16"]

[[relies_on]]
path = "model.py"
name = "Model.load"
parameters = ["path", "/", "*parts"]

[[relies_on]]
path = "model.py"
name = "Options"
parameters = ["steps=50", "seed=None"]

[[follows]]
path = "inference.py"
blob = "{blob}"
"""
NAMES = ("TheSampler", "SYSTEM", "Model.device", "Model.tokenizer", "Model.size", "Model.places", "torch")


class Public:
    """A public repository, and a recipe in `recipes` that notes its first commit."""

    def __init__(self, root: Path) -> None:
        self.root, self.recipes = root / "public", root / "recipes"
        (self.recipes / "model").mkdir(parents=True)
        self.root.mkdir()
        self.git("init", "-q", "-b", "main")
        self.commit({"model.py": MODULE, "inference.py": "draw('a boat')\n"})
        names = "".join(f'\n[[relies_on]]\npath = "model.py"\nname = "{name}"\n' for name in NAMES)
        self.note(NOTED.format(commit=self.git("rev-parse", "HEAD"), blob=self.git("rev-parse", "HEAD:inference.py")) + names)

    def git(self, *arguments: str) -> str:
        own = ("-c", "user.name=author", "-c", "user.email=author@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", "-C", str(self.root), *own, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, files: dict[str, str]) -> None:
        for name, content in files.items():
            (self.root / name).write_text(content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "a change")

    def note(self, text: str) -> None:
        (self.recipes / "model" / "source.toml").write_text(text)


@pytest.fixture
def public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Public:
    made = Public(tmp_path)
    monkeypatch.setattr(load_checker(), "RECIPES", made.recipes)
    return made


def check(*arguments: object) -> int:
    return int(load_checker().main([str(argument) for argument in arguments]))


def test_what_is_as_noted_is_said_with_what_was_compared(public: Public, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(f"model={public.root}") == 0
    assert "as noted (11 names, 1 files)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "steps=50, *",
            "steps=28, *",
            "model.py: draw: was called with (prompt, steps=50, *, guidance=7.5, **rest), is now (prompt, steps=28",
        ),
        ("def draw(prompt", "def draw(words", "is now (words, steps=50"),
        ("def draw(", "def paint(", "model.py: draw: the name is gone"),
        ("draw(prompt, steps=50, *, guidance: float = 7.5, **rest)", "draw(*arguments)", "is now (*arguments)"),
        ("def draw(prompt, steps=50, *, guidance: float = 7.5, **rest) -> None: ...", "class draw: ...", "is now ()"),
        ("dtype=torch.bfloat16", "dtype=torch.float16", "model.py: Model: was called with"),
        ("self.tokenizer, self.size = name, 1", "self.size = 1", "model.py: Model.tokenizer: the name is gone"),
        ("@staticmethod\n    def load(path", "def load(self, folder", "model.py: Model.load: was called with"),
        ("seed: int | None = None", "generator: int | None = None", "model.py: Options: was called with"),
        ("Sampler as TheSampler", "Sampler", "model.py: TheSampler: the name is gone"),
        ("SYSTEM: str", "SYSTEM_PROMPT: str", "model.py: SYSTEM: the name is gone"),
        ("class Model(Base):", "class Model(Base:", "no Python"),
    ],
)
def test_a_change_is_told_by_file_and_name_once_the_newest_is_asked_for(
    public: Public, capsys: pytest.CaptureFixture[str], before: str, after: str, said: str
) -> None:
    assert before in MODULE
    public.commit({"model.py": MODULE.replace(before, after)})
    assert check(f"model={public.root}") == 0
    assert said not in capsys.readouterr().out
    assert check(f"model={public.root}", "--newest") == 1
    assert said in capsys.readouterr().out


def test_a_followed_file_that_changed_is_to_be_read_again(public: Public, capsys: pytest.CaptureFixture[str]) -> None:
    public.commit({"inference.py": "draw('a boat', steps=10)\n"})
    assert check(f"model={public.root}", "--newest") == 1
    assert "inference.py: has changed" in capsys.readouterr().out


def test_a_file_that_is_gone_is_told(public: Public, capsys: pytest.CaptureFixture[str]) -> None:
    public.git("mv", "model.py", "models.py")
    public.git("commit", "-q", "-m", "moved")
    assert check(f"model={public.root}", "--newest") == 1
    assert "model.py: draw: the file is gone" in capsys.readouterr().out


def test_a_branch_of_the_recipe_is_the_newest_whatever_the_default_is(public: Public, capsys: pytest.CaptureFixture[str]) -> None:
    public.note('branch = "main"\n' + (public.recipes / "model" / "source.toml").read_text())
    public.git("switch", "-q", "-c", "next")
    public.commit({"model.py": "another model"})
    assert check(f"model={public.root}", "--newest") == 0
    assert "changed" not in capsys.readouterr().out


def test_a_bare_copy_and_a_plain_folder_serve_as_well(public: Public, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    public.git("clone", "-q", "--bare", str(public.root), str(tmp_path / "bare.git"))
    assert check(f"model={tmp_path / 'bare.git'}", "--newest") == 0
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "model.py").write_text(MODULE)
    (plain / "inference.py").write_text("draw('a boat')\n")
    assert check(f"model={plain}") == 0
    assert "as it stands" in capsys.readouterr().out


def test_what_cannot_be_read_is_one_line_that_names_it(public: Public, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noted = public.recipes / "model" / "source.toml"
    sound, head = noted.read_text(), public.git("rev-parse", "HEAD")
    for text, copy, said in [
        (sound.replace(head, "a" * 40), public.root, f"commit {'a' * 40} is not in this copy"),
        (sound, tmp_path / "nowhere", "there is no such folder"),
        (sound.replace(head, "main"), public.root, "'main' is no commit or blob"),
        (sound.replace('name = "draw"', ""), public.root, "the key 'name' is missing"),
        (sound.replace("[[relies_on]]", "[[relies"), public.root, "source.toml: "),
    ]:
        noted.write_text(text)
        assert check(f"model={copy}") == 2
        assert said in capsys.readouterr().err
    assert check("model") == 2
    assert check(f"another={public.root}") == 2
    assert "another" in capsys.readouterr().err


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*/source.toml")), ids=lambda file: file.parent.name)
def test_every_recipe_notes_what_it_relies_on(file: Path) -> None:
    source = load_checker().read_source(file)
    assert source.relies_on
    assert source.repository.count("/") == 1
