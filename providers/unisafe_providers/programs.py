"""Why a program cannot be started, in words that say what to change; nothing is started for that."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from unisafe_providers.named_files import expand_path


def find_fault(program: str, folder: Path, path: str | None = None) -> str:
    """What keeps `program` from being started; empty if nothing does.

    Args:
        program: as bench.toml names it: a name on PATH, or a path.
        folder: what a path is relative to.
        path: folders where a name is looked for; None stands for PATH.
    """
    if os.sep not in program:
        return "" if shutil.which(program, path=path) else f"{program} is not on PATH"
    file = expand_path(folder, program)
    if not file.exists():
        return f"there is no {program}; paths are relative to the folder of bench.toml"
    if not file.is_file():
        return f"{program} is no file"
    if not os.access(file, os.X_OK):
        return f"{program} may not be executed: run `chmod +x {program}`, or put its interpreter before it, such as python"
    return ""


def explain_start(error: OSError, program: str, folder: Path) -> str:
    """The words of an error that a start of `program` in `folder` raised, and what to change, as far as we can see."""
    words = error.strerror or str(error)
    if fault := find_fault(program, folder):
        return f"{words}; {fault}"
    if error.errno in (errno.ENOENT, errno.ENOEXEC) and os.sep in program and folder.is_dir():
        return f"{words}; the first line of {program} should name its interpreter, such as #!/usr/bin/env python3"
    return words
