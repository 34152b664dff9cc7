"""OpenAI (chat completions, images, Responses), and those who speak its protocol: Azure OpenAI, OpenRouter, Mistral, Groq.

Shapes: developers.openai.com/api/reference; learn.microsoft.com, "Azure OpenAI REST API reference"; openrouter.ai/docs.
"""

from __future__ import annotations

from typing import Any

from vendors.server import Asked, Reply, VendorServer

PATHS = ("/chat/completions", "/images/generations", "/images/edits", "/responses", "/models")


class OpenAIServer(VendorServer):
    """OpenAI's own, with bearer tokens."""

    def refusal(self, asked: Asked) -> Reply | None:
        if not asked.path.startswith(self.ROOT) or not asked.path.endswith(PATHS):
            return Reply({"error": {"message": f"Invalid URL (POST {asked.path})", "type": "invalid_request_error"}}, 404)
        if asked.headers.get("authorization") != f"Bearer {self.key}":
            return error(
                "invalid_api_key", "Incorrect API key provided: wrong. You can find your API key at platform.openai.com.", 401
            )
        return None


class AzureServer(VendorServer):
    """Azure OpenAI by its v1 address, or by that of one deployment, with the `api-key` header."""

    ROOT = "/openai/v1"

    def refusal(self, asked: Asked) -> Reply | None:
        if asked.headers.get("api-key") != self.key:
            words = "Access denied due to invalid subscription key or wrong API endpoint."
            return Reply({"error": {"code": "401", "message": words}}, 401)
        if "/deployments/" in asked.path and "api-version" not in asked.query:
            return Reply({"error": {"code": "404", "message": "Resource not found"}}, 404)
        if not asked.path.startswith("/openai/") or not asked.path.endswith(PATHS):
            return Reply({"error": {"code": "404", "message": "Resource not found"}}, 404)
        return None


class OpenRouterServer(OpenAIServer):
    """OpenRouter, whose error codes are HTTP statuses."""

    ROOT = "/api/v1"

    def refusal(self, asked: Asked) -> Reply | None:
        wrong = super().refusal(asked)
        return wrong and Reply({"error": {"message": "User not found.", "code": 401}}, 401)


def completion(content: object = "Hello.", finish: str = "stop", message: dict[str, Any] | None = None, **choice: Any) -> Reply:
    """A chat completion with one choice."""
    said = {"role": "assistant", "content": content, "refusal": None, **(message or {})}
    return Reply(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1764000000,
            "model": "m",
            "choices": [{"index": 0, "message": said, "finish_reason": finish, "logprobs": None, **choice}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        }
    )


def responses(*output: dict[str, Any], status: str = "completed", **more: Any) -> Reply:
    """A Responses object."""
    usage = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
    return Reply(
        {"id": "resp_1", "object": "response", "status": status, "error": None, "output": list(output), "usage": usage, **more}
    )


def said(*parts: dict[str, Any]) -> dict[str, Any]:
    """A message among a Responses object's output."""
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": list(parts)}


def text(words: str) -> dict[str, Any]:
    return {"type": "output_text", "text": words, "annotations": []}


def error(code: str | None, message: str, status: int = 400, **more: Any) -> Reply:
    return Reply({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code, **more}}, status)
