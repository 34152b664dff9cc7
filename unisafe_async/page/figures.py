"""The plots of a run: on the page, and as files for papers, each with what must be read with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from unisafe_async.extras import missing_extra
from unisafe_async.page import plots
from unisafe_async.page.inline_svg import inline
from unisafe_async.page.summary import Summary
from unisafe_async.results.provenance import METADATA_KEY, as_lines, as_metadata
from unisafe_async.results.runs import only
from unisafe_async.results.scores import Score
from unisafe_async.results.standing import lacking_words
from unisafe_async.text import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"panels": "B-S by task", "scatter": "Safety over utility"}


def missing_plots() -> str | None:
    """Why a page has no plots: the sentence that asks for matplotlib; None where it is installed."""
    return missing_extra("matplotlib", "a plot")


def drawn(summary: Summary, name: str) -> Figure | None:
    """The figure `panels` or `scatter`; None where there is nothing to draw."""
    lacking = summary.report.ranking.lacking
    if name == "panels":
        missing = [f"{lacking_words(lacking)}."] if lacking else []
        return plots.panel_dots(summary.models, summary.report.by_task, _caption(summary, missing))
    different = [summary.caution] if summary.caution else []
    return plots.scatter(_overall(summary), summary.utility, summary.backbone, _caption(summary, different))


def inlined(summary: Summary, name: str) -> Markup | None:
    """The same for the page, with words for those who do not see it; None also without matplotlib."""
    if missing_plots():
        return None
    figure = drawn(summary, name)
    if figure is None:
        return None
    words = "B-S of every model and task with its 95% interval; the tables of both panels hold the same figures"
    if name == "scatter":
        overall = _overall(summary)
        words = "; ".join(
            f"{plain(model)}: utility {summary.utility[model]:g}, B-S {overall[model].shares['b_s'].value * 100:.1f}%"
            for model in overall
            if model in summary.utility and overall[model].shares
        )
    warning = summary.report.warning
    described = f"{warning} {words}" if warning else words
    return Markup(inline(figure, name, TITLES[name], described))  # noqa: S704 an SVG tree that ElementTree wrote, which escapes text


def _overall(summary: Summary) -> dict[str, Score]:
    return {model: summary.report.by_model[model,] for model in summary.models if (model,) in summary.report.by_model}


def _caption(summary: Summary, more: list[str]) -> plots.Caption:
    """Who is simulated; run, dataset, judge, how much is judged, and what else must be read with the figure."""
    report = summary.report
    judged = f"{report.bill.total - report.unjudged:,} of {report.bill.total:,} judged"
    whose = f"Run {report.run} · dataset {report.dataset} · judge {report.judge} · {judged} (items × models × repeats)"
    chosen = [only(report.where)] if report.where else []
    return plots.Caption(report.warning, (*more, *report.told.loud, *(f"{mark}." for mark in report.told.marks), *chosen, whose))


def metadata(summary: Summary) -> dict[str, str]:
    """What the file says of itself: in words, and the whole record as in other files."""
    record, warning = summary.provenance, summary.report.warning
    return {
        "Source": f"unisafe-async run {record.run}",
        "Creator": f"unisafe-async {record.written_by}",
        "Software": f"unisafe-async {record.written_by}",
        "Description": "\n".join(as_lines(record)),
        **({"Warning": warning} if warning else {}),
        METADATA_KEY: as_metadata(record)[METADATA_KEY],
    }
