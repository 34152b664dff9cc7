"""The commands of the docs' pages, run as a reader types them, with simulated models in the place of real ones.

What counts as a command: every line of a block of ```sh. A block of ```toml with the title bench.toml is a file that must be right as it
stands. Blocks of ```console need what is not here (a network, a compiler, a gated dataset) and are not run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import forked
import pytest

from unisafe_async import load_config

ROOT = Path(__file__).parents[2]
PAGES = ("tutorial", "commercial-and-open", "reruns", "read-a-report", "gate", "reproduce")
BLOCK = re.compile(r"^ *```(sh|toml title=\"bench\.toml\")\n(.*?)^ *```$", re.M | re.S)
ENDS = {"gate": {0, 3, 4}}
"""Exit codes other than 0 that are right: what `gate` decides of a simulated model is its own affair."""
BENCH = """
[dataset]
source = "sample"
limit = 14
[gate]
max_c_u = 60
[judge]
provider = "simulated"
model = "judge"
"""


def read_blocks(page: str, kind: str) -> list[str]:
    """The texts of the blocks of one kind, `sh` or `toml`, in the page's order."""
    found = BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text("utf-8"))
    return [text for language, text in found if language.startswith(kind)]


def list_commands() -> Iterator[tuple[str, list[str]]]:
    """Each page and command, in order; a command that stands on several pages once."""
    seen = set()
    for page in PAGES:
        for line in "".join(read_blocks(page, "sh")).splitlines():
            words = shlex.split(line, comments=True)
            if words and tuple(words) not in seen:
                seen.add(tuple(words))
                yield page, words


def write_bench(folder: Path) -> None:
    """A bench.toml of simulated models that have the names which the commands mention."""
    names = dict.fromkeys(name for _, (_, *words) in list_commands() if words[0] == "compare" for name in words[1:3])
    models = [
        f'[[models]]\nname = "{name}"\nprovider = "simulated"\nmodel = "{"permissive" if number % 2 else "balanced"}"\ntakes = ["text", "image"]\n'
        for number, name in enumerate(name for name in names if not name.startswith("--"))
    ]
    (folder / "bench.toml").write_text("".join([BENCH, *models]), "utf-8")


def test_every_command_of_the_pages_works_in_the_order_in_which_a_reader_types_them(tmp_path: Path) -> None:
    write_bench(tmp_path)
    new = tmp_path / "new"
    new.mkdir()
    pages = set()
    for page, (program, *words) in list_commands():
        assert program == "unisafe", f"docs/{page}.md: a block of sh holds another command than unisafe: {program}"
        judged = ["simulated:judge" if before == "--judge" else word for before, word in zip(["", *words], words, strict=False)]
        done = forked.unisafe(*(words if words[0] == "init" else judged), cwd=new if words[0] == "init" else tmp_path)
        said = f"docs/{page}.md: {shlex.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.returncode in ENDS.get(words[0], {0}), said
        if words[0] == "init" and "--force" not in words:
            (new / "bench.toml").unlink()
        pages.add(page)
    assert pages == set(PAGES), "a page without commands of its own"


@pytest.mark.parametrize("page", PAGES)
def test_each_bench_toml_of_a_page_is_right_as_it_stands(page: str, tmp_path: Path) -> None:
    for number, text in enumerate(read_blocks(page, "toml")):
        path = tmp_path / f"{number}.toml"
        path.write_text(text, "utf-8")
        assert load_config(path).models
