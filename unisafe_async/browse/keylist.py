"""The browser's list of keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

NAMES = {"slash": "/", "question_mark": "?", "pagedown": "page down", "pageup": "page up"}


class KeyScreen(ModalScreen[None]):
    """Every key with what it does; any of its own keys closes it."""

    CSS = """
    KeyScreen { align: center middle; }
    #keys { width: 72; max-width: 100%; height: auto; max-height: 100%; border: round $primary; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "dismiss", "close")]

    def __init__(self, bindings: Iterable[BindingType]) -> None:
        super().__init__()
        self._lines = [(name_keys(one.key), one.tooltip) for one in bindings if isinstance(one, Binding) and one.tooltip]

    def compose(self) -> ComposeResult:
        width = max(len(keys) for keys, _ in self._lines) + 2
        lines = [Text.assemble((keys.ljust(width), "bold"), told) for keys, told in self._lines]
        with VerticalScroll(id="keys"):
            yield Static(Text("\n").join(lines), markup=False)


def name_keys(keys: str) -> str:
    """`down, j, n` from `down,j,n`, as a keyboard names them."""
    return ", ".join(NAMES.get(key, key) for key in keys.split(","))
