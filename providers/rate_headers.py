"""What response headers say of rate limits, in the two dialects that are in use: OpenAI's (`x-ratelimit-*`) and Anthropic's."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from providers.base import Limits

DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `retry-after-ms`, `retry-after` (seconds or a date) or a spent `x-ratelimit-*`; None without any."""
    milliseconds = headers.get("retry-after-ms")
    if milliseconds is not None:
        try:
            return _seconds(float(milliseconds) / 1000)
        except ValueError:
            pass
    value = headers.get("retry-after")
    if value is not None:
        try:
            return _seconds(float(value))
        except ValueError:
            try:
                return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
            except ValueError:
                pass
    limits = limits_of(headers)
    if limits.remaining_requests == 0 and limits.reset_requests is not None:
        return limits.reset_requests
    if limits.remaining_tokens == 0 and limits.reset_tokens is not None:
        return limits.reset_tokens
    return None


def _seconds(value: float) -> float | None:
    return max(0.0, value) if math.isfinite(value) else None


def limits_of(headers: Mapping[str, str]) -> Limits:
    """What `x-ratelimit-remaining-*` and `x-ratelimit-reset-*` say, resets in seconds from now."""
    return Limits(
        _int(headers.get("x-ratelimit-remaining-requests")),
        _int(headers.get("x-ratelimit-remaining-tokens")),
        duration(headers.get("x-ratelimit-reset-requests")),
        duration(headers.get("x-ratelimit-reset-tokens")),
        _int(headers.get("x-ratelimit-limit-requests")),
        _int(headers.get("x-ratelimit-limit-tokens")),
    )


def _int(value: str | None) -> int | None:
    return int(value) if value is not None and value.isascii() and value.isdigit() else None


def duration(value: str | None) -> float | None:
    """Seconds of `1s`, `6m0s`, `120ms` or a plain number; None for anything else."""
    if not value:
        return None
    try:
        return float(value)
    except ValueError:
        found = DURATION.findall(value)
        return sum(float(number) * SECONDS[unit] for number, unit in found) if found else None


def anthropic_limits_of(headers: Mapping[str, str]) -> Limits:
    """What `anthropic-ratelimit-*` say; their resets are RFC 3339 times (docs.claude.com, "Rate limits", response headers)."""
    return Limits(
        _int(headers.get("anthropic-ratelimit-requests-remaining")),
        _int(headers.get("anthropic-ratelimit-tokens-remaining")),
        _until(headers.get("anthropic-ratelimit-requests-reset")),
        _until(headers.get("anthropic-ratelimit-tokens-reset")),
        _int(headers.get("anthropic-ratelimit-requests-limit")),
        _int(headers.get("anthropic-ratelimit-tokens-limit")),
    )


def _until(value: str | None) -> float | None:
    """Seconds from now to an RFC 3339 time; None for anything else."""
    if not value:
        return None
    try:
        return max(0.0, datetime.fromisoformat(value).timestamp() - time.time())
    except ValueError:
        return None
