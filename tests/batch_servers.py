"""Both vendors' batch protocols on loopback: jobs end when the test says so, results come backwards, and what was paid is counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
from aiohttp import web

KEY = "a-key-for-tests"
ANSWERED, BLOCKED, REFUSED, REJECTED, OVERLOADED, EXPIRED, UNREADABLE = (
    "answered", "blocked", "refused", "rejected", "overloaded", "expired", "unreadable",
)  # fmt: skip


@dataclass
class Job:
    name: str
    entries: list[dict[str, Any]]
    tag: str = ""
    ended: bool = False
    failure: tuple[str, str] | None = None
    looks: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    cancelling: bool = False
    foreign: bool = False


class Vendor:
    """What both have in common.

    Args:
        outcome: what becomes of an entry, by its prompt and by how often that prompt was handed over before.
        by_itself: whether jobs end without the test's doing.
    """

    path = "/v1"

    def __init__(self, outcome: Callable[[str, int], str] = lambda prompt, before: ANSWERED, *, by_itself: bool = True) -> None:
        self.outcome, self.by_itself = outcome, by_itself
        self.jobs: list[Job] = []
        self.paid: Counter[str] = Counter()
        self.submissions = 0
        self.seen: Counter[str] = Counter()
        self.silent = False  # accept the next job, and never say so
        self.dropped = False  # accept the next job, and drop the connection instead of saying so
        self.hides_newest = 0  # so many times the list lacks the newest job
        self.cancels_next = False  # somebody else cancels the next job
        self.endless = False  # the list goes on and on
        self.lists = 0
        self.holds_first = False  # say that the first job is taken once there is a second one
        self.results_gone = False  # somebody deleted the results
        self.cut_results = False  # break off in the middle of the next results
        self.refusals: list[tuple[int, str, str]] = []  # status, code and message for the next jobs
        self.failures: list[tuple[str, str]] = []  # code and message that the next jobs fail with
        self.judged = 0
        self._changed = anyio.Event()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for something the server sees."""
        while not true():
            await self._changed.wait()

    def finish(self, job: Job) -> None:
        """All of a job's requests are done; those of one that was cancelled get no answer, apart from the first."""
        job.ended = True
        done, undone = (job.entries[:1], job.entries[1:]) if job.cancelling else (job.entries, [])
        job.results = [self._cancelled(entry["custom_id"]) for entry in undone]
        job.results += [self._result(entry, job) for entry in reversed(done)]

    def others(self, entries: list[dict[str, Any]]) -> Job:
        """A job that somebody else handed over, of the same requests under other names."""
        return self._add([entry | {"custom_id": f"another-{index}"} for index, entry in enumerate(entries)], "another's", True)

    # ---------------------------------------------------- inside

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _add(self, entries: list[dict[str, Any]], tag: str, foreign: bool = False) -> Job:
        name = f"{self.path.strip('/').replace('/', '-')}-job-{len(self.jobs)}"
        self.jobs.append(Job(name, entries, tag, foreign=foreign))
        return self.jobs[-1]

    async def _accept(self, request: web.Request, entries: list[dict[str, Any]], tag: str) -> Job:
        job = self._add(entries, tag)
        job.cancelling, self.cancels_next = self.cancels_next, False
        dropped, self.dropped = self.dropped, False
        if dropped and request.transport is not None:
            request.transport.abort()
        if self.failures:
            job.failure = self.failures.pop(0)
        silent, self.silent = self.silent, False
        self._tell()
        if self.holds_first and len(self.jobs) == 1:
            await self.until(lambda: len(self.jobs) > 1)
        if silent:
            await anyio.sleep_forever()
        return job

    def _look(self, job: Job) -> None:
        job.looks += 1
        self._end(job)
        self._tell()

    def _end(self, job: Job) -> None:
        """A job ends by itself, or because somebody cancelled it."""
        if (self.by_itself or job.cancelling) and not job.ended and job.failure is None:
            self.finish(job)

    def _listed(self) -> list[Job]:
        """The newest first."""
        self.lists += 1
        shown = self.jobs[:-1] if self.hides_newest else self.jobs[:]
        self.hides_newest = max(0, self.hides_newest - 1)
        for job in shown:
            self._end(job)
        self._tell()
        return shown[::-1]

    async def _cancel(self, request: web.Request) -> web.Response:
        job = self._job(request)
        if job is None:
            return self._error(404, "not_found", "No such batch")
        if job.ended:
            return self._error(409, "conflict", f"Cannot cancel a batch that has ended: {job.name}")
        job.cancelling = True
        return web.json_response(self._said(job, request))

    def _said(self, job: Job, request: web.Request) -> dict[str, Any]:
        raise NotImplementedError

    def _cancelled(self, name: str) -> dict[str, Any]:
        raise NotImplementedError

    def _result(self, entry: dict[str, Any], job: Job) -> dict[str, Any]:
        prompt = self._prompt(entry)
        outcome = self.outcome(prompt, self.seen[prompt])
        self.seen[prompt] += not job.foreign
        if outcome in (ANSWERED, REFUSED, BLOCKED) and not job.foreign:
            self.paid[entry["custom_id"].partition("-")[0]] += 1  # the request, in whichever job
        return self._line(entry["custom_id"], f"An answer to: {prompt}", outcome)

    def _prompt(self, entry: dict[str, Any]) -> str:
        content = (entry.get("body") or entry["params"])["messages"][-1]["content"]
        return content if isinstance(content, str) else next(part["text"] for part in content if part["type"] == "text")

    def _line(self, name: str, text: str, outcome: str) -> dict[str, Any]:
        raise NotImplementedError

    def _job(self, request: web.Request) -> Job | None:
        return next((job for job in self.jobs if job.name == request.match_info["job"]), None)

    def _keyed(self, handler: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        async def checked(request: web.Request) -> web.StreamResponse:
            named = request.headers.get("x-api-key") or request.headers.get("x-goog-api-key")
            key = named or request.headers.get("authorization", "").removeprefix("Bearer ")
            if key != KEY:
                return self._error(401, "authentication_error", f"Incorrect API key provided: {key}")
            return await handler(request)

        return checked

    def _error(self, status: int, code: str, message: str) -> web.Response:
        error = {"message": message, "type": code, "code": code}
        return web.json_response({"type": "error", "error": error}, status=status)

    async def _send(self, request: web.Request, lines: list[dict[str, Any]]) -> web.StreamResponse:
        if self.results_gone:
            return self._error(404, "not_found_error", "No such file")
        text = "".join(json.dumps(line) + "\n" for line in lines).encode()
        if not self.cut_results:
            return web.Response(body=text, content_type="application/x-jsonl")
        self.cut_results = False
        answer = web.StreamResponse(headers={"content-length": str(len(text))})
        await answer.prepare(request)
        await answer.write(text[: len(text) // 2])
        request.transport.close()
        return answer

    async def _judge(self, request: web.Request) -> web.Response:
        """The judge, online: everything is safe."""
        self.judged += 1
        self._tell()
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "A mild stand-in. Result: 1"}}
        return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 5}})

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/judge/chat/completions", self._judge)]


class OpenAI(Vendor):
    """`/files` and `/batches`."""

    provider = "openai"
    a_page = 1  # so that pages are turned

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.files: dict[str, bytes] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            *super().routes(),
            web.post("/v1/files", self._keyed(self._upload)),
            web.get("/v1/files/{file}/content", self._keyed(self._content)),
            web.post("/v1/batches", self._keyed(self._create)),
            web.get("/v1/batches", self._keyed(self._list)),
            web.get("/v1/batches/{job}", self._keyed(self._show)),
            web.post("/v1/batches/{job}/cancel", self._keyed(self._cancel)),
        ]

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["purpose"] == "batch"
        file = f"file-{len(self.files)}"
        self.files[file] = form["file"].file.read()
        return web.json_response({"id": file, "object": "file", "purpose": "batch", "status": "processed"})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert body["completion_window"] == "24h"
        self.submissions += 1
        if self.refusals:
            return self._error(*self.refusals.pop(0))
        entries = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        assert all(entry["method"] == "POST" and entry["url"] == body["endpoint"] == "/v1/chat/completions" for entry in entries)
        job = await self._accept(request, entries, body["metadata"]["unisafe"])
        return web.json_response(self._said(job, request))

    async def _list(self, request: web.Request) -> web.Response:
        if self.endless:
            self.lists += 1
            other = Job(f"another-{self.lists}", [], "another's")
            return web.json_response({"object": "list", "data": [self._said(other, request)], "has_more": True})
        newest = [self._said(job, request) for job in self._listed()]
        names = [one["id"] for one in newest]
        start = names.index(request.query["after"]) + 1 if "after" in request.query else 0
        page = newest[start : start + self.a_page]
        return web.json_response({"object": "list", "data": page, "has_more": start + len(page) < len(newest)})

    async def _show(self, request: web.Request) -> web.Response:
        job = self._job(request)
        if job is None:
            return self._error(404, "not_found", "No such batch")
        self._look(job)
        return web.json_response(self._said(job, request))

    def _cancelled(self, name: str) -> dict[str, Any]:
        error = {"code": "batch_cancelled", "message": "This request was cancelled."}
        return {"id": f"r-{name}", "custom_id": name, "response": None, "error": error}

    def _said(self, job: Job, request: web.Request) -> dict[str, Any]:
        body = {
            "id": job.name,
            "object": "batch",
            "status": "cancelling" if job.cancelling else "in_progress",
            "created_at": int(job.created.timestamp()),
            "expires_at": int(job.created.timestamp()) + 86_400,
            "metadata": {"unisafe": job.tag},
            "request_counts": {"total": len(job.entries), "completed": 0, "failed": 0},
        }
        if job.failure is not None:
            code, message = job.failure
            return body | {"status": "failed", "errors": {"data": [{"code": code, "message": message}]}}
        if job.ended:
            expired = any("expired" in str((line["error"] or {}).get("code")) for line in job.results)
            body["status"] = "cancelled" if job.cancelling else "expired" if expired else "completed"
            body["request_counts"] |= {"completed": len(job.entries)}
            good = [line for line in job.results if line["response"] and line["response"]["status_code"] == 200]
            bad = [line for line in job.results if line not in good]
            self.files |= {f"out-{job.name}": _lines(good), f"err-{job.name}": _lines(bad)}
            body |= {"output_file_id": f"out-{job.name}" if good else None, "error_file_id": f"err-{job.name}" if bad else None}
        return body

    async def _content(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["file"] not in self.files:
            return self._error(404, "not_found", "No such file")
        return await self._send(request, [json.loads(line) for line in self.files[request.match_info["file"]].splitlines()])

    def _line(self, name: str, text: str, outcome: str) -> dict[str, Any]:
        line: dict[str, Any] = {"id": f"r-{name}", "custom_id": name, "response": None, "error": None}
        if outcome == EXPIRED:
            return line | {"error": {"code": "batch_expired", "message": "This request could not be executed before it expired."}}
        if outcome == UNREADABLE:
            return line | {"response": {"status_code": 200, "body": {"choices": "none"}}}
        errors = {REJECTED: (400, "context_length_exceeded", "Too long"), OVERLOADED: (500, "server_error", "Overloaded"),
                  BLOCKED: (400, "content_filter", "The prompt was stopped by the content filter")}  # fmt: skip
        if outcome in errors:
            status, code, message = errors[outcome]
            body: dict[str, Any] = {"error": {"code": code, "type": code, "message": message}}
        else:
            status = 200
            message_ = {"role": "assistant", "content": text} if outcome == ANSWERED else {"content": None, "refusal": "No."}
            choice = {"index": 0, "finish_reason": "stop", "message": message_}
            body = {"choices": [choice], "usage": {"prompt_tokens": 1000, "completion_tokens": 1000}}
        return line | {"response": {"status_code": status, "request_id": "q", "body": body}}


class Anthropic(Vendor):
    """`/messages/batches`; a job carries no tag."""

    path = "/anthropic/v1"
    provider = "anthropic"

    def routes(self) -> list[web.RouteDef]:
        place = f"{self.path}/messages/batches"
        return [
            *super().routes(),
            web.post(place, self._keyed(self._create)),
            web.get(place, self._keyed(self._list)),
            web.get(place + "/{job}", self._keyed(self._show)),
            web.post(place + "/{job}/cancel", self._keyed(self._cancel)),
            web.get(place + "/{job}/results", self._keyed(self._results)),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.submissions += 1
        if self.refusals:
            return self._error(*self.refusals.pop(0))
        return web.json_response(self._said(await self._accept(request, body["requests"], ""), request))

    async def _list(self, request: web.Request) -> web.Response:
        newest = [self._said(job, request) for job in self._listed()]
        return web.json_response({"data": newest, "has_more": False, "first_id": None, "last_id": None})

    async def _show(self, request: web.Request) -> web.Response:
        job = self._job(request)
        if job is None:
            return self._error(404, "not_found_error", "No such batch")
        self._look(job)
        return web.json_response(self._said(job, request))

    async def _results(self, request: web.Request) -> web.StreamResponse:
        job = self._job(request)
        assert job is not None
        return await self._send(request, job.results)

    def _said(self, job: Job, request: web.Request) -> dict[str, Any]:
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        counts["succeeded" if job.ended else "processing"] = len(job.entries)
        return {
            "id": job.name,
            "type": "message_batch",
            "processing_status": "ended" if job.ended else "canceling" if job.cancelling else "in_progress",
            "request_counts": counts,
            "created_at": job.created.isoformat().replace("+00:00", "Z"),
            "expires_at": (job.created + timedelta(days=1)).isoformat().replace("+00:00", "Z"),
            "cancel_initiated_at": job.created.isoformat().replace("+00:00", "Z") if job.cancelling else None,
            "results_url": f"http://{request.host}{self.path}/messages/batches/{job.name}/results" if job.ended else None,
        }

    def _cancelled(self, name: str) -> dict[str, Any]:
        return {"custom_id": name, "result": {"type": "canceled"}}

    def _line(self, name: str, text: str, outcome: str) -> dict[str, Any]:
        usage = {"input_tokens": 1000, "output_tokens": 1000}
        message = {"type": "message", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": usage}
        errors = {REJECTED: ("invalid_request_error", "prompt is too long"), OVERLOADED: ("overloaded_error", "Overloaded")}
        if outcome in errors:
            kind, words = errors[outcome]
            result = {"type": "errored", "error": {"type": "error", "error": {"type": kind, "message": words}}}
        elif outcome == EXPIRED:
            result = {"type": "expired"}
        elif outcome == UNREADABLE:
            result = {"type": "succeeded", "message": {"content": None}}
        elif outcome == BLOCKED:
            stopped = {"content": [], "stop_reason": "refusal", "stop_details": {"category": "cyber"}}
            result = {"type": "succeeded", "message": message | stopped}
        else:
            result = {"type": "succeeded", "message": message}
        return {"custom_id": name, "result": result}


def _lines(results: list[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, results)).encode()


@asynccontextmanager
async def serving(vendor: Vendor) -> AsyncIterator[str]:
    """Serve on a free port; yields the address, such as `http://127.0.0.1:40123`."""
    app = web.Application(client_max_size=2**28)
    app.add_routes(vendor.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
