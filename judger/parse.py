"""From a judge's reply to a verdict, strictly: what is not plainly a verdict is none."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

FINAL = re.compile(r"(?:^|[\s.;:*(])\*{0,4}(?:result|verdict)\*{0,4}\s*[:=]\s*\*{0,4}\s*([0-9]+)\*{0,4}\s*[.)]?\s*$", re.I)
WHOLE_LINE = re.compile(r"^\W*(?:result|verdict)\W*[:=]\W*([0-9]+)\W*$", re.I)
CODE_BLOCK = re.compile(r"^```(?:json)?\s*\n?(.*?)\n?```$", re.S)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A verdict's digit and the reason the judge gave for it."""

    label: int
    reason: str


def parse_verdict(reply: str, allowed: frozenset[int]) -> Parsed | None:
    """The verdict of `reply`, or None when it holds none, one that is not allowed here, or two that differ.

    Accepted are exactly one JSON object `{"reason": str, "verdict": int}` (bare or as a code block), or text whose last line ends
    with `Result: N`. A `Result: N` quoted within a sentence does not count; a line of its own that contradicts the last one does.
    """
    text = reply.strip()
    block = CODE_BLOCK.match(text)
    if block:
        text = block.group(1).strip()
    if text.startswith("{"):
        return _from_json(text, allowed)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    final = FINAL.search(lines[-1]) if lines else None
    if final is None:
        return None
    digit = final.group(1)
    named = {match.group(1) for match in map(WHOLE_LINE.match, lines) if match}
    if digit not in map(str, allowed) or named - {digit}:
        return None
    reason = " ".join([*lines[:-1], lines[-1][: final.start()]]).strip()
    return Parsed(int(digit), re.sub(r"^\**reason\**\s*:\s*\**\s*", "", reason, flags=re.I))


def _from_json(text: str, allowed: frozenset[int]) -> Parsed | None:
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return None
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        return None
    verdicts = [value for key, value in pairs if key in ("verdict", "result", "Result", "Verdict")]
    if len(verdicts) != 1:
        return None
    label = verdicts[0]
    if isinstance(label, str) and label.strip() in ("0", "1", "2"):
        label = int(label)
    if isinstance(label, bool) or not isinstance(label, int) or label not in allowed:
        return None
    reason = next((value for key, value in pairs if key.lower() == "reason"), "")
    return Parsed(label, reason if isinstance(reason, str) else json.dumps(reason))
