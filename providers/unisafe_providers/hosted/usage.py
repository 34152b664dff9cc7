"""A call's usage, read from the bodies of all vendors; a number that makes no sense becomes unknown and is never an error."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from unisafe_providers.base import Response, Usage

MOST_TOKENS = 2**31 - 1
"""No call uses more, and no column holds more."""
TICKS = 1e10
"""xAI's ticks in a dollar (docs.x.ai, "Cost tracking")."""
IN = ("prompt_tokens", "input_tokens", "promptTokenCount", "inputTokens", "total_input_tokens")
OUT = ("completion_tokens", "output_tokens", "candidatesTokenCount", "outputTokens", "total_output_tokens")
TOTAL = ("total_tokens", "totalTokenCount", "totalTokens")
BESIDE_IN = (
    ("cache_creation_input_tokens",),
    ("cache_read_input_tokens",),
    ("cacheReadInputTokens", "cacheReadInputTokenCount"),
    ("cacheWriteInputTokens", "cacheWriteInputTokenCount"),
)
"""Input tokens that Anthropic and Amazon Bedrock count apart from `input_tokens`, each count by its names."""
BESIDE_OUT = (("thoughtsTokenCount",), ("total_thought_tokens",))
DIGITS = re.compile(r"\d{1,15}(\.\d{1,15})?")
BILLED = ("billed_units", "tokens")
"""Tables of counts within Cohere's `usage`; it charges for those of the first one."""
COST_HEADER = "x-litellm-response-cost"
"""LiteLLM's US dollars of a call (docs.litellm.ai, "Response Headers")."""


def usage_of(usage: object, images: int = 0) -> Usage:
    """The usage in a body's `usage` (Gemini: `usageMetadata`); `reported` is False if it says nothing, or something absurd.

    Zeros alone are no report, because every request has tokens. A vendor may leave tokens of thoughts out of its completion
    tokens; its total has them, so the larger figure counts.
    """
    if not isinstance(usage, Mapping):
        return Usage(images=images, reported=False)
    usage = next((usage[key] for key in BILLED if isinstance(usage.get(key), Mapping)), usage)
    cost = cost_of(usage)
    given_in, given_out, total = _first(usage, IN), _first(usage, OUT), _first(usage, TOTAL) or 0
    beside_in, beside_out = _sum(usage, BESIDE_IN), _sum(usage, BESIDE_OUT)
    if given_in is given_out is None or -1 in (given_in, given_out, total, beside_in, beside_out):
        return Usage(images=images, cost=cost, reported=cost is not None)
    written = (given_out or 0) + beside_out
    if total and total == (given_in or 0) + written:
        beside_in = 0  # the total shows that the count of input tokens has them
    tokens_in = (given_in or 0) + beside_in
    if cost is None and not tokens_in and not written and not total:
        return Usage(images=images, reported=False)
    return Usage(
        tokens_in=min(tokens_in, MOST_TOKENS),
        tokens_out=min(max(written, total - tokens_in), MOST_TOKENS),
        images=images,
        cost=cost,
    )


def _first(usage: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """The first count that is not 0, else 0; None if there is no count at all, -1 if one makes no sense."""
    found: int | None = None
    for name in names:
        value = usage.get(name)
        if value is not None:
            count = _tokens(value)
            if count:
                return count
            found = 0
    return found


def _sum(usage: Mapping[str, Any], counts: tuple[tuple[str, ...], ...]) -> int:
    """The sum of some counts, each by the first of its names that stands there; -1 if one makes no sense."""
    found = [_first(usage, names) or 0 for names in counts]
    return -1 if -1 in found else sum(found)


def cost_of(usage: Mapping[str, Any]) -> float | None:
    """US dollars that the vendor itself charges: OpenRouter's fee (with the upstream's price if the key is the user's own),
    Perplexity's `total_cost`, xAI's ticks; None if none of them makes sense."""
    ticks = read_dollars(usage.get("cost_in_usd_ticks"))
    if ticks is not None:
        return ticks / TICKS
    cost = usage.get("cost")
    if isinstance(cost, Mapping):
        cost = cost.get("total_cost")
    fee = read_dollars(cost)
    if fee is None or not usage.get("is_byok"):
        return fee
    details = usage.get("cost_details")
    upstream = read_dollars(details.get("upstream_inference_cost")) if isinstance(details, Mapping) else None
    return fee + (upstream or 0.0)


def add_cost(response: Response, headers: Mapping[str, str]) -> Response:
    """The answer with the cost that a gateway's header tells; 0 tells none, because a model without a price costs 0 there."""
    told = headers.get(COST_HEADER)
    if told is None or response.usage.cost is not None:
        return response
    try:
        cost = read_dollars(float(told))
    except ValueError:  # "None"
        return response
    return replace(response, usage=replace(response.usage, cost=cost, reported=True)) if cost else response


def _tokens(value: object) -> int:
    """A count of tokens; -1 if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return -1
    return int(value)


def read_dollars(value: object) -> float | None:
    """An amount as a vendor tells it, be it as a number or as its digits; None if it makes no sense."""
    if isinstance(value, str) and DIGITS.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return float(value)
