"""One row as pieces for a terminal: rich text, and pictures that whoever shows it draws. All model output is plain text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rich.console import RenderableType
from rich.text import Text

from unisafe_async.browse.rows import CONTEXTUAL_WORDS, INTRINSIC_WORDS, Detail, Opinion, Reply
from unisafe_async.report.console import Indented
from unisafe_async.report.text import count, line, plain

COLOURS = {"unsafe": "red", "safe": "green", "refusal": "cyan", "unjudged": "yellow"}
OUTCOME_WORDS = {
    "answered": "answered",
    "refused": "refused by the model",
    "blocked_request": "request blocked by the platform",
    "blocked_response": "response blocked by the platform",
    "blocked": "blocked by the platform, it is not known at which stage",
    "empty": "empty response",
    "failed": "failed: no response",
}


@dataclass(frozen=True, slots=True)
class PictureOf:
    """Where a picture belongs: `sent` with the request of `item`, or `made` by the model."""

    place: Literal["sent", "made"]
    item: str
    digest: str

    @property
    def caption(self) -> str:
        return f"image {'that was sent' if self.place == 'sent' else 'that the model made'}, {self.digest}"


Piece = RenderableType | PictureOf


def request_pieces(detail: Detail, prompt: str | None = None) -> Iterator[Piece]:
    """The item's name and what was asked; `prompt` is what stands for a request that is not stored."""
    row = detail.row
    yield Text.assemble((plain(row.item), "bold"), (f"  {row.category}: {row.subcategory}", "dim"))
    if detail.reply is None:
        words = "the request is not stored, because no response came" if prompt is None else plain(prompt)
        yield _indented(words, "dim" if prompt is None else "")
        return
    for part in detail.reply.parts:
        yield _indented(plain(part["text"])) if "text" in part else PictureOf("sent", row.item, str(part.get("image", "")))


def answer_pieces(detail: Detail) -> Iterator[Piece]:
    """What came of the request, then both verdicts with their reasons and each judge's opinion."""
    yield _outcome(detail)
    if detail.reply is None:
        yield _indented(plain(detail.row.error or ""), "yellow")
    else:
        yield from _reply_pieces(detail.row.item, detail.reply)
    yield from _verdict_pieces(detail)


def response_pieces(detail: Detail) -> Iterator[Piece]:
    """The response alone: its text and its images."""
    if detail.reply is not None:
        if detail.reply.text:
            yield _indented(plain(detail.reply.text))
        for digest in detail.reply.images:
            yield PictureOf("made", detail.row.item, digest)


def _outcome(detail: Detail) -> Text:
    words = OUTCOME_WORDS.get(detail.row.outcome, plain(detail.row.outcome))
    styled = Text(words, style="yellow" if detail.row.outcome.startswith(("blocked", "failed")) else "bold")
    reply = detail.reply
    if reply is not None:
        for name, severity in reply.categories:
            styled.append(f"  {plain(name)}{f' ({plain(severity)})' if severity else ''}", "yellow")
        cost = "" if reply.cost is None else f", ${reply.cost:.5f}"
        facts = f"  finish {reply.finish}, {reply.latency:.2f} s, {reply.tokens_in} + {reply.tokens_out} tokens{cost}"
        styled.append(facts, "not bold dim")
    return styled


def _reply_pieces(item: str, reply: Reply) -> Iterator[Piece]:
    if reply.reason:
        yield line(f"the platform's words: {reply.reason}", "dim")
    if reply.text:
        if reply.cut:
            yield _indented("partial text:", "yellow")
        yield _indented(plain(reply.text))
        if reply.cut:
            yield _indented(f"✂ {reply.cut}", "yellow")
    if len(reply.images) > 1:
        yield _indented(count(len(reply.images), "image"), "dim")
    for digest in reply.images:
        yield PictureOf("made", item, digest)


def _verdict_pieces(detail: Detail) -> Iterator[Piece]:
    row = detail.row
    for question, label, status, reason, raw, words in (
        ("contextual", row.contextual, row.contextual_status, row.contextual_reason, row.contextual_raw, CONTEXTUAL_WORDS),
        ("intrinsic", row.intrinsic, row.intrinsic_status, row.intrinsic_reason, row.intrinsic_raw, INTRINSIC_WORDS),
    ):
        word = words.get(label, "unjudged")
        why = f" ({plain(status)})" if label is None else ""
        yield Text.assemble((f"{question:<11}", "dim"), (word + why, COLOURS[word]), f"  {plain(reason or '')}")
        if raw:
            yield _indented(f"the judge's reply: {plain(raw)}", "dim", 13)
        for opinion in detail.opinions:
            if opinion.question == question:
                yield _opinion(opinion, words)


def _opinion(opinion: Opinion, words: dict[int | None, str]) -> Indented:
    word = words.get(opinion.label, "unjudged")
    status = f" ({plain(opinion.status)})" if opinion.label is None else ""
    said = Text.assemble(
        (f"{plain(opinion.judge)}: ", "dim"), (word + status, COLOURS[word]), (f"  {plain(opinion.reason)}", "dim")
    )
    return Indented(said, 13)


def _indented(words: str, style: str = "", by: int = 2) -> Indented:
    return Indented(Text(words, style=style), by)
