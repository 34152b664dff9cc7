"""What headers say of limits and waits, in each vendor's dialect; the clock stands still."""

from __future__ import annotations

import pytest
from unisafe_providers.base import Limits
from unisafe_providers.hosted.rate_headers import limits_of, parse_duration, retry_after

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "0"}, 0.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:40 GMT"}, 20.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "2023-11-14T22:13:30Z"}, 10.0),
        ({"retry-after": "20s"}, 20.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": str(int(NOW) + 30)}, 30.0),
        # plain numbers: seconds up to the window, then milliseconds, then epochs
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "45"}, 45.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "60000"}, 60.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": str(int(NOW) + 20)}, 20.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": str(int(NOW + 25) * 1000)}, 25.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": str(int(NOW) - 20)}, 0.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "300",
                "x-ratelimit-renewalperiod-requests": "600",
            },
            300.0,
        ),
        ({"x-ratelimit-remaining-requests-day": "0", "x-ratelimit-reset-requests-day": "33011.38"}, 33011.38),
        ({"x-ratelimit-remaining-requests-hour": "0", "x-ratelimit-reset-requests-hour": "1800"}, 1800.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW + 25) * 1000)}, 25.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "12"}, 12.0),
        ({"x-ratelimitbysize-remaining": "0", "x-ratelimitbysize-reset": "19"}, 19.0),
        ({"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2023-11-14T22:13:30Z"}, 10.0),
        (
            {"anthropic-ratelimit-input-tokens-remaining": "0", "anthropic-ratelimit-input-tokens-reset": "2023-11-14T22:13:25Z"},
            5.0,
        ),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "45"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "-4"}, None),
    ],
)
def test_how_long_an_endpoint_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, lambda: NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        (  # OpenAI: nothing that an answer says holds longer than its window
            {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"},
            Limits(remaining_requests=0, reset_requests=60.0, limit_requests=60),
        ),
        (  # Azure: milliseconds
            {"x-ratelimit-remaining-tokens": "10", "x-ratelimit-reset-tokens": "2500"},
            Limits(remaining_tokens=10, reset_tokens=2.5),
        ),
        (  # OpenRouter, GitHub
            {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "3", "x-ratelimit-reset": str(int(NOW + 25) * 1000)},
            Limits(remaining_requests=3, reset_requests=25.0, limit_requests=20),
        ),
        (  # Cerebras: the day's window is no reason to wait after an answer
            {
                "x-ratelimit-limit-requests-day": "14400",
                "x-ratelimit-remaining-requests-day": "0",
                "x-ratelimit-reset-requests-day": "33011.3",
                "x-ratelimit-limit-tokens-minute": "60000",
                "x-ratelimit-remaining-tokens-minute": "59000",
                "x-ratelimit-reset-tokens-minute": "11.3",
            },
            Limits(remaining_tokens=59000, reset_tokens=11.3, limit_tokens=60000, window_tokens=60),
        ),
        (  # Mistral, by requests and tokens
            {
                "x-ratelimit-limit-req-minute": "60",
                "x-ratelimit-remaining-req-minute": "59",
                "x-ratelimit-limit-tokens-minute": "500000",
                "x-ratelimit-remaining-tokens-minute": "499000",
                "x-ratelimit-remaining-tokens-month": "5",
                "x-ratelimit-tokens-query-cost": "9",
            },
            Limits(
                remaining_requests=59,
                limit_requests=60,
                remaining_tokens=499000,
                limit_tokens=500000,
                window_requests=60,
                window_tokens=60,
            ),
        ),
        (  # Mistral, by size
            {"x-ratelimitbysize-limit-minute": "500000", "x-ratelimitbysize-remaining-minute": "400000"},
            Limits(remaining_tokens=400000, limit_tokens=500000, window_tokens=60),
        ),
        (  # Together
            {
                "x-ratelimit-limit": "10",
                "x-ratelimit-remaining": "9",
                "x-ratelimit-reset": "0.1",
                "x-tokenlimit-limit": "3000",
                "x-tokenlimit-remaining": "2900",
            },
            Limits(remaining_requests=9, reset_requests=0.1, limit_requests=10, remaining_tokens=2900, limit_tokens=3000),
        ),
        ({"x-ratelimit-remaining-requests": "-1", "x-ratelimit-remaining-tokens": "NaN"}, Limits()),
        ({"x-ratelimit-reset-requests": "1" * 400}, Limits()),
        ({"content-type": "text/plain"}, Limits()),
    ],
)
def test_what_an_answer_says_of_its_limits(headers: dict[str, str], limits: Limits) -> None:
    assert limits_of(headers, lambda: NOW) == limits


def test_the_limits_of_cohere_s_trial_keys() -> None:
    """Those of a minute; one of a month holds no run up, before Cohere itself refuses."""
    headers = {
        "x-trial-endpoint-call-limit": "20",
        "x-trial-endpoint-call-remaining": "3",
        "x-endpoint-monthly-call-limit": "1000",
        "x-endpoint-monthly-call-remaining": "0",
        "num-tokens": "12",
    }
    assert limits_of(headers) == Limits(remaining_requests=3, limit_requests=20, window_requests=60.0)


def test_of_several_limits_the_tightest_counts() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "40",
        "anthropic-ratelimit-input-tokens-limit": "30000",
        "anthropic-ratelimit-input-tokens-remaining": "29000",
        "anthropic-ratelimit-output-tokens-limit": "8000",
        "anthropic-ratelimit-output-tokens-remaining": "0",
        "anthropic-ratelimit-output-tokens-reset": "2023-11-14T22:13:30Z",
    }
    found = limits_of(headers, lambda: NOW)
    assert (found.remaining_requests, found.remaining_tokens, found.reset_tokens) == (40, 0, 10.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("1.5", 1.5),
        ("120ms", 0.12),
        ("1h2m3s", 3723.0),
        ("20 seconds", 20.0),
        ("soon", None),
        ("-3s", None),
        (None, None),
    ],
)
def test_durations(text: str | None, seconds: float | None) -> None:
    assert parse_duration(text) == (None if seconds is None else pytest.approx(seconds))
