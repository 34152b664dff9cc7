"""Google's Interactions API: text and images in, text and (of image models) images out; in the background, an answer is a job.

Shapes: ai.google.dev/gemini-api/docs/interactions (generally available since June 2026), "API errors" and "Safety settings" there,
and the types of google-genai 3.6 (Interaction, Step, Usage).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Unpack
from urllib.parse import quote

import httpx2
import orjson

from unisafe_providers.anatomy import AUDIO, TOOL_CALL, attach_partial, decode_base64_image
from unisafe_providers.base import Block, Capabilities, Malformed, ProviderError, Request, Response, Text, Transient, clean
from unisafe_providers.hosted.blocks import block_of_error
from unisafe_providers.hosted.bodies import Json, find_usage, parse_body, parse_error_body, schema_of
from unisafe_providers.hosted.endings import LENGTH, STOP, Ending, ending_of_error
from unisafe_providers.hosted.flattened import flatten
from unisafe_providers.hosted.gemini import RATIOS, ratio_of
from unisafe_providers.hosted.http import HostedOptions
from unisafe_providers.hosted.jobs import JobFailed, JobLost, JobProvider
from unisafe_providers.hosted.openai_wire import apply_ending, find_texts, read_pictures, read_served_name
from unisafe_providers.hosted.usage import usage_of
from unisafe_providers.jobs import Job

CUT = frozenset({"incomplete", "budget_exceeded", "requires_continuation"})
FAILED = frozenset({"failed", "cancelled"})
DONE = CUT | FAILED | {"completed", "requires_action"}
"""Words of `status` with which an interaction has ended; with any other it is under way."""
MORE_RATIOS = (*RATIOS, "1:4", "4:1", "1:8", "8:1")


class GeminiInteractions(JobProvider):
    """One model of the Interactions API; arguments as in HostedProvider.

    Args:
        safety: threshold by harm category, as of generateContent; part of `identity`.
        background: whether Google works on a request after it has taken it, and is asked for the answer. It keeps what is asked and
            answered meanwhile; otherwise it is told to keep nothing.
    """

    TITLE = "Google Gemini"
    LIST_QUERY = "?pageSize=1000"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        safety: Mapping[str, str] | None = None,
        background: bool = False,
        **options: Unpack[HostedOptions],
    ) -> None:
        settings = f"|safety={orjson.dumps(dict(safety), option=orjson.OPT_SORT_KEYS).decode()}" if safety else ""
        super().__init__(
            f"gemini|{base_url.rstrip('/')}|{model}|api=interactions{settings}",
            model,
            base_url,
            api_key,
            {"x-goog-api-key": api_key},
            capabilities,
            **options,
        )
        self._safety = [_name_threshold(category, threshold) for category, threshold in sorted((safety or {}).items())]
        self._storing: Json = {"background": True, "store": True} if background else {"store": False}

    @property
    def submits_each(self) -> bool:
        """Whether every request is a job, because the user asks for background mode."""
        return bool(self._storing["store"])

    async def _submit(self, request: Request) -> Job | Response:
        taken: list[Job] = []

        def read(body: Json) -> Response:
            if not is_under_way(body):
                return read_interaction(body, image_due=request.image_due)
            if not body.get("id"):
                raise Malformed("the endpoint answered with an interaction under way that has no id")
            taken.append(Job(name=str(body["id"])))
            return Response()

        response = await self._exchange(request, "interactions", self._build_body, read, wire="gemini")
        return taken[0] if taken else response

    async def _poll(self, request: Request, job: Job) -> Response | None:
        url = f"{self.base_url}/interactions/{quote(job.name, safe='')}"
        answer = await self._send(httpx2.Request("GET", url, headers=self._own_headers, extensions=self._extensions))
        if answer.status in (404, 410):
            raise JobLost(f"{self.title} no longer knows the interaction {job.name}")
        if answer.status != 200:
            raise self._build_error(answer.status, parse_error_body(answer.content), answer.headers)
        body = parse_body(answer.content)
        if is_under_way(body):
            return None
        try:
            return self._read(answer, request, partial(read_interaction, image_due=request.image_due), "gemini")
        except ProviderError as error:
            if body.get("status") in FAILED:
                raise JobFailed(error) from None
            raise

    async def _build_body(self, request: Request) -> Json:
        return {**await build_interaction_body(self.model, request, self._safety), **self._storing}


def _name_threshold(category: str, threshold: str) -> Json:
    """A safety setting in the words of this API, from those of generateContent."""
    return {"type": category.removeprefix("HARM_CATEGORY_").lower(), "threshold": threshold.lower()}


async def build_interaction_body(model: str, request: Request, safety: list[Json]) -> Json:
    """The body of POST /interactions for `request`; for an image or an edit it asks for an image beside text."""
    content: list[Json] = []
    for part in request.parts:
        if isinstance(part, Text):
            content.append({"type": "text", "text": part.text})
        else:
            data = base64.b64encode(await part.read()).decode()
            content.append({"type": "image", "mime_type": part.media_type, "data": data})
    config = {
        key: value
        for key, value in (
            ("max_output_tokens", request.max_tokens),
            ("temperature", request.temperature),
            ("top_p", request.top_p),
            ("seed", request.seed),
        )
        if value is not None
    }
    body: Json = {"model": model.removeprefix("models/"), "input": content}
    if request.system:
        body["system_instruction"] = request.system
    if config:
        body["generation_config"] = config
    if request.image_due:
        ratio = {"aspect_ratio": ratio_of(request.size, MORE_RATIOS)} if request.size else {}
        body["response_format"] = [{"type": "text"}, {"type": "image", "delivery": "inline", **ratio}]
    if request.schema is not None:
        body["response_format"] = {"type": "text", "mime_type": "application/json", "schema": schema_of(request.schema[1])}
    if safety:
        body["safety_settings"] = safety
    return body


def is_under_way(body: Json) -> bool:
    """Whether an interaction is still worked on; also with a state that nobody knows."""
    status = body.get("status")
    return isinstance(status, str) and bool(status) and status.lower() not in DONE and not body.get("error")


def read_interaction(body: Json, *, image_due: bool = True) -> Response:
    """A Response from an interaction that has ended. Raises Malformed for any other body, and what its errors mean."""
    steps = body.get("steps")
    if not isinstance(steps, list):
        if body.get("status") not in FAILED:
            raise Malformed("the endpoint answered without any steps")
        steps = []
    asked = max((place for place, step in enumerate(steps) if step.get("type") == "user_input"), default=-1)
    given = [part for step in steps[asked + 1 :] if step.get("type") == "model_output" for part in step.get("content") or []]
    thoughts = [words for step in steps if step.get("type") == "thought" for words in _find_thoughts(step)]
    kinds = {str(part.get("type")) for part in given} | {str(step.get("type")) for step in steps}
    usage = usage_of(find_usage(body))
    with attach_partial(Response(usage=usage)):
        data = [part.get("data") for part in given if part.get("type") == "image"]
        images = read_pictures(data, decode_base64_image, image_due=image_due)
    came = Response(
        text=clean("".join(str(part.get("text") or "") for part in given if part.get("type") == "text")),
        images=images,
        usage=replace(usage, images=len(images)),
        thoughts=clean("\n\n".join(thoughts)),
        missing=TOOL_CALL if "function_call" in kinds else AUDIO if "audio" in kinds else "",
        model=read_served_name(body),
    )
    with attach_partial(came):
        return apply_ending(came, ending_of_interaction(body, steps, nothing=came.empty))


def ending_of_interaction(body: Json, steps: list[Any], *, nothing: bool) -> Ending:
    """The ending of an interaction; `nothing` says that no text and no image came.

    A filter's error blocked the response if something came before it; else its words tell its stage. Raises what any other error of
    a failed or empty interaction means, and Transient for a failure that says nothing.
    """
    status = str(body.get("status") or "completed").lower()
    errors = [*(body.get("errors") or []), *(step["error"] for step in steps if step.get("error"))]
    blocked = block_of_error(0, flatten({"error": errors})) if errors else None
    if blocked is not None and (nothing or status != "completed"):
        return Ending("blocked", blocked.reason, blocked.block if nothing else Block("response"))
    if errors and (nothing or status in FAILED):
        return ending_of_error({"error": errors})
    if status in FAILED:
        raise Transient(f"the interaction ended as {status}, without saying why")
    return LENGTH if status in CUT else STOP


def _find_thoughts(step: Json) -> list[str]:
    return find_texts(step.get("summary") or step.get("content"))
