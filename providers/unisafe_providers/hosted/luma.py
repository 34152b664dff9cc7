"""Luma's image models, by jobs: uni-1 of its Agents API, which edits too, and photon of its Dream Machine API.

Shapes: docs.agents.lumalabs.ai (Image generation, Image editing, Error handling), docs.lumalabs.ai, and the package lumaai 1.21.
"""

from __future__ import annotations

import base64
import re
from typing import Any, Unpack
from urllib.parse import quote

from unisafe_providers.base import Capabilities, Malformed, Request, Response
from unisafe_providers.hosted.bodies import Json
from unisafe_providers.hosted.http import HostedOptions
from unisafe_providers.hosted.jobs import JobProvider, read_job_name
from unisafe_providers.hosted.sizes import find_ratio
from unisafe_providers.jobs import Job

UNI_RATIOS = ("3:1", "2:1", "16:9", "3:2", "1:1", "2:3", "9:16", "1:2", "1:3")
PHOTON_RATIOS = ("1:1", "16:9", "9:16", "4:3", "3:4", "21:9", "9:21")
STATUS = re.compile(r"\s*([45]\d\d)\s*:")
"""How a reason for a failure begins that passes on the status of a step within, such as `400: failed to moderate image`."""


class Luma(JobProvider):
    """One image model of Luma; arguments as in HostedProvider."""

    TITLE = "Luma"
    LASTS = "an hour"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        **options: Unpack[HostedOptions],
    ) -> None:
        super().__init__(
            f"luma|{base_url.rstrip('/')}|{model}",
            model,
            base_url,
            api_key,
            {"authorization": f"Bearer {api_key}"},
            capabilities,
            **options,
        )

    async def _submit(self, request: Request) -> Job | Response:
        self._leave_out(request, "seed")
        if not is_photon(self.model):
            return await self._order(request, "generations", self._build_uni_body)
        if request.images:  # this API takes pictures by public addresses alone
            raise self._refuse_pictures()
        return await self._order(request, "generations/image", self._build_photon_body)

    async def _build_uni_body(self, request: Request) -> Json:
        body: Json = {"model": self.model, "type": "image_edit" if request.images else "image", "prompt": request.text}
        if request.size is not None:
            body["aspect_ratio"] = find_ratio(request.size, UNI_RATIOS, self.title)
        pictures = [
            {"data": base64.b64encode(await image.read()).decode(), "media_type": image.media_type} for image in request.images
        ]
        if pictures:
            body["source"] = pictures[0]
        if pictures[1:]:
            body["image_ref"] = pictures[1:]
        return body

    async def _build_photon_body(self, request: Request) -> Json:
        body: Json = {"model": self.model, "prompt": request.text}
        if request.size is not None:
            body["aspect_ratio"] = find_ratio(request.size, PHOTON_RATIOS, self.title)
        return body

    def _read_taken(self, body: Json, request: Request) -> Job | Response | None:
        name = read_job_name(body.get("id"))
        if not name:
            return None
        job = Job(name=name)
        done = self._read_generation(body, request, job)
        return job if done is None else done

    async def _poll(self, request: Request, job: Job) -> Response | None:
        found = await self._look(request, job, self._place("", f"generations/{quote(job.name, safe='')}"), "state")
        return found if isinstance(found, Response) else self._read_generation(found, request, job)

    def _read_generation(self, body: Json, request: Request, job: Job) -> Response | None:
        """The answer in a generation of either API; None while it is under way. Raises as `_poll`."""
        state = str(body.get("state") or "").lower()
        if state == "completed":
            places = _list_addresses(body)
            if not places:
                raise Malformed(f"the job {job.name} is done, and its answer names no picture")
            return self._gather(body, places, request)
        if state == "failed":
            words = str(body.get("failure_reason") or "")
            within = STATUS.match(words)
            failure = {"code": body.get("failure_code"), "message": words}
            return self._explain_failed(request, failure, int(within[1]) if within else 200)
        return None


def is_photon(model: str) -> bool:
    """Whether a model is one of the Dream Machine API."""
    return model.startswith("photon")


def _list_addresses(body: Json) -> list[object]:
    """Where the pictures are: `output` of the Agents API, `assets` of the Dream Machine API."""
    output: Any = body.get("output")
    assets: Any = body.get("assets")
    entries = output if isinstance(output, list) else [output]
    found = [entry.get("url") for entry in entries if isinstance(entry, dict)]
    if isinstance(assets, dict):
        found.append(assets.get("image"))
    return [address for address in found if address]
