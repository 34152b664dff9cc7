"""What became of a probe, in the words of a cassette: how a played answer must come out again."""

from __future__ import annotations

from typing import Any

from unisafe_providers.base import Limits, ProviderError, Response


def describe_response(response: Response) -> dict[str, Any]:
    """How an answer ended, what it holds, and what it used; never its words."""
    usage = response.usage
    found: dict[str, Any] = {
        "outcome": response.finish,
        "stage": response.block.stage if response.block is not None else "",
        "text": bool(response.text.strip()),
        "thoughts": bool(response.thoughts),
        "images": len(response.images),
        "missing": response.missing,
    }
    used: dict[str, Any] = {
        "tokens_in": usage.tokens_in,
        "tokens_out": usage.tokens_out,
        "images": usage.images,
        "cost": usage.cost,
    }
    return {name: value for name, value in found.items() if value} | {"usage": used if usage.reported else "not reported"}


def describe_error(error: ProviderError) -> dict[str, Any]:
    """The kind of a failure, such as `RateLimited`, which decides what a run does next."""
    return {"outcome": type(error).__name__}


def describe_limits(limits: Limits) -> dict[str, Any]:
    """The limits that the endpoint reported; what is left of them changes with every call."""
    told = {"requests": limits.limit_requests, "tokens": limits.limit_tokens}
    return {name: value for name, value in told.items() if value is not None}
