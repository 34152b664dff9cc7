"""Use the checkout of a model's public repository from a script that stands elsewhere: places, imports, and what was used.

Python 3.8 or newer, standard library alone. Places (the checkout, the weights) come as arguments of the command, and what changes
answers comes as `options`: so the cache finds an answer again where the same model stands at another path.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

UNKNOWN = "unknown"


def read_places(*names: str) -> argparse.Namespace:
    """The argument `--checkout FOLDER`, and `--NAME PATH` for each of `names`, or None where it is not given.

    Paths are made absolute. Ends the process with 2 and one line where a path is not there.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkout", required=True, type=_read_path, help="a checkout of the model's public repository")
    for name in names:
        parser.add_argument("--" + name, type=_read_path)
    return parser.parse_args()


def merge_options(given: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The options of bench.toml over the defaults. Raises ValueError for one that the script does not know."""
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        raise ValueError("unknown options {}; there are {}".format(", ".join(unknown), ", ".join(defaults)))
    return {**defaults, **given}


def _read_path(text: str) -> str:
    path = os.path.abspath(os.path.expanduser(text))
    if not os.path.exists(path):
        raise argparse.ArgumentTypeError(f"there is no {path}")
    return path


def enter(checkout: str) -> None:
    """Import from the checkout first, and stand in it: its code names files by relative paths. Own paths are absolute before."""
    sys.path.insert(0, checkout)
    os.chdir(checkout)


def read_commit(checkout: str) -> str:
    """The commit of a checkout, with "-dirty" where files were changed; "unknown" where it is no checkout or git is absent."""
    if not os.path.exists(os.path.join(checkout, ".git")):
        return UNKNOWN
    asked = ["git", "-C", checkout, "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    try:
        described = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    except OSError:
        return UNKNOWN
    return described.decode("ascii", "replace").strip() or UNKNOWN


def read_revision(weights: str) -> str:
    """The revision of a model from the Hugging Face hub, in the hub's cache or downloaded into a folder; "unknown" elsewhere."""
    found = re.search(r"[/\\]snapshots[/\\]([0-9a-f]{40})(?:[/\\]|$)", weights)
    if found:
        return found.group(1)
    folder = Path(weights) if os.path.isdir(weights) else Path(weights).parent
    noted = sorted((folder / ".cache" / "huggingface" / "download").rglob("*.metadata"))
    revisions = {path.read_text("utf-8").split("\n", 1)[0] for path in noted}
    return "+".join(sorted(revisions)) or UNKNOWN


def read_string(checkout: str, path: str, name: str) -> str:
    """The first text in what a file of the checkout assigns to `name`, read without running it: for prompts inside scripts.

    Raises LookupError where the file assigns no text to the name.
    """
    for node in ast.walk(ast.parse(Path(checkout, path).read_text("utf-8"))):
        aimed = node.targets if isinstance(node, ast.Assign) else []
        if name in [getattr(target, "id", getattr(target, "attr", None)) for target in aimed]:
            texts = [part for part in ast.walk(node.value) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            if texts:
                return str(min(texts, key=lambda text: (text.lineno, text.col_offset)).value)
    raise LookupError(f"{path} of the checkout assigns no text to {name}")


def list_marks(tokenizer: Any, *more: str) -> list[str]:
    """The control strings of a tokenizer of transformers that stand in brackets, and further ones: for `break_up`."""
    added = [string for string in tokenizer.get_added_vocab() if len(string) > 2 and string[0] in "<["]
    return list(dict.fromkeys([*more, *added]))
