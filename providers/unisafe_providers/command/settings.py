"""How a command is started and spoken to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unisafe_providers.command.lines import ImagesAs
from unisafe_providers.workers.processes import PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSettings:
    """How a command is started and spoken to.

    Args:
        name: the model's name, for messages.
        command: the program and its arguments.
        folder: the folder that it is started in.
        options: what it is told in its first line.
        images: whether pictures go as paths or inside of lines.
        variables: names of further variables that it gets.
        batch_size: requests in a batch, at most; None leaves it to DEFAULT_BATCH.
        patience: seconds without a sign of life after which it is ended.
        leave: seconds that it gets to end after its input did, and again after SIGTERM.
    """

    name: str
    command: tuple[str, ...]
    folder: Path = Path()
    options: Mapping[str, Any] = field(default_factory=dict)
    images: ImagesAs = "paths"
    variables: tuple[str, ...] = ()
    batch_size: int | None = None
    patience: float = 1_800.0
    leave: float = PATIENCE
