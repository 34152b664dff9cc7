"""OpenAI's moderation endpoint as a provider: text or an image in, a probability for each category out.

Wire: POST /moderations with `model` and `input`, a list of `{"type": "text", "text"}` and `{"type": "image_url", "image_url":
{"url"}}`; the answer holds `results[0]` with `flagged`, `categories` and `category_scores`. Source: the openai package's
`types/moderation_create_params.py` and `types/moderation.py`, made from OpenAI's API specification.
"""

from __future__ import annotations

from typing import Unpack

import orjson

from unisafe_providers.base import Capabilities, Request, Response
from unisafe_providers.hosted import openai_wire as wire
from unisafe_providers.hosted.bodies import Json
from unisafe_providers.hosted.http import HostedOptions, HostedProvider


class OpenAIModeration(HostedProvider):
    """One moderation model. Its answer's text is JSON, `{"flagged": bool, "scores": {category: probability}}`.

    Args:
        model: such as `omni-moderation-latest`.
        base_url: up to and with `/v1`.
        api_key: sent as a bearer token.
        options: HostedOptions.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        **options: Unpack[HostedOptions],
    ) -> None:
        super().__init__(
            f"moderation|{base_url.rstrip('/')}|{model}",
            model,
            base_url,
            api_key,
            {"authorization": f"Bearer {api_key}"},
            capabilities,
            **options,
        )

    async def _answer(self, request: Request) -> Response:
        return await self._exchange(request, "moderations", self._moderations_body, read_moderation_response)

    async def _moderations_body(self, request: Request) -> Json:
        return {"model": self.model, "input": await wire.content_of(request)}


def read_moderation_response(body: Json) -> Response:
    """The answer as JSON text. It reports no tokens: the endpoint is free of charge."""
    result = body["results"][0]
    scores = {str(name): float(score) for name, score in result["category_scores"].items()}
    flagged = result["flagged"]
    if not isinstance(flagged, bool):
        raise TypeError("`flagged` is neither true nor false")
    return Response(text=orjson.dumps({"flagged": flagged, "scores": scores}, option=orjson.OPT_SORT_KEYS).decode())
