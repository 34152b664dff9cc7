"""A list of any length: it reads only the pages on the screen and keeps the latest few."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from unisafe_async.browse.listing import row_text
from unisafe_async.results.rows import Line

PAGE = 200
KEPT = 20
"""Pages in memory."""


class RowList(ScrollView, can_focus=True):
    """Rows by their numbers; posts `Wanted` when a page comes on the screen, and `Moved` when the cursor moves."""

    DEFAULT_CSS = "RowList { overflow-x: hidden; overflow-y: scroll; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j,n", "move(1)", "next", show=False, tooltip="the next row"),
        Binding("up,k,p", "move(-1)", "previous", show=False, tooltip="the previous row"),
        Binding("u", "unsafe(1)", "unsafe", tooltip="the next row with an unsafe verdict"),
        Binding("U", "unsafe(-1)", "previous unsafe", show=False, tooltip="the previous row with an unsafe verdict"),
        Binding("pagedown", "page(1)", show=False, tooltip="a screen of rows down"),
        Binding("pageup", "page(-1)", show=False, tooltip="a screen of rows up"),
        Binding("home,g", "go(0)", show=False, tooltip="the first row"),
        Binding("end,G", "go(-1)", show=False, tooltip="the last row"),
    ]

    class Wanted(Message):
        """A page that is about to be shown."""

        def __init__(self, page: int, numbers: array[int], generation: int) -> None:
            super().__init__()
            self.page = page
            self.numbers = numbers
            self.generation = generation

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    class Shown(Message):
        """There is another list, or it has another width."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: array[int] = array("q")
        self.unsafe: array[int] = array("q")
        self.models: tuple[str, ...] = ()
        self.cursor = 0
        self._pages: OrderedDict[int, dict[int, Line] | None] = OrderedDict()
        self._generation = 0

    def show(self, numbers: array[int], unsafe: array[int], *, stay: bool = True) -> None:
        """Show another list, whose rows at the places `unsafe` have an unsafe verdict.

        The cursor stays on its row if the new list has it, else, or unless it shall `stay`, it goes to the first.
        """
        here = self.numbers[self.cursor] if self.numbers and stay else None
        self.numbers, self.unsafe = numbers, unsafe
        self.cursor = numbers.index(here) if here is not None and here in numbers else 0
        self._pages.clear()
        self._generation += 1
        self.virtual_size = Size(self.size.width, len(numbers))
        self.refresh()
        self.post_message(self.Shown())
        self._arrive()

    def put(self, page: int, lines: dict[int, Line], generation: int) -> None:
        """Take a wanted page; a page of a list that is no longer shown is dropped."""
        if generation == self._generation:
            self._pages[page] = lines
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, index = self.size.width, y + self.scroll_offset.y
        if index >= len(self.numbers):
            return Strip.blank(width)
        row = self._line(index)
        ground = Style(reverse=True) if index == self.cursor else Style()
        if row is None:
            return Strip([Segment("  …".ljust(width), ground + Style(dim=True))])
        segments = Segment.apply_style(row_text(row, width, self.models).render(self.app.console), ground)
        return Strip(segments).adjust_cell_length(width, ground)

    def _line(self, index: int) -> Line | None:
        page = index // PAGE
        if page not in self._pages:
            self._pages[page] = None
            numbers = self.numbers[page * PAGE : (page + 1) * PAGE]
            self.call_later(self._want, page, numbers, self._generation)
            while len(self._pages) > KEPT:
                self._pages.popitem(last=False)
        self._pages.move_to_end(page)
        lines = self._pages[page]
        return lines.get(self.numbers[index]) if lines is not None else None

    def _want(self, page: int, numbers: array[int], generation: int) -> None:
        """Ask for pages here and not in `render_line`, which runs for the screen: its messages do not reach the app."""
        self.post_message(self.Wanted(page, numbers, generation))

    # -------------------------------------------------------- the cursor

    def action_move(self, by: int) -> None:
        self._stand(self.cursor + by)

    def action_page(self, by: int) -> None:
        self._stand(self.cursor + by * max(1, self.size.height - 1))

    def action_go(self, to: int) -> None:
        self._stand(to if to >= 0 else len(self.numbers) - 1)

    def action_unsafe(self, by: int) -> None:
        """Go to the next unsafe row, or to the previous one; past the end it begins again on the other side."""
        if not self.unsafe:
            self.notify("no row of this list is unsafe")
            return
        place = bisect_right(self.unsafe, self.cursor) if by > 0 else bisect_left(self.unsafe, self.cursor) - 1
        self._stand(self.unsafe[place % len(self.unsafe)])

    def on_click(self, event: events.Click) -> None:
        self._stand(event.y + self.scroll_offset.y)

    def on_resize(self, event: events.Resize) -> None:
        self.virtual_size = Size(event.size.width, len(self.numbers))
        self.post_message(self.Shown())

    def _stand(self, index: int) -> None:
        index = max(0, min(index, len(self.numbers) - 1))
        if self.numbers and index != self.cursor:
            self.cursor = index
            self._arrive()
            self.refresh()

    def _arrive(self) -> None:
        if self.numbers:
            self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False, force=True)
            self.post_message(self.Moved(self.numbers[self.cursor]))
