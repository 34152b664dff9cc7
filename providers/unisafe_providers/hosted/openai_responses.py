"""OpenAI's Responses API, for models that are only there: text and images in, text and (by the image tool) images out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote

from unisafe_providers.base import Malformed, ProviderError, Request, Response
from unisafe_providers.hosted.bodies import Json, parse_body, parse_error_body
from unisafe_providers.hosted.jobs import JobFailed, JobLost, JobProvider
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from unisafe_providers.hosted.openai_wire import read_chat_response
from unisafe_providers.hosted.responses_wire import (
    FAILED,
    OVER,
    build_responses_body,
    is_under_way,
    read_job_name,
    read_responses_response,
)
from unisafe_providers.jobs import Job

RESPONSES = "responses"


class _Begun(Exception):
    """The endpoint took a request and answers it later, under this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class OpenAIResponses(JobProvider, OpenAICompatible):
    """One model of the Responses API; arguments as in OpenAICompatible, but `image_api` has no meaning here.

    An answer that comes `queued`, as with `extra = {"background": True}`, is a job: it is polled until it is made.
    """

    API = "responses"
    NAMES: ClassVar[Mapping[str, str]] = {"max_tokens": "max_output_tokens"}
    PATIENCE = 3600.0
    """Deep research takes tens of minutes (OpenAI, "Deep research")."""

    @property
    def submits_each(self) -> bool:
        """Whether every request is a job, because the user asks for background mode."""
        return any(keys.get("background") is True for keys in (self._added.extra, *self._added.by_kind.values()))

    async def _submit(self, request: Request) -> Job | Response:
        try:
            return await self._exchange(request, RESPONSES, self._build_responses_body, self._read_responses_response)
        except _Begun as begun:
            return Job(name=begun.name)

    async def _poll(self, request: Request, job: Job) -> Response | None:
        answer = await self._get(f"{self.base_url}/{RESPONSES}/{quote(job.name, safe='')}{self._query}")
        if answer.status == 404:
            raise JobLost(f"{self.title} no longer has the response {job.name}, or this key may not read it")
        if answer.status != 200:
            raise self._build_error(answer.status, parse_error_body(answer.content), answer.headers)
        body = parse_body(answer.content)
        if is_under_way(body):
            return None
        try:
            return self._read(answer, request, self._read_responses_response, "")
        except ProviderError as error:
            status = body.get("status")
            if status in FAILED or (status in OVER and not isinstance(error, Malformed)):
                raise JobFailed(error) from None
            raise

    async def _build_responses_body(self, request: Request) -> Json:
        background = self._added.merge_body({}, request.kind).get("background") is True
        return await build_responses_body(self.model, request, self._accepted, stored=background)

    def _read_responses_response(self, body: Json) -> Response:
        """Reads a Responses object; some servers answer with a chat completion instead. Raises _Begun for one to be polled."""
        if "output" not in body and isinstance(body.get("choices"), list):
            return read_chat_response(body, self._fetch_picture)
        if name := read_job_name(body):
            raise _Begun(name)
        return read_responses_response(body)
