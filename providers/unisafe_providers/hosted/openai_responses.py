"""OpenAI's Responses API, for models that are only there: text and images in, text and (by the image tool) images out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from unisafe_providers.base import Request, Response
from unisafe_providers.hosted.bodies import Json
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from unisafe_providers.hosted.openai_wire import read_chat_response
from unisafe_providers.hosted.responses_wire import build_responses_body, read_responses_response

RESPONSES = "responses"


class OpenAIResponses(OpenAICompatible):
    """One model of the Responses API; arguments as in OpenAICompatible, but `image_api` has no meaning here."""

    API = "responses"
    NAMES: ClassVar[Mapping[str, str]] = {"max_tokens": "max_output_tokens"}

    async def _answer(self, request: Request) -> Response:
        return await self._exchange(request, RESPONSES, self._build_responses_body, self._read_responses_response)

    async def _build_responses_body(self, request: Request) -> Json:
        return await build_responses_body(self.model, request, self._accepted)

    def _read_responses_response(self, body: Json) -> Response:
        """Reads a Responses object; some servers answer with a chat completion instead."""
        if "output" not in body and isinstance(body.get("choices"), list):
            return read_chat_response(body, self._fetch_picture)
        return read_responses_response(body)
