"""The checks, in their order: first those that may run beside each other, then those that need the device for themselves."""

from __future__ import annotations

from argparse import ArgumentTypeError

from benchmarks.gpu.running import Check

DEVICE = Check(name="device", where="benchmarks.gpu.models:check_device", limit_s=90)
"""Comes first; without its device, no other check is made."""
CHECKS = (
    Check(name="large model", where="benchmarks.gpu.models:check_large", limit_s=150),
    Check(name="families in bfloat16", where="benchmarks.gpu.answers:check_families", limit_s=180),
    Check(name="lost device", where="benchmarks.gpu.failing:check_lost_device", limit_s=150),
    Check(name="same answer again", where="benchmarks.gpu.answers:check_repeats", limit_s=180),
    Check(name="pictures at once", where="benchmarks.gpu.answers:check_pictures", limit_s=150),
    Check(name="GGUF file", where="benchmarks.gpu.answers:check_gguf", limit_s=150, on_cpu=False),
    Check(name="attention", where="benchmarks.gpu.failing:check_attention", limit_s=90),
    Check(name="speed", where="benchmarks.gpu.batching:check_speed", limit_s=240, alone=True),
    Check(name="growth", where="benchmarks.gpu.batching:check_growth", limit_s=120, alone=True),
    Check(name="shortage", where="benchmarks.gpu.batching:check_shortage", limit_s=120, alone=True, on_cpu=False),
    Check(name="refill", where="benchmarks.gpu.batching:check_refill", limit_s=120, alone=True),
    Check(name="seeded choice", where="benchmarks.gpu.batching:check_choice", limit_s=60, alone=True),
    Check(name="turns", where="benchmarks.gpu.memory:check_turns", limit_s=90, alone=True),
    Check(name="memory given back", where="benchmarks.gpu.memory:check_given_back", limit_s=90, alone=True),
    Check(name="continuous batching", where="benchmarks.gpu.batching:check_continuous", limit_s=120, alone=True, on_cpu=False),
    Check(name="quantized", where="benchmarks.gpu.failing:check_quantized", limit_s=150, alone=True),
)


def find_checks(names: str) -> list[Check]:
    """The checks of these names, which commas part. Raises ArgumentTypeError for another name."""
    wanted = [name.strip() for name in names.split(",")]
    known = {check.name: check for check in CHECKS}
    for name in wanted:
        if name not in known:
            raise ArgumentTypeError(f"there is no check {name!r}; there are: {', '.join(known)}")
    return [check for check in CHECKS if check.name in wanted]
