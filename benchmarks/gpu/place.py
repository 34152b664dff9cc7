"""What a check gets, and what it gives back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self


class Missing(Exception):
    """A check cannot be made here; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a check runs.

    Args:
        device: `cuda:0` or `cpu`.
        small: whether models and numbers are tiny, so that a check takes seconds on a CPU and its figures mean nothing.
        folder: of temporary files; the models are in it.
    """

    device: str
    small: bool
    folder: Path

    @property
    def cuda(self) -> bool:
        return self.device.startswith("cuda")

    def pack(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def unpack(cls, text: str) -> Self:
        given = json.loads(text)
        return cls(**{**given, "folder": Path(given["folder"])})


@dataclass(frozen=True)
class Seen:
    """What a check saw.

    Args:
        ok: whether all is as it should be.
        words: what was seen, in one line.
        figures: rows of the table: what was measured, and the figure with its unit.
    """

    ok: bool
    words: str
    figures: tuple[tuple[str, str], ...] = ()
