"""One item in full: request, response and both verdicts with their reasons, for each model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from unisafe_async.browse.detail import PictureOf, Piece, build_answer_pieces, build_request_pieces
from unisafe_async.browse.drawing import draw_picture
from unisafe_async.browse.pictures import NoPicture, Pictures, open_picture
from unisafe_async.results.rows import Detail
from unisafe_async.screens.console import Indented, says_its_size
from unisafe_async.text import plain

WIDTH = 48
"""The largest width of a drawn picture, in columns."""

Draw = Callable[[PictureOf], None]


def print_item(
    console: Console, details: Sequence[Detail], draw: Draw, prompt: str | None = None, *, thoughts: bool = False
) -> None:
    """Print the item's request once, then each model's response and verdicts; `draw` shows a picture, `thoughts` all thoughts."""
    asked = next((detail for detail in details if detail.reply is not None), details[0])
    print_pieces(console, build_request_pieces(asked, prompt), draw)
    for detail in details:
        sample = f" repeat {detail.row.sample}" if detail.row.sample else ""
        console.print(Rule(Text(plain(detail.row.model) + sample, style="bold"), align="left", style="dim"))
        print_pieces(console, build_answer_pieces(detail, "" if thoughts else "--thoughts shows all"), draw)


def print_pieces(console: Console, pieces: Iterable[Piece], draw: Draw) -> None:
    for piece in pieces:
        if isinstance(piece, PictureOf):
            draw(piece)
        else:
            console.print(piece)


def choose_drawing(console: Console, pictures: Pictures, *, images: bool, reveal: bool) -> Draw:
    """How pictures are shown on `console`: drawn if the terminal can, else only named."""

    def draw(piece: PictureOf) -> None:
        words = f"[{piece.caption}]"
        if not (images and console.is_terminal and says_its_size()):
            console.print(Indented(Text(words, style="dim")))
            return
        try:
            read = build_picture_reader(pictures, piece)
            picture = open_picture(read, reveal=reveal)
        except NoPicture as why:
            console.print(Indented(Text(f"[{piece.caption}: {plain(str(why))}]", style="yellow")))
            return
        hidden = "" if reveal else "; blurred, --reveal shows it"
        console.print(Indented(Text(f"[{piece.caption}{hidden}]", style="dim")))
        console.print(draw_picture(picture, min(WIDTH, console.width - 2)))

    return draw


def build_picture_reader(pictures: Pictures, piece: PictureOf) -> Callable[[], bytes]:
    """A function that reads the bytes of the picture."""
    return lambda: pictures.read_sent(piece.item, piece.digest) if piece.place == "sent" else pictures.read_made(piece.digest)
