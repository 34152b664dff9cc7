"""Which subcategories the intrinsic judge named, as a heatmap: what is unsafe in the answers, whatever was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
from rich.console import Console, RenderableType
from rich.text import Text

from unisafe_async.named_categories import named_categories
from unisafe_async.report.heatmap import heatmap
from unisafe_async.scores import ALL, Coverage, Score, Share, Where

NAMED = "named"
"""Used instead of a dimension: the subcategory that the judge named, not the item's own."""
TITLE = "Named by the intrinsic judge, by subcategory: per cent of the judged answers; one answer may have several"


def named_shares(
    connection: duckdb.DuckDBPyConnection, run: str, covered: Sequence[Coverage], where: Where = ALL
) -> dict[tuple[str, ...], Score]:
    """For each model and subcategory, the share of judged rows for which it was named, instead of I-U; without intervals."""
    judged = {one.model: one.judged for one in covered}
    found = named_categories(connection, run, where)
    subcategories = dict.fromkeys(subcategory for _, subcategory in found)
    return {
        (model, name): Score((model, name), rows, rows, {"i_u": Share(found.get((model, name), 0) / rows, 0.0, 1.0)})
        for model, rows in judged.items()
        for name in subcategories
        if rows
    }


def named_heatmap(console: Console, models: Sequence[str], cells: Mapping[tuple[str, ...], Score]) -> RenderableType:
    if not cells:
        return Text("The intrinsic judge named no subcategory in this run.\n")
    return heatmap(console, "subcategory", "i_u", models, cells, TITLE)
