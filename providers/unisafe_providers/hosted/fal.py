"""Models at fal: text to image, and edits, through its queue.

Shapes: fal.ai/docs (Queue, Errors, Model errors) and its package fal_client 1.0.3; the open client of Vercel. Each model has an
input of its own: what a size and a picture are called in it follows the model's name, and bench.toml may say otherwise.
"""

from __future__ import annotations

import re
from typing import Any, Literal, Unpack
from urllib.parse import quote

from unisafe_providers.base import Capabilities, Malformed, Request, Response
from unisafe_providers.hosted.bodies import Json, find_error, json_of, parse_body
from unisafe_providers.hosted.http import HostedOptions, Reply
from unisafe_providers.hosted.jobs import JobProvider, read_job_name
from unisafe_providers.hosted.model_inputs import add_pictures
from unisafe_providers.hosted.sizes import read_size, reduce_ratio
from unisafe_providers.jobs import Job

SizeAs = Literal["image_size", "image_size_in_words", "aspect_ratio"]
"""A table of width and height, `1024x1024`, or a ratio."""
BY_RATIO = re.compile(r"kontext|ultra|nano-banana|gemini|imagen|luma|photon|reve|grok")
"""Models that take `aspect_ratio` and no pixels."""
IN_WORDS = re.compile(r"gpt-image")
"""Models that take `image_size` as `1024x1024`."""
SEVERAL = re.compile(
    r"nano-banana|gemini|flux-2|seedream|gpt-image|wan-25|wan/v2\.[5-9]|hunyuan-image|qwen-image-edit-(plus|2)|kontext/(pro|max)/multi|multi$"
)
"""Models that take a list of pictures."""

UNPROCESSABLE = frozenset({400, 422})
"""Statuses that end a job also where its state is asked for."""
OF_THE_CALLER = frozenset({401, 402, 403, 429})
"""Statuses that say nothing of a job."""


class Fal(JobProvider):
    """One model at fal.

    Args:
        model: its name there, such as `fal-ai/flux/dev`.
        size_as: the field that tells the size; empty for what the model's name says.
        picture_as: the field that holds the picture to edit, a list if its name is in the plural; empty for what the name says.
        options: HostedOptions.
    """

    TITLE = "fal"
    LASTS = "the time that the account has set there"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        size_as: SizeAs | None = None,
        picture_as: str = "",
        **options: Unpack[HostedOptions],
    ) -> None:
        changed = "".join(f"|{name}={value}" for name, value in (("size", size_as), ("picture", picture_as)) if value)
        super().__init__(
            f"fal|{base_url.rstrip('/')}|{model}{changed}",
            model,
            base_url,
            api_key,
            {"authorization": f"Key {api_key}"},
            capabilities,
            **options,
        )
        by_pixels: SizeAs = "image_size_in_words" if IN_WORDS.search(model) else "image_size"
        self._size_as = size_as or ("aspect_ratio" if BY_RATIO.search(model) else by_pixels)
        self._picture_as = picture_as or ("image_urls" if SEVERAL.search(model) else "image_url")

    async def _submit(self, request: Request) -> Job | Response:
        return await self._order(request, quote(self.model, safe="/"), self._build_body)

    async def _build_body(self, request: Request) -> Json:
        body: Json = {"prompt": request.text}
        if request.seed is not None:
            body["seed"] = request.seed
        if request.size is not None and self._size_as == "aspect_ratio":
            body["aspect_ratio"] = reduce_ratio(request.size)
        elif request.size is not None:
            width, height = read_size(request.size)
            in_words = self._size_as == "image_size_in_words"
            body["image_size"] = f"{width}x{height}" if in_words else {"width": width, "height": height}
        await add_pictures(body, request, self._picture_as, self.model)
        return body

    def _read_taken(self, body: Json, request: Request) -> Job | Response | None:
        if _holds_pictures(body):
            return self._read_pictures(body, request)
        name = read_job_name(body.get("request_id"))
        if not name:
            return None
        return Job(name=name, poll=str(body.get("response_url") or ""))

    async def _poll(self, request: Request, job: Job) -> Response | None:
        """The answer of a job that is completed: that word comes also for one that failed."""
        owner_and_app = "/".join(self.model.split("/")[:2])
        place = self._place(job.poll.rstrip("/"), f"{quote(owner_and_app, safe='/')}/requests/{quote(job.name, safe='')}")
        answer = await self._get(f"{place}/status")
        body = parse_body(answer.content) if answer.status < 300 else None
        if body is None or "status" not in body:
            ends = answer.status < 300 or answer.status in UNPROCESSABLE
            return self._read_result(answer, request, job) if ends else self._read_failed_look(request, job, answer)
        if str(body["status"]).upper() != "COMPLETED":
            return None
        if body.get("error"):
            return self._explain_failed(request, {"message": body["error"], "type": body.get("error_type")})
        return self._read_result(await self._get(place), request, job)

    def _read_result(self, answer: Reply, request: Request, job: Job) -> Response:
        """The job's answer. An error of the model or its runner is the job's; one of the account or of too many calls is not."""
        if answer.status < 300:
            return self._read_pictures(parse_body(answer.content), request)
        body = json_of(answer.content)
        details = body.get("detail") if isinstance(body, dict) else body
        typed = answer.headers.get("x-fal-error-type") or (isinstance(body, dict) and body.get("error_type"))
        if answer.status not in OF_THE_CALLER and (isinstance(details, list) or answer.status == 422 or typed):
            return self._explain_failed(request, body, answer.status, answer.headers)
        return self._read_failed_look(request, job, answer)

    def _read_pictures(self, body: Json, request: Request) -> Response:
        images: Any = body.get("images")
        places = images if isinstance(images, list) else [body[key] for key in ("image", "output") if body.get(key)]
        if not isinstance(images, list) and not places:
            wrong = find_error(body)
            if wrong is not None:
                return self._explain_failed(request, wrong)
            raise Malformed("the job is done, and its answer names no picture")
        return self._gather(body, [_read_address(place) for place in places], request)


def _holds_pictures(body: Json) -> bool:
    return isinstance(body.get("images"), list) or bool(body.get("image"))


def _read_address(entry: object) -> object:
    return entry.get("url") if isinstance(entry, dict) else entry
