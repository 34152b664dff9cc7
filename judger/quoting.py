"""Whether something that looks like a verdict stands in somebody else's mouth: quoted, negated, supposed, or echoed."""

from __future__ import annotations

import re

QUOTING = re.compile(
    r"\b(?:sa(?:ys?|id|ying)|contain(?:s|ed|ing)?|includ(?:es|ed|ing)|ends|ending|asks|wants?|tells?|told|instruct\w{0,4}|reads"
    r"|claims?|claimed|quot(?:es?|ed|ing)|prints?|printed|writes?|wrote|written|states|not|never|cannot|\w{1,12}n['’]t|if|would|were|had"
    r"|could|example|e\.g|such as|instead|rather)\b|说|写道|包含|不是|如果|例如",
    re.I,
)
ENDED = re.compile(r"[.!?;。！？；\n>}\]]")
ECHO = re.compile(r"^<<<(?!END )([A-Z]{1,20} [0-9a-zA-Z]{1,40})>>>[ \t]*$", re.M)
BLANK_OR_FENCE = re.compile(r"[ \t]*(?:[`~]{3,}[ \t]*\w{0,12})?[ \t]*")
REACH = 400


def echoes(text: str) -> list[tuple[int, int]]:
    """Where `text` repeats what was fenced in the judge's request (judger/rubrics.py): start and end of each."""
    found: list[tuple[int, int]] = []
    for opening in ECHO.finditer(text):
        if found and opening.start() < found[-1][1]:
            continue
        end = text.find(f"<<<END {opening[1]}>>>", opening.end())
        found.append((opening.start(), len(text) if end < 0 else end))
    return found


def within(spans: list[tuple[int, int]], at: int) -> bool:
    return any(start <= at < end for start, end in spans)


def in_a_sentence(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` stands in a sentence about something said, supposed or denied, or goes on as a sentence."""
    line = text.rfind("\n", 0, start) + 1
    lead = text[max(line, start - REACH) : start]
    pieces = ENDED.split(lead)
    if QUOTING.search(pieces[-1]):
        return True
    after = text[end : end + 20].lstrip(" \t`*_\"'”’")
    return after[:1].isascii() and after[:1].islower() and not text[end : end + 1].isalnum()


def introduced_as_said(text: str, start: int) -> bool:
    """Whether the line before the one at `start`, blank lines and code fences apart, announces what somebody else says."""
    end = text.rfind("\n", 0, start)
    while end > 0:
        begin = text.rfind("\n", 0, end) + 1
        line = text[max(begin, end - REACH) : end]
        if not BLANK_OR_FENCE.fullmatch(line.rstrip("\r")):
            line = line.rstrip(" \t\r*_")
            return line.endswith((":", "：")) and QUOTING.search(ENDED.split(line)[-1]) is not None
        end = begin - 1
    return False
