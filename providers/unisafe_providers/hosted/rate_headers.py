"""Rate limits and waits in response headers, in every dialect that vendors use.

Dialects: `x-ratelimit-KIND-WHAT` (OpenAI, Azure, Groq, xAI), `-KIND-WHAT-WINDOW` (Cerebras, Mistral), `x-ratelimit-KIND`
(OpenRouter, Together, GitHub), `ratelimit-KIND` (Replicate, IETF draft), `x-tokenlimit-KIND` (Together),
`x-ratelimitbysize-KIND-WINDOW` and `ratelimitbysize-KIND` (Mistral, tokens), `anthropic-ratelimit-WHAT-KIND`,
`x-trial-endpoint-call-KIND` and `x-endpoint-monthly-call-KIND` (Cohere's trial keys, without a reset).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from unisafe_providers.base import Limits

Clock = Callable[[], float]

WINDOWS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0, "month": 2_678_400.0}
WINDOW = 60.0
"""Seconds of a window that no header names."""
LONGEST_OBEYED = 3600.0
"""For longer windows we rely on the endpoint's own 429: a successful answer may not hold a run for a day."""
LONGEST = 31 * 86400.0
"""A longer wait makes no sense and counts as unknown."""

NAME = re.compile(
    r"(?:x-|anthropic-)?(ratelimit|ratelimitbysize|tokenlimit|trial-endpoint-call|endpoint-monthly-call)-([a-z0-9_-]+)"
)
CALLS = {"trial-endpoint-call": "minute", "endpoint-monthly-call": "month"}
"""Names that count requests, and their window."""
KINDS = {"limit": "limit", "remaining": "remaining", "reset": "reset", "renewalperiod": "window"}
REQUESTS = frozenset({"requests", "request", "req", "calls"})
UNIT = r"(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)"
DURATION = re.compile(rf"(\d+(?:\.\d+)?)\s*({UNIT})(?![a-z])", re.I)
WHOLE = re.compile(rf"(?:\d+(?:\.\d+)?\s*{UNIT}[\s,]*)+", re.I)
SPOKEN = re.compile(
    r"\b(?:try(?:ing)? again|retry(?:ing)?|resets?|wait|available(?: again)?|timed out|back)\b[^.\d]{0,40}?~?"
    rf"((?:\d+(?:\.\d+)?\s*{UNIT}(?![a-z])(?:[\s,]+and|,)?\s*)+)",
    re.I,
)
SECONDS = {"ms": 0.001, "mi": 60.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


# ---------------------------------------------------------------- waits


def retry_after(headers: Mapping[str, str], clock: Clock = time.time) -> float | None:
    """Seconds to wait by `retry-after-ms`, `retry-after` (seconds or a date) or a spent limit; None without any."""
    wait = read_asked_wait(headers, clock)
    return wait if wait is not None else read_spent_wait(headers, clock)


def read_asked_wait(headers: Mapping[str, str], clock: Clock = time.time) -> float | None:
    """Seconds that `retry-after-ms` asks for, or `retry-after` if that is absent or rounded to 0."""
    low = _lower_names(headers)
    exact = _parse_number(low.get("retry-after-ms"), 0.001)
    wait = exact or _parse_retry_after(low.get("retry-after"), clock)
    return wait if wait is not None else exact


def read_spent_wait(headers: Mapping[str, str], clock: Clock = time.time) -> float | None:
    """Seconds until every spent limit is full again; None if no limit is spent, or no header gives a reset."""
    waits = [gauge.wait for gauge in _read_gauges(headers, clock) if gauge.remaining == 0 and gauge.wait is not None]
    return max(waits, default=None)


def wait_in_words(message: str) -> float | None:
    """Seconds in `try again in 7m12s`, `resets in ~30s`, `retry after 20 seconds`; None if the words name no wait."""
    found = SPOKEN.search(message)
    return parse_duration(found[1].replace("and", " ")) if found else None


def parse_duration(value: str | None) -> float | None:
    """Seconds in `1s`, `6m0s`, `120ms`, `20 seconds` or a plain number; None for anything else, or a number without sense."""
    if not value:
        return None
    plain = _parse_number(value)
    if plain is not None or not WHOLE.fullmatch(value.strip()):
        return plain
    total = sum(float(number) * _parse_unit(unit.lower()) for number, unit in DURATION.findall(value))
    return total if total <= LONGEST else None


def _parse_unit(unit: str) -> float:
    return SECONDS.get(unit) or (0.001 if unit.startswith("milli") else SECONDS[unit[0]])


def _parse_retry_after(value: str | None, clock: Clock) -> float | None:
    """Seconds from now to what `retry-after` names: a number of seconds, a duration, an HTTP date, an ISO time or an epoch."""
    if not value:
        return None
    number = _parse_number(value)
    if number is not None and number > 1e9:
        return _parse_epoch(number, clock)
    wait = parse_duration(value)
    return wait if wait is not None and wait <= LONGEST else _parse_until(value, clock)


def _parse_number(value: str | None, scale: float = 1.0) -> float | None:
    """A finite number of 0 or more, as digits; None for anything else."""
    if value is None or not re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
        return None
    number = float(value) * scale
    return number if math.isfinite(number) else None


def _parse_until(value: str, clock: Clock) -> float | None:
    """Seconds from now to an RFC 3339 time or an HTTP date, 0 if it is past; None for anything else."""
    value = value.strip()
    try:
        moment = datetime.fromisoformat(value) if re.match(r"\d{4}-\d\d-\d\d", value) else parsedate_to_datetime(value)
        wait = moment.timestamp() - clock()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return max(0.0, wait) if wait <= LONGEST else None


def _parse_epoch(number: float, clock: Clock) -> float | None:
    wait = (number / 1000 if number > 1e12 else number) - clock()
    return max(0.0, wait) if wait <= LONGEST else None


# ---------------------------------------------------------------- gauges


@dataclass(slots=True, kw_only=True)
class Gauge:
    """One limit: how much a window holds, how much of it is left, and when it is full again.

    Args:
        window: seconds; None if no header says it.
        reset: as the header gives it.
        wait: seconds until it is full again.
    """

    tokens: bool
    limit: int | None = None
    remaining: int | None = None
    window: float | None = None
    reset: str | None = None
    wait: float | None = None


def limits_of(headers: Mapping[str, str], clock: Clock = time.time) -> Limits:
    """The limits in an answer's headers: for requests and for tokens, the one that is spent first.

    Resets are in seconds from now, and none is longer than its window.
    """
    gauges = [gauge for gauge in _read_gauges(headers, clock) if (gauge.window or WINDOW) <= LONGEST_OBEYED]
    requests = _find_tightest([gauge for gauge in gauges if not gauge.tokens])
    tokens = _find_tightest([gauge for gauge in gauges if gauge.tokens])
    return Limits(
        remaining_requests=requests.remaining,
        remaining_tokens=tokens.remaining,
        reset_requests=_read_held(requests),
        reset_tokens=_read_held(tokens),
        limit_requests=requests.limit,
        limit_tokens=tokens.limit,
        window_requests=requests.window,
        window_tokens=tokens.window,
    )


def _find_tightest(gauges: list[Gauge]) -> Gauge:
    """The limit with the smallest share left."""

    def left(gauge: Gauge) -> float:
        if gauge.remaining is None:
            return math.inf
        return gauge.remaining / gauge.limit if gauge.limit else float(gauge.remaining > 0)

    return min(gauges, key=left, default=Gauge(tokens=False))


def _read_held(gauge: Gauge) -> float | None:
    return None if gauge.wait is None else min(gauge.wait, gauge.window or WINDOW)


def _read_gauges(headers: Mapping[str, str], clock: Clock) -> list[Gauge]:
    """Every limit that the headers name."""
    found: dict[tuple[str, ...], Gauge] = {}
    for name, value in _lower_names(headers).items():
        parts = NAME.fullmatch(name)
        if not parts:
            continue
        words = parts[2].split("-")
        kind = next((KINDS[word] for word in words if word in KINDS), None)
        if kind is None:
            continue
        tokens = parts[1] not in ("ratelimit", *CALLS) or any("token" in word for word in words)
        words += [CALLS[parts[1]]] if parts[1] in CALLS else []
        others = [word for word in words if word not in KINDS and word not in REQUESTS and word != "tokens"]
        known = bool(tokens or not [word for word in others if word not in WINDOWS and word != "dynamic"])
        if not known:
            continue
        window = next((WINDOWS[word] for word in others if word in WINDOWS), None)
        gauge = found.setdefault(("tokens" if tokens else "requests", *others), Gauge(tokens=tokens, window=window))
        _set(gauge, kind, value)
    for gauge in found.values():
        gauge.wait = _reset(gauge.reset, gauge.window or WINDOW, clock)
    return list(found.values())


def _set(gauge: Gauge, kind: str, value: str) -> None:
    match kind:
        case "limit":
            gauge.limit = _parse_count(value)
        case "remaining":
            gauge.remaining = _parse_count(value)
        case "reset":
            gauge.reset = value
        case _:
            gauge.window = _parse_number(value) or gauge.window


def _reset(value: str | None, window: float, clock: Clock) -> float | None:
    """Seconds until a reset: a plain number is seconds up to its window, then milliseconds; above 1e9 an epoch (1e12: in ms)."""
    if not value:
        return None
    number = _parse_number(value)
    if number is None:
        wait = parse_duration(value)
        return wait if wait is not None else _parse_until(value, clock)
    if number > 1e9:
        return _parse_epoch(number, clock)
    return number if number <= window else number / 1000


def _parse_count(value: str) -> int | None:
    """A count, such as `5`, `5.0` or `5, 5;w=60`; None for anything else."""
    number = _parse_number(value.split(",")[0].split(";")[0])
    return int(number) if number is not None and number < 2**53 else None


def _lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}
