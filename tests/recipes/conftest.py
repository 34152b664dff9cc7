from __future__ import annotations

collect_ignore = ["stubs"]
"""Stubs of public code have the names of its files, and some of those begin with `test_`."""
