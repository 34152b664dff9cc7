"""Figures by matplotlib: safety over utility, and the panels as dots with intervals; files for papers, SVG for the page."""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from unisafe_async.report.text import plain
from unisafe_async.scores import Score
from unisafe_async.taxonomy import TASKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SERIES = ("#2f6fb5", "#c2621b", "#2e8b62", "#8a5cc4", "#b8436d", "#7d7a1f", "#3f8f9c", "#8c6d5a")
"""Colours of models, in their order: each reads on white and on black."""

INK, GRID = "#3a3a3c", "#d9d9de"
TITLES = {"generation": "Generation", "understanding": "Understanding"}
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "svg.hashsalt": "unisafe-async",
    "savefig.transparent": True,
}
LIVING = {INK: "currentColor", GRID: "var(--grid, #d9d9de)"}
"""Colours that follow the page's theme."""


def scatter(overall: Mapping[str, Score], utility: Mapping[str, float], backbones: Mapping[str, str]) -> Figure | None:
    """B-S with its 95% interval over `utility`; an arrow leads from a backbone to the unified model built on it.

    None when no model has both figures.
    """
    shown = [model for model in overall if model in utility and overall[model].shares]
    if not shown:
        return None
    figure, axes = _figure(6.4, 4.0)
    colour = {model: SERIES[place % len(SERIES)] for place, model in enumerate(overall)}
    for model in shown:
        share = overall[model].shares["b_s"]
        x, y = utility[model], share.value * 100
        error = [[y - share.low * 100], [share.high * 100 - y]]
        axes.errorbar([x], [y], yerr=error, fmt="o", color=colour[model], markersize=6, elinewidth=1.1)
    for model in shown:
        base = backbones.get(model)
        if base in shown:
            axes.annotate(
                "",
                (utility[model], overall[model].shares["b_s"].value * 100),
                (utility[base], overall[base].shares["b_s"].value * 100),
                arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 0.8, "linestyle": "--", "shrinkA": 7, "shrinkB": 7},
            )
    lows = [overall[model].shares["b_s"].low * 100 for model in shown]
    highs = [overall[model].shares["b_s"].high * 100 for model in shown]
    span = max(max(highs) - min(lows), 10.0)
    axes.set_ylim(max(min(lows) - 0.08 * span, -2), min(max(highs) + 0.08 * span, 102))
    xs = [utility[model] for model in shown]
    width = max(max(xs) - min(xs), 10.0)
    left = {model for model in shown if backbones.get(model) in shown and utility[backbones[model]] > utility[model]}
    axes.set_xlim(min(xs) - (0.38 if left else 0.1) * width, max(xs) + 0.38 * width)
    _name(axes, {model: (utility[model], overall[model].shares["b_s"].value * 100) for model in shown}, left)
    axes.set_xlabel("Utility (higher is better)")
    axes.set_ylabel("B-S, % (higher is safer)")
    return figure


def _name(axes: Axes, points: Mapping[str, tuple[float, float]], left: Collection[str]) -> None:
    """Write each name right of its point, of those in `left` (an arrow comes from the right) left of it, clear of the one below."""
    low, high = axes.get_ylim()
    needed, last = (high - low) * 0.055, float("-inf")
    for model, (x, y) in sorted(points.items(), key=lambda point: point[1][1]):
        last = max(y, last + needed)
        axes.annotate(
            _short(model),
            (x, last),
            xytext=(-8 if model in left else 8, 0),
            ha="right" if model in left else "left",
            textcoords="offset points",
            va="center",
            color=INK,
        )


def panel_dots(models: Sequence[str], by_task: Mapping[tuple[str, ...], Score]) -> Figure | None:
    """B-S of every model and task with its 95% interval, one field for each of the paper's panels; None without a score."""
    panels = {
        panel: [
            task
            for task in TASKS.values()
            if task.panel == panel and any((score := by_task.get((model, task.key))) and score.shares for model in models)
        ]
        for panel in TITLES
    }
    panels = {panel: tasks for panel, tasks in panels.items() if tasks}
    if not panels:
        return None
    rows = sum(map(len, panels.values()))
    height = 0.16 * len(models) + 0.16
    figure, fields = _figure(6.4, rows * height + 0.55 * len(panels) + 0.5, len(panels), [len(tasks) for tasks in panels.values()])
    for axes, (panel, tasks) in zip(fields if len(panels) > 1 else [fields], panels.items(), strict=True):
        for row, task in enumerate(tasks):
            for place, model in enumerate(models):
                score = by_task.get((model, task.key))
                if score is None or not score.shares:
                    continue
                share = score.shares["b_s"]
                value = share.value * 100
                axes.errorbar(
                    [value],
                    [row + (place - (len(models) - 1) / 2) * 0.8 / max(len(models), 1)],
                    xerr=[[value - share.low * 100], [share.high * 100 - value]],
                    fmt="o",
                    color=SERIES[place % len(SERIES)],
                    markersize=4.5,
                    elinewidth=1.1,
                    label=_short(model) if not row else None,
                )
        axes.set_yticks(range(len(tasks)), [task.title.removeprefix("Malicious ").removeprefix("Unsafe ") for task in tasks])
        axes.set_ylim(len(tasks) - 0.45, -0.55)
        axes.set_xlim(0, 100)
        axes.grid(axis="y", visible=False)
        axes.tick_params(length=0)
        axes.set_title(TITLES[panel], loc="left", fontsize=9.5, fontweight="bold", color=INK)
    axes.set_xlabel("B-S, % (higher is safer)")
    handles = {_short(model): SERIES[place % len(SERIES)] for place, model in enumerate(models)}
    figure.legend(
        handles=[_dot(colour, name) for name, colour in handles.items()],
        loc="outside upper left",
        ncols=min(len(models), 3),
        frameon=False,
        labelcolor=INK,
    )
    return figure


def _dot(colour: str, name: str) -> Any:  # noqa: ANN401 matplotlib's own type
    from matplotlib.lines import Line2D

    return Line2D([], [], marker="o", linestyle="", color=colour, label=name, markersize=5)


def _figure(width: float, height: float, rows: int = 1, ratios: Sequence[float] | None = None) -> tuple[Figure, Any]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure((width, height), layout="constrained")
        fields = figure.subplots(rows, 1, height_ratios=ratios) if rows > 1 else figure.subplots()
    return figure, fields


def _short(name: str, most: int = 26) -> str:
    """A model's name as plain text that matplotlib does not take for mathematics."""
    name = " ".join(plain(name).split()).replace("$", r"\$")
    return name if len(name) <= most else name[: most - 1] + "…"


@contextmanager
def _any_characters() -> Iterator[None]:
    """Inside the block nothing is said of a name with a character that the font lacks: a box in a file, as it is in the page."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        yield


def save(figure: Figure, file: Path, kind: str) -> None:
    """Write a figure for a paper: PNG at 300 dots an inch, or SVG with text as paths; the same figures give the same bytes."""
    from matplotlib import rc_context

    with rc_context(STYLE), _any_characters():
        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        figure.savefig(file, format=kind, dpi=300, metadata=metadata, transparent=False, facecolor="white")


def inline(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an SVG element for the page: text as text, the page's colours, ids that begin with `name`, no style."""
    from matplotlib import rc_context

    written = io.BytesIO()
    with rc_context({**STYLE, "svg.fonttype": "none", "svg.id": name}), _any_characters():
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    tree = ElementTree.fromstring(written.getvalue())  # noqa: S314 written by matplotlib just now
    _tidy(tree, name)
    for label, words in (("desc", description), ("title", title)):
        element = ElementTree.Element(label, {"id": f"{name}-{label}"})
        element.text = words
        tree.insert(0, element)
    for size in ("width", "height"):
        tree.attrib.pop(size, None)
    tree.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-desc", "class": "plot"}
    return ElementTree.tostring(tree, encoding="unicode")


SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"


def _tidy(tree: ElementTree.Element, name: str) -> None:
    """Plain attributes in place of style (which the page's policy forbids), no namespaces, no metadata."""
    for parent in tree.iter():
        for child in list(parent):
            if child.tag in (f"{SVG}metadata", f"{SVG}style") or child.tag.endswith("}RDF"):
                parent.remove(child)
    for element in tree.iter():
        element.tag = element.tag.removeprefix(SVG)
        if "id" in element.attrib:
            element.set("id", f"{name}-{element.get('id')}")
        target = element.attrib.pop(f"{XLINK}href", None)
        if target:
            element.set("href", f"#{name}-{target.removeprefix('#')}")
        if "clip-path" in element.attrib:
            element.set("clip-path", element.get("clip-path", "").replace("url(#", f"url(#{name}-"))
        for rule in element.attrib.pop("style", "").split(";"):
            key, _, value = (piece.strip() for piece in rule.partition(":"))
            if key == "font":
                element.set("font-size", "9.5px")
            elif key and not key.startswith("font-family"):
                element.set(key, value)
        for key in ("fill", "stroke"):
            colour = element.get(key, "").lower()
            if colour in LIVING:
                element.set(key, LIVING[colour])
        if element.tag == "text" and "fill" not in element.attrib:
            element.set("fill", "currentColor")
