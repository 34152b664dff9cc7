"""The Gemini API's batch jobs: generateContent at half the price within a day.

Shapes: ai.google.dev, "Batch API" and "Files API" (requests within the call up to 20 MB, else in a file; a job expires after 48
hours), google-genai SDK 3.6, and recorded exchanges of ruby_llm: counts are strings, and results stand twice in a job.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from secrets import token_hex
from typing import Any

import orjson

from unisafe_providers.base import ProviderError, Request, Response, Transient
from unisafe_providers.batching import JobStatus, Reconciled
from unisafe_providers.hosted.batch_http import A_PAGE, BatchHttp, Listing, follow_token, found_or
from unisafe_providers.hosted.batch_lines import explain_undone, find_line_error
from unisafe_providers.hosted.batch_states import find_status, parse_moment, read_state, tells_cancel
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes
from unisafe_providers.hosted.gemini import Gemini, build_content_body, read_content_response

READ = partial(read_content_response, image_due=False)
INLINE_REQUESTS, INLINE_BYTES = 1_000, 19_000_000
"""A larger job goes as a file, and so do its results: an answer with results within it has to be read whole."""
NAMES = ("key", "custom_id")
"""Where an entry's metadata holds the request's name: the first is ours."""
LIFE = timedelta(hours=48)


class GeminiBatches(Gemini, BatchHttp):
    """One model of generateContent whose chats can be submitted as batch jobs; arguments as in Gemini."""

    async def entry(self, name: str, request: Request) -> bytes:
        return self._build_entry({"key": name}, "request", await build_content_body(await self._fit_request(request), self._safety))

    async def submit(self, entries: Sequence[bytes], tag: str) -> str:
        if len(entries) <= INLINE_REQUESTS and sum(map(len, entries)) <= INLINE_BYTES:
            source = b'{"requests":{"requests":[' + b",".join(map(_place_in_job, entries)) + b"]}}"
        else:
            source = orjson.dumps({"fileName": await self._upload_requests(entries, tag)})
        body = b'{"batch":{"displayName":' + orjson.dumps(tag) + b',"inputConfig":' + source + b"}}"
        model = self.model.removeprefix("models/")
        answer = await self._ask("POST", f"{self.base_url}/models/{model}:batchGenerateContent", body=body)
        with catch_odd_shapes():
            return str(answer["name"])

    def _place(self, service: str) -> str:
        """The address of uploads or downloads: their word stands before the version."""
        root, _, version = self.base_url.rpartition("/")
        return f"{root}/{service}/{version}"

    async def _upload_requests(self, entries: Sequence[bytes], tag: str) -> str:
        """Sends a file of requests in one call, with its description before it; returns the vendor's name for it."""
        bound = token_hex(16)
        described = orjson.dumps({"file": {"displayName": tag, "mimeType": "application/jsonl"}})
        parts = ((b"application/json", described), (b"application/jsonl", b"\n".join(entries) + b"\n"))
        head = f"--{bound}\r\nContent-Type: ".encode()
        body = b"".join(head + kind + b"\r\n\r\n" + content + b"\r\n" for kind, content in parts) + f"--{bound}--\r\n".encode()
        headers = {"X-Goog-Upload-Protocol": "multipart", "content-type": f"multipart/related; boundary={bound}"}
        answer = await self._ask("POST", f"{self._place('upload')}/files", body=body, headers=headers, missing=self._no_api())
        with catch_odd_shapes():
            return str((answer.get("file") or answer)["name"])

    async def find(self, tag: str, names: Collection[str], since: datetime, known: Collection[str]) -> Reconciled:
        """Finds a job by its display name."""
        listing = Listing(
            url=f"{self.base_url}/batches?pageSize={A_PAGE}",
            key="operations",
            created="metadata.createTime",
            following=follow_token("nextPageToken", "pageToken"),
            may_lack_key=True,
        )
        jobs, whole = await self._list_jobs(listing, since, lambda job: _describe(job).get("displayName") == tag)
        with catch_odd_shapes():
            return found_or(whole, str(jobs[0]["name"]) if jobs else "")

    async def status(self, job: str) -> JobStatus:
        found = await self._fetch_job(f"{self.base_url}/{job}", job)
        with catch_odd_shapes():
            told, (lines, file) = _describe(found), _find_results(found)
            state, error = read_state(told.get("state")), self._explain_end(found)
            stats = {name: int(number) for name, number in (told.get("batchStats") or {}).items() if str(number).isdigit()}
            done = stats.get("successfulRequestCount", 0) + stats.get("failedRequestCount", 0)
            total, made = stats.get("requestCount", 0), parse_moment(told.get("createTime"))
            has_results = lines is not None or bool(file)
            if error is not None and not has_results and state != "cancelled":
                return JobStatus(state="failed", done=done, total=total, error=error)
            return JobStatus(
                state="ended" if has_results or found.get("done") or state == "cancelled" else "in_progress",
                done=done,
                total=total,
                error=error,
                cancelled=tells_cancel(told.get("state")),
                expires=made + LIFE if made is not None else None,
            )

    def _explain_end(self, job: Json) -> ProviderError | None:
        """The error of a job that ended without answering everything; None for any other."""
        state, error = read_state(_describe(job).get("state")), find_line_error(job)
        if state == "expired":
            return Transient("the job expired before this request was answered")
        if state != "failed" and not error:
            return None
        message = str(error.get("message") or "the vendor gives no reason")
        status = find_status(error.get("code")) or 400
        return self._explain_job(status, {"error": {**error, "message": f"the job failed: {message}"}})

    async def cancel(self, job: str) -> None:
        await self._ask("POST", f"{self.base_url}/{job}:cancel", body=b"{}")

    async def results(self, job: str) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        found = await self._fetch_job(f"{self.base_url}/{job}", job)
        with catch_odd_shapes():
            lines, file = _find_results(found)
        for line in lines or []:
            yield _read_name(line), self._outcome(line)
        if lines is None and file:
            async with aclosing(self._read_lines(f"{self._place('download')}/{file}:download?alt=media")) as read:
                async for line in read:
                    yield _read_name(line), self._outcome(line)

    def _outcome(self, line: Json) -> Response | ProviderError:
        try:
            with catch_odd_shapes():
                answer = line.get("response")
                if isinstance(answer, dict):
                    return self._outcome_of(200, answer, READ, "gemini")
                return explain_undone(find_line_error(line), partial(self._outcome_of, read=READ, wire="gemini"))
        except ProviderError as unreadable:
            return unreadable


def _place_in_job(entry: bytes) -> bytes:
    """An entry as it stands within a job; in a file, its `key` is not in `metadata`."""
    key, _, request = entry.partition(b',"request":')
    return b'{"metadata":' + key + b'},"request":' + request


def _describe(job: Json) -> Json:
    """What is told of a job, which is an operation of Google's."""
    told = job.get("metadata")
    return told if isinstance(told, dict) else job


def _find_results(job: Json) -> tuple[list[Json] | None, str]:
    """The results within a job, or the name of the file that holds them; neither before they are there."""
    places: list[Any] = [job.get("response"), _describe(job).get("output"), _describe(job).get("dest"), job.get("dest")]
    for place in places:
        if not isinstance(place, dict):
            continue
        lines = place.get("inlinedResponses")
        if isinstance(lines, dict):
            lines = lines.get("inlinedResponses")
        if isinstance(lines, list):
            return lines, ""
        if file := place.get("responsesFile") or place.get("fileName"):
            return None, str(file)
    return None, ""


def _read_name(line: Json) -> str:
    """The name of the request that a line answers, as we gave it; never its place among the lines."""
    metadata = line.get("metadata")
    given = {**line, **metadata} if isinstance(metadata, dict) else line
    return next((str(given[name]) for name in NAMES if given.get(name)), "")
