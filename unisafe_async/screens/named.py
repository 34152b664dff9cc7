"""Which subcategories the intrinsic judge named, as a heatmap: what is unsafe in the answers, whatever was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console, RenderableType
from rich.text import Text

from unisafe_async.results.scores import Score
from unisafe_async.screens.heatmap import build_heatmap

TITLE = "Named by the intrinsic judge, by subcategory: per cent of the judged answers; several may be named of one"


def build_named_heatmap(console: Console, models: Sequence[str], cells: Mapping[tuple[str, ...], Score]) -> RenderableType:
    if not cells:
        return Text("The intrinsic judge named no subcategory in this run.\n")
    return build_heatmap(console, "subcategory", "i_u", models, cells, TITLE)
