"""The error of a page."""

from __future__ import annotations


class PageError(ValueError):
    """The page, a plot or an image folder cannot be written; the message is one line that says what would be right."""
