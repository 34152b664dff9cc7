"""Image models of Alibaba's Model Studio (DashScope): Qwen-Image and newer Wan models answer at once, older ones by tasks.

Shapes: alibabacloud.com/help/en/model-studio (Qwen-Image, Qwen-Image-Edit, Wan text to image, Error codes) and the package
dashscope 2.0.2.
"""

from __future__ import annotations

import re
from typing import Any, Unpack
from urllib.parse import quote

from unisafe_providers.base import Capabilities, Request, Response, clean
from unisafe_providers.hosted.blocks import block_of_error
from unisafe_providers.hosted.bodies import Json, find_usage
from unisafe_providers.hosted.endings import WORDS, Ending
from unisafe_providers.hosted.flattened import flatten
from unisafe_providers.hosted.http import HostedOptions
from unisafe_providers.hosted.jobs import JobProvider, read_job_name
from unisafe_providers.hosted.openai_wire import build_data_url
from unisafe_providers.hosted.sizes import read_size
from unisafe_providers.hosted.usage import usage_of
from unisafe_providers.jobs import Job

BY_TASK = re.compile(r"wanx|wan2\.[0-5]-|flux-|stable-diffusion")
"""Models that take tasks alone; the others answer at once, and refuse tasks."""
CHATS, IMAGES = "/compatible-mode/v1", "/api/v1"
"""How the address of chats ends, and that of images at the same host."""
AT_ONCE = "services/aigc/multimodal-generation/generation"
DRAWING, EDITING = "services/aigc/text2image/image-synthesis", "services/aigc/image2image/image-synthesis"


class DashScopeImages(JobProvider):
    """One image model of DashScope; arguments as in HostedProvider. `extra` goes into `parameters`."""

    TITLE = "DashScope"
    LASTS = "24 hours"
    EXTRA_IN = "parameters"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        **options: Unpack[HostedOptions],
    ) -> None:
        base_url = base_url.rstrip("/").removesuffix(CHATS) + (IMAGES if base_url.rstrip("/").endswith(CHATS) else "")
        by_task = BY_TASK.match(model) is not None
        super().__init__(
            f"dashscope|{base_url}|{model}",
            model,
            base_url,
            api_key,
            {"authorization": f"Bearer {api_key}"} | ({"x-dashscope-async": "enable"} if by_task else {}),
            capabilities,
            **options,
        )
        self._by_task = by_task

    @property
    def submits_each(self) -> bool:
        return self._by_task

    async def _submit(self, request: Request) -> Job | Response:
        path = AT_ONCE if not self._by_task else EDITING if request.images else DRAWING
        return await self._order(request, path, self._build_body)

    async def _build_body(self, request: Request) -> Json:
        pictures = [await build_data_url(image) for image in request.images]
        parameters: Json = {"n": 1, "prompt_extend": False, "watermark": False}
        if request.seed is not None:
            parameters["seed"] = request.seed
        if request.size is not None:
            width, height = read_size(request.size)
            parameters["size"] = f"{width}*{height}"
        inputs: Json = {"prompt": request.text} | ({"images": pictures} if pictures else {})
        if not self._by_task:
            content: list[Json] = [*({"image": picture} for picture in pictures), {"text": request.text}]
            inputs = {"messages": [{"role": "user", "content": content}]}
        return {"model": self.model, "input": inputs, "parameters": parameters}

    def _read_taken(self, body: Json, request: Request) -> Job | Response | None:
        output: Any = body.get("output")
        if not isinstance(output, dict):
            return None
        if _list_entries(output) or WORDS.get(_find_finish(output).lower()) == "blocked":
            return self._read_pictures(output, request)
        name = read_job_name(output.get("task_id"))
        if not name:
            words = _find_words(output)
            return Response(text=words, usage=usage_of(find_usage(body))) if words else None
        job = Job(name=name)
        done = self._read_task(output, request, job)
        return job if done is None else done

    async def _poll(self, request: Request, job: Job) -> Response | None:
        found = await self._look(request, job, self._place("", f"tasks/{quote(job.name, safe='')}"), "output")
        return found if isinstance(found, Response) else self._read_task(found["output"], request, job)

    def _read_task(self, output: Json, request: Request, job: Job) -> Response | None:
        """The answer in a task; None while it is under way. Raises as `_poll`."""
        state = str(output.get("task_status") or "").upper()
        if state == "SUCCEEDED":
            return self._read_pictures(output, request)
        if state == "UNKNOWN":
            raise self._build_lost(job, f"{self.title} knows no such task (UNKNOWN)")
        if state in ("FAILED", "CANCELED", "CANCELLED"):
            words = output.get("message") or f"the task was {state.lower()}"
            return self._explain_failed(request, {"code": output.get("code"), "message": words})
        return None

    def _read_pictures(self, output: Json, request: Request) -> Response:
        """The pictures of an answer; an entry of a task may hold an error instead of one."""
        places: list[object] = []
        withheld: list[Ending] = []
        failed: Json | None = None
        for entry in _list_entries(output):
            stopped = block_of_error(0, flatten(entry), ran=True) if entry.get("code") else None
            if stopped is not None:
                withheld.append(Ending("blocked", stopped.reason, stopped.block))
            elif entry.get("code"):
                failed = failed or entry
            else:
                places.append(entry.get("url") or entry.get("image"))
        if failed is not None and not places and not withheld:
            return self._explain_failed(request, failed)
        return self._gather({**output, "finish_reason": _find_finish(output)}, places, request, withheld=withheld)


def _find_words(output: Json) -> str:
    """What a model says instead of a picture."""
    try:
        content = output["choices"][0]["message"]["content"]
    except (IndexError, KeyError, TypeError):
        return ""
    parts = content if isinstance(content, list) else [{"text": content}]
    return clean("".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)))


def _find_finish(output: Json) -> str:
    """How the first choice ended, in the vendor's word; empty if there is none."""
    choices = output.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return str(first.get("finish_reason") or "") if isinstance(first, dict) else ""


def _list_entries(output: Json) -> list[Json]:
    """The entries of an output that hold pictures or errors: `results` of a task, or the contents of `choices`."""
    results, choices = output.get("results"), output.get("choices")
    found: list[Any] = list(results) if isinstance(results, list) else []
    for choice in choices if isinstance(choices, list) else []:
        content = (choice.get("message") or {}).get("content")
        found += [part for part in content if isinstance(part, dict) and part.get("image")] if isinstance(content, list) else []
    return [entry for entry in found if isinstance(entry, dict)]
