"""One row of the table of failures, and how it matches."""

from __future__ import annotations

import re
from dataclasses import dataclass

from providers.base import Need, ProviderError

REFUSING = frozenset({0, 400, 402, 403, 404, 405, 409, 410, 413, 422, 429, 451})
"""Statuses whose words are looked at; 0 is an error told with status 200."""
ANY = REFUSING | frozenset({500, 501, 502, 503})
WRONG = frozenset({0, 400, 403, 404, 405, 422})
"""Statuses of a request that is wrong: only there a parameter that is named counts."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One row: it matches by any of its statuses, codes (in lower case), or words in a message of a status in `where`.

    Args:
        kind: what is raised, so what the gateway does about it.
        says: the message, with `{vendor}`, `{model}`, `{status}` and `{message}`, the vendor's own words.
        needs: of Misconfigured: only requests that need that stop.
    """

    kind: type[ProviderError]
    says: str
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    where: frozenset[int] = REFUSING
    needs: Need | None = None

    def matches(self, status: int, codes: frozenset[str], message: str) -> bool:
        return status in self.statuses or self.said(status, codes, message)

    def said(self, status: int, codes: frozenset[str], message: str) -> bool:
        """Whether a code or a word says it, not the status alone."""
        worded = self.words is not None and status in self.where and self.words.search(message) is not None
        return worded or not self.codes.isdisjoint(codes)


def words_in(*alternatives: str) -> re.Pattern[str]:
    """A pattern that any of them matches, whatever its case."""
    return re.compile("|".join(alternatives), re.I)


def names_in(names: str) -> frozenset[str]:
    """Codes and words, parted by blanks."""
    return frozenset(names.split())
