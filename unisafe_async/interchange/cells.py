"""Model output and names inside a cell of CSV, LaTeX or Markdown: as text, never as a formula, a command or markup."""

from __future__ import annotations

import re

from unisafe_async.text import plain

FORMULA = re.compile(r"^\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
"""Beginnings that a spreadsheet takes for a formula, in full-width forms too (OWASP, "CSV Injection")."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "#": r"\#",
        "%": r"\%",
        "_": r"\_",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\char34{}",  # \textquotedbl is unknown to LaTeX's own encoding
        "`": r"\textasciigrave{}",
        "\N{REPLACEMENT CHARACTER}": "?",
    }
)
PDFLATEX = re.compile(r"[\x00-\u017f\u2010-\u201e\u2020-\u2026\u2030\u20ac\u2122]")
"""Characters that pdfLaTeX can set without further packages."""
MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]()|~"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})


def to_csv_cell(value: object) -> object:
    """A number unchanged; a text without control characters, and with `'` in front if a spreadsheet would run it."""
    if not isinstance(value, str):
        return value
    text = show_hidden(value)
    if text[:1].isalnum():
        return text
    return f"'{text}" if FORMULA.match(value) or FORMULA.match(text) else text


def to_latex_cell(text: str) -> str:
    """One line of LaTeX text; stand-ins for control codes become `?`, which every engine can set."""
    return re.sub(r"[\u2400-\u2421]", "?", _one_line(text)).translate(LATEX)


def find_beyond_pdflatex(text: str) -> str:
    """The characters of `text` that need LuaLaTeX or XeLaTeX, each once."""
    return "".join(dict.fromkeys(PDFLATEX.sub("", text)))


def to_markdown_cell(text: str) -> str:
    """One line of Markdown that shows only as text."""
    return _one_line(text).translate(MARKDOWN)


def show_hidden(text: str) -> str:
    """`text` with stand-ins for control and format characters: like `plain`, but quick for long texts of ordinary characters."""
    if text.isascii() and not CONTROL.search(text):
        return text
    odd = {character: shown for character in set(text) if (shown := plain(character)) != character}
    return text.translate({ord(character): shown for character, shown in odd.items()}) if odd else text


def _one_line(text: str) -> str:
    return " ".join(show_hidden(text).split())
