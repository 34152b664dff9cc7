"""Use the checkout of a model's public repository from a script that stands elsewhere: places, imports, and what was used.

Python 3.8 or newer, standard library alone. Places (the checkout, the weights) come as arguments of the command, and what changes
answers comes as `options`: so the cache finds an answer again where the same model stands at another path.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

UNKNOWN = "unknown"


def read_places(*names: str) -> argparse.Namespace:
    """The arguments `--checkout FOLDER` and `--NAME PATH` for each of `names`, as absolute paths that exist. Ends with 2 otherwise."""
    parser = argparse.ArgumentParser()
    for name in ("checkout", *names):
        parser.add_argument("--" + name, required=True, type=_read_path)
    return parser.parse_args()


def _read_path(text: str) -> str:
    path = os.path.abspath(os.path.expanduser(text))
    if not os.path.exists(path):
        raise argparse.ArgumentTypeError(f"there is no {path}")
    return path


def read_options(given: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The options of an entry in bench.toml over a recipe's defaults. Ends with 2 for one that the recipe does not know."""
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        print(f"unknown options {', '.join(unknown)}; there are {', '.join(defaults)}", file=sys.stderr)
        sys.exit(2)
    return {**defaults, **given}


def enter(checkout: str) -> None:
    """Import from the checkout first, and stand in it: its code names files by relative paths. Make every own path absolute before."""
    sys.path.insert(0, checkout)
    os.chdir(checkout)


def read_commit(checkout: str) -> str:
    """The commit of a checkout, with "-dirty" where files were changed; "unknown" where it is no git checkout or git is absent."""
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
