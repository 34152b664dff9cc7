"""Errors as vendors word them: a block, this request's, this model's, or worth another try, whatever the wire and the status."""

from __future__ import annotations

import json
from typing import Any

import pytest
from unisafe_providers.base import Misconfigured, ProviderError, RateLimited, Rejected, Response, Transient
from unisafe_providers.hosted.failures import read_error

SETTINGS = {
    "temperature": "generation.temperature",
    "size": "generation.image_size",
    "max_tokens": "generation.max_tokens",
    "chat_template_kwargs": "extra.chat_template_kwargs",
    "steps": "extra.steps",
}
NOW = 1_700_000_000.0


def read(status: int, body: object, headers: dict[str, str] | None = None, sent: tuple[str, ...] = ()) -> Response | ProviderError:
    return read_error("Acme", status, body, headers or {}, "m-1", sent=sent, settings=SETTINGS, clock=lambda: NOW)


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


# ---------------------------------------------------------------- content filters

REQUEST, RESPONSE, UNTOLD = "request", "response", None


@pytest.mark.parametrize(
    ("status", "body", "stage", "categories"),
    [
        (
            403,
            {
                "code": "The caller does not have permission",
                "error": "Content violates usage guidelines. Team: t, API key ID: k, Model: m, Failed check: SAFETY_CHECK_TYPE_BIO",
            },
            REQUEST,
            ["bio"],
        ),
        (403, error("Failed check: SAFETY_CHECK_TYPE_CYBER"), REQUEST, ["cyber"]),
        (400, error("Content Exists Risk", code="invalid_request_error"), REQUEST, []),
        (400, {"code": "DataInspectionFailed", "message": "Output data may contain inappropriate content."}, RESPONSE, []),
        (400, error("Input data may contain inappropriate content.", code="data_inspection_failed"), REQUEST, []),
        (400, error("Green net check failed.", code="data_inspection_failed"), UNTOLD, []),
        (400, {**error("unsafe", code="1301"), "contentFilter": [{"role": "assistant", "level": 2}]}, RESPONSE, ["sensitive"]),
        (400, error("potentially unsafe or sensitive content in input or generation", code="1301"), UNTOLD, []),
        (400, {"type": "error", "error": {"message": "Output blocked by content filtering policy"}}, RESPONSE, []),
        (500, {"type": "error", "error": {"message": "Output blocked by content filtering policy"}}, RESPONSE, []),
        (500, error("input new_sensitive, please check your input (1026)"), REQUEST, []),
        (422, error("output new_sensitive (1027)"), RESPONSE, []),
        (498, {"message": "blocked: it may violate the Usage Guidelines"}, REQUEST, []),
        (403, {"message": {"detail": "Request blocked: the prompt violates the guardrail"}, "type": "guardrail"}, REQUEST, []),
        (451, error("The content you provided or machine outputted is blocked.", type="censorship_blocked"), UNTOLD, []),
        (
            400,
            {"success": False, "errors": [{"code": 2016, "message": "Prompt blocked due to security configurations"}]},
            REQUEST,
            [],
        ),
        (400, {"errors": [{"code": 2017, "message": "Response blocked due to security configurations"}]}, RESPONSE, []),
        (400, error("litellm.ContentPolicyViolationError: the request was rejected"), REQUEST, []),
        (400, error("Request blocked: the prompt was classified as unsafe"), REQUEST, []),
        (400, error("Sorry, your prompt may violate our policies."), REQUEST, []),
        (400, error("The input image shows a real person, which is against our content guidelines"), REQUEST, []),
        (451, error("Prompt contains prohibited terms"), REQUEST, []),
        (403, error("Blocked by Llama Guard: S1"), REQUEST, []),
        (400, error("内容安全检测未通过"), REQUEST, []),
        (400, error("The model declined to draw due to safety concerns"), REQUEST, []),
        (403, error("This content is not something we can help with"), REQUEST, []),
        (403, "Your prompt was flagged", REQUEST, []),
        (
            502,
            error("Provider returned error", metadata={"raw": json.dumps(error("x", code="content_filter"))}),
            REQUEST,
            [],
        ),
        (400, error("Provider returned error", metadata={"raw": "Content Exists Risk"}), REQUEST, []),
        (200, error("The prompt was flagged by our moderation system", code=400), REQUEST, []),
        (200, error("The generated image was blocked by the safety system."), RESPONSE, []),
        (422, {"detail": [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation"}]}, REQUEST, []),
        (422, {"id": "x", "error": {"message": "NSFW content detected in prompt", "type": "invalid_request_error"}}, REQUEST, []),
        (403, {"name": "content_moderation", "errors": ["Flagged by our content moderation system."]}, REQUEST, []),
        (400, error("x", code="OutputImageSensitiveContentDetected.Violence"), RESPONSE, ["Violence"]),
        (
            400,
            error(
                "Rejected by the safety system. Repeated violations may lead to your account being suspended.",
                code=None,
            ),
            REQUEST,
            [],
        ),
        (400, [error("Prohibited content in the prompt", status="INVALID_ARGUMENT")], REQUEST, []),
    ],
)
def test_a_filter_s_word_is_a_block(status: int, body: object, stage: str | None, categories: list[str]) -> None:
    answered = read(status, body)
    assert isinstance(answered, Response), answered
    assert answered.finish == "blocked"
    assert (answered.block.stage if answered.block else None) == stage
    if answered.block:
        assert [name for name, _ in answered.block.categories] == categories
    assert answered.reason


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (503, error("Content moderation service temporarily unavailable"), Transient),
        (500, error("failed to call the guardrail"), Transient),
        (500, error("Error while evaluating content filter"), Transient),
        (403, error("Your account was blocked for violations of our content policy"), Misconfigured),
        (403, error("Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: x"), Misconfigured),
        (403, error("Unsupported content type"), Misconfigured),
        (403, error("Your request was blocked because your IP is on a deny list"), Misconfigured),
        (403, "Request blocked by WAF", Misconfigured),
        (400, error("The response was blocked because the connection was closed"), Rejected),
        (400, error("Unknown parameter: 'moderation'.", code="unknown_parameter"), Rejected),
        (429, error("Rate limit reached for the moderation system"), RateLimited),
    ],
)
def test_what_only_speaks_of_filters_is_no_block(status: int, body: object, kind: type[ProviderError]) -> None:
    assert type(read(status, body)) is kind


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "The guardrail identifier or version provided in the request does not exist."),
        (400, "Guardrail 'pii-mask' not found. Available guardrails: []"),
        (400, "Guardrails are not supported by this model"),
        (400, "Unrecognized request argument supplied: guardrails"),
        (400, "Invalid value for guardrail_config"),
        (400, "The content filter policy 'strict' does not exist"),
        (400, "safety_checker: Extra inputs are not permitted"),
        (400, "prompt injection detection is not available in your plan"),
        (403, "You must accept the content policy before using this model"),
        (403, "This model requires agreeing to the usage guidelines: https://acme.example"),
        (403, "Content generation is not enabled for your project"),
        (403, "You do not have permission to generate content with this model."),
        (403, "Your request was blocked."),
        (403, "Request blocked by WAF"),
        (403, "Access denied: this IP is flagged by our security policy"),
        (503, "The moderation filter is overloaded, request rejected"),
    ],
)
def test_a_filter_that_is_set_up_wrongly_or_a_firewall_looked_at_nothing_and_is_no_block(status: int, message: str) -> None:
    assert isinstance(read(status, error(message)), ProviderError)


def test_an_echoed_prompt_neither_stops_a_model_nor_counts_as_a_block() -> None:
    prompt = "Write to my bank: my credit balance is wrong, and the safety system flagged as violating the content policy"
    for body in (
        {"detail": [{"type": "string_too_short", "loc": ["body", "messages", 0], "msg": "too short", "input": prompt}]},
        error(f"Could not parse: {prompt}"),
        error(f'Could not parse "{prompt[:60]}..."'),
        f"bad request: {prompt}",
    ):
        answered = read(400, body, sent=(prompt,))
        assert type(answered) is Rejected
        assert "credit balance" not in str(answered)
    assert type(read(400, error("Your credit balance is too low"), sent=(prompt,))) is Misconfigured


# ---------------------------------------------------------------- failures

ANY = ""


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        # credit, account, key
        (400, error("Access denied, your account is overdue", code="Arrearage"), Misconfigured, "no credit"),
        (403, {"code": "AccountOverdueError", "message": "overdue balance"}, Misconfigured, "no credit"),
        (403, {"detail": "User is locked. Reason: Exhausted balance"}, Misconfigured, "no credit"),
        (429, error("余额不足或无可用资源包,请充值。", code="1113"), Misconfigured, "no credit"),
        (200, error("Insufficient credits", code=402), Misconfigured, "no credit"),
        (200, error("You exceeded your current quota", code="insufficient_quota"), Misconfigured, "no credit"),
        (502, error("Upstream", code=402), Misconfigured, "no credit"),
        (403, error("Your account has been suspended"), Misconfigured, "account"),
        (403, error("Your organization must be verified to use the model `m`."), Misconfigured, "verify"),
        (400, [error("API key not valid.", details=[{"reason": "API_KEY_INVALID"}])], Misconfigured, "key_env"),
        (200, error("User not found.", code=401), Misconfigured, "key_env"),
        # the day's quota
        (429, error("Rate limit reached on requests per day (RPD): Limit 50, Used 50, Requested 1."), Misconfigured, "day"),
        (429, error("You have reached your daily request limit"), Misconfigured, "day"),
        (429, error("Rate limit exceeded: free-models-per-day-high-balance. "), Misconfigured, "day"),
        (200, error("Rate limit exceeded: limit_rpd/m. Daily limit reached", code=429), Misconfigured, "day"),
        # the model
        (404, {"error": "model 'x' not found, try pulling it first"}, Misconfigured, "ollama pull"),
        (404, {"error": {"message": 'model "x" not found', "type": "api_error"}}, Misconfigured, "ollama pull"),
        (500, {"error": "model requires more system memory (9 GiB) than is available (3 GiB)"}, Misconfigured, "memory"),
        (404, {"error": "No models loaded. Please load a model"}, Misconfigured, "load"),
        (400, error("Unable to access non-serverless model m"), Misconfigured, "endpoint of your own"),
        (400, error("This model only support stream mode"), Misconfigured, "streams"),
        (400, error("Streaming is required for this model"), Misconfigured, "streams"),
        (
            400,
            error("parameter.enable_thinking must be set to false for non-streaming calls"),
            Misconfigured,
            "extra.enable_thinking",
        ),
        (404, error("No endpoints found matching your data policy"), Misconfigured, "privacy"),
        (400, {"code": "invalid-argument", "error": "Model not found: grok-none"}, Misconfigured, "`model`"),
        (503, error("No available channel", code="service_unavailable"), Transient, "No available"),
        # one request
        (429, error("Request too large for m on tokens per min (TPM): Limit 30,000, Requested 36,278."), Rejected, "alone"),
        (413, error("Request too large on tokens per minute (TPM): Limit 6000, Requested 8000"), Rejected, "alone"),
        (400, error("exceeds the available context size", type="exceed_context_size_error"), Rejected, "longer"),
        (400, error("Range of input length should be [1, 6000]"), Rejected, "longer"),
        (400, error("You may provide at most 1 image(s)"), Rejected, "image"),
        (400, error("Image size is 20 MB: image too large"), Rejected, "image"),
        (422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required", "type": "missing"}]}, Rejected, "Field required"),
        # the moment
        (424, error("Failed Dependency"), Transient, "424"),
        (498, "capacity", Transient, "498"),
        (521, "<html><title>Web server is down</title></html>", Transient, "Web server is down"),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, Transient, "Overloaded"),
        (200, error("Upstream idle timeout", code=504), Transient, "idle timeout"),
        (200, error("something"), Transient, "something"),
        (503, {"error": {}}, Transient, "503"),
        (500, None, Transient, "500"),
        (400, "", Rejected, "400"),
    ],
)
def test_each_failure_says_what_to_change(status: int, body: object, kind: type[ProviderError], words: str) -> None:
    answered = read(status, body)
    assert type(answered) is kind, answered
    assert words in str(answered)


@pytest.mark.parametrize(
    ("status", "message", "needs"),
    [
        (400, "m is not a multimodal model", "images in"),
        (400, "unknown variant `image_url`, expected `text`", "images in"),
        (404, "No endpoints found that support image input", "images in"),
        (500, "image input is not supported - hint: you may need to provide the mmproj", "images in"),
        (400, "At most 0 image(s) may be provided in one prompt.", "images in"),
        (400, "This model does not support image input", "images in"),
        (400, "Model does not support the requested response modalities: image", "images out"),
        (404, "No endpoints found that support the requested output modalities: image, text", "images out"),
        (400, "m does not support image generation", "images out"),
    ],
)
def test_an_error_that_speaks_of_pictures_stops_only_what_needs_them(status: int, message: str, needs: str) -> None:
    answered = read(status, error(message))
    assert isinstance(answered, Misconfigured)
    assert answered.needs == needs
    assert ("`takes`" if needs == "images in" else "`gives`") in str(answered)


@pytest.mark.parametrize(
    "message",
    [
        "Model 'm' supports at most 1 image per prompt.",
        "Could not process image",
        "Unsupported image format.",
        "image exceeds 5 MB maximum",
        "The model does not support images larger than 2048 pixels",
        "Invalid base64 image_url.",
    ],
)
def test_an_error_about_one_picture_is_its_item_s(message: str) -> None:
    assert type(read(400, error(message))) is Rejected


@pytest.mark.parametrize(
    ("status", "body", "doubtful"),
    [
        (403, "Forbidden", True),
        (404, "Not Found", True),
        (405, error("Method Not Allowed"), True),
        (403, "<html><title>Attention Required!</title></html>", True),
        (404, error("The model `m` does not exist", code="model_not_found"), False),
        (403, error("Your API key may not use this model."), False),
        (403, error("Permission 'predict' denied", status="PERMISSION_DENIED"), False),
        (401, "Unauthorized", False),
        (402, "", False),
        (403, error("User location is not supported for the API use."), False),
    ],
)
def test_a_bare_403_or_404_may_be_one_request_s_alone(status: int, body: object, doubtful: bool) -> None:
    answered = read(status, body)
    assert isinstance(answered, Misconfigured)
    assert answered.doubtful is doubtful


@pytest.mark.parametrize(
    ("status", "body", "key"),
    [
        (400, error("The parameter `size` is not valid", param="size"), "generation.image_size"),
        (400, error("steps must be between 1 and 4", param="steps"), "extra.steps"),
        (
            422,
            {"detail": [{"loc": ["body", "chat_template_kwargs"], "msg": "no", "type": "extra_forbidden"}]},
            "chat_template_kwargs",
        ),
        (400, error("temperature must be between 0 and 1"), "generation.temperature"),
        (400, error("max_tokens is too large: 99999. This model supports at most 4096 completion tokens"), "generation.max_tokens"),
        (400, error("Invalid size: the image dimension must be a multiple of 16", param="size"), "generation.image_size"),
    ],
)
def test_a_parameter_that_bench_toml_sets_is_named(status: int, body: object, key: str) -> None:
    answered = read(status, body)
    assert isinstance(answered, Misconfigured)
    assert key in str(answered)


@pytest.mark.parametrize(
    "body",
    [
        error("messages: at least one message is required"),
        error("The image's size is odd"),
        error("Invalid 'messages[0].content': string too short", param="messages[0].content"),
        error("`inputs` tokens + `max_new_tokens` must be <= 8193.", param="max_tokens"),
        error("Unsupported value: 'messages[0].role' does not support 'system'", param="messages[0].role"),
    ],
)
def test_a_400_that_names_no_parameter_of_bench_toml_is_its_item_s(body: object) -> None:
    assert type(read(400, body)) is Rejected


def test_a_redirect_names_where_it_leads() -> None:
    answered = read(308, "", {"Location": "https://new.example/v1/chat/completions"})
    assert isinstance(answered, Misconfigured)
    assert "answers 308 to https://new.example/v1/chat/completions: put that into base_url" in str(answered)
    assert "base_url" in str(read(304, ""))


def test_a_web_page_is_called_one_by_its_title_only() -> None:
    page = "<!DOCTYPE html><html><head><title>Sign in &amp; go on</title></head><body>credit balance, secret words</body></html>"
    for status, kind in ((403, Misconfigured), (502, Transient), (429, RateLimited), (400, Rejected)):
        answered = read(status, page)
        assert type(answered) is kind
        assert "Sign in & go on" in str(answered)
        assert "proxy or firewall" in str(answered)
        assert "secret words" not in str(answered)


@pytest.mark.parametrize(("status", "kind"), [(500, Rejected), (429, Rejected), (401, Misconfigured)])
def test_a_server_that_says_not_to_try_again_is_obeyed(status: int, kind: type[ProviderError]) -> None:
    answered = read(status, error("x"), {"X-Should-Retry": "false"})
    assert type(answered) is kind
    assert ("not to try again" in str(answered)) is (kind is Rejected)


# ---------------------------------------------------------------- how long to wait


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please try again in 7m12s.", 432.0),
        ("Please try again in 17m9.888s. Visit us.", 1029.888),
        ("Try again in 20 seconds", 20.0),
        ("Please retry in 13.5s.", 13.5),
        ("Please try again in 250ms.", 0.25),
        ("Your rate limit resets in ~30s.", 30.0),
        ("retry after 2 minutes", 120.0),
        ("have been timed out for 60 seconds", 60.0),
        ("Please wait 1 hour and 5 minutes", 3900.0),
        ("Please retry shortly", None),
        ("limit of 150 requests within a 10 second period", None),
    ],
)
def test_a_wait_is_read_from_words(message: str, seconds: float | None) -> None:
    answered = read(429, error(f"Rate limited. {message}"))
    assert isinstance(answered, RateLimited)
    assert answered.retry_after == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, {"message": "You are being rate limited.", "retry_after": 2.5}),
        (429, error("Slow down.", retry_after="2.5s")),
        (503, {"error": "Model m-1 is currently loading", "estimated_time": 2.5}),
    ],
)
def test_a_wait_in_a_field_of_the_body_is_read(status: int, body: object) -> None:
    answered = read(status, body)
    assert isinstance(answered, RateLimited | Transient)
    assert answered.retry_after == 2.5


def test_a_wait_in_headers_within_the_body_is_read() -> None:
    body = error(
        "slow", code=429, metadata={"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int((NOW + 25) * 1000))}}
    )
    answered = read(200, body)
    assert isinstance(answered, RateLimited)
    assert answered.retry_after == pytest.approx(25.0)


def test_google_s_retry_info_goes_before_words() -> None:
    body = error("Please retry in 9s.", status="RESOURCE_EXHAUSTED", details=[{"retryDelay": "13.5s"}])
    answered = read(429, body)
    assert isinstance(answered, RateLimited)
    assert answered.retry_after == 13.5


@pytest.mark.parametrize(
    "body", [[], [[]], {"error": [None, 3]}, {"error": {"message": {"a": {"b": 1}}}}, 7, "\x00", {"detail": [[[]]]}]
)
def test_any_body_is_read_without_falling(body: object) -> None:
    for status in (200, 400, 403, 500, 302):
        assert isinstance(read(status, body), ProviderError)
