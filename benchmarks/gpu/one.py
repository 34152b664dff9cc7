"""The process of one check: `python -m benchmarks.gpu.one MODULE:FUNCTION PLACE RESULT`, with a place as JSON."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from dataclasses import asdict
from pathlib import Path

from benchmarks.gpu.place import Missing, Place, Seen


def main() -> None:
    where, place, result = sys.argv[1:]
    beside = Path(result).with_suffix(".part")
    beside.write_text(json.dumps(make(where, Place.unpack(place))))
    beside.rename(result)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # libraries' threads would only delay giving memory back


def make(where: str, place: Place) -> dict[str, object]:
    """What the check saw, or why there is nothing to see."""
    module, function = where.split(":")
    try:
        seen: Seen = getattr(importlib.import_module(module), function)(place)
    except Missing as error:
        return {"missing": str(error)}
    except ModuleNotFoundError as error:
        return {"missing": f"the package {error.name} is not installed"}
    except Exception as error:
        traceback.print_exc()
        words = " ".join(str(error).split())[:300]
        return asdict(Seen(ok=False, words=f"{type(error).__name__}: {words}"))
    return asdict(seen)


if __name__ == "__main__":
    main()
