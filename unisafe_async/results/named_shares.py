"""Shares of the answers of which the intrinsic judge named each subcategory, in the shape of scores."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from unisafe_async.results.named_categories import count_named_categories
from unisafe_async.results.scores import ALL, Coverage, Score, Share, Where

NAMED = "named"
"""Used instead of a dimension: the subcategory that the judge named, not the item's own."""


def count_named_shares(
    connection: duckdb.DuckDBPyConnection, run: str, covered: Sequence[Coverage], where: Where = ALL
) -> dict[tuple[str, ...], Score]:
    """For each model and subcategory, the share of judged rows for which it was named, instead of I-U; without intervals."""
    judged = {one.model: one.judged for one in covered}
    found = count_named_categories(connection, run, where)
    subcategories = dict.fromkeys(subcategory for _, subcategory in found)
    return {
        (model, name): Score(
            key=(model, name), items=rows, valid=rows, shares={"i_u": Share(found.get((model, name), 0) / rows, 0.0, 1.0)}
        )
        for model, rows in judged.items()
        for name in subcategories
        if rows
    }
