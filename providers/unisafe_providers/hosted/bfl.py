"""Black Forest Labs' FLUX models: text to image, and edits, by jobs.

Shapes: docs.bfl.ai (openapi.json of api.bfl.ai, "Get result", "Errors"), and the open clients of Vercel and LiteLLM. FLUX.2 answers
`Reasoning` and `Generating` besides the states that are documented.
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
from unisafe_providers.hosted.sizes import read_size, reduce_ratio
from unisafe_providers.hosted.usage import read_dollars
from unisafe_providers.jobs import Job

CREDIT = 0.01
"""US dollars in a credit."""
BY_RATIO = re.compile(r"kontext|ultra|flux-3")
"""Models that take a ratio and no pixels."""
DRAWS_ONLY = re.compile(r"flux-(dev|pro|pro-1\.1|pro-1\.1-ultra)$")
"""Models that take a picture as an idea of the style at most, and edit none."""


class BlackForestLabs(JobProvider):
    """One FLUX model at its vendor; arguments as in HostedProvider."""

    TITLE = "Black Forest Labs"
    LASTS = "10 minutes"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        **options: Unpack[HostedOptions],
    ) -> None:
        super().__init__(
            f"bfl|{base_url.rstrip('/')}|{model}",
            model,
            base_url,
            api_key,
            {"x-key": api_key},
            capabilities,
            **options,
        )

    async def _submit(self, request: Request) -> Job | Response:
        if request.images and DRAWS_ONLY.search(self.model):
            raise self._refuse_pictures()
        return await self._order(request, quote(self.model, safe="/"), self._build_body)

    async def _build_body(self, request: Request) -> Json:
        body: Json = {"prompt": request.text} | keep_prompt(self.model)
        if request.seed is not None:
            body["seed"] = request.seed
        if request.size is not None and BY_RATIO.search(self.model):
            body["aspect_ratio"] = reduce_ratio(request.size)
        elif request.size is not None:
            body["width"], body["height"] = read_size(request.size)
        for number, image in enumerate(request.images, 1):
            name = "input_image" if number == 1 else f"input_image_{number}"
            body[name] = base64.b64encode(await image.read()).decode()
        return body

    def _read_taken(self, body: Json, request: Request) -> Job | Response | None:
        name = read_job_name(body.get("id"))
        if not name:
            return None
        return Job(name=name, poll=str(body.get("polling_url") or ""), cost=read_cost(body))

    async def _poll(self, request: Request, job: Job) -> Response | None:
        found = await self._look(
            request, job, self._place(_with_id(job), f"get_result?id={quote(job.name, safe='')}"), "status", "state"
        )
        return found if isinstance(found, Response) else self._read_result(found, request, job)

    def _read_result(self, body: Json, request: Request, job: Job) -> Response | None:
        """The answer in what a poll says; None while it is under way. Raises as `_poll`."""
        word = " ".join(re.split(r"[\s_-]+", str(body.get("status") or body.get("state") or "")))
        state = word.lower()
        if state == "ready":
            result: Any = body.get("result")
            sample = result.get("sample") if isinstance(result, dict) else None
            if not sample:
                raise Malformed(f"the job {job.name} is done, and its answer names no picture")
            cost = read_cost(body)
            return self._gather(body, [sample], request, cost=job.cost if cost is None else cost)
        if state == "task not found":
            raise self._build_lost(job, f"{self.title} does not know it")
        if state.endswith("moderated") or state in ("error", "failed"):
            return self._explain_failed(request, {**body, "status": word})
        return None


def keep_prompt(model: str) -> Json:
    """The field by which a model is told to draw the prompt as it is."""
    if re.search(r"flux-2-(?!flex|klein)", model):
        return {"disable_pup": True}
    return {"prompt_upsampling": False} if re.search(r"flux-(2-flex|pro|dev|kontext)", model) else {}


def read_cost(body: Json) -> float | None:
    """US dollars in the credits of an answer."""
    credits = read_dollars(body.get("cost"))
    return None if credits is None else credits * CREDIT


def _with_id(job: Job) -> str:
    """The address that the vendor told, with the job's id."""
    if not job.poll or "id=" in job.poll:
        return job.poll
    return f"{job.poll}{'&' if '?' in job.poll else '?'}id={quote(job.name, safe='')}"
