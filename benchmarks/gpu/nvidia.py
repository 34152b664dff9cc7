"""What nvidia-smi says."""

from __future__ import annotations

import subprocess


def ask_nvidia_smi(*what: str, of: str = "gpu") -> list[list[str]]:
    """The values that `nvidia-smi --query-OF=WHAT` prints, one list for each line; empty where there is no nvidia-smi."""
    command = ["nvidia-smi", f"--query-{of}={','.join(what)}", "--format=csv,noheader,nounits"]
    try:
        printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [[value.strip() for value in line.split(",")] for line in printed.splitlines() if line.strip()]
