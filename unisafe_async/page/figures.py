"""The plots of a run, for the page and as files for papers, each with its warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from unisafe_async.extras import missing_extra
from unisafe_async.page import plots
from unisafe_async.page.inline_svg import inline
from unisafe_async.page.summary import Summary
from unisafe_async.results.lead import describe_lacking
from unisafe_async.results.provenance import METADATA_KEY, to_lines, to_metadata
from unisafe_async.results.runs import describe_where
from unisafe_async.results.scores import Score
from unisafe_async.text import name_judge, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {
    "outcomes": "What became of each model's items",
    "panels": "B-S by task",
    "heatmap": "B-S by category",
    "scatter": "Safety over utility",
}
"""Every figure by the end of its file's name, with its title."""


def missing_plots() -> str | None:
    """Why a page has no plots: the sentence that asks for matplotlib; None where it is installed."""
    return missing_extra("matplotlib", "a plot")


def draw_figure(summary: Summary, name: str, columns: plots.Columns = 2) -> Figure | None:
    """One of the figures in TITLES, one or two of a paper's columns wide; None if there is nothing to draw."""
    report, overall = summary.report, find_overall(summary)
    lacking = report.ranking.lacking
    missing = [f"{describe_lacking(lacking)}."] if lacking else []
    if name == "panels":
        return plots.draw_panel_dots(summary.models, report.by_task, _caption(summary, missing), columns=columns)
    caption = _caption(summary, [summary.caution] if summary.caution else [])
    if name == "outcomes":
        return plots.draw_outcome_bars(report.outcomes, overall, caption, columns=columns)
    if name == "heatmap":
        return plots.draw_category_heatmap(summary.models, summary.categories, summary.by_category, caption, columns=columns)
    return plots.draw_scatter(overall, summary.utility, summary.backbone, caption, columns=columns)


def inline_figure(summary: Summary, name: str, columns: plots.Columns) -> Markup | None:
    """The figure for the page, with a description for people who do not see it; None also without matplotlib."""
    if missing_plots():
        return None
    figure = draw_figure(summary, name, columns)
    if figure is None:
        return None
    words = "B-S of every model and task with its 95% interval; the tables of both panels hold the same figures"
    if name == "scatter":
        overall = find_overall(summary)
        words = "; ".join(
            f"{plain(model)}: utility {summary.utility[model]:g}, B-S {overall[model].shares['b_s'].value * 100:.1f}%"
            for model in overall
            if model in summary.utility and overall[model].shares
        )
    warning = summary.report.warning
    described = f"{warning} {words}" if warning else words
    return Markup(inline(figure, f"{name}-{columns}", TITLES[name], described))  # noqa: S704 an SVG tree that ElementTree wrote, which escapes text


def find_overall(summary: Summary) -> dict[str, Score]:
    """Each model's scores over all its items, in the page's order of models."""
    return {model: summary.report.by_model[model,] for model in summary.models if (model,) in summary.report.by_model}


def _caption(summary: Summary, more: list[str]) -> plots.Caption:
    """The text of a figure: who is simulated, run, dataset, judge, how much is judged, and other warnings."""
    report = summary.report
    judged = f"{report.bill.total - report.unjudged:,} of {report.bill.total:,} judged"
    whose = f"Run {report.run} · dataset {report.dataset} · {name_judge(report.judge)} · {judged} (items × models × repeats)"
    overall = find_overall(summary)
    empty = [plain(model) for model in summary.models if model not in overall or not overall[model].shares]
    unsaid = [f"Nothing is judged of {', '.join(empty)}."] if empty else []
    chosen = [describe_where(report.where)] if report.where else []
    return plots.Caption(
        report.warning, (*more, *unsaid, *report.told.loud, *(f"{mark}." for mark in report.told.marks), *chosen, whose)
    )


def build_metadata(summary: Summary) -> dict[str, str]:
    """The texts that a figure's file carries: its provenance in words, and the whole record as in other files."""
    record, warning = summary.provenance, summary.report.warning
    return {
        "Source": f"unisafe-async run {record.run}",
        "Creator": f"unisafe-async {record.written_by}",
        "Software": f"unisafe-async {record.written_by}",
        "Description": "\n".join(to_lines(record)),
        **({"Warning": warning} if warning else {}),
        METADATA_KEY: to_metadata(record)[METADATA_KEY],
    }
