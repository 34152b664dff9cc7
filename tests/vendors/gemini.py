"""Google's generateContent (ai.google.dev/api/generate-content; errors in the shape of google.rpc.Status)."""

from __future__ import annotations

import re
from typing import Any

from vendors.server import Asked, Reply, VendorServer


class GeminiServer(VendorServer):
    """Takes POST /v1beta/models/MODEL:generateContent with `x-goog-api-key`."""

    ROOT = "/v1beta"

    def refusal(self, asked: Asked) -> Reply | None:
        if asked.headers.get("x-goog-api-key") != self.key:
            reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
            return error("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", 400, reason)
        if asked.path != "/v1beta/models" and not re.fullmatch(r"/v1beta/models/[\w.-]+:generateContent", asked.path):
            return error("NOT_FOUND", "", 404)
        return None


def candidate(*parts: dict[str, Any], finish: str = "STOP", **more: Any) -> Reply:
    """An answer with one candidate, without `content` when it has no parts."""
    said = {"content": {"role": "model", "parts": list(parts)}} if parts else {}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12}
    return Reply({"candidates": [{**said, "finishReason": finish, "index": 0, **more}], "usageMetadata": usage})


def blocked(reason: str, **more: Any) -> Reply:
    """A prompt that was blocked: no candidates."""
    return Reply({"promptFeedback": {"blockReason": reason, **more}, "usageMetadata": {"promptTokenCount": 9}})


def rating(category: str, probability: str, **more: Any) -> dict[str, Any]:
    return {"category": f"HARM_CATEGORY_{category}", "probability": probability, **more}


def error(status_word: str, words: str, status: int, *details: dict[str, Any]) -> Reply:
    return Reply({"error": {"code": status, "message": words, "status": status_word, "details": list(details)}}, status)
