"""Parameters that an endpoint does not take are known by its own words, in every dialect, and never by what it echoes."""

from __future__ import annotations

from typing import Any

import pytest
from unisafe_providers.hosted.parameters import Refusal, find_refused_parameter


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


def forbidden(*loc: str) -> dict[str, Any]:
    return {
        "detail": [{"type": "extra_forbidden", "loc": list(loc), "msg": "Extra inputs are not permitted", "input": "temperature"}]
    }


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, error("Unsupported value: 'temperature' does not support 0 with this model."), Refusal("temperature")),
        (400, {"error": "Model grok-4 does not support parameter temperature."}, Refusal("temperature")),
        (400, error("invalid temperature: only 1 is allowed for this model"), Refusal("temperature")),
        (400, error("`temperature` is deprecated for this model."), Refusal("temperature")),
        (400, error("`temperature` and `top_p` cannot both be specified for this model."), Refusal("top_p")),
        (400, error("Unsupported parameter: 'top_p' is not supported with this model.", param="top_p"), Refusal("top_p")),
        (400, error("Unknown parameter: 'seed'.", param="seed", code="unknown_parameter"), Refusal("seed")),
        (400, error("Unrecognized request argument supplied: seed"), Refusal("seed")),
        (422, forbidden("body", "seed"), Refusal("seed")),
        (400, error("seed: Extra inputs are not permitted"), Refusal("seed")),
        (
            400,
            error("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
            Refusal("max_tokens", "max_completion_tokens"),
        ),
        (400, error("Unrecognized request argument supplied: max_completion_tokens"), Refusal("max_tokens", "max_tokens")),
        (400, error("This response_format type is unavailable now"), Refusal("response_format")),
        (422, forbidden("body", "response_format"), Refusal("response_format")),
        (404, error("No endpoints found that support structured outputs"), Refusal("response_format")),
        (400, {"code": "400", "error": "Argument not supported: size"}, Refusal("size")),
        (400, [error("Unknown name \"seed\" at 'generation_config': Cannot find field.")], Refusal("seed")),
        (400, error("temperature must be between 0 and 1"), None),
        (400, error("max_tokens is too large: this model supports at most 4096"), None),
        (400, error("Size '512x512' is not supported; supported values are '1024x1024'", param="size"), None),
        (400, error("Unsupported value: 'messages[0].role' does not support 'system'", param="messages[0].role"), None),
        (422, {"detail": [{"type": "x", "loc": ["body", "messages"], "msg": "not supported", "input": "temperature"}]}, None),
        (401, error("temperature is not supported"), None),
        (429, error("Unsupported: temperature"), None),
    ],
)
def test_which_parameter_is_not_taken(status: int, body: object, expected: Refusal | None) -> None:
    assert find_refused_parameter(status, body) == expected


def test_a_seed_is_refused_by_either_of_its_names() -> None:
    assert find_refused_parameter(422, forbidden("body", "seed")) == Refusal("seed")
    assert find_refused_parameter(422, forbidden("body", "random_seed")) == Refusal("seed")


def test_what_was_sent_is_not_looked_at() -> None:
    prompt = "Explain why the temperature parameter is not supported"
    assert find_refused_parameter(400, error(f"cannot parse: {prompt}"), sent=(prompt,)) is None


@pytest.mark.parametrize(
    "words", ["temperature and top_p are not supported with reasoning models", "Unsupported parameter(s): `temperature`, `top_p`"]
)
def test_of_several_that_are_refused_at_once_each_is_left_out_in_turn(words: str) -> None:
    assert find_refused_parameter(400, error(words)) == Refusal("top_p")
    assert find_refused_parameter(400, error(words), unset=("top_p", "seed")) == Refusal("temperature")


def test_of_two_that_are_refused_beside_each_other_the_second_stays() -> None:
    words = error("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    assert find_refused_parameter(400, words) == Refusal("top_p")
    assert find_refused_parameter(400, words, unset=("top_p",)) is None
