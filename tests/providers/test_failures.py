"""Calls that fail, as the vendors tell it: what stops a model, what fails one item, what is tried again, each with its own
words.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from unisafe_providers.base import (
    Capabilities,
    Image,
    Misconfigured,
    ProviderError,
    RateLimited,
    Rejected,
    Request,
    Text,
    Transient,
)
from unisafe_providers.hosted.anthropic import Anthropic
from unisafe_providers.hosted.gemini import Gemini
from unisafe_providers.hosted.http import HostedProvider
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from unisafe_providers.hosted.openai_responses import OpenAIResponses
from unisafe_providers.images import ImageLimits
from vendors import KEY, Asked, Reply, VendorServer, anthropic, gemini, openai

HELLO = Request(kind="chat", parts=(Text("hello"),))
SEES = Capabilities(image_in=True, image_out=True)


def provider(server: VendorServer, key: str = KEY, **more: Any) -> HostedProvider:
    if isinstance(server, anthropic.AnthropicServer):
        return Anthropic("claude-2.1", server.url, key, SEES, **more)
    if isinstance(server, gemini.GeminiServer):
        return Gemini("gemini-1.5-flash", server.url, key, SEES, **more)
    header = "api-key" if isinstance(server, openai.AzureServer) else "authorization"
    return OpenAICompatible("gpt-4-32k", server.url, key, SEES, key_header=header, **{"title": "OpenAI", **more})


async def failure(server: VendorServer, request: Request = HELLO, **more: Any) -> ProviderError:
    async with server, provider(server, **more) as asked:
        with pytest.raises(ProviderError) as caught:
            await asked.call(request)
    return caught.value


OK = Reply({})


@pytest.mark.parametrize(
    "server", [openai.OpenAIServer, openai.AzureServer, openai.OpenRouterServer, anthropic.AnthropicServer, gemini.GeminiServer]
)
async def test_a_key_that_is_not_taken_names_the_variable_to_check(server: type[VendorServer]) -> None:
    caught = await failure(server(OK), key="sk-another-key-0123")
    assert type(caught) is Misconfigured
    assert "refused the key" in str(caught)
    assert "key_env" in str(caught)


def per_day(words: str) -> Reply:
    """A QuotaFailure of the day, whose RetryInfo asks to wait for seconds all the same."""
    violation = {
        "quotaMetric": "generate_content_free_tier_requests",
        "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
    }
    quota = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "22s"}
    return gemini.error("RESOURCE_EXHAUSTED", words, 429, quota, retry)


LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
QUOTA = "You exceeded your current quota, please check your plan and billing details."
CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."
SUCCESSOR = "This model models/gemini-1.5-flash is no longer available. Please update your code to use gemini-3.8-flash."
EXPIRED = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}


@pytest.mark.parametrize(
    ("server", "kind", "words"),
    [
        # without credit: OpenAI, "Error codes"; Anthropic, "Errors"; OpenRouter, "Errors and Debugging"; Google's forum on prepaid credits
        pytest.param(
            openai.OpenAIServer(openai.error("insufficient_quota", QUOTA, 429)),
            Misconfigured,
            "no credit left at OpenAI",
            id="quota",
        ),
        pytest.param(
            openai.OpenAIServer(openai.error("billing_not_active", "Your account is not active.", 429)),
            Misconfigured,
            "no credit",
            id="inactive",
        ),
        pytest.param(
            openai.OpenRouterServer(Reply({"error": {"code": 402, "message": "Insufficient credits"}}, 402)),
            Misconfigured,
            "Insufficient credits",
            id="402",
        ),
        pytest.param(
            anthropic.AnthropicServer(anthropic.error("invalid_request_error", CREDIT, 400)),
            Misconfigured,
            "no credit left at Anthropic",
            id="balance",
        ),
        pytest.param(
            anthropic.AnthropicServer(anthropic.error("billing_error", "Check your payment details.", 402)),
            Misconfigured,
            "no credit",
            id="billing",
        ),
        pytest.param(
            anthropic.AnthropicServer(
                anthropic.error(
                    "rate_limit_error", "Monthly threshold.", 429, details={"error_code": "enforced_spend_limit_reached"}
                )
            ),
            Misconfigured,
            "no credit",
            id="spend limit",
        ),
        pytest.param(
            gemini.GeminiServer(
                gemini.error("RESOURCE_EXHAUSTED", "Your prepayment credits are depleted. Please go to AI Studio.", 429)
            ),
            Misconfigured,
            "no credit left at Google Gemini",
            id="prepaid",
        ),
        pytest.param(gemini.GeminiServer(per_day(QUOTA)), Misconfigured, "go on tomorrow", id="the day's quota"),
        pytest.param(
            gemini.GeminiServer(
                gemini.error("RESOURCE_EXHAUSTED", f"{QUOTA} * Quota exceeded, limit: 0, model: gemini-2.5-pro", 429)
            ),
            Misconfigured,
            "gives gemini-1.5-flash no quota",
            id="no quota at all",
        ),
        # region: OpenAI, "Supported countries"; Google, "Gemini API troubleshooting guide"
        pytest.param(
            openai.OpenAIServer(
                openai.error("unsupported_country_region_territory", "Country, region, or territory not supported", 403)
            ),
            Misconfigured,
            "not offered in this region",
            id="region",
        ),
        pytest.param(
            gemini.GeminiServer(gemini.error("FAILED_PRECONDITION", "User location is not supported for the API use.", 400)),
            Misconfigured,
            "Google Gemini is not offered in this region",
            id="location",
        ),
        # keys that once were good, and accounts
        pytest.param(
            gemini.GeminiServer(gemini.error("INVALID_ARGUMENT", "API key expired. Please renew the API key.", 400, EXPIRED)),
            Misconfigured,
            "API key expired",
            id="expired",
        ),
        pytest.param(
            anthropic.AnthropicServer(anthropic.error("permission_error", "Your API key may not use this model.", 403)),
            Misconfigured,
            "denies access",
            id="denied",
        ),
        pytest.param(
            openai.AzureServer(
                Reply(
                    {
                        "error": {
                            "code": "403",
                            "message": "Your resource has been temporarily blocked because of our content policy",
                        }
                    },
                    403,
                )
            ),
            Misconfigured,
            "temporarily blocked",
            id="a blocked account is no blocked request",
        ),
        pytest.param(
            openai.OpenRouterServer(Reply({"error": {"code": 403, "message": "Your account was flagged for abuse."}}, 403)),
            Misconfigured,
            "flagged for abuse",
            id="a flagged account is no blocked request",
        ),
        pytest.param(
            openai.OpenAIServer(openai.error("unknown_parameter", "Unknown parameter: 'content filter'.", param="content filter")),
            Rejected,
            "Unknown parameter",
            id="a wrong parameter is no block",
        ),
        # models that are gone, with the vendor's hint: OpenAI, "Deprecations"; Groq, "Model deprecations"; Anthropic, "Errors"
        pytest.param(
            openai.OpenAIServer(
                openai.error(
                    "model_not_found",
                    "The model `gpt-4-32k` has been deprecated, learn more here: https://platform.openai.com",
                    404,
                )
            ),
            Misconfigured,
            "OpenAI has retired gpt-4-32k",
            id="deprecated",
        ),
        pytest.param(
            openai.OpenAIServer(
                openai.error("model_decommissioned", "The model has been decommissioned. See our deprecations.", 400)
            ),
            Misconfigured,
            "name its successor in `model`",
            id="decommissioned",
        ),
        pytest.param(
            gemini.GeminiServer(gemini.error("NOT_FOUND", SUCCESSOR, 404)), Misconfigured, "gemini-3.8-flash", id="successor"
        ),
        pytest.param(
            anthropic.AnthropicServer(anthropic.error("not_found_error", "model: claude-2.1", 404)),
            Misconfigured,
            "check `model` (claude-2.1)",
            id="unknown",
        ),
        pytest.param(
            openai.OpenAIServer(
                Reply({"object": "error", "message": "Invalid model: gpt-4-32k", "type": "invalid_model", "code": "1500"}, 400)
            ),
            Misconfigured,
            "check `model`",
            id="Mistral's unknown model",
        ),
        # too long
        pytest.param(
            openai.OpenAIServer(openai.error("context_length_exceeded", LONG)),
            Rejected,
            "longer than gpt-4-32k takes",
            id="context",
        ),
        pytest.param(
            anthropic.AnthropicServer(
                anthropic.error("invalid_request_error", "prompt is too long: 212345 tokens > 200000 maximum", 400)
            ),
            Rejected,
            "212345 tokens",
            id="prompt",
        ),
        pytest.param(
            gemini.GeminiServer(
                gemini.error(
                    "INVALID_ARGUMENT",
                    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                    400,
                )
            ),
            Rejected,
            "longer than gemini-1.5-flash takes",
            id="tokens",
        ),
        pytest.param(
            anthropic.AnthropicServer(anthropic.error("request_too_large", "Request exceeds the maximum size", 413)),
            Rejected,
            "larger than Anthropic takes",
            id="bytes",
        ),
        # images
        pytest.param(
            anthropic.AnthropicServer(anthropic.error("invalid_request_error", "Could not process image", 400)),
            Rejected,
            "does not take an image",
            id="image",
        ),
        pytest.param(
            openai.OpenAIServer(openai.error("invalid_image_format", "You uploaded an unsupported image.")),
            Rejected,
            "an image",
            id="format",
        ),
        # rate limits and overload
        pytest.param(
            anthropic.AnthropicServer(anthropic.error("rate_limit_error", "This request would exceed your rate limit.", 429)),
            RateLimited,
            "429",
            id="rate",
        ),
        pytest.param(
            anthropic.AnthropicServer(anthropic.error("overloaded_error", "Overloaded", 529)), Transient, "Overloaded", id="529"
        ),
        pytest.param(
            gemini.GeminiServer(gemini.error("UNAVAILABLE", "The model is overloaded.", 503)), Transient, "overloaded", id="503"
        ),
        pytest.param(
            anthropic.AnthropicServer(anthropic.error("invalid_request_error", "messages: too few", 400)),
            Rejected,
            "too few",
            id="400",
        ),
    ],
)
async def test_each_failure_has_its_own_words(server: VendorServer, kind: type[ProviderError], words: str) -> None:
    caught = await failure(server)
    assert type(caught) is kind
    assert words in str(caught)


async def test_google_says_in_the_body_how_long_to_wait() -> None:
    """Source: google.rpc.RetryInfo."""
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13.5s"}
    caught = await failure(gemini.GeminiServer(gemini.error("RESOURCE_EXHAUSTED", QUOTA, 429, retry)))
    assert isinstance(caught, RateLimited)
    assert caught.retry_after == 13.5


async def test_more_images_than_a_vendor_takes_are_not_even_sent() -> None:
    server = anthropic.AnthropicServer(anthropic.message())
    request = Request(kind="chat", parts=(*(Image.from_bytes(bytes([number])) for number in range(3)), Text("compare")))
    caught = await failure(server, request, images=ImageLimits(max_count=2))
    assert isinstance(caught, Rejected)
    assert "Anthropic takes at most 2 images in a request; this one has 3" in str(caught)
    assert not server.asked


# ---------------------------------------------------------------- parameters that a model does not take

COLD = Request(kind="chat", parts=(Text("hello"),), temperature=0.0)


def hot_only(asked: Asked) -> Reply:
    """A reasoning model (OpenAI, "Reasoning models"): no temperature but the default."""
    if "temperature" in asked.body:
        words = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported."
        return openai.error("unsupported_value", words, param="temperature")
    if asked.path.endswith("/responses"):
        return openai.responses(openai.said(openai.text("Hi.")))
    return openai.completion("Hi.")


def hot_claude(asked: Asked) -> Reply:
    if "temperature" in asked.body:
        return anthropic.error("invalid_request_error", "`temperature` is deprecated for this model.", 400)
    return anthropic.message("Hi.")


@pytest.mark.parametrize("kind", [OpenAICompatible, OpenAIResponses, Anthropic])
async def test_a_model_that_takes_no_temperature_is_asked_without_and_that_is_said_once(kind: Any) -> None:
    server = anthropic.AnthropicServer(hot_claude) if kind is Anthropic else openai.OpenAIServer(hot_only)
    async with server, kind("thinker", server.url, KEY, SEES) as asked:
        assert asked.notes == []
        assert [(await asked.call(COLD)).text for _ in range(2)] == ["Hi.", "Hi."]
        assert len(asked.notes) == 1
    assert "thinker takes no temperature" in asked.notes[0]
    assert ["temperature" in one.body for one in server.asked] == [True, False, False]


async def test_calls_under_way_together_all_come_through_when_a_parameter_is_not_taken() -> None:
    texts: list[str] = []
    async with openai.OpenAIServer(hot_only) as server, OpenAICompatible("thinker", server.url, KEY, SEES) as asked:

        async def call() -> None:
            texts.append((await asked.call(COLD)).text)

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(call)
    assert texts == ["Hi."] * 8
    assert len(asked.notes) == 1


async def test_an_azure_deployment_s_own_address_carries_its_version() -> None:
    """Source: Microsoft, "Azure OpenAI REST API reference", chat completions."""
    server = openai.AzureServer(openai.completion("Hi."))
    async with server:
        url = server.url.replace("/openai/v1", "/openai/deployments/mine")
        async with OpenAICompatible("m", url, KEY, SEES, key_header="api-key", api_version="2024-10-21") as asked:
            assert (await asked.call(HELLO)).text == "Hi."
        async with OpenAICompatible("m", server.url, KEY, SEES, key_header="api-key") as asked:
            assert (await asked.call(HELLO)).text == "Hi."
    assert [(one.path, one.query) for one in server.asked] == [
        ("/openai/deployments/mine/chat/completions", {"api-version": "2024-10-21"}),
        ("/openai/v1/chat/completions", {}),
    ]


@pytest.mark.parametrize(
    ("body", "status", "names"),
    [
        ({"error": {"message": "must be between 1 and 4", "param": "steps"}}, 400, "set extra.steps"),
        (
            {"detail": [{"loc": ["body", "safety_tolerance"], "msg": "should be at most 5", "type": "x"}]},
            422,
            "extra.safety_tolerance",
        ),
        ({"error": "Argument not supported on this model: stop"}, 400, "extra.stop"),
        ({"error": {"message": "not valid", "param": "prompt"}}, 400, ""),
        ({"error": {"message": "not valid", "param": "messages[0].content"}}, 400, ""),
        ({"detail": [{"loc": ["body", "input_image"], "msg": "cannot be read", "type": "x"}]}, 422, ""),
        ({"error": {"message": "not valid", "param": "null"}}, 400, ""),
    ],
)
async def test_a_parameter_that_is_the_same_in_every_request_stops_the_model(body: Any, status: int, names: str) -> None:
    caught = await failure(openai.OpenAIServer(Reply(body, status)))
    assert type(caught) is (Misconfigured if names else Rejected)
    assert names in str(caught)
