"""One row as pieces for a terminal: rich text, and pictures that the caller draws. All model output is plain text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rich.console import RenderableType
from rich.text import Text
from unisafe_judger import SAFETY_OR_REFUSAL

from unisafe_async.results.rows import JUDGED_WORDS, Detail, Reply, StoredVote, read_named_categories
from unisafe_async.run.judged import SCALE_OF
from unisafe_async.screens.console import COLOURS, MARKS, Indented, line
from unisafe_async.text import count, plain

OUTCOME_WORDS = {
    "answered": "answered",
    "refused": "refused by the model",
    "blocked_request": "request blocked by the platform",
    "blocked_response": "response blocked by the platform",
    "blocked": "blocked by the platform, it is not known at which stage",
    "empty": "empty response",
    "failed": "failed: no response",
}
THOUGHTS_SHOWN = 600
"""The most characters of a model's thoughts, unless the user asks for all."""


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


def build_request_pieces(detail: Detail, prompt: str | None = None) -> Iterator[Piece]:
    """The item's name and its request; `prompt` replaces a request that is not stored."""
    row = detail.row
    yield Text.assemble((plain(row.item), "bold"), (f"  {row.category}: {row.subcategory}", "dim"))
    if detail.reply is None:
        words = "the request is not stored, because no response came" if prompt is None else plain(prompt)
        yield _indent(words, "dim" if prompt is None else "")
        return
    for part in detail.reply.parts:
        yield _indent(plain(part["text"])) if "text" in part else PictureOf("sent", row.item, str(part.get("image", "")))


def build_answer_pieces(detail: Detail, thoughts_by: str = "") -> Iterator[Piece]:
    """The result of the request, then every verdict with its reason and each judge's vote.

    Args:
        thoughts_by: tells how to see a model's whole thoughts, if only their beginning is shown; empty shows them all.
    """
    yield _outcome(detail)
    if detail.row.error:
        yield _indent(plain(detail.row.error), "yellow")
    if detail.reply is not None:
        if detail.row.outcome == "failed":
            yield line("the part before the failure, which is not judged:", "dim")
        if detail.reply.missing and detail.row.outcome != "failed":
            yield _indent(f"nothing to judge: {plain(detail.reply.missing)}", "yellow")
        yield from _reply_pieces(detail.row.item, detail.reply, thoughts_by)
    yield from _verdict_pieces(detail)


def build_response_pieces(detail: Detail) -> Iterator[Piece]:
    """The response alone: its text and its images."""
    if detail.reply is not None:
        if detail.reply.text:
            yield _indent(plain(detail.reply.text))
        for digest in detail.reply.images:
            yield PictureOf("made", detail.row.item, digest)


def _outcome(detail: Detail) -> Text:
    words = OUTCOME_WORDS.get(detail.row.outcome, plain(detail.row.outcome))
    if detail.row.outcome == "failed" and detail.reply is not None:
        words = "failed"
    styled = Text(words, style="yellow" if detail.row.outcome.startswith(("blocked", "failed")) else "bold")
    reply = detail.reply
    if reply is not None:
        for name, severity in reply.categories:
            styled.append(f"  {plain(name)}{f' ({plain(severity)})' if severity else ''}", "yellow")
        cost = "" if reply.cost is None else f", ${reply.cost:.5f}"
        counted = " (estimated)" if reply.estimated else ""
        served = f", served as {plain(reply.served_as)}" if reply.served_as else ""
        tokens = f"{reply.tokens_in} + {reply.tokens_out} tokens{cost}{counted}"
        facts = f"  finish {reply.finish}, {reply.latency:.2f} s, {tokens}{served}"
        styled.append(facts, "not bold dim")
    return styled


def _reply_pieces(item: str, reply: Reply, thoughts_by: str) -> Iterator[Piece]:
    if reply.reason:
        yield line(f"the platform's words: {reply.reason}", "dim")
    if reply.thoughts:
        yield line("the model's thoughts, which are not part of its answer:", "dim")
        yield _thoughts(reply.thoughts, thoughts_by)
    if reply.text:
        if reply.thoughts or reply.images:
            yield line("the words beside the image:" if reply.images else "the answer:", "dim")
        if reply.cut:
            yield _indent("partial text:", "yellow")
        yield _indent(plain(reply.text))
        if reply.cut:
            yield _indent(f"✂ {reply.cut}", "yellow")
    if len(reply.images) > 1:
        yield _indent(count(len(reply.images), "image"), "dim")
    for digest in reply.images:
        yield PictureOf("made", item, digest)


def _thoughts(thoughts: str, by: str) -> Indented:
    """The whole thoughts, or their beginning and how to see the rest."""
    left = len(thoughts) - THOUGHTS_SHOWN
    if not by or left <= 0:
        return _indent(plain(thoughts), "dim")
    return _indent(f"{plain(thoughts[:THOUGHTS_SHOWN])} … ({count(left, 'more character')}: {by})", "dim")


def _verdict_pieces(detail: Detail) -> Iterator[Piece]:
    row = detail.row
    if row.judged in JUDGED_WORDS:
        yield line(JUDGED_WORDS[row.judged], "dim")
    yield _verdict("contextual", row.contextual, row.contextual_status, row.contextual_reason)
    yield from _said_of(detail, "contextual", row.contextual_raw)
    yield _verdict("intrinsic", row.intrinsic, row.intrinsic_status, row.intrinsic_reason)
    if row.categories:
        yield _indent(f"named: {', '.join(map(plain, read_named_categories(row.categories)))}", "dim", 15)
    yield from _said_of(detail, "intrinsic", row.intrinsic_raw)
    if row.beside_status:
        yield line("of the words beside the image:", "dim")
        yield _verdict("contextual", row.beside_contextual, row.beside_status, "")
        yield from _said_of(detail, "beside_contextual")
        yield _verdict("intrinsic", row.beside_intrinsic, row.beside_status, row.beside_reason)
        yield from _said_of(detail, "beside_intrinsic")
    if row.thoughts_status:
        yield _verdict("thoughts", row.thoughts, row.thoughts_status, row.thoughts_reason)
        yield from _said_of(detail, "thoughts")


def _verdict(title: str, label: int | None, status: str | None, reason: str | None) -> Text:
    word = SAFETY_OR_REFUSAL.word(label)
    why = f" ({plain(status or '')})" if label is None else ""
    colour = COLOURS[word]
    return Text.assemble((f"{MARKS[word]} ", colour), (f"{title:<11}", "dim"), (word + why, colour), f"  {plain(reason or '')}")


def _said_of(detail: Detail, question: str, raw: str | None = "") -> Iterator[Piece]:
    """The judge's reply that could not be read, and the votes of several judges."""
    if raw:
        yield _indent(f"the judge's reply: {plain(raw)}", "dim", 15)
    for vote in detail.votes:
        if vote.question == question:
            yield _vote(vote)


def _vote(vote: StoredVote) -> Indented:
    word = SCALE_OF[vote.question].word(vote.label)
    status = f" ({plain(vote.status)})" if vote.label is None else ""
    colour = COLOURS[word]
    given = Text.assemble((f"{MARKS[word]} ", colour), (f"{plain(vote.judge)}: ", "dim"), (word + status, colour))
    return Indented(given.append(f"  {plain(vote.reason)}", "dim"), 13)


def _indent(words: str, style: str = "", by: int = 2) -> Indented:
    return Indented(Text(words, style=style), by)
