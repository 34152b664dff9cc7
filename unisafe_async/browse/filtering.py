"""The dialog that sets the browser's filters."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Label, Select
from unisafe_cache import OUTCOMES
from unisafe_judger import SCALES

from unisafe_async.results.filters import Where
from unisafe_async.results.rows import Facets
from unisafe_async.screens.console import line

ANY = ""


class FilterScreen(ModalScreen[Where | None]):
    """One choice for each field; a filter with several values, from the command line, stays until the user changes the field."""

    CSS = """
    FilterScreen { align: center middle; }
    #fields { width: 64; height: auto; max-height: 100%; border: round $primary; padding: 0 1; background: $surface; }
    #fields Horizontal { height: auto; }
    #fields Label { width: 12; }
    #fields Select { width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave")]

    def __init__(self, facets: Facets, which: Where) -> None:
        super().__init__()
        self._which = which
        self._fields: dict[str, tuple[str, tuple[str, ...]]] = {
            "models": ("model", facets.models),
            "tasks": ("task", facets.tasks),
            "categories": ("category", facets.categories),
            "outcomes": ("outcome", OUTCOMES),
            "contextual": ("contextual", SCALES["contextual"].answers),
            "intrinsic": ("intrinsic", SCALES["intrinsic"].answers),
        }

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="fields"):
            for field, (title, values) in self._fields.items():
                given: tuple[str, ...] = getattr(self._which, field)
                several = " or ".join(given) if len(given) > 1 else None
                options = [(line("any"), ANY), *((line(value), value) for value in dict.fromkeys([*given, *values]))]
                with Horizontal():
                    yield Label(title, markup=False)
                    yield Select(
                        [*options, *([(line(several), several)] if several else [])],
                        value=several or (given[0] if given else ANY),
                        allow_blank=False,
                        id=field,
                        compact=True,
                    )
            with Horizontal():
                yield Button("show", variant="primary", id="show", compact=True)
                yield Button("leave", id="leave", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "leave":
            self.dismiss(None)
            return
        chosen: dict[str, tuple[str, ...]] = {}
        for field in self._fields:
            value = str(self.query_one(f"#{field}", Select).value)
            before: tuple[str, ...] = getattr(self._which, field)
            chosen[field] = before if len(before) > 1 and value == " or ".join(before) else ((value,) if value != ANY else ())
        self.dismiss(Where(**chosen, text=self._which.text))

    def action_leave(self) -> None:
        self.dismiss(None)
