"""One answer with its verdicts as a reader sees it: what the page's list of items and the live view show."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from unisafe_judger import SAFETY_OR_REFUSAL, UNJUDGED

from unisafe_async.page.records import Record
from unisafe_async.results.rows import JUDGED_WORDS, StoredVote, read_named_categories
from unisafe_async.run.judged import SCALE_OF
from unisafe_async.text import plain

LONGEST = 20_000
"""The most characters of one text on the page; a cut text says so, and `unisafe show` shows all of it."""

NO_LABEL, NOT_ASKED = -1, -2
"""In place of a label: nobody gave a verdict; a row has no words beside an image, or no thoughts that were judged."""
LABELS = {**SAFETY_OR_REFUSAL.numbers, UNJUDGED: NO_LABEL, "not_asked": NOT_ASKED}
"""The numbers of verdicts, for page.js."""

OF = {
    "beside_contextual": "contextual of the words beside the image",
    "beside_intrinsic": "intrinsic of the words beside the image",
}
"""The subject of a judge's vote, if the name of its question does not say it."""

ANSWER = (
    *("contextual", "intrinsic", "text", "images", "told", "note", "contextual_reason", "intrinsic_reason", "opinions"),
    *("thoughts", "thoughts_verdict", "thoughts_reason", "beside_contextual", "beside_intrinsic", "beside_reason"),
)
"""The keys of `describe_answer`."""


def describe_answer(row: Record, votes: Sequence[StoredVote]) -> dict[str, Any]:
    """An answer by ANSWER: verdicts as LABELS, digests of its images (0 without any), and texts as they are stored."""
    named = read_named_categories(row.named) if row.named else ()
    values = (
        _label(row.contextual),
        _label(row.intrinsic),
        row.text or "",
        list_images(row) or 0,
        _describe_outcome(row),
        _note(row),
        _reason(row.contextual_status, row.contextual_reason, row.contextual_raw),
        _reason(row.intrinsic_status, row.intrinsic_reason, row.intrinsic_raw, named),
        "\n".join(map(_describe_vote, votes)),
        row.thoughts or "",
        _label(row.thoughts_verdict) if row.thoughts_status else NOT_ASKED,
        _reason(row.thoughts_status, row.thoughts_reason),
        _label(row.beside_contextual) if row.beside_status else NOT_ASKED,
        _label(row.beside_intrinsic) if row.beside_status else NOT_ASKED,
        _reason(row.beside_status, row.beside_reason),
    )
    return dict(zip(ANSWER, values, strict=True))


def list_images(row: Record) -> list[str]:
    """The digests of the answer's images."""
    return [digest for digest in row.images or () if is_digest(digest)]


def is_digest(name: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{32}", name) is not None


def show_text(text: str) -> str:
    """A text that is harmless to show, and cut if it is very long."""
    return plain(_cut(text))


def _label(label: int | None) -> int:
    return NO_LABEL if label is None else label


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n[cut here: {len(text):,} characters in all; `unisafe show` has them]"


def _describe_outcome(row: Record) -> str:
    if row.response is None:
        return ""
    tokens = f"{row.tokens_in or 0:,} + {row.tokens_out or 0:,} tokens{' (estimated)' if row.estimated else ''}"
    facts = [f"ended with {row.finish}", f"{row.latency or 0:.2f} s", tokens]
    facts += [f"${row.cost:.5f}"] if row.cost else []
    facts += [f"served as {row.served_as}"] if row.served_as else []
    facts += ["from the cache"] if row.cached else []
    facts += [f"judged by {row.judge}"] if row.judge else []
    return " · ".join(facts)


def _note(row: Record) -> str:
    """Why there is no answer, or another kind than was due: the error, the missing part, the words of platform and filter."""
    parts = [f"failed: {row.error}"] if row.error else []
    parts += ["the part before the failure is shown, and not judged"] if row.outcome == "failed" and row.response else []
    parts += [f"nothing to judge: {row.missing}"] if row.missing and row.outcome != "failed" else []
    parts += [JUDGED_WORDS[row.judged]] if row.judged in JUDGED_WORDS else []
    parts += [f"the platform's words: {row.reason}"] if row.reason else []
    if row.stage:
        named = json.loads(row.categories) if row.categories else {}
        listed = ", ".join(f"{name} {severity}".strip() for name, severity in named.items())
        parts.append(f"the filter stopped the {row.stage}{': ' + listed if listed else ''}")
    return "\n".join(parts)


def _reason(status: str | None, reason: str | None, raw: str | None = None, named: Sequence[str] = ()) -> str:
    words = {"blocked": "the judge was blocked", "unparsed": "the judge was not understood", "failed": "no verdict"}
    parts = [words[status]] if status in words else []
    parts += [reason] if reason else []
    parts += [f"named: {', '.join(named)}"] if named else []
    parts += [f"the judge's reply: {raw}"] if raw else []
    return "\n".join(parts)


def _describe_vote(vote: StoredVote) -> str:
    said = SCALE_OF[vote.question].word(vote.label) if vote.status == "judged" else vote.status
    return f"{vote.judge}, {OF.get(vote.question, vote.question)}: {said}. {vote.reason}".rstrip()
