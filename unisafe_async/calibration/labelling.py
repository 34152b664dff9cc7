"""Labelling in a terminal: one response after another, blind to the judge's verdict; every label is on disk at once."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.rule import Rule
from rich.text import Text
from unisafe_cache import read_file
from unisafe_judger import REFUSAL, SAFE, SAFETY, SAFETY_OR_REFUSAL, UNSAFE

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.browse.detail import PictureOf, build_request_pieces, build_response_pieces
from unisafe_async.browse.drawing import ANSWER, begin
from unisafe_async.browse.keys import ESCAPE, drain, read_sent, set_terminal_mode
from unisafe_async.browse.pictures import NoPicture, Pictures, open_picture
from unisafe_async.browse.show import Draw, build_picture_reader, print_pieces
from unisafe_async.calibration.labels import Label, append_label, digest_response
from unisafe_async.results.rows import Detail, read_detail
from unisafe_async.text import count, plain

KEYS = {"u": UNSAFE, "s": SAFE, "r": REFUSAL}
OTHER = "k skip  b back  n note  o open images  q quit"


Place = tuple[str, str, int, str]


class Leave(Exception):
    """The labeller wants to stop."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """One person's session of labelling.

    Args:
        path: the file of labels.
        cache: the cache file.
        run: the run that is labelled.
        labeller: the person's name.
        named: whether to show which model wrote a response.
    """

    path: Path
    cache: Path
    run: str
    labeller: str
    named: bool


def read_key() -> str:
    """One key from a terminal, else the first letter of a typed line; Leave at the end of the input."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        if not line:
            raise Leave
        return line.strip()[:1].lower()
    if sys.platform == "win32":
        key = click.getchar()
    else:
        sent = read_sent(sys.stdin.fileno())
        while sent.startswith(ESCAPE):
            sent = read_sent(sys.stdin.fileno())
        key = sent.decode("utf-8", "replace")
    if key in ("", "\x04", "\x1a"):
        raise Leave
    return key.lower()


def read_note() -> str:
    """One line as it was typed."""
    with set_terminal_mode(keys=False):
        line = sys.stdin.readline()
    if not line:
        raise Leave
    return plain(ANSWER.sub("", line).strip())


def label_rows(console: Console, session: Session, numbers: Sequence[int], done: set[Place], pictures: Pictures, draw: Draw) -> int:
    """Ask for both verdicts of each row that is not in `done`; returns how many labels were written."""
    written, index, again = 0, 0, False
    visited: list[int] = []
    with tempfile.TemporaryDirectory(prefix="unisafe-label-") as folder, set_terminal_mode(keys=True):
        viewer = partial(_view, console, pictures, Path(folder))
        begin()
        asked = False
        while index < len(numbers):
            detail = read_file(session.cache, partial(read_detail, number=numbers[index]))
            if detail is None or detail.reply is None or (place_of(detail) in done and not again):
                index += 1
                continue
            again = False
            where = f"{index + 1} of {count(len(numbers), 'response')}"
            if asked:
                _present(console, session, detail, where, draw)
            else:
                _present_first(console, partial(_present, console, session, detail, where, draw))
            asked = True
            try:
                answer = _ask(console, detail, viewer)
            except Leave:
                break
            if answer == "back":
                again = True
                if visited:
                    index = visited.pop()
                else:
                    console.print(Text("this is the first one of this sitting", style="yellow"))
                continue
            if isinstance(answer, tuple):
                append_label(session.path, _label(session, detail, *answer))
                done.add(place_of(detail))
                written += 1
            visited.append(index)
            index += 1
    return written


def place_of(detail: Detail) -> Place:
    """The fields that name the response in a label."""
    assert detail.reply is not None
    row = detail.row
    return (row.item, row.model, row.sample, digest_response(detail.reply.text, detail.reply.images))


def _label(session: Session, detail: Detail, contextual: int, intrinsic: int, note: str) -> Label:
    item, model, repeat, digest = place_of(detail)
    return Label(
        item=item,
        model=model,
        repeat=repeat,
        run=session.run,
        response=digest,
        contextual=contextual,
        intrinsic=intrinsic,
        labeller=session.labeller,
        note=note,
    )


def _present_first(console: Console, present: Callable[[], None]) -> None:
    """Show the first response at once, and drop keys that were typed before: nobody can label a response unseen."""
    with console.capture() as shown:
        present()
    if sys.stdin.isatty() and sys.platform != "win32":
        drain(sys.stdin.fileno())
    console.file.write(shown.get())


def _present(console: Console, session: Session, detail: Detail, where: str, draw: Draw) -> None:
    """The request and the response, without verdicts and the platform's words, and with the model's name only on request."""
    console.print(Rule(Text(where, style="bold"), style="dim"))
    print_pieces(console, build_request_pieces(detail), draw)
    name = f" of {plain(detail.row.model)}" if session.named else ""
    console.print(Rule(Text(f"response{name}"), align="left", style="dim"))
    print_pieces(console, build_response_pieces(detail), draw)


def _ask(console: Console, detail: Detail, view: Callable[[Detail], None]) -> tuple[int, int, str] | Literal["back", "skip"]:
    """Ask for both verdicts and a note. An image cannot refuse, so people, like the judge, choose between unsafe and safe."""
    image = TASKS[detail.row.task].image_out
    note = ""
    verdicts: list[int] = []
    questions = (
        ("contextual", "in view of the request", SAFETY if image else SAFETY_OR_REFUSAL),
        ("intrinsic", "the response on its own", SAFETY),
    )
    while len(verdicts) < len(questions):
        name, hint, scale = questions[len(verdicts)]
        keys = {key: scale.word(label) for key, label in KEYS.items() if label in scale.labels}
        choices = "  ".join(f"{key} {word}" for key, word in keys.items())
        console.print(
            Text.assemble((f"   {OTHER}\n", "dim"), (f"{name} ({hint}): ", "bold"), f"{choices} "), end="", soft_wrap=True
        )
        key = read_key()
        console.print(Text(keys.get(key, {"k": "skip", "b": "back", "n": "note", "o": "open", "q": "quit"}.get(key, "?"))))
        if key in keys:
            verdicts.append(KEYS[key])
        elif key == "b" and verdicts:
            verdicts.pop()
        elif key == "b":
            return "back"
        elif key == "k":
            return "skip"
        elif key == "q":
            raise Leave
        elif key == "n":
            console.print(Text("note (one line): ", style="bold"), end="")
            note = read_note()
        elif key == "o":
            view(detail)
    return verdicts[0], verdicts[1], note


def _view(console: Console, pictures: Pictures, folder: Path, detail: Detail) -> None:
    """Open the images with the system's viewer, rewritten as PNG, so that no crafted file reaches the viewer."""
    assert detail.reply is not None
    pieces = [piece for piece in [*build_request_pieces(detail), *build_response_pieces(detail)] if isinstance(piece, PictureOf)]
    if not pieces:
        console.print(Text("there is no image", style="dim"))
    for piece in pieces:
        try:
            picture = open_picture(build_picture_reader(pictures, piece), reveal=True)
        except NoPicture as why:
            console.print(Text(f"[{piece.caption}: {plain(str(why))}]", style="yellow"))
            continue
        file = folder / f"{piece.place}-{len(list(folder.iterdir()))}.png"
        picture.save(file)
        if click.launch(str(file)):
            console.print(Text(f"no viewer opened; the image is at {file} until you quit", style="yellow"))
