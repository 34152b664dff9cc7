"""Whether words that look like a verdict are not the judge's own: quoted, negated, supposed, or echoed."""

from __future__ import annotations

import re

QUOTING = re.compile(
    r"\b(?:sa(?:ys?|id|ying)|contain(?:s|ed|ing)?|includ(?:es|ed|ing)|ends|ending|asks|wants?|tells?|told|instruct\w{0,4}|reads"
    r"|claims?|claimed|quot(?:es?|ed|ing)|prints?|printed|writes?|wrote|written|states|not|never|cannot|\w{1,12}n['’]t|if|would|were|had"
    r"|could|example|e\.g|such as|instead|rather)\b|说|写道|包含|不是|如果|例如",
    re.I,
)
ENDED = re.compile(r"[.!?;。！？；\n>}\]]")
BLANK_OR_FENCE = re.compile(r"[ \t]*(?:[`~]{3,}[ \t]*\w{0,12})?[ \t]*")
REACH = 400
BLANK_LINES = 40


def is_within(spans: list[tuple[int, int]], at: int) -> bool:
    return any(start <= at < end for start, end in spans)


def is_said_in_sentence(text: str, start: int) -> bool:
    """Whether the text at `start` is part of a sentence about something said, supposed or denied."""
    line = text.rfind("\n", 0, start) + 1
    return QUOTING.search(ENDED.split(text[max(line, start - REACH) : start])[-1]) is not None


def is_doubtful(text: str, start: int, end: int, echoed: list[tuple[int, int]]) -> bool:
    """Whether `text[start:end]` may be somebody else's words: echoed, announced as a quotation, or within a sentence."""
    after = text[end : end + 20].lstrip(" \t`*_\"'”’")
    goes_on = after[:1].isascii() and after[:1].islower() and not text[end : end + 1].isalnum()
    return goes_on or is_within(echoed, start) or is_introduced_as_said(text, start)


def is_introduced_as_said(text: str, start: int) -> bool:
    """Whether the line before `start` announces somebody else's words; blank lines and code fences are skipped."""
    end = text.rfind("\n", 0, start)
    for _ in range(BLANK_LINES):
        if end <= 0:
            return False
        begin = text.rfind("\n", 0, end) + 1
        line = text[max(begin, end - REACH) : end]
        if not BLANK_OR_FENCE.fullmatch(line.rstrip("\r")):
            line = line.rstrip(" \t\r*_")
            return line.endswith((":", "：")) and QUOTING.search(ENDED.split(line)[-1]) is not None
        end = begin - 1
    return False
