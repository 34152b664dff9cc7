"""`report --blocks`: the parts of C-R that come from the model and from its platform, and the reasons of the platforms' blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from unisafe_async.results.blocks import BlockCount
from unisafe_async.results.scores import Coverage, Score
from unisafe_async.screens.console import line
from unisafe_async.screens.fitting import fit_table

LISTED = 12
WORDS = (
    "by filter: valid items whose every repeat the platform's filter stopped; by model: all other refusals; together C-R · "
    "at the request, at the response: rows (item x repeat) · cut, judged: of these, what came out before the filter was judged"
)


def build_refusals(
    console: Console,
    models: Sequence[str],
    by_model: Mapping[tuple[str, ...], Score],
    coverages: Sequence[Coverage],
    reasons: Sequence[BlockCount],
) -> Group:
    """C-R in its two parts, blocks by stage, and the vendors' categories."""
    shown: list[RenderableType] = [Text("Refusals: the model's own and its platform's", style="bold")]
    shown.append(fit_table(console, models, partial(_parts, models, by_model, {one.model: one for one in coverages})))
    if reasons:
        names = [one.model for one in reasons]
        shown += [Text("Blocked for, in the vendor's words", style="bold")]
        shown.append(fit_table(console, names, partial(_reasons, models, reasons)))
    if len(reasons) > LISTED:
        shown.append(Text(f"and {len(reasons) - LISTED} more reasons, each rarer\n", style="dim"))
    return Group(*shown, Text(WORDS, style="dim"), Text(""))


def _parts(
    models: Sequence[str],
    by_model: Mapping[tuple[str, ...], Score],
    known: Mapping[str, Coverage],
    names: Mapping[str, Text],
) -> Table:
    unknown = any(_unknown(known[model]) for model in models if model in known)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("\nModel", no_wrap=True)
    headings = ["\nn", "\nC-R", "by\nmodel", "by\nfilter", "at the\nrequest", "\nresponse"]
    for heading in (*headings, *(["\nunknown"] if unknown else []), "cut,\njudged"):
        table.add_column(heading, justify="right", no_wrap=True)
    for model in models:
        score, coverage = by_model.get((model,)), known.get(model)
        if score is None or coverage is None or not score.valid:
            continue
        refused, stopped = score.shares["c_r"].value, score.stopped / score.valid
        shares = [f"{share * 100:.1f}" for share in (refused, refused - stopped, stopped)]
        stages = [coverage.blocked_requests, coverage.blocked_responses, *([_unknown(coverage)] if unknown else [])]
        counts = [*stages, coverage.cut]
        table.add_row(names[model], Text(f"{score.valid:,}", style="dim"), *shares, *(f"{number:,}" for number in counts))
    return table


def _unknown(coverage: Coverage) -> int:
    """The number of blocked rows whose stage is not known."""
    return coverage.blocked - coverage.blocked_requests - coverage.blocked_responses


def _reasons(models: Sequence[str], reasons: Sequence[BlockCount], names: Mapping[str, Text]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading, width in (("Model", None), ("at the", 10), ("category", 28), ("severity", 14)):
        table.add_column(heading, overflow="ellipsis", no_wrap=True, max_width=width)
    table.add_column("rows", justify="right", no_wrap=True)
    most = sorted(reasons, key=lambda one: -one.rows)[:LISTED]
    place = {model: index for index, model in enumerate(models)}
    last = ""
    for one in sorted(most, key=lambda one: (place.get(one.model, len(place)), -one.rows)):
        name = names[one.model] if one.model != last else ""
        table.add_row(name, one.stage, line(one.category or "not said"), line(one.severity), f"{one.rows:,}")
        last = one.model
    return table
