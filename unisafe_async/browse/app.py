"""The browser: a list of rows on one side, the row under the cursor in full on the other. Holds the file only while it reads."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

import duckdb
from PIL.Image import Image as Picture
from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Footer, Input, Static
from textual.worker import get_current_worker
from unisafe_cache import CacheError, read_file

from unisafe_async.browse.detail import PictureOf, Piece, build_answer_pieces, build_request_pieces
from unisafe_async.browse.drawing import widget_of
from unisafe_async.browse.filtering import FilterScreen
from unisafe_async.browse.keylist import KeyScreen
from unisafe_async.browse.listing import write_heading
from unisafe_async.browse.pictures import NoPicture, Pictures, open_picture
from unisafe_async.browse.rowlist import RowList
from unisafe_async.browse.show import build_picture_reader
from unisafe_async.results.filters import Where
from unisafe_async.results.orders import ORDERS, find_unsafe_places
from unisafe_async.results.rows import Detail, Facets, find_rows, read_detail, read_facets, read_lines
from unisafe_async.screens.console import line
from unisafe_async.signals import stop_signals
from unisafe_async.text import count, plain

T = TypeVar("T")
INTERRUPTED = 130


class Browser(App[None]):
    """Rows of one run, filtered, searched and read one by one.

    Args:
        cache: the cache file.
        facets: the run.
        pictures: the source of its images.
        which: the filter to begin with.
        reveal: show images as they are.
    """

    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012
    CSS = """
    #where { height: 1; background: $panel; }
    #heading { height: 1; }
    #list { width: 1fr; height: 1fr; }
    #search { display: none; }
    #search.open { display: block; }
    RowList { width: 1fr; height: 1fr; }
    #detail { width: 1fr; height: 1fr; border-left: solid $panel; padding: 0 1; }
    .-narrow #both { layout: vertical; }
    .-narrow #detail { height: 2fr; border-left: none; border-top: solid $panel; }
    #detail Image { width: auto; max-width: 100%; height: auto; max-height: 40%; }
    #detail.-several Image { max-height: 25%; min-height: 4; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "keys", "keys", key_display="?", tooltip="this list"),
        Binding("q", "quit", "quit", tooltip="quit"),
        Binding("s", "sort", "sort", tooltip="sort by task, verdict, model or differences"),
        Binding("slash", "search", "search", key_display="/", tooltip="search in requests, responses and reasons"),
        Binding("f", "filter", "filter", tooltip="filter by model, task, category, outcome and verdicts"),
        Binding("c", "clear", "clear filters", show=False, tooltip="clear filters and search"),
        Binding("i", "reveal", "images", tooltip="show images as they are, or blurred again"),
        Binding("t", "thoughts", "thoughts", show=False, tooltip="show thoughts in full, or their beginning again"),
        Binding("r", "reload", "reload", show=False, tooltip="look for new rows"),
        Binding("escape", "close_search", show=False, tooltip="leave the search"),
        Binding("space", "scroll_detail(1)", "scroll", tooltip="scroll the response down"),
        Binding("b", "scroll_detail(-1)", show=False, tooltip="scroll the response up"),
    ]

    def __init__(self, cache: Path, facets: Facets, pictures: Pictures, which: Where, *, reveal: bool = False) -> None:
        super().__init__()
        self.cache = cache
        self.facets = facets
        self.which = which
        self.reveal = reveal
        self.thoughts = False
        self.order = next(iter(ORDERS))
        self._pictures = pictures
        self._shown: Detail | None = None
        self._rows = RowList()
        self._pane = VerticalScroll(id="detail")
        self._where = Static(id="where", markup=False)
        self._heading = Static(id="heading", markup=False)
        self._box = Input(placeholder="text in requests, responses and reasons; Enter searches, Escape leaves", id="search")

    def compose(self) -> ComposeResult:
        yield self._where
        yield self._box
        with Horizontal(id="both"):
            with Vertical(id="list"):
                yield self._heading
                yield self._rows
            yield self._pane
        yield Footer()

    def on_mount(self) -> None:
        self.title = "unisafe browse"
        self._rows.focus()
        self._find(self.which, self.order)
        if not self.is_headless:
            with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or another thread than the main one
                for number in stop_signals():
                    asyncio.get_running_loop().add_signal_handler(number, self.exit, None, INTERRUPTED)

    def _read(self, action: Callable[[duckdb.DuckDBPyConnection], T]) -> T | None:
        """Run `action` on the file from a worker thread; the screen shows an error, and nothing is lost."""
        try:
            return read_file(self.cache, action)
        except CacheError as error:
            self.call_from_thread(self.notify, plain(str(error)), severity="error", markup=False)
            return None

    # -------------------------------------------------------- the list

    @work(thread=True, exclusive=True, group="find")
    def _find(self, which: Where, order: str, stay: bool = True) -> None:
        def read(connection: duckdb.DuckDBPyConnection) -> tuple[Facets, array[int], array[int]]:
            numbers = find_rows(connection, self.facets.run, which, order)
            return read_facets(connection, self.facets.run), numbers, find_unsafe_places(connection, self.facets.run, numbers)

        found = self._read(read)
        if found is not None and not get_current_worker().is_cancelled:
            self.call_from_thread(self._show_found, which, order, stay, *found)

    def _show_found(self, which: Where, order: str, stay: bool, facets: Facets, numbers: array[int], unsafe: array[int]) -> None:
        self.which, self.order, self.facets = which, order, facets
        self._rows.models = facets.models
        self._rows.show(numbers, unsafe, stay=stay)
        self._say()
        if not numbers:
            self._shown = None
            self.run_worker(
                self._put([Text("no row matches; c clears the filters", style="yellow")]), exclusive=True, group="empty"
            )

    def _say(self) -> None:
        words = self.which.words()
        of = f"{len(self._rows.numbers):,} of {count(self.facets.rows, 'row')}, {len(self._rows.unsafe):,} unsafe"
        images = "images shown" if self.reveal else "images blurred"
        self._where.update(line(f"{of} · by {self.order} · {words or 'no filter'} · {images} · {self.facets.run}", "bold"))
        self._heading.update(write_heading(self._rows.size.width))

    def on_row_list_wanted(self, event: RowList.Wanted) -> None:
        self._page(event.page, event.numbers, event.generation)

    @work(thread=True, group="page")
    def _page(self, page: int, numbers: array[int], generation: int) -> None:
        lines = self._read(lambda connection: read_lines(connection, numbers))
        if lines is not None:
            self.call_from_thread(self._rows.put, page, {one.number: one for one in lines}, generation)

    def on_row_list_shown(self, event: RowList.Shown) -> None:
        self._say()

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        self._open(event.number)

    # -------------------------------------------------------- one row

    @work(thread=True, exclusive=True, group="detail")
    def _open(self, number: int) -> None:
        detail = self._read(lambda connection: read_detail(connection, number))
        if detail is None or get_current_worker().is_cancelled:
            return
        self._load(detail, keep=False)

    @work(thread=True, exclusive=True, group="detail")
    def _open_again(self, detail: Detail) -> None:
        self._load(detail, keep=True)

    def _load(self, detail: Detail, *, keep: bool) -> None:
        """Show the words at once, then the pictures, because their dataset may take a moment to open."""
        worker = get_current_worker()
        pieces = self._pieces(detail, None)
        drawn: Sequence[Piece | Picture] = pieces
        if any(isinstance(piece, PictureOf) for piece in pieces) or detail.reply is None:
            if not keep:
                self.call_from_thread(partial(self._put, pieces, detail))  # type: ignore[arg-type]
            prompt = None if detail.reply is not None else self._pictures.read_prompt(detail.row.item)
            drawn = [self._draw(piece) if isinstance(piece, PictureOf) else piece for piece in self._pieces(detail, prompt)]
        if not worker.is_cancelled:
            self.call_from_thread(partial(self._put, drawn, detail, keep))  # type: ignore[arg-type]

    def _pieces(self, detail: Detail, prompt: str | None) -> list[Piece]:
        sample = f" repeat {detail.row.sample}" if detail.row.sample else ""
        model = Text(f"\n{plain(detail.row.model)}{sample}", style="bold underline")
        return [*build_request_pieces(detail, prompt), model, *build_answer_pieces(detail, "" if self.thoughts else "t shows all")]

    def _draw(self, piece: PictureOf) -> Picture | Text:
        """The picture as an image to draw, or the reason why it cannot be drawn."""
        try:
            return open_picture(build_picture_reader(self._pictures, piece), reveal=self.reveal)
        except (NoPicture, CacheError) as why:
            return Text(f"[{piece.caption}: {plain(str(why))}]", style="yellow")

    async def _put(self, pieces: Sequence[Piece | Picture], detail: Detail | None = None, keep: bool = False) -> None:
        self._shown = detail
        pane = self._pane
        place = pane.scroll_y
        pane.set_class(sum(isinstance(piece, Picture) for piece in pieces) > 1, "-several")
        with self.batch_update():
            await pane.remove_children()
            await pane.mount_all(map(_widget, pieces))
        pane.scroll_to(y=place if keep else 0, animate=False)

    # -------------------------------------------------------- keys

    def action_search(self) -> None:
        box = self._box
        box.add_class("open")
        box.value = self.which.text
        box.focus()

    def action_close_search(self) -> None:
        self._box.remove_class("open")
        self._rows.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.action_close_search()
        self._find(replace(self.which, text=event.value.strip()), self.order)

    def action_filter(self) -> None:
        self.push_screen(FilterScreen(self.facets, self.which), self._apply_filter)

    def _apply_filter(self, which: Where | None) -> None:
        if which is not None:
            self._find(which, self.order)

    def action_clear(self) -> None:
        self._find(Where(), self.order)

    def action_reload(self) -> None:
        self._find(self.which, self.order)

    def action_sort(self) -> None:
        """Sort by the next order, and begin at its first row."""
        orders = list(ORDERS)
        self._find(self.which, orders[(orders.index(self.order) + 1) % len(orders)], stay=False)

    def action_keys(self) -> None:
        self.push_screen(KeyScreen([*RowList.BINDINGS, *self.BINDINGS]))

    def action_reveal(self) -> None:
        self.reveal = not self.reveal
        self._say()
        if self._shown is not None:
            self._open_again(self._shown)

    def action_thoughts(self) -> None:
        """Show the models' whole thoughts, or only their beginning."""
        self.thoughts = not self.thoughts
        if self._shown is not None:
            self._open_again(self._shown)

    def action_scroll_detail(self, pages: int) -> None:
        pane = self._pane
        pane.scroll_relative(y=pages * max(1, pane.size.height - 2), animate=False)


def _widget(piece: Piece | Picture) -> Widget:
    if isinstance(piece, Picture):
        return widget_of(piece)
    if isinstance(piece, PictureOf):
        return Static(Text(f"[{piece.caption}: looking for it]", style="dim"), markup=False)
    return Static(piece, markup=False)
