"""Vendors whose models chat. Shapes: each vendor's API reference, and answers that public projects have recorded."""

from __future__ import annotations

import re
from typing import Any

from .vendor import Asked, Reply, Vendor, WrongCall, all_text, draw, drawn, is_blocked, said, verdict

BOTH = ("text", "image")
USAGE = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
FILTERED = Reply(
    {"error": {"code": "content_filter", "message": "The prompt triggered the content management policy.", "status": 400}}, 400
)


def completion(text: str, finish: str = "stop") -> Reply:
    message = {"role": "assistant", "content": text}
    return Reply(
        {"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": USAGE}
    )


def chat_completions(asked: Asked) -> Reply:
    """OpenAI's protocol, and of those who speak it."""
    asked.needs("model", "messages")
    prompt = all_text(asked.body["messages"])
    return completion("", "content_filter") if is_blocked(prompt) else completion(said(prompt))


def judge(asked: Asked) -> Reply:
    asked.needs("model", "messages")
    return completion(verdict(all_text(asked.body["messages"])))


def openai(asked: Asked) -> Reply:
    if asked.path == "/chat/completions":
        return chat_completions(asked)
    if asked.path not in ("/images/generations", "/images/edits"):
        raise WrongCall(f"no such path: {asked.path}")
    asked.needs("model", "prompt")
    if asked.form != (asked.path == "/images/edits"):
        raise WrongCall("generations are JSON, edits are forms")
    if is_blocked(str(asked.body["prompt"])):
        return Reply({"error": {"code": "moderation_blocked", "message": "Your request was rejected by the safety system."}}, 400)
    return Reply({"data": [{"b64_json": drawn()}], "usage": {"input_tokens": 20, "output_tokens": 100}})


def only_chats(asked: Asked) -> Reply:
    if asked.path != "/chat/completions":
        raise WrongCall(f"no such path: {asked.path}")
    return chat_completions(asked)


def azure(asked: Asked) -> Reply:
    if asked.path == "/chat/completions" and is_blocked(all_text(asked.body["messages"])):
        return FILTERED
    return openai(asked)


def openrouter(asked: Asked) -> Reply:
    """Pictures come in the message of a chat."""
    if asked.path != "/chat/completions":
        raise WrongCall(f"no such path: {asked.path}")
    asked.needs("model", "messages")
    prompt = all_text(asked.body["messages"])
    if is_blocked(prompt):
        error = {"code": 403, "message": "Input was flagged", "metadata": {"reasons": ["violence"], "flagged_input": "..."}}
        return Reply({"error": error}, 403)
    answer: Any = completion(said(prompt)).body
    if "modalities" in asked.body:
        answer["choices"][0]["message"]["images"] = [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{drawn()}"}}
        ]
    return Reply(answer)


def mistral(asked: Asked) -> Reply:
    asked.refuses("seed")  # it is `random_seed` here
    return only_chats(asked)


def anthropic(asked: Asked) -> Reply:
    if asked.path != "/messages" or "anthropic-version" not in asked.headers:
        raise WrongCall("POST /messages with anthropic-version")
    asked.needs("model", "max_tokens", "messages")
    asked.refuses("seed", "n")
    prompt = all_text(asked.body["messages"])
    blocked = is_blocked(prompt)
    content = [] if blocked else [{"type": "text", "text": said(prompt)}]
    usage = {"input_tokens": 20, "output_tokens": 0 if blocked else 10}
    return Reply(
        {"id": "msg_1", "type": "message", "content": content, "stop_reason": "refusal" if blocked else "end_turn", "usage": usage}
    )


def gemini(asked: Asked) -> Reply:
    if not re.fullmatch(r"(/projects/p/locations/[\w-]+/publishers/google)?/models/[\w.-]+:generateContent", asked.path):
        raise WrongCall(f"no such path: {asked.path}")
    asked.needs("contents")
    asked.refuses("model", "messages")
    prompt = all_text(asked.body["contents"])
    usage = {"promptTokenCount": 20, "candidatesTokenCount": 10, "totalTokenCount": 30}
    if is_blocked(prompt):
        return Reply({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 20}})
    parts: list[dict[str, Any]] = [{"text": said(prompt)}]
    if "IMAGE" in str(asked.body.get("generationConfig", {}).get("responseModalities", "")).upper():
        parts.append({"inlineData": {"mimeType": "image/png", "data": drawn()}})
    return Reply({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}], "usageMetadata": usage})


def cohere(asked: Asked) -> Reply:
    if asked.path != "/chat":
        raise WrongCall(f"no such path: {asked.path}")
    asked.needs("model", "messages")
    asked.refuses("top_p", "n", "max_completion_tokens")
    prompt = all_text(asked.body["messages"])
    if is_blocked(prompt):
        return Reply({"id": "1", "message": "your request was blocked because it may violate the Usage Guidelines"}, 498)
    counts = {"input_tokens": 20, "output_tokens": 10}
    message = {"role": "assistant", "content": [{"type": "text", "text": said(prompt)}]}
    return Reply({"id": "1", "message": message, "finish_reason": "COMPLETE", "usage": {"billed_units": counts, "tokens": counts}})


def bedrock(asked: Asked) -> Reply:
    """Converse, with a guardrail that blocks."""
    if not re.fullmatch(r"/model/[\w.:-]+/converse", asked.path):
        raise WrongCall(f"no such path: {asked.path}")
    asked.needs("messages")
    asked.refuses("model", "max_tokens", "seed")
    prompt = all_text(asked.body["messages"])
    usage = {"inputTokens": 20, "outputTokens": 10, "totalTokens": 30}
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": said(prompt)}]}},
        "usage": usage,
        "stopReason": "end_turn",
    }
    if is_blocked(prompt):
        found = {"contentPolicy": {"filters": [{"type": "VIOLENCE", "confidence": "HIGH", "action": "BLOCKED"}]}}
        answer |= {
            "output": {"message": {"role": "assistant", "content": [{"text": "Sorry, that is not allowed here."}]}},
            "stopReason": "guardrail_intervened",
            "trace": {"guardrail": {"inputAssessment": {"g": found}}},
        }
    return Reply(answer)


CHATS = (
    Vendor(provider="openai", model="gpt-4o", root="/v1", answer=openai, takes=BOTH, gives=BOTH),
    Vendor(
        provider="azure",
        model="mine",
        root="/openai/v1",
        answer=azure,
        key_header="api-key",
        key_form="{key}",
        takes=BOTH,
        gives=BOTH,
    ),
    Vendor(
        provider="anthropic",
        model="claude-opus-5",
        root="/v1",
        answer=anthropic,
        key_header="x-api-key",
        key_form="{key}",
        takes=BOTH,
    ),
    Vendor(
        provider="gemini",
        model="gemini-3-flash-image",
        root="/v1beta",
        answer=gemini,
        key_header="x-goog-api-key",
        key_form="{key}",
        takes=BOTH,
        gives=BOTH,
    ),
    Vendor(provider="openrouter", model="google/gemini-3-image", root="/api/v1", answer=openrouter, takes=BOTH, gives=BOTH),
    Vendor(provider="mistral", model="mistral-large", root="/v1", answer=mistral, takes=BOTH),
    Vendor(provider="groq", model="llama-4", root="/openai/v1", answer=only_chats, takes=BOTH),
    Vendor(provider="fireworks", model="accounts/fireworks/models/llama-4", root="/inference/v1", answer=only_chats),
    Vendor(provider="together", model="llama-4", root="/v1", answer=only_chats),
    Vendor(provider="xai", model="grok-4", root="/v1", answer=only_chats, takes=BOTH),
    Vendor(provider="deepseek", model="deepseek-chat", root="/v1", answer=only_chats),
    Vendor(provider="moonshot", model="kimi-k3", root="/v1", answer=only_chats),
    Vendor(provider="zai", model="glm-5", root="/api/paas/v4", answer=only_chats),
    Vendor(provider="dashscope", model="qwen-max", root="/compatible-mode/v1", answer=only_chats),
    Vendor(provider="cerebras", model="llama-4", root="/v1", answer=only_chats),
    Vendor(provider="cohere", model="command-a", root="/v2", answer=cohere, takes=BOTH),
    Vendor(provider="bedrock", model="us.anthropic.claude-sonnet-5-v1:0", root="", answer=bedrock, takes=BOTH),
    Vendor(
        provider="vertex",
        model="gemini-3-flash",
        root="/v1",
        answer=gemini,
        takes=BOTH,
        told={"project": "p", "location": "europe-west4"},
    ),
    Vendor(
        provider="anthropic-foundry",
        model="claude-opus-5",
        root="/anthropic/v1",
        answer=anthropic,
        key_header="x-api-key",
        key_form="{key}",
        takes=BOTH,
    ),
)
JUDGE = Vendor(provider="openai", model="judge", root="/v1", answer=judge, takes=BOTH)

__all__ = ["CHATS", "JUDGE", "draw"]
