"""Stability's image models: a form in, and out a picture in JSON or as the body itself, with its finish reason.

Shapes: platform.stability.ai/docs/api-reference ("Generate", "Edit", "Control", "Results"), as api-evangelist's OpenAPI, Portkey's
gateway and LiteLLM have it. A picture that was filtered comes blurred, empty or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Unpack, get_args
from urllib.parse import quote

import httpx2

from unisafe_providers.base import Capabilities, Image, Malformed, Misconfigured, Rejected, Request, Response, Usage
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes, parse_error_body
from unisafe_providers.hosted.http import File, HostedOptions, Read, Reply
from unisafe_providers.hosted.jobs import JobFailed, JobProvider, read_job_name
from unisafe_providers.hosted.sizes import find_ratio
from unisafe_providers.hosted.withheld import build_pictures_response
from unisafe_providers.jobs import Job, JobLost
from unisafe_providers.pictures import SIGNATURES

RATIOS = ("21:9", "16:9", "3:2", "5:4", "1:1", "4:5", "2:3", "9:16", "9:21")
ROOT = "v2beta/stable-image"
RESULTS = "v2beta/results"
MODELS = {"core": "core", "stable-image-core": "core", "ultra": "ultra", "stable-image-ultra": "ultra"}
"""Models with an address of their own; all others are Stable Diffusion 3's, by their name."""
DRAWS_ANEW = "image-to-image"
Control = Literal["sketch", "structure", "style"]
Operation = Literal[
    "image-to-image",
    "search-and-replace",
    "search-and-recolor",
    "replace-background-and-relight",
    "inpaint",
    "outpaint",
    "sketch",
    "structure",
    "style",
]
ONE_PICTURE = Usage(images=1)


class Stability(JobProvider):
    """One model of Stability's. Most requests are answered at once; one that is taken for later is polled.

    Args:
        model: `core`, `ultra`, or a model of Stable Diffusion 3 such as `sd3.5-large`.
        base_url: the address, without `/v2beta`.
        api_key: sent as a bearer token.
        capabilities: what the model takes and gives.
        edits_by: how a picture is edited.
        strength: of `image-to-image`: how far the result may move from the picture, 0 to 1.
        options: HostedOptions; further fields of the form are its `extra`.
    """

    TITLE = "Stability AI"
    LASTS = "24 hours"
    submits_each = False

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        edits_by: Operation = "image-to-image",
        strength: float = 0.7,
        **options: Unpack[HostedOptions],
    ) -> None:
        base_url = base_url.rstrip("/").removesuffix("/v2beta")  # with which the paths here begin
        super().__init__(
            f"stability|{base_url.rstrip('/')}|{model}|{edits_by}|strength={strength:g}",
            model,
            base_url,
            api_key,
            {"authorization": f"Bearer {api_key}", "accept": "application/json"},
            capabilities,
            **options,
        )
        self._edits_by = edits_by
        self._strength = strength

    async def _submit(self, request: Request) -> Job | Response:
        if request.kind == "edit" and self._edits_by == DRAWS_ANEW and MODELS.get(self.model) == "core":
            words = f'{self.model} takes no picture; take "image" out of its `takes`, set `edits_by`, or name ultra or sd3.5'
            raise Misconfigured(words, needs="images in")
        taken: list[Job] = []

        def read(body: Json) -> Response:
            if name := _find_job(body):
                taken.append(Job(name=name))
                return Response()
            return _read_body(body)

        response = await self._exchange(request, self._find_path(request), self._build_body, read, files=_build_files)
        return taken[0] if taken else response

    async def _poll(self, request: Request, job: Job) -> Response | None:
        url = f"{self.base_url}/{RESULTS}/{quote(job.name, safe='')}"
        answer = await self._send(httpx2.Request("GET", url, headers=self._own_headers, extensions=self._extensions))
        body: object = None
        with catch_odd_shapes():
            body = parse_error_body(answer.content)
        if answer.status == 202 or (answer.status == 200 and _find_job(body)):
            return None
        if answer.status == 404:
            raise JobLost(f"{self.title} no longer knows the job {job.name}")
        if answer.status != 200:
            try:
                return self._read_error(answer.status, body, answer.headers, request)
            except Rejected as error:
                raise JobFailed(error) from None
        return self._read(answer, request, _read_body, "")

    def _find_path(self, request: Request) -> str:
        if request.kind == "edit" and self._edits_by != DRAWS_ANEW:
            return f"{ROOT}/{'control' if self._edits_by in get_args(Control) else 'edit'}/{self._edits_by}"
        return f"{ROOT}/generate/{MODELS.get(self.model, 'sd3')}"

    async def _build_body(self, request: Request) -> Json:
        """The form's fields beside the picture."""
        body: Json = {"prompt": request.text, "output_format": "png"}
        if request.seed is not None:
            body["seed"] = request.seed
        if request.kind == "edit":
            if request.size is not None:
                self._tell(f"{self.title} draws edits in a size of its own: image_size was left out")
            if self._edits_by != DRAWS_ANEW:
                return body
            body["strength"] = self._strength
        elif request.size is not None:
            body["aspect_ratio"] = find_ratio(request.size, RATIOS, self.title)
        if self.model not in MODELS:
            body |= {"model": self.model, "mode": "image-to-image" if request.kind == "edit" else "text-to-image"}
        return body

    def _read(self, answer: Reply, request: Request, read: Read, wire: str) -> Response:
        """The picture in a body that is one, whose ending stands in a header, or in JSON."""
        if answer.content.startswith(SIGNATURES) or answer.headers.get("content-type", "").startswith("image/"):
            return _read_picture(answer.content, answer.headers)
        return super()._read(answer, request, read, wire)


async def _build_files(request: Request) -> list[File]:
    """The picture as a part of the form."""
    return [("image", (image.file_name, await image.read(), image.media_type)) for image in request.images]


def _read_picture(content: bytes, headers: Mapping[str, str]) -> Response:
    """The answer that a body of bytes is."""
    body = {"finish_reason": headers.get("finish-reason", "")}
    return build_pictures_response(body, [content], lambda _: Image.from_bytes(content), usage=ONE_PICTURE)


def _find_job(body: object) -> str:
    """The name of the job that took a request for later; empty for an answer."""
    if not isinstance(body, dict) or body.get("image") or body.get("finish_reason") or body.get("artifacts"):
        return ""
    return "" if body.get("errors") else read_job_name(body.get("id"))


def _read_body(body: Json) -> Response:
    """The answer in JSON: one picture, or the artifacts of older versions."""
    artifacts = body.get("artifacts")
    if isinstance(artifacts, list):
        return build_pictures_response(body, [entry.get("base64") for entry in artifacts], usage=ONE_PICTURE)
    if "image" not in body and "finish_reason" not in body:
        raise Malformed("Stability AI answered without a picture and without a finish reason")
    return build_pictures_response(body, [body.get("image")], usage=ONE_PICTURE, title=Stability.TITLE)
