"""Ideogram's models: text to image, and edits. Its v2 API works by jobs where it is told to, its v1 API answers at once.

Shapes: developer.ideogram.ai (API overview, Generate, Remix, Get a generation, Errors), and the openapi.yaml there. A call of v2 is
told to be a job, so that a run that is killed finds its answer again.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Unpack
from urllib.parse import quote

from unisafe_providers.base import Capabilities, Malformed, Request, Response
from unisafe_providers.hosted.bodies import Json
from unisafe_providers.hosted.http import File, HostedOptions
from unisafe_providers.hosted.jobs import JobProvider, read_job_name
from unisafe_providers.hosted.sizes import find_ratio, read_size
from unisafe_providers.hosted.usage import read_dollars
from unisafe_providers.jobs import Job

MICRO = 1e-6
"""US dollars in the unit of costs."""
RATIOS = ("1:3", "3:1", "1:2", "2:1", "9:16", "16:9", "10:16", "16:10", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "1:1")
VERSION = re.compile(r"/v[12]/*$")
"""The end of an address that names a version, with which the paths here begin themselves."""
OF_V1 = re.compile(r"ideogram-v\d")
"""Models of the older API: `ideogram-v3`, `ideogram-v4`."""
BY_PIXELS = re.compile(r"ideogram-4-[5-9]|ideogram-[5-9]")
"""Models of v2 that take `size`, and pictures to edit beside the prompt."""


class Ideogram(JobProvider):
    """One model: `ideogram-4-5` and others of v2, or `ideogram-v3` and `ideogram-v4` of v1; arguments as in HostedProvider."""

    TITLE = "Ideogram"
    WIRE = "ideogram"
    LASTS = "24 hours"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        **options: Unpack[HostedOptions],
    ) -> None:
        base_url = VERSION.sub("", base_url)
        super().__init__(
            f"ideogram|{base_url.rstrip('/')}|{model}",
            model,
            base_url,
            api_key,
            {"api-key": api_key},
            capabilities,
            **options,
        )
        self._of_v1 = OF_V1.fullmatch(model) is not None
        self._by_pixels = BY_PIXELS.match(model) is not None

    @property
    def submits_each(self) -> bool:
        return not self._of_v1

    async def _submit(self, request: Request) -> Job | Response:
        """Pictures go as files of a form; v1 takes forms alone."""
        action = "remix" if request.images and not self._by_pixels else "generate"
        model = quote(self.model, safe="")
        path = f"v1/{model}/{action}" if self._of_v1 else f"v2/image/{action}/{model}"
        in_form = self._of_v1 or bool(request.images)
        return await self._order(request, path, self._build_body, files=self._list_files if in_form else None)

    async def _build_body(self, request: Request) -> Json:
        body: Json = {"text_prompt" if self.model == "ideogram-v4" else "prompt": request.text}
        if not request.images and self.model != "ideogram-v4":
            body["magic_prompt"] = "OFF" if self._of_v1 else "off"
        if not self._of_v1:
            body["async"] = True
        if request.seed is not None:
            body["seed"] = request.seed
        if request.size is not None and self._by_pixels:
            width, height = read_size(request.size)
            body["size"] = f"{width}x{height}"
        elif request.size is not None:
            body["aspect_ratio"] = find_ratio(request.size, RATIOS, self.title).replace(":", "x")
        return body

    async def _list_files(self, request: Request) -> list[File]:
        name = "images" if self._by_pixels else "image"
        return [(name, (image.file_name, await image.read(), image.media_type)) for image in request.images]

    def _read_taken(self, body: Json, request: Request) -> Job | Response | None:
        if isinstance(body.get("data"), list):
            return self._read_pictures(body, request)
        name = read_job_name(body.get("generation_id"))
        return Job(name=name) if name else None

    async def _poll(self, request: Request, job: Job) -> Response | None:
        found = await self._look(request, job, self._place("", f"v2/generations/{quote(job.name, safe='')}"), "status")
        return found if isinstance(found, Response) else self._read_generation(found, request, job)

    def _read_generation(self, body: Json, request: Request, job: Job) -> Response | None:
        """The answer in a generation; None while it is under way. Raises as `_poll`."""
        state = str(body.get("status") or "").lower()
        if state == "completed":
            if not isinstance(body.get("data"), list):
                raise Malformed(f"the job {job.name} is done, and its answer names no picture")
            return self._read_pictures(body, request)
        if state == "failed":
            words = str(body.get("failure_reason") or "the generation failed")
            return self._explain_failed(request, {"code": words if " " not in words else None, "message": words})
        return None

    def _read_pictures(self, body: Json, request: Request) -> Response:
        """The pictures; one that was withheld is billed too."""
        entries: list[Any] = body["data"]
        micros = read_dollars(body.get("usage_cost_usd_micros"))
        places = [entry.get("url") for entry in entries]
        answer = self._gather(body, places, request, cost=None if micros is None else micros * MICRO)
        return replace(answer, usage=replace(answer.usage, images=len(entries)))
