"""The error of a page."""

from __future__ import annotations

from unisafe_providers.errors import UnisafeError


class PageError(UnisafeError, ValueError):
    """The page, a plot or an image folder cannot be written; the message is one line that says what would be right."""
