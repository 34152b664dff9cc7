"""The addresses of Amazon Bedrock, which follow from a region."""

from __future__ import annotations

import os
from typing import Any

REGION = r"^[a-z]{2}(-[a-z]+)+-\d$"
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
"""Variables that name a region where `region` does not."""
MISSING = f"region: missing; name the region of the model, such as us-east-1, or set {REGIONS[0]}"


def find_region() -> str:
    """The region that a variable names; empty for none."""
    return next((value for name in REGIONS if (value := os.environ.get(name, "").strip())), "")


def fill_address(given: Any, ending: str = "") -> Any:  # noqa: ANN401 whatever stands in the file
    """A section without an address gets that of its region, if it has one."""
    if not isinstance(given, dict) or given.get("base_url"):
        return given
    region = given.get("region") or find_region()
    if not isinstance(region, str) or not region:
        return given
    return {**given, "base_url": f"https://bedrock-runtime.{region}.amazonaws.com{ending}"}
