"""The table of what was seen: the card, the versions, and every figure, in Markdown."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from benchmarks.gpu.nvidia import ask_nvidia_smi
from benchmarks.gpu.place import Place
from benchmarks.gpu.running import ROOT, Outcome

PACKAGES = ("torch", "transformers", "diffusers", "bitsandbytes", "accelerate")


def describe_machine(place: Place) -> str:
    """`NVIDIA H100 80GB HBM3 (81559 MiB), driver 580.1; torch 2.15; ...; 2026-11-27; commit 1a2b3c4`."""
    parts = [describe_card(place), *(f"{name} {version_of(name)}" for name in PACKAGES)]
    commit = read_commit(ROOT)
    return "; ".join([*parts, datetime.date.today().isoformat(), *([f"commit {commit}"] if commit else [])])


def describe_card(place: Place) -> str:
    if not place.cuda:
        return f"CPU, {psutil.cpu_count()} cores"
    cards = ask_nvidia_smi("name", "memory.total", "driver_version")
    index = int(place.device.partition(":")[2] or 0)
    if index >= len(cards):
        return f"{place.device}, of which nvidia-smi says nothing"
    name, memory, driver = cards[index]
    return f"{name} ({memory} MiB), driver {driver}"


def version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def read_commit(folder: Path) -> str:
    """The commit of a checkout, with `+` where files were changed; empty where there is no git."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def write_table(outcomes: Sequence[Outcome], place: Place) -> str:
    """Markdown: a line about the machine, a row for each figure, and the checks that went wrong or were not made."""
    lines = [describe_machine(place), ""]
    if place.small:
        lines += ["Tiny models and numbers: these figures say nothing about speed.", ""]
    lines += ["| what | figure |", "|---|---|"]
    lines += [f"| {escape(what)} | {escape(figure)} |" for outcome in outcomes for what, figure in outcome.figures]
    lines += [f"| {outcome.check.name} | **WRONG**: {escape(outcome.words)} |" for outcome in outcomes if outcome.mark == "WRONG"]
    lines += [f"| {outcome.check.name} | not checked: {escape(outcome.words)} |" for outcome in outcomes if outcome.mark == "--"]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
