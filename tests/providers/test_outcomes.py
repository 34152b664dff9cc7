"""Every shape that a vendor documents for an answer, a refusal or a block lands in its outcome, with category and severity.

Each row cites the documentation that it was written from; the servers speak the vendors' protocols on loopback.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest
from unisafe_providers.base import Block, Capabilities, Finish, Image, Misconfigured, Request, Response, Text, Transient
from unisafe_providers.hosted.anthropic import Anthropic
from unisafe_providers.hosted.gemini import Gemini
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from unisafe_providers.hosted.openai_responses import OpenAIResponses
from vendors import KEY, Reply, VendorServer, anthropic, gemini, openai

EVERYTHING = Capabilities(image_in=True, image_out=True, edit=True)
HELLO = Request(kind="chat", parts=(Text("hello"),), max_tokens=50)
DRAW = Request(kind="image", parts=(Text("a lighthouse"),))
PNG = b"\x89PNG\r\n\x1a\n a picture"

OPENAI_CHAT = 'OpenAI, "The chat completion object", https://developers.openai.com/api/reference/resources/chat'
OPENAI_IMAGES = 'OpenAI, "Image generation", https://developers.openai.com/api/docs/guides/image-generation'
OPENAI_REASONING = 'OpenAI, "Reasoning models", advice on prompting, https://developers.openai.com/api/docs/guides/reasoning'
OPENAI_RESPONSES = 'OpenAI, "The response object", https://developers.openai.com/api/reference/resources/responses'
AZURE = 'Microsoft, "Content filtering", https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter'
AZURE_NOTES = 'Microsoft, "Content filtering annotations", https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter-annotations'
OPENROUTER = 'OpenRouter, "Errors and Debugging", https://openrouter.ai/docs/api/reference/errors-and-debugging'
OPENROUTER_FINISH = 'OpenRouter, "API Reference", finish reason, https://openrouter.ai/docs/api/reference/overview'
MISTRAL = 'Mistral, "Moderate an input", https://docs.mistral.ai/studio/safety-moderation/quickstarts/moderate-an-input'
ANTHROPIC = 'Anthropic, "Stop reasons and fallback", https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons'
ANTHROPIC_REFUSAL = 'Anthropic, "Handle streaming refusals", https://platform.claude.com/docs/en/test-and-evaluate/strengthen-guardrails/handle-streaming-refusals'
GEMINI = 'Google, "Generating content", https://ai.google.dev/api/generate-content'
GEMINI_SAFETY = 'Google, "Safety settings", https://ai.google.dev/gemini-api/docs/safety-settings'


async def answer(
    server: VendorServer, kind: type[OpenAICompatible] = OpenAICompatible, request: Request = HELLO, **more: Any
) -> Response:
    """What the vendor's provider makes of its server's reply."""
    async with server:
        if isinstance(server, anthropic.AnthropicServer):
            provider: Any = Anthropic("claude", server.url, KEY, EVERYTHING)
        elif isinstance(server, gemini.GeminiServer):
            provider = Gemini("gemini-image", server.url, KEY, EVERYTHING)
        else:
            header = "api-key" if isinstance(server, openai.AzureServer) else "authorization"
            provider = kind("m", server.url, KEY, EVERYTHING, key_header=header, **more)
        async with provider:
            return await provider.call(request)


def outcome(response: Response) -> tuple[Finish, Block | None, str]:
    return response.finish, response.block, response.text


# ---------------------------------------------------------------- OpenAI and Azure OpenAI, chat completions

VIOLENCE = {
    "hate": {"filtered": False, "severity": "safe"},
    "jailbreak": {"filtered": False, "detected": False},
    "self_harm": {"filtered": False, "severity": "safe"},
    "violence": {"filtered": True, "severity": "medium"},
}
POLICY = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry."
HIT = (("violence", "medium"),)


@pytest.mark.parametrize(
    ("source", "reply", "expected", "reason"),
    [
        (OPENAI_CHAT, openai.completion("Hi."), ("stop", None, "Hi."), ""),
        (OPENAI_CHAT, openai.completion("Hi", "length"), ("length", None, "Hi"), ""),
        (OPENAI_CHAT, openai.completion(None, message={"refusal": "I can't help."}), ("refused", None, "I can't help."), "refusal"),
        (OPENAI_CHAT, openai.completion("", "content_filter"), ("blocked", Block("response"), ""), "content_filter"),
        (
            AZURE,
            openai.completion("The first half", "content_filter", content_filter_results=VIOLENCE),
            ("blocked", Block("response", HIT), "The first half"),
            "content_filter (violence: medium)",
        ),
        (
            AZURE_NOTES,
            openai.completion(
                "", "content_filter", content_filter_results={"protected_material_text": {"filtered": True, "detected": True}}
            ),
            ("blocked", Block("response", (("protected_material_text", "detected"),)), ""),
            "protected_material_text",
        ),
        (
            AZURE_NOTES,
            openai.completion("Fine.", content_filter_results={**VIOLENCE, "violence": {"filtered": False, "severity": "low"}}),
            ("stop", None, "Fine."),
            "",
        ),
        (
            AZURE,
            openai.error(
                "content_filter",
                POLICY,
                status=400,
                innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": VIOLENCE},
            ),
            ("blocked", Block("request", HIT), ""),
            "violence: medium",
        ),
        (
            AZURE_NOTES,
            openai.error(
                "content_filter",
                POLICY,
                innererror={
                    "code": "ResponsibleAIPolicyViolation",
                    "content_filter_result": {"jailbreak": {"filtered": True, "detected": True}},
                },
            ),
            ("blocked", Block("request", (("jailbreak", "detected"),)), ""),
            "jailbreak: detected",
        ),
        (
            AZURE,
            openai.error("contentFilter", "Generated image was filtered as a result of our safety system."),
            ("blocked", Block("response"), ""),
            "Generated image",
        ),
        (
            OPENAI_REASONING,
            openai.error("invalid_prompt", "Invalid prompt: your prompt was flagged as potentially violating our usage policy."),
            ("blocked", Block("request"), ""),
            "flagged",
        ),
    ],
)
async def test_chat_completions(source: str, reply: Reply, expected: tuple[Finish, Block | None, str], reason: str) -> None:
    server = openai.AzureServer(reply) if "Microsoft" in source else openai.OpenAIServer(reply)
    response = await answer(server)
    assert outcome(response) == expected
    assert reason in response.reason


VIOLATION = "Your request was rejected by the safety system. If you believe this is an error, contact us. safety_violations=[violence, sexual]."


@pytest.mark.parametrize(
    ("source", "more", "block"),
    [
        (
            OPENAI_IMAGES,
            {"moderation_details": {"moderation_stage": "input", "categories": ["violence"]}},
            Block("request", (("violence", ""),)),
        ),
        (
            OPENAI_IMAGES,
            {"moderation_details": {"moderation_stage": "output", "categories": ["sexual"]}},
            Block("response", (("sexual", ""),)),
        ),
        (OPENAI_IMAGES, {"moderation_details": {"moderation_stage": "unknown", "categories": []}}, None),
        (OPENAI_IMAGES, {}, None),
    ],
)
async def test_a_picture_that_moderation_stopped(source: str, more: dict[str, Any], block: Block | None) -> None:
    reply = openai.error("moderation_blocked", VIOLATION, type="image_generation_user_error", **more)
    response = await answer(openai.OpenAIServer(reply), request=DRAW)
    assert outcome(response) == ("blocked", block, "")
    assert "violence" in response.reason


# ---------------------------------------------------------------- OpenAI, Responses

IMAGE_CALL = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": base64.b64encode(PNG).decode()}
IMAGE_BLOCK = {
    "code": "moderation_blocked",
    "type": "image_generation_user_error",
    "message": "Rejected.",
    "moderation_details": {"moderation_stage": "output", "categories": ["sexual"]},
}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (openai.responses({"type": "reasoning", "summary": []}, openai.said(openai.text("Hi."))), ("stop", None, "Hi.")),
        (openai.responses(openai.said({"type": "refusal", "refusal": "I won't."})), ("refused", None, "I won't.")),
        (
            openai.responses(
                openai.said(openai.text("Half")), status="incomplete", incomplete_details={"reason": "max_output_tokens"}
            ),
            ("length", None, "Half"),
        ),
        (
            openai.responses(
                openai.said(openai.text("Half")), status="incomplete", incomplete_details={"reason": "content_filter"}
            ),
            ("blocked", Block("response"), "Half"),
        ),
        (
            openai.responses({**IMAGE_CALL, "status": "failed", "result": None, "error": IMAGE_BLOCK}),
            ("blocked", Block("response", (("sexual", ""),)), ""),
        ),
        (
            openai.responses(status="failed", error={"code": "bio_policy", "message": "This request may enable harm."}),
            ("blocked", Block("request"), ""),
        ),
        (
            openai.responses(
                status="failed", error={"code": "image_content_policy_violation", "message": "The image is not allowed."}
            ),
            ("blocked", Block("request"), ""),
        ),
        (openai.error("content_filter", "Filtered."), ("blocked", Block("request"), "")),
    ],
    ids=["answer", "refusal part", "cut by length", "cut by filter", "image blocked", "policy", "image in", "as an error"],
)
async def test_responses(reply: Reply, expected: tuple[Finish, Block | None, str]) -> None:
    """Source: OPENAI_RESPONSES, and ResponseError and ImageGenerationCallError in OpenAI's package 3.54."""
    server = openai.OpenAIServer(reply)
    assert outcome(await answer(server, OpenAIResponses)) == expected
    assert server.asked[0].path == "/v1/responses"
    assert server.asked[0].body["store"] is False


async def test_a_responses_model_draws_with_the_image_tool() -> None:
    server = openai.OpenAIServer(openai.responses(IMAGE_CALL))
    response = await answer(
        server, OpenAIResponses, Request(kind="edit", parts=(Image.from_bytes(PNG), Text("bluer")), size="1024x1024")
    )
    assert await response.images[0].read() == PNG
    assert server.asked[0].body["tools"] == [{"type": "image_generation", "action": "edit", "size": "1024x1024"}]
    assert [part["type"] for part in server.asked[0].body["input"][0]["content"]] == ["input_image", "input_text"]


async def test_a_responses_object_that_failed_is_no_answer() -> None:
    reply = openai.responses(status="failed", error={"code": "server_error", "message": "Something broke."})
    with pytest.raises(Transient, match="Something broke"):
        await answer(openai.OpenAIServer(reply), OpenAIResponses)


# ---------------------------------------------------------------- OpenRouter, Mistral

# OpenRouter names its error types (`refusal` among them) without an example of the body, and Mistral documents a guardrail's 403
# without one: the bodies of those two rows follow each vendor's other errors.
MODERATION = {
    "reasons": ["harassment", "violence"],
    "flagged_input": "hello",
    "provider_name": "OpenAI",
    "model_slug": "openai/gpt",
}


@pytest.mark.parametrize(
    ("source", "reply", "expected"),
    [
        (
            OPENROUTER,
            Reply({"error": {"code": 403, "message": "Input was flagged.", "metadata": MODERATION}}, 403),
            ("blocked", Block("request", (("harassment", ""), ("violence", ""))), ""),
        ),
        (
            OPENROUTER,
            Reply({"error": {"code": 403, "message": "Request blocked: prompt injection patterns detected"}}, 403),
            ("blocked", Block("request"), ""),
        ),
        (
            OPENROUTER,
            Reply({"error": {"code": 403, "message": "I will not.", "metadata": {"error_type": "refusal"}}}, 403),
            ("refused", None, "I will not."),
        ),
        (
            OPENROUTER,
            Reply({"error": {"code": 403, "message": "Input was flagged.", "metadata": MODERATION}}, 200),
            ("blocked", Block("request", (("harassment", ""), ("violence", ""))), ""),
        ),
        (OPENROUTER_FINISH, openai.completion("Half", native_finish_reason="SAFETY"), ("blocked", Block("response"), "Half")),
        (OPENROUTER_FINISH, openai.completion("", native_finish_reason="refusal"), ("blocked", Block("response"), "")),
        (OPENROUTER_FINISH, openai.completion("Hi.", native_finish_reason="end_turn"), ("stop", None, "Hi.")),
        (MISTRAL, openai.completion("Hi", "model_length"), ("length", None, "Hi")),
        (
            MISTRAL,
            Reply({"object": "error", "message": "Request blocked by guardrail.", "type": "guardrail", "code": "3000"}, 403),
            ("blocked", Block("request"), ""),
        ),
    ],
)
async def test_openrouter_and_mistral(source: str, reply: Reply, expected: tuple[Finish, Block | None, str]) -> None:
    assert outcome(await answer(openai.OpenRouterServer(reply))) == expected


async def test_an_openrouter_answer_that_broke_off_is_no_answer() -> None:
    """Source: OPENROUTER; `finish_reason: error` beside an error of the vendor behind it."""
    reply = openai.completion("", "error", error={"code": 502, "message": "Provider disconnected"})
    with pytest.raises(Transient, match="Provider disconnected"):
        await answer(openai.OpenRouterServer(reply))


# ---------------------------------------------------------------- Anthropic

DETAILS = {"type": "refusal", "category": "cyber", "explanation": "This request was declined because it could enable cyber harm."}


@pytest.mark.parametrize(
    ("source", "reply", "expected", "reason"),
    [
        (ANTHROPIC, anthropic.message("Hi."), ("stop", None, "Hi."), ""),
        (ANTHROPIC, anthropic.message("Hi", "max_tokens"), ("length", None, "Hi"), ""),
        (ANTHROPIC, anthropic.message("Hi", "model_context_window_exceeded"), ("length", None, "Hi"), ""),
        (ANTHROPIC, anthropic.message("Hi", "stop_sequence"), ("stop", None, "Hi"), ""),
        (
            ANTHROPIC_REFUSAL,
            anthropic.message("Hello..", "refusal", stop_details=DETAILS),
            ("blocked", Block("response", (("cyber", ""),)), "Hello.."),
            "could enable cyber harm",
        ),
        (
            ANTHROPIC_REFUSAL,
            anthropic.message("", "refusal", stop_details=DETAILS),
            ("blocked", Block("request", (("cyber", ""),)), ""),
            "refusal (cyber)",
        ),
        (ANTHROPIC_REFUSAL, anthropic.message("", "refusal", stop_details=None), ("blocked", Block("request"), ""), "refusal"),
    ],
)
async def test_anthropic(source: str, reply: Reply, expected: tuple[Finish, Block | None, str], reason: str) -> None:
    response = await answer(anthropic.AnthropicServer(reply))
    assert outcome(response) == expected
    assert reason in response.reason


# ---------------------------------------------------------------- Google

HARASSMENT = [gemini.rating("HARASSMENT", "HIGH", blocked=True), gemini.rating("HATE_SPEECH", "MEDIUM")]
HALF = {"text": "The first half"}


@pytest.mark.parametrize(
    ("source", "reply", "expected"),
    [
        (GEMINI, gemini.candidate({"text": "thinking", "thought": True}, {"text": "Hi."}), ("stop", None, "Hi.")),
        (GEMINI, gemini.candidate(HALF, finish="MAX_TOKENS"), ("length", None, "The first half")),
        (
            GEMINI_SAFETY,
            gemini.candidate(HALF, finish="SAFETY", safetyRatings=HARASSMENT),
            ("blocked", Block("response", (("harassment", "high"),)), "The first half"),
        ),
        *(
            (GEMINI, gemini.candidate(finish=word), ("blocked", Block("response"), ""))
            for word in (
                "SAFETY",
                "RECITATION",
                "BLOCKLIST",
                "PROHIBITED_CONTENT",
                "SPII",
                "IMAGE_SAFETY",
                "IMAGE_PROHIBITED_CONTENT",
                "IMAGE_RECITATION",
                "MODEL_ARMOR",
            )
        ),
        (GEMINI, gemini.candidate(finish="ESCALATION"), ("blocked", Block("request"), "")),
        (GEMINI, gemini.candidate({"text": "I only write."}, finish="NO_IMAGE"), ("stop", None, "I only write.")),
        (GEMINI, gemini.candidate(HALF, finish="OTHER"), ("stop", None, "The first half")),
        *(
            (GEMINI, gemini.blocked(word), ("blocked", Block("request"), ""))
            for word in ("SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "MODEL_ARMOR", "JAILBREAK")
        ),
        (
            GEMINI_SAFETY,
            gemini.blocked(
                "SAFETY", safetyRatings=[gemini.rating("DANGEROUS_CONTENT", "MEDIUM"), gemini.rating("HATE_SPEECH", "LOW")]
            ),
            ("blocked", Block("request", (("dangerous_content", "medium"),)), ""),
        ),
    ],
)
async def test_gemini(source: str, reply: Reply, expected: tuple[Finish, Block | None, str]) -> None:
    assert outcome(await answer(gemini.GeminiServer(reply))) == expected


@pytest.mark.parametrize("word", ["OTHER", "IMAGE_OTHER", "MALFORMED_RESPONSE", "LANGUAGE"])
async def test_nothing_from_gemini_without_a_reason_is_a_failure_and_no_refusal(word: str) -> None:
    """Source: GEMINI: these name neither a filter nor the model."""
    with pytest.raises(Transient, match=word):
        await answer(gemini.GeminiServer(gemini.candidate(finish=word)))


async def test_no_candidates_and_no_reason_is_a_failure() -> None:
    with pytest.raises(Transient, match="without any candidate"):
        await answer(gemini.GeminiServer(Reply({"usageMetadata": {"promptTokenCount": 9}})))


async def test_an_account_that_google_limited_stops_the_model() -> None:
    with pytest.raises(Misconfigured, match="use policy"):
        await answer(gemini.GeminiServer(gemini.candidate(finish="PUP_LIMITED_DISABLED")))


async def test_gemini_draws_and_edits() -> None:
    """Source: Google, "Gemini image generation", https://ai.google.dev/gemini-api/docs/image-generation."""
    picture = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}
    server = gemini.GeminiServer(gemini.candidate({"text": "Here it is."}, picture))
    request = Request(kind="edit", parts=(Image.from_bytes(PNG), Text("bluer")), size="1536x1024")
    response = await answer(server, request=request)
    assert (response.text, await response.images[0].read(), response.usage.images) == ("Here it is.", PNG, 1)
    assert server.asked[0].path == "/v1beta/models/gemini-image:generateContent"
    config = server.asked[0].body["generationConfig"]
    assert config == {"responseModalities": ["TEXT", "IMAGE"], "imageConfig": {"aspectRatio": "3:2"}}
    assert server.asked[0].body["contents"][0]["parts"][0]["inlineData"]["mimeType"] == "image/png"
