"""The root of every error that unisafe-async raises on purpose. unisafe_async/errors.py draws the whole tree."""

from __future__ import annotations


class UnisafeError(Exception):
    """What went wrong, in words for the user: the message says what was wrong, where, and what would be right."""
