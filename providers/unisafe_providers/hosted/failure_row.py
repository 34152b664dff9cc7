"""One row of the table of failures, and how it matches."""

from __future__ import annotations

import re
from dataclasses import dataclass

from unisafe_providers.base import Need, ProviderError

REFUSING = frozenset({0, 400, 402, 403, 404, 405, 409, 410, 412, 413, 422, 429, 451})
"""Statuses whose messages are matched; 0 is an error that came with status 200."""
ANY = REFUSING | frozenset({500, 501, 502, 503})
WRONG = frozenset({0, 400, 403, 404, 405, 422})
"""Statuses of a wrong request: only with these does a named parameter count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One row: it matches any of its statuses, any of its codes (in lower case), or words in a message with a status in `where`.

    Args:
        kind: the error that is raised; it decides what the gateway does.
        says: the message, with `{vendor}`, `{model}`, `{status}` and the vendor's own `{message}`.
        needs: for Misconfigured: only requests with this need stop.
    """

    kind: type[ProviderError]
    says: str
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    where: frozenset[int] = REFUSING
    needs: Need | None = None

    def matches(self, status: int, codes: frozenset[str], message: str) -> bool:
        return status in self.statuses or self.is_said(status, codes, message)

    def is_said(self, status: int, codes: frozenset[str], message: str) -> bool:
        """Whether a code or a word matches, not only the status."""
        worded = self.words is not None and status in self.where and self.words.search(message) is not None
        return worded or not self.codes.isdisjoint(codes)


def compile_words(*alternatives: str) -> re.Pattern[str]:
    """One pattern that matches if any of them matches, in upper or lower case."""
    return re.compile("|".join(alternatives), re.I)


def split_names(names: str) -> frozenset[str]:
    """Codes and words from a text in which blanks separate them."""
    return frozenset(names.split())
