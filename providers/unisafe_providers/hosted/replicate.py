"""Models at Replicate: pictures, edits and texts, by predictions.

Shapes: replicate.com/docs (HTTP API, Error codes, Rate limits), predictions recorded by OpenLLMetry, the open client of Vercel.
Each model has an input of its own: what a size and a picture are called in it follows the model's name, and bench.toml may say
otherwise.
"""

from __future__ import annotations

import re
from typing import Any, Literal, Unpack
from urllib.parse import quote

from unisafe_providers.base import Block, Capabilities, Request, Response, clean
from unisafe_providers.hosted.bodies import Json
from unisafe_providers.hosted.endings import Ending
from unisafe_providers.hosted.http import HostedOptions
from unisafe_providers.hosted.jobs import JobProvider, read_job_name
from unisafe_providers.hosted.model_inputs import add_pictures
from unisafe_providers.hosted.openai_wire import read_served_name
from unisafe_providers.hosted.sizes import read_size, reduce_ratio
from unisafe_providers.hosted.usage import usage_of
from unisafe_providers.jobs import Job

SizeAs = Literal["aspect_ratio", "width_and_height", "size"]
BY_PIXELS = re.compile(r"sdxl|stable-diffusion(?!-3)|flux-2-fast|playground|kandinsky")
"""Models that take `width` and `height`; the others take `aspect_ratio`."""
PICTURES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"kontext"), "input_image"),
    (re.compile(r"flux-2"), "input_images"),
    (re.compile(r"nano-banana|seedream|gemini"), "image_input"),
    (re.compile(r"gpt-image"), "input_images"),
    (re.compile(r"qwen-image-edit-(plus|2)"), "image[]"),
)
"""What some models call the pictures to edit; the others call it `image`."""
WITHHELD = re.compile(r"NSFW content detected in image", re.I)
"""A line of the logs for each picture that was left out (cog-flux)."""
WRONG_INPUT = re.compile(r"\s*input validation (error|failed)", re.I)
UNPROCESSABLE = 422
"""The status that Replicate gives a wrong input, if it finds it before the prediction runs."""


class Replicate(JobProvider):
    """One model at Replicate.

    Args:
        model: `OWNER/NAME`, `OWNER/NAME:VERSION` or a version alone.
        size_as: how the model is told the size; None for what its name says.
        picture_as: the input that holds the picture to edit, a list if its name is in the plural; empty for what the name says.
        options: HostedOptions.
    """

    TITLE = "Replicate"
    LASTS = "an hour"
    EXTRA_IN = "input"

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
            f"replicate|{base_url.rstrip('/')}|{model}{changed}",
            model,
            base_url,
            api_key,
            {"authorization": f"Bearer {api_key}"},
            capabilities,
            **options,
        )
        named = next((name for words, name in PICTURES if words.search(model)), "image")
        self._size_as = size_as or ("width_and_height" if BY_PIXELS.search(model) else "aspect_ratio")
        self._picture_as = picture_as or named

    async def _submit(self, request: Request) -> Job | Response:
        name, _, version = self.model.partition(":")
        by_name = "/" in name and not version
        path = f"models/{quote(name, safe='/')}/predictions" if by_name else "predictions"

        async def build(fitted: Request) -> Json:
            body: Json = {"input": await self._build_input(fitted)}
            return body if by_name else {"version": version or name, **body}

        return await self._order(request, path, build)

    async def _build_input(self, request: Request) -> Json:
        """The model's own input."""
        inputs: Json = {"prompt": request.text}
        if request.system:
            inputs["system_prompt"] = request.system
        for name in ("max_tokens", "temperature", "top_p", "seed"):
            value = getattr(request, name)
            if value is not None:
                inputs[self._accepted.name(name)] = value
        if request.size is not None:
            inputs |= self._tell_size(request.size)
        await add_pictures(inputs, request, self._picture_as, self.model)
        return inputs

    def _tell_size(self, size: str) -> Json:
        if self._size_as == "aspect_ratio":
            return {"aspect_ratio": reduce_ratio(size)}
        width, height = read_size(size)
        return {"width": width, "height": height} if self._size_as == "width_and_height" else {"size": f"{width}x{height}"}

    def _read_taken(self, body: Json, request: Request) -> Job | Response | None:
        name = read_job_name(body.get("id"))
        if not name:
            return None
        urls: Any = body.get("urls")
        job = Job(name=name, poll=str(urls.get("get") or "") if isinstance(urls, dict) else "")
        done = self._read_prediction(body, request, job)
        return job if done is None else done

    async def _poll(self, request: Request, job: Job) -> Response | None:
        found = await self._look(request, job, self._place(job.poll, f"predictions/{quote(job.name, safe='')}"), "status")
        return found if isinstance(found, Response) else self._read_prediction(found, request, job)

    def _read_prediction(self, body: Json, request: Request, job: Job) -> Response | None:
        """The answer in a prediction; None while it is under way. Raises as `_poll`."""
        state, output = str(body.get("status") or "").lower(), body.get("output")
        if state == "succeeded" and output is None and body.get("data_removed"):
            raise self._build_lost(job, "its answer was removed (data_removed)")
        if state == "succeeded" or (request.image_due and output and state == "processing"):  # pictures may come before the end
            return self._read_pictures(body, output, request) if request.image_due else self._read_text(body, output)
        if state in ("failed", "canceled", "aborted"):
            words = str(body.get("error") or f"the prediction was {state}")
            status = UNPROCESSABLE if WRONG_INPUT.match(words) else 200
            return self._explain_failed(request, {"code": state, "message": words}, status)
        return None

    def _read_pictures(self, body: Json, output: object, request: Request) -> Response:
        removed = len(WITHHELD.findall(str(body.get("logs") or "")))
        withheld = [Ending("blocked", "NSFW content detected", Block("response"))] * removed
        flags = output if isinstance(output, dict) else {}
        return self._gather(flags, _list_addresses(output), request, withheld=withheld)

    def _read_text(self, body: Json, output: object) -> Response:
        """The text of a language model, which comes in pieces."""
        pieces = output if isinstance(output, list) else [output]
        text = clean("".join(piece for piece in pieces if isinstance(piece, str)))
        metrics: Any = body.get("metrics")
        counted = metrics if isinstance(metrics, dict) else {}
        usage = {"input_tokens": counted.get("input_token_count"), "output_tokens": counted.get("output_token_count")}
        return Response(text=text, usage=usage_of(usage), model=read_served_name(body))


def _list_addresses(output: object) -> list[object]:
    """The addresses of an output: one, a list of them, or a table that holds some."""
    if isinstance(output, dict):
        return [address for value in output.values() for address in _list_addresses(value)]
    if isinstance(output, list):
        return [address for value in output for address in _list_addresses(value)]
    return [output] if isinstance(output, str) and output.strip() else []
