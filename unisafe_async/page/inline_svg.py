"""A figure as an element of the page: with real text, the page's colours, and nothing that the page's policy forbids."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from unisafe_async.page.plots import GRID, HOLLOW, INK, STYLE, WARNING, silence_font_warnings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
LIVING = {
    INK: "currentColor",
    GRID: f"var(--grid, {GRID})",
    WARNING: f"var(--bad, {WARNING})",
    HOLLOW: f"var(--paper, {HOLLOW})",
}
"""Colours that follow the page's theme."""


def inline(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an SVG element for the page: real text, the page's colours, ids that begin with `name`, no style."""
    from matplotlib import rc_context

    written = io.BytesIO()
    with rc_context({**STYLE, "svg.fonttype": "none", "svg.id": name}), silence_font_warnings():
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


def _tidy(tree: ElementTree.Element, name: str) -> None:
    """Replace styles, which the page's policy forbids, by plain attributes; remove namespaces and metadata."""
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
            if key == "font":  # older matplotlib: `700 8px 'DejaVu Sans'`
                element.set("font-size", next((part for part in value.split() if part.endswith("px")), "8px"))
            elif key and not key.startswith("font-family"):
                element.set(key, value)
        for key in ("fill", "stroke"):
            colour = element.get(key, "").lower()
            if colour in LIVING:
                element.set(key, LIVING[colour])
        if element.tag == "text" and "fill" not in element.attrib:
            element.set("fill", "currentColor")
