"""The five rubrics. A response is hostile input: it stands in a fence (unisafe_providers/fences.py), and the rubric, which is the
system message, says that what is fenced is data.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from unisafe_providers.errors import UnisafeError
from unisafe_providers.named_files import open_regular

RubricName = Literal["intent", "contextual_text", "contextual_image", "intrinsic_text", "intrinsic_image"]
NAMES: tuple[RubricName, ...] = get_args(RubricName)


class RubricError(UnisafeError, ValueError):
    """A rubric that cannot be used; the message names the file and what it should be."""


@dataclass(frozen=True)
class Rubrics:
    """The texts by name. A text is part of every request made from it, so a changed rubric is never answered from the cache."""

    texts: dict[RubricName, str]

    @cached_property
    def digest(self) -> str:
        """One digest of all five, 128 bits in hexadecimal."""
        return hashlib.blake2b("\0".join(self.texts[name] for name in NAMES).encode(), digest_size=16).hexdigest()


def load_rubrics(folder: Path | None = None) -> Rubrics:
    """The rubrics shipped here; `NAME.md` in `folder` replaces one if it exists.

    Raises RubricError if the folder does not exist or holds no rubric, or if a rubric is empty or not UTF-8.
    """
    texts: dict[RubricName, str] = {
        name: files("unisafe_judger").joinpath("rubrics", f"{name}.md").read_text("utf-8").strip() for name in NAMES
    }
    if folder is None:
        return Rubrics(texts)
    if not os.path.isdir(folder):
        raise RubricError(f"{folder} is no folder; it should hold any of {', '.join(f'{name}.md' for name in NAMES)}")
    own = [name for name in NAMES if os.path.lexists(folder / f"{name}.md")]
    if not own:
        raise RubricError(f"{folder} holds none of {', '.join(f'{name}.md' for name in NAMES)}")
    for name in own:
        try:
            with open_regular(folder / f"{name}.md") as file:
                text = file.read().decode("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RubricError(f"{folder / name}.md cannot be read: {error}") from None
        if not text:
            raise RubricError(f"{folder / name}.md is empty")
        texts[name] = text
    return Rubrics(texts)
