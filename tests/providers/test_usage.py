"""What a call used, in every vendor's figures: what makes no sense is unknown, never an error and never a bill of nothing."""

from __future__ import annotations

import math

import pytest
from unisafe_providers import Usage
from unisafe_providers.hosted.usage import usage_of


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}, Usage(tokens_in=5, tokens_out=2)),
        ({"input_tokens": 5, "output_tokens": 2}, Usage(tokens_in=5, tokens_out=2)),
        (
            {"input_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 2},
            Usage(tokens_in=125, tokens_out=2),
        ),
        (
            {"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 30, "totalTokenCount": 37},
            Usage(tokens_in=5, tokens_out=32),
        ),
        # thoughts that only the total counts: xAI, Gemini's OpenAI address
        ({"prompt_tokens": 12, "completion_tokens": 2, "total_tokens": 334}, Usage(tokens_in=12, tokens_out=322)),
        ({"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}, Usage(tokens_in=5, tokens_out=0)),
        ({"promptTokenCount": 5, "totalTokenCount": 5}, Usage(tokens_in=5, tokens_out=0)),
        ({"prompt_tokens": 12.0, "completion_tokens": 12.7}, Usage(tokens_in=12, tokens_out=12)),
        # the vendor's own bill
        ({"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.002}, Usage(tokens_in=1, tokens_out=1, cost=0.002)),
        (
            {
                "prompt_tokens": 1,
                "completion_tokens": 1,
                "cost": 5e-5,
                "is_byok": True,
                "cost_details": {"upstream_inference_cost": 1e-3},
            },
            Usage(tokens_in=1, tokens_out=1, cost=0.00105),
        ),
        ({"prompt_tokens": 1, "completion_tokens": 1, "cost": {"total_cost": 0.005}}, Usage(tokens_in=1, tokens_out=1, cost=0.005)),
        ({"prompt_tokens": 1, "completion_tokens": 1, "cost_in_usd_ticks": 5e7}, Usage(tokens_in=1, tokens_out=1, cost=0.005)),
        ({"prompt_tokens": 1, "completion_tokens": 1, "cost": math.nan}, Usage(tokens_in=1, tokens_out=1)),
        ({"prompt_tokens": 1, "completion_tokens": 1, "cost": -1}, Usage(tokens_in=1, tokens_out=1)),
    ],
)
def test_usage_of_every_dialect(body: dict[str, object], usage: Usage) -> None:
    assert usage_of(body) == usage


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "12 tokens",
        {},
        {"total_tokens": 7},
        {"prompt_tokens": -1, "completion_tokens": 2},
        {"prompt_tokens": 2**31, "completion_tokens": 2},
        {"prompt_tokens": math.nan, "completion_tokens": 2},
        {"prompt_tokens": math.inf, "completion_tokens": 2},
        {"prompt_tokens": "5", "completion_tokens": 2},
        {"prompt_tokens": True, "completion_tokens": 2},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": [5], "completion_tokens": 2},
    ],
)
def test_usage_that_makes_no_sense_is_unknown(body: object) -> None:
    found = usage_of(body, images=1)
    assert (found.reported, found.tokens_in, found.tokens_out, found.images) == (False, 0, 0, 1)


def test_a_bill_without_tokens_is_a_report() -> None:
    assert usage_of({"cost": 0.01}) == Usage(cost=0.01)
