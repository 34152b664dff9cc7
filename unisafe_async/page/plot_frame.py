"""What all figures share: the widths and fonts of a paper, colours and textures, names, and the words below the picture."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from unisafe_async.names import shorten_names
from unisafe_async.text import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Columns = Literal[1, 2]
"""How many of a paper's two columns a figure is wide."""
WIDTHS: Mapping[Columns, float] = {1: 3.35, 2: 6.9}
"""Inches of one column and of both, between those of the usual styles (one: 3.0 to 3.5, both: 6.3 to 7.2)."""

SERIES = ("#2f6fb5", "#c2621b", "#2e8b62", "#8a5cc4", "#b8436d", "#7d7a1f", "#3f8f9c", "#8c6d5a")
"""Colours of models, in their order; each is readable on white and on black."""
MARKERS = ("o", "s", "^", "D")
"""The shape of a model's marker, the next one for each round of SERIES."""

PARTS = {"safe": "#17805a", "refused": "#35a7c4", "blocked": "#2b5cb3", "unsafe": "#c8371f"}
"""Colours of the parts of an outcome bar, as on the page; people who do not see red, green or blue tell them apart."""
TEXTURES = {"safe": "//////", "refused": "....", "blocked": "xxxx", "unsafe": ""}
"""Matplotlib's hatches: white on the colour, for `safe` the colour on white; without any colour, unsafe is the darkest."""

GOOD, MIDDLE, BAD = (146, 197, 222), (247, 247, 247), (244, 165, 130)
"""Blue to orange, as in the terminal's heatmap (ColorBrewer's RdBu)."""
FAINT = 0.35
"""The share of its shade that a cell keeps if it has few items."""

INK, SOFT, GRID, WARNING, HOLLOW = "#3a3a3c", "#5d5d66", "#d9d9de", "#a8261d", "#ffffff"
TEXT, NOTES = 8.0, 6.5
"""Points of the figure's text, and of the words below it."""
WARNED = {"size": TEXT, "weight": "bold"}
EDGE = 6.0
"""Points left free at both sides of words below and above."""
LINE = 0.125
"""Inches of a line of notes."""
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": TEXT,
    "axes.labelsize": TEXT,
    "xtick.labelsize": TEXT - 0.5,
    "ytick.labelsize": TEXT - 0.5,
    "legend.fontsize": TEXT - 0.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.7,
    "svg.hashsalt": "unisafe-async",
    "pdf.fonttype": 42,
    "savefig.transparent": True,
}


@dataclass(frozen=True, slots=True)
class Caption:
    """The caption of a figure: a warning above it and lines below it, as plain text."""

    warning: str = ""
    lines: tuple[str, ...] = ()


NO_CAPTION = Caption()


def build_figure(
    columns: Columns,
    height: float,
    caption: Caption,
    notes: Sequence[str] = (),
    *,
    fields: tuple[int, int] = (1, 1),
    ratios: Sequence[float] | None = None,
    head: float = 0.0,
    warn: bool = True,
) -> tuple[Figure, Any]:
    """A figure with `fields` (rows, columns of them), and its fields.

    It is `height` inches high, and higher by the lines of `notes` and the caption below it, by the warning above it, and by `head`
    inches for a legend. `ratios` are the heights of the rows. A legend may show the warning instead: then `warn` is False.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    below = "\n".join(fit_words(line, columns, NOTES) for line in [*notes, *caption.lines])
    above = wrap_warning(caption, columns)
    lines = [words.count("\n") + 1 if words else 0 for words in (below, above)]
    height += head + LINE * lines[0] + 1.25 * LINE * lines[1]
    with rc_context(STYLE):
        figure = Figure((WIDTHS[columns], height), layout="constrained")
        drawn = figure.subplots(*fields, height_ratios=ratios, squeeze=False)
        if below:
            figure.supxlabel(below, x=0.01, ha="left", fontsize=NOTES, color=INK)
        if above and warn:
            figure.suptitle(above, x=0.01, ha="left", color=WARNING, **WARNED)
    return figure, list(drawn.flat)


def count_letters(columns: Columns, points: float) -> int:
    """About how many letters of a size fit side by side."""
    return int(WIDTHS[columns] * 72 / (0.56 * points))


def wrap_warning(caption: Caption, columns: Columns) -> str:
    """The warning, in lines as wide as the figure."""
    return fit_words(caption.warning, columns, TEXT, "bold")


@lru_cache(maxsize=256)
def fit_words(words: str, columns: Columns, points: float, weight: str = "normal") -> str:
    """One paragraph of plain text in lines as wide as the figure, by the widths of its letters."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font, room = FontProperties(size=points, weight=weight), WIDTHS[columns] * 72 - 2 * EDGE

    def fits(line: str) -> bool:
        return bool(text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] <= room)

    lines = [""]
    with silence_font_warnings():
        for word in " ".join(plain(words).split()).split(" "):
            if lines[-1] and fits(f"{lines[-1]} {word}"):
                lines[-1] += f" {word}"
                continue
            rest = word
            while rest:
                end = next((end for end in range(len(rest), 1, -1) if fits(rest[:end])), 1)
                lines.append(rest[:end])
                rest = rest[end:]
    return escape_text("\n".join(filter(None, lines)))


def wrap_words(words: str, width: int) -> str:
    """One paragraph of plain text in lines of at most `width` characters."""
    return "\n".join(textwrap.wrap(escape_text(plain(words)), width))


def escape_text(text: str) -> str:
    """Plain text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")


def add_legend(figure: Figure, handles: Sequence[Any], across: int, warning: str) -> None:
    """The legend above the fields, `across` entries side by side, below the warning."""
    legend = figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=across,
        frameon=False,
        fontsize=TEXT - 0.5,
        labelcolor=INK,
        alignment="left",
        handletextpad=0.5,
        borderpad=0.2,
        columnspacing=1.2,
        title=warning or None,
        title_fontproperties=WARNED,
    )
    legend.get_title().set_color(WARNING)


def add_models(figure: Figure, valid: Mapping[str, int], columns: Columns, warning: str) -> None:
    """The legend of `valid` models with their judged items: colour, marker, name."""
    from matplotlib.lines import Line2D

    names = list(build_labels(valid, 20 if columns == 1 else 26).values())
    dots = [
        Line2D([], [], marker=marker, linestyle="", color=colour, label=name, markersize=4.5)
        for name, (colour, marker) in zip(names, map(choose_look, range(len(names))), strict=True)
    ]
    add_legend(figure, dots, count_across(valid, columns), warning)


def count_across(valid: Mapping[str, int], columns: Columns) -> int:
    """How many names of models stand side by side in a legend."""
    longest = max(map(len, build_labels(valid, 20 if columns == 1 else 26).values()))
    return max(1, min(len(valid), 4, count_letters(columns, TEXT) // (longest + 4)))


def measure_legend(valid: Mapping[str, int], columns: Columns) -> float:
    """Inches of the height of a legend of models."""
    return 0.15 * -(-len(valid) // count_across(valid, columns)) + 0.1


def build_labels(valid: Mapping[str, int], width: int) -> dict[str, str]:
    """`Name (n 101)` of each model, its name in at most `width` characters; two never look the same."""
    return {model: f"{escape_text(name)} (n {valid[model]:,})" for model, name in shorten_names(valid, width).items()}


def choose_look(place: int) -> tuple[str, str]:
    """Colour and marker of the model at `place`: no two of the first 32 are alike."""
    return SERIES[place % len(SERIES)], MARKERS[place // len(SERIES) % len(MARKERS)]


@contextmanager
def silence_font_warnings() -> Iterator[None]:
    """Inside the block, matplotlib does not warn of characters that the font lacks; they become boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        yield
