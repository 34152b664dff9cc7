"""Cohere's Chat API, version 2, and its list of models (docs.cohere.com)."""

from __future__ import annotations

from typing import Any

from vendors.server import Asked, Reply, VendorServer


class CohereServer(VendorServer):
    """Takes POST /v2/chat and GET /v1/models with a bearer token."""

    ROOT = "/v2"

    def refusal(self, asked: Asked) -> Reply | None:
        if asked.headers.get("authorization") != f"Bearer {self.key}":
            return error("invalid api token", 401)
        if asked.path not in ("/v2/chat", "/v1/models"):
            return error("page not found", 404)
        if asked.path == "/v2/chat" and not {"model", "messages"} <= asked.body.keys():
            return error("invalid request: message must be at least 1 token long", 400)
        return None


def chat(*content: dict[str, Any], finish: str = "COMPLETE", **more: Any) -> Reply:
    """A chat's answer; it charges for fewer tokens than it counts."""
    usage = {"billed_units": {"input_tokens": 9, "output_tokens": 3}, "tokens": {"input_tokens": 500, "output_tokens": 7}}
    return Reply(
        {"id": "x", "message": {"role": "assistant", "content": list(content)}, "finish_reason": finish, "usage": usage, **more}
    )


def error(words: str, status: int, **more: Any) -> Reply:
    return Reply({"id": "x", "message": words, **more}, status)
