"""What a call used, read from the bodies of all vendors; a number that makes no sense is unknown and never an error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from providers.base import Usage

MOST_TOKENS = 2**31 - 1
"""No call uses more, and no column holds more."""
TICKS = 1e10
"""xAI's ticks in a dollar (docs.x.ai, "Cost tracking")."""
IN = ("prompt_tokens", "input_tokens", "promptTokenCount")
OUT = ("completion_tokens", "output_tokens", "candidatesTokenCount")
TOTAL = ("total_tokens", "totalTokenCount")
BESIDE_IN = ("cache_creation_input_tokens", "cache_read_input_tokens")
"""Input tokens that Anthropic counts apart from `input_tokens`."""
BESIDE_OUT = ("thoughtsTokenCount",)


def usage_of(usage: object, images: int = 0) -> Usage:
    """What a body's `usage` (Gemini: `usageMetadata`) says; `reported` is False where it says nothing, or something absurd.

    Nothing but zeros is no report: no request is without a token. Tokens of thought that a vendor leaves out of its completion
    tokens are in its total, so the larger figure counts.
    """
    if not isinstance(usage, Mapping):
        return Usage(images=images, reported=False)
    numbers = {name: _tokens(usage.get(name)) for name in (*IN, *OUT, *TOTAL, *BESIDE_IN, *BESIDE_OUT)}
    cost = cost_of(usage)
    if any(number is None for number in numbers.values()) or not any(usage.get(name) is not None for name in (*IN, *OUT)):
        return Usage(images=images, cost=cost, reported=cost is not None)
    given = {name: number or 0 for name, number in numbers.items()}
    tokens_in = next((given[name] for name in IN if given[name]), 0) + sum(given[name] for name in BESIDE_IN)
    written = next((given[name] for name in OUT if given[name]), 0) + sum(given[name] for name in BESIDE_OUT)
    total = next((given[name] for name in TOTAL if given[name]), 0)
    if cost is None and not tokens_in and not written and not total:
        return Usage(images=images, reported=False)
    return Usage(min(tokens_in, MOST_TOKENS), min(max(written, total - tokens_in), MOST_TOKENS), images, cost)


def cost_of(usage: Mapping[str, Any]) -> float | None:
    """US dollars that the vendor itself charges: OpenRouter's fee (with the upstream's price where the key is the user's own),
    Perplexity's `total_cost`, xAI's ticks; None where it says none that makes sense."""
    ticks = _dollars(usage.get("cost_in_usd_ticks"))
    if ticks is not None:
        return ticks / TICKS
    cost = usage.get("cost")
    if isinstance(cost, Mapping):
        cost = cost.get("total_cost")
    fee = _dollars(cost)
    if fee is None or not usage.get("is_byok"):
        return fee
    details = usage.get("cost_details")
    upstream = _dollars(details.get("upstream_inference_cost")) if isinstance(details, Mapping) else None
    return fee + (upstream or 0.0)


def _tokens(value: object) -> int | None:
    """A count of tokens: 0 where there is none, None for what is no count."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value)


def _dollars(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return float(value)
