"""The fake unified model and the smoke check: what somebody tries first, as they would type it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from served_recipe import RECIPES, STUBS, Served, serve


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> object:
    script = str(RECIPES / "fake_unified" / "serve_fake_unified.py")
    with serve([script], [STUBS / "common"], {"refuses": ["a bomb"]}, tmp_path_factory.mktemp("fake")) as served:
        yield served


def test_it_answers_refuses_and_is_cut_at_the_limit(served: Served) -> None:
    assert "0 pictures and 3 words" in served.chat("What is that?")
    assert served.ask(kind="chat", text="Draw A BOMB.")["finish"] == "refused"
    cut = served.ask(kind="chat", text="What is that?", max_tokens=4)
    assert (cut["text"], cut["finish"], cut["usage"]["tokens_out"]) == ("You sent 0 pictures", "length", 4)


def test_it_draws_and_edits_pictures_that_depend_on_all_that_was_asked(served: Served, tmp_path: Path) -> None:
    first, again, other = (served.draw("a boat", seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    picture = tmp_path / "boat.png"
    picture.write_bytes(first)
    images = [{"path": str(picture)}]
    (edited,) = served.ask(kind="edit", text="bluer", images=images, size="40x30")["images"]
    with Image.open(edited["path"]) as opened:
        assert opened.size == (40, 30)
    assert "1 picture and 2 words" in served.ask(kind="chat", text="Which colour?", images=images)["text"]


def smoke_check(recipe: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(RECIPES / "smoke_check.py"), str(recipe), "--python", sys.executable, *arguments]
    return subprocess.run(line, cwd=RECIPES.parent, capture_output=True, text=True, timeout=60)


def test_the_smoke_check_asks_for_every_kind() -> None:
    done = smoke_check(RECIPES / "fake_unified", "--option", "seconds=0")
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = [line.split(",")[0] for line in done.stdout.splitlines() if line.startswith("ok")]
    assert kinds == ["ok  text", "ok  picture to text", "ok  text to picture", "ok  text to picture", "ok  edit"]
    assert "the same seed twice gave the same picture" in done.stdout


def test_the_smoke_check_says_what_failed(tmp_path: Path) -> None:
    recipe = tmp_path / "silent"
    shutil.copytree(RECIPES / "fake_unified", recipe)
    refused = smoke_check(recipe, "--option", 'refuses=["france"]')
    assert refused.returncode == 0  # words are an answer
    refused = smoke_check(recipe, "--option", 'refuses=["apple"]')
    assert refused.returncode == 1
    assert "FAILED: text to picture" in refused.stdout
    (recipe / "bench.toml").write_text('[[models]]\ncommand = ["python", "-c", "raise SystemExit(3)"]\n')
    broken = smoke_check(recipe)
    assert broken.returncode == 1
    assert "Traceback" not in broken.stderr
    assert "exit code 3" in broken.stdout
    for words, said in (((recipe, "--python", "/nowhere/python"), "--python"), ((tmp_path / "nowhere",), "no folder of a recipe")):
        refused = smoke_check(*words)
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr
        assert said in refused.stderr
