"""Anthropic's Messages API (platform.claude.com/docs/en/api/messages, "Errors")."""

from __future__ import annotations

from typing import Any

from vendors.server import Asked, Reply, VendorServer


class AnthropicServer(VendorServer):
    """Takes POST /v1/messages with `x-api-key` and `anthropic-version`."""

    def refusal(self, asked: Asked) -> Reply | None:
        if asked.headers.get("x-api-key") != self.key:
            return error("authentication_error", "invalid x-api-key", 401)
        if "anthropic-version" not in asked.headers:
            return error("invalid_request_error", "anthropic-version: header is required", 400)
        if asked.path not in ("/v1/messages", "/v1/models"):
            return error("not_found_error", "Not found", 404)
        if asked.path == "/v1/messages" and not {"model", "max_tokens", "messages"} <= asked.body.keys():
            return error("invalid_request_error", "max_tokens: Field required", 400)
        return None


def message(text: str = "Hello.", stop_reason: str = "end_turn", **more: Any) -> Reply:
    content = [{"type": "text", "text": text}] if text else []
    return Reply(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": {"input_tokens": 9, "output_tokens": 3 if text else 0},
            **more,
        }
    )


def error(kind: str, words: str, status: int, **more: Any) -> Reply:
    return Reply({"type": "error", "error": {"type": kind, "message": words, **more}, "request_id": "req_1"}, status)
