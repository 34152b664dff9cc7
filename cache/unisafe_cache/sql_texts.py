"""Texts in SQL, where a statement takes no parameters: names of files, and lists of names that are known."""

from __future__ import annotations

from collections.abc import Iterable


def quote_sql(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def quote_list(texts: Iterable[str]) -> str:
    """`texts` as SQL strings with commas between, as `IN (...)` takes them."""
    return ", ".join(map(quote_sql, texts))
