"""Batch jobs of the simulated models, as OpenAI, Azure OpenAI and Anthropic take and answer them.

Shapes as in unisafe_providers/hosted/openai_batch.py and unisafe_providers/hosted/anthropic_batch.py, which name their sources. A
job's requests are answered evenly over the delay; a cancelled job keeps its answers until then.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
from aiohttp import web

from unisafe_async.simulate.anthropic_shape import AnthropicShape
from unisafe_async.simulate.openai_shape import OpenAIShape
from unisafe_async.simulate.shape import Asked, Shape

Json = dict[str, Any]
Answering = Callable[[Shape, str, Asked], Awaitable[web.Response]]
"""The answer to a request of a job, as the endpoint at a path would give it."""
DAY = timedelta(days=1)


@dataclass(kw_only=True)
class _Job:
    name: str
    entries: Sequence[Json]
    delay: float
    metadata: Json = field(default_factory=dict)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    ended: bool = False
    lines: list[Json] = field(default_factory=list)
    lock: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def done(self) -> int:
        """Requests that are answered by now."""
        if self.ended:
            return len(self.lines)
        passed = time.monotonic() - self.began
        return len(self.entries) if passed >= self.delay else int(len(self.entries) * passed / self.delay)


class _Jobs:
    """The common part of the vendors; paths are aiohttp patterns.

    Args:
        shape: the vendor's protocol for single requests.
        place: the path of its list of jobs.
        answering: how a request is answered.
        delay: seconds from taking a job to its end.
        key: the required key; None accepts any.
    """

    PREFIX = "batch_"
    """The beginning of jobs' names; the rest is random, so no two servers, and no two starts of one, share a name."""

    def __init__(self, shape: Shape, place: str, answering: Answering, delay: float, key: str | None) -> None:
        self._shape, self._place, self._answering, self._delay, self._key = shape, place, answering, delay, key
        self._jobs: dict[str, _Job] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(self._place, self._check(self._create)),
            web.get(self._place, self._check(self._list)),
            web.get(self._place + "/{job}", self._check(self._show)),
            web.post(self._place + "/{job}/cancel", self._check(self._cancel)),
        ]

    def _check(self, handler: Callable[[web.Request], Awaitable[web.Response]]) -> Callable[..., Awaitable[web.Response]]:
        """The handler with a check of the key; a body that cannot be read becomes an error of the vendor's form."""

        async def handle(request: web.Request) -> web.Response:
            if self._key is not None and self._shape.key_of(request) != self._key:
                return self._shape.error(401, "invalid_api_key", "Incorrect API key provided")
            try:
                return await handler(request)
            except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                return self._shape.error(400, "invalid_request_error", f"The request cannot be read: {error!r}")

        return handle

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = f"{self.PREFIX}{secrets.token_hex(6)}"
        self._jobs[name] = job = _Job(
            name=name, entries=self._entries(body), delay=self._delay, metadata=body.get("metadata") or {}
        )
        return web.json_response(self._describe(job, request))

    async def _list(self, request: web.Request) -> web.Response:
        """The jobs from the newest on, after the one that the cursor names."""
        jobs = list(self._jobs.values())[::-1]
        after = request.query.get("after") or request.query.get("after_id")
        start = next((index + 1 for index, job in enumerate(jobs) if job.name == after), 0)
        page = jobs[start : start + int(request.query.get("limit", "20"))]
        data = [self._describe(await self._update(job), request) for job in page]
        return web.json_response({"object": "list", "data": data, "has_more": start + len(page) < len(jobs)})

    async def _show(self, request: web.Request) -> web.Response:
        job = self._jobs.get(request.match_info["job"])
        if job is None:
            return self._shape.error(404, "not_found_error", f"There is no job {request.match_info['job']}")
        return web.json_response(self._describe(await self._update(job), request))

    async def _cancel(self, request: web.Request) -> web.Response:
        job = self._jobs.get(request.match_info["job"])
        if job is None:
            return self._shape.error(404, "not_found_error", f"There is no job {request.match_info['job']}")
        if (await self._update(job)).ended:
            return self._shape.error(409, "invalid_request_error", f"The job {job.name} has ended")
        job.cancelled = True
        return web.json_response(self._describe(await self._update(job), request))

    async def _update(self, job: _Job) -> _Job:
        """The job in its present state: when its time is over, it gets its answers, once."""
        async with job.lock:
            done = job.done
            if not job.ended and (job.cancelled or done == len(job.entries)):
                job.lines = [await self._line(entry) for entry in job.entries[:done]]
                job.ended = True
        return job

    async def _answer(self, path: str, asked: Asked) -> tuple[int, Json]:
        """Status and body of the answer to one request."""
        answer = await self._answering(self._shape, path, asked)
        assert isinstance(answer.body, bytes)
        return answer.status, json.loads(answer.body)

    def _entries(self, body: Json) -> Sequence[Json]:
        """The requests of a submitted job."""
        raise NotImplementedError

    async def _line(self, entry: Json) -> Json:
        """A request's line in the results."""
        raise NotImplementedError

    def _describe(self, job: _Job, request: web.Request) -> Json:
        """The vendor's description of a job."""
        raise NotImplementedError


class OpenAIJobs(_Jobs):
    """`/files` and `/batches` under the shape's prefix."""

    def __init__(self, shape: OpenAIShape, answering: Answering, delay: float, key: str | None) -> None:
        super().__init__(shape, f"{shape.prefix}/batches", answering, delay, key)
        self._chat, self._prefix = shape, shape.prefix
        self._files: dict[str, bytes] = {}

    def routes(self) -> list[web.RouteDef]:
        files = f"{self._prefix}/files"
        return [
            *super().routes(),
            web.post(files, self._check(self._upload)),
            web.get(files + "/{file}/content", self._check(self._content)),
        ]

    async def _upload(self, request: web.Request) -> web.Response:
        uploaded = (await request.post())["file"]
        assert isinstance(uploaded, web.FileField)
        name = f"file-{secrets.token_hex(6)}"
        self._files[name] = uploaded.file.read()
        return web.json_response({"id": name, "object": "file", "purpose": "batch", "status": "processed"})

    async def _content(self, request: web.Request) -> web.Response:
        name = request.match_info["file"]
        if name in self._files:
            return web.Response(body=self._files[name], content_type="application/jsonl")
        kind, _, of = name.partition("-")
        job = self._jobs.get(of)
        if job is None or kind not in ("output", "errors"):
            return self._shape.error(404, "not_found_error", f"There is no file {name}")
        lines = [line for line in job.lines if (line["response"]["status_code"] == 200) == (kind == "output")]
        return web.Response(body=b"".join(json.dumps(line).encode() + b"\n" for line in lines), content_type="application/jsonl")

    def _entries(self, body: Json) -> Sequence[Json]:
        return [json.loads(line) for line in self._files[body["input_file_id"]].splitlines()]

    async def _line(self, entry: Json) -> Json:
        asked = self._chat.read_chat(json.dumps(entry["body"]).encode())
        status, body = await self._answer(entry["url"], asked)
        response = {"status_code": status, "request_id": "simulated", "body": body}
        return {"id": f"line-{entry['custom_id']}", "custom_id": entry["custom_id"], "response": response, "error": None}

    def _describe(self, job: _Job, request: web.Request) -> Json:
        bad = sum(line["response"]["status_code"] != 200 for line in job.lines)
        ended = "cancelled" if job.cancelled else "completed"
        return {
            "id": job.name,
            "object": "batch",
            "status": ended if job.ended else "in_progress",
            "created_at": int(job.created.timestamp()),
            "expires_at": int((job.created + DAY).timestamp()),
            "metadata": job.metadata,
            "request_counts": {"total": len(job.entries), "completed": job.done - bad, "failed": bad},
            "output_file_id": f"output-{job.name}" if len(job.lines) > bad else None,
            "error_file_id": f"errors-{job.name}" if bad else None,
        }


class AnthropicJobs(_Jobs):
    """`/messages/batches`."""

    PREFIX = "msgbatch_"

    def __init__(self, shape: AnthropicShape, answering: Answering, delay: float, key: str | None) -> None:
        super().__init__(shape, f"{shape.PATH}/batches", answering, delay, key)
        self._messages = shape

    def routes(self) -> list[web.RouteDef]:
        return [*super().routes(), web.get(self._place + "/{job}/results", self._check(self._results))]

    async def _results(self, request: web.Request) -> web.Response:
        job = self._jobs.get(request.match_info["job"])
        if job is None or not job.ended:
            return self._shape.error(404, "not_found_error", "There are no results of this job")
        cancelled = [{"custom_id": entry["custom_id"], "result": {"type": "canceled"}} for entry in job.entries[len(job.lines) :]]
        lines = (json.dumps(line).encode() + b"\n" for line in [*job.lines, *cancelled])
        return web.Response(body=b"".join(lines), content_type="application/x-jsonl")

    def _entries(self, body: Json) -> Sequence[Json]:
        return list(body["requests"])

    async def _line(self, entry: Json) -> Json:
        status, body = await self._answer(self._messages.PATH, self._messages.read_message(json.dumps(entry["params"]).encode()))
        result = {"type": "succeeded", "message": body} if status == 200 else {"type": "errored", "error": body}
        return {"custom_id": entry["custom_id"], "result": result}

    def _describe(self, job: _Job, request: web.Request) -> Json:
        errored = sum(line["result"]["type"] == "errored" for line in job.lines)
        left = len(job.entries) - job.done
        counts = {
            "processing": 0 if job.ended else len(job.entries),
            "succeeded": len(job.lines) - errored,
            "errored": errored,
            "canceled": left if job.ended else 0,
            "expired": 0,
        }
        return {
            "id": job.name,
            "type": "message_batch",
            "processing_status": "ended" if job.ended else "in_progress",
            "request_counts": counts,
            "created_at": job.created.isoformat(),
            "expires_at": (job.created + DAY).isoformat(),
            "cancel_initiated_at": job.created.isoformat() if job.cancelled else None,
            "results_url": f"{request.scheme}://{request.host}{self._place}/{job.name}/results" if job.ended else None,
        }
