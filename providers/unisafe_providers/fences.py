"""Fences around hostile text in a request: they are put up here, and they are read back here.

A text stands between two lines whose code is a digest of the text itself, so no text can contain the line that ends it. Whoever
reads the request (a judge, the archive, the simulated judge) tells by the code what was fenced.
"""

from __future__ import annotations

import hashlib
import re

FENCE = re.compile(r"<<<(?!END )([A-Z]{1,20}) ([0-9a-f]{16})>>>")
"""The line that begins what is fenced: its kind (RESPONSE, INTENT, ...) and its code."""
ECHO = re.compile(r"^<<<(?!END )([A-Z]{1,20} [0-9a-zA-Z]{1,40})>>>[ \t]*$", re.M)
"""That line in a judge's own words, which may misspell the code."""


def fence_code(text: str) -> str:
    """The code of the fence around `text`: 64 bits in hexadecimal."""
    return hashlib.blake2b(text.encode(), digest_size=8, person=b"unisafe-fence").hexdigest()


def fence_text(kind: str, text: str) -> str:
    """`text` between fence lines of a `kind` in capital letters; the text cannot close them."""
    code = fence_code(text)
    return f"<<<{kind} {code}>>>\n{text}\n{_end(kind, code)}"


def find_fences(request: str) -> list[tuple[str, str]]:
    """Kind and code of every fence that begins in `request`, in order. The first is ours: hostile text comes after it."""
    return FENCE.findall(request)


def read_last_fence(kind: str, request: str) -> str:
    """What the last fence of `kind` holds: ours, where nothing hostile comes after it. Empty where there is none."""
    ends = list(re.finditer(rf"\n<<<END {kind} ([0-9a-f]{{16}})>>>", request))
    if not ends:
        return ""
    opening = f"<<<{kind} {ends[-1][1]}>>>\n"
    start = request.find(opening)
    return request[start + len(opening) : ends[-1].start()] if start >= 0 else ""


def find_echoes(reply: str) -> list[tuple[int, int]]:
    """Where a judge's reply repeats what was fenced in its request: start and end of each."""
    found: list[tuple[int, int]] = []
    for opening in ECHO.finditer(reply):
        if found and opening.start() < found[-1][1]:
            continue
        end = reply.find(_end(*opening[1].split(" ")), opening.end())
        found.append((opening.start(), len(reply) if end < 0 else end))
    return found


def _end(kind: str, code: str) -> str:
    return f"<<<END {kind} {code}>>>"
