"""The files that commands and functions use where none is named."""

from __future__ import annotations

from pathlib import Path

DEFAULT_FILE = Path("bench.toml")
DEFAULT_CACHE = "unisafe.duckdb"
"""Relative to the configuration's folder; a function that reads no configuration takes it relative to the working folder."""
