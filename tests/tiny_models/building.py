"""What runs in the process that builds a tiny model: `MODULE NAME FOLDER`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main() -> None:
    module, name, folder = sys.argv[1:]
    getattr(importlib.import_module(f"tiny_models.{module}"), f"build_{name}")(Path(folder))
