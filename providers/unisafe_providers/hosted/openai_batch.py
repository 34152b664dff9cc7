"""OpenAI's Batch API, and Azure OpenAI's, which has the same shape: chat completions at half the price within a day.

Shapes: OpenAI's API reference, "Batch" and "Files" (50,000 requests and 200 MB a job; results and errors in two files), and Azure's
"Getting started with Azure OpenAI batch deployments" (a file is `processed` before a job may name it).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial

import anyio
import orjson

from unisafe_providers.base import ProviderError, RateLimited, Rejected, Request, Response, Transient
from unisafe_providers.batching import Cancelled, JobStatus, Reconciled
from unisafe_providers.hosted import openai_wire as wire
from unisafe_providers.hosted.batch_http import BatchHttp
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes
from unisafe_providers.hosted.flattened import read_error_message
from unisafe_providers.hosted.openai_compatible import CHAT, OpenAICompatible

TAG = "unisafe"
WINDOW = "24h"
FILE_WAIT, FILE_LOOKS = 1.0, 120
CHATS = partial(wire.read_chat_response, image_due=False)
"""Batch jobs hold chats only, so a broken picture beside the words costs no answer."""
TOO_MUCH = frozenset({"token_limit_exceeded", "rate_limit_exceeded", "request_limit_exceeded", "batch_limit_exceeded"})
"""Codes of a job that failed because the vendor's queue was full."""


class OpenAIBatches(OpenAICompatible, BatchHttp):
    """One model whose chat requests can be submitted as batch jobs; arguments as in OpenAICompatible."""

    most_requests = 50_000
    most_bytes = 200_000_000

    async def entry(self, name: str, request: Request) -> bytes:
        request = await self._fit_request(request)
        body = await wire.build_chat_body(self.model, request, self._accepted)
        return self._build_entry({"custom_id": name, "method": "POST", "url": f"/v1/{CHAT}"}, "body", body)

    async def submit(self, entries: Sequence[bytes], tag: str) -> str:
        content = ("unisafe.jsonl", b"\n".join(entries), "application/jsonl")
        form = {"data": {"purpose": "batch"}, "files": [("file", content)]}
        uploaded = await self._ask("POST", f"{self.base_url}/files", form=form, missing=self._no_api())
        file = await self._await_processing(uploaded)
        job = {
            "input_file_id": file,
            "endpoint": f"/v1/{CHAT}",
            "completion_window": WINDOW,
            "metadata": {TAG: tag},
        }
        answer = await self._ask("POST", f"{self.base_url}/batches", body=orjson.dumps(job), missing=self._no_api())
        with catch_odd_shapes():
            return str(answer["id"])

    async def _await_processing(self, uploaded: Json) -> str:
        """The file's id, once the vendor has read it (Azure takes a moment)."""
        with catch_odd_shapes():
            file = str(uploaded["id"])
        for _ in range(FILE_LOOKS):
            if uploaded.get("status") in ("error", "failed"):
                raise Rejected(
                    f"the endpoint could not read the job's file: {uploaded.get('status_details') or uploaded['status']}"
                )
            if uploaded.get("status") not in ("pending", "running"):
                return file
            await anyio.sleep(FILE_WAIT)
            uploaded = await self._ask("GET", f"{self.base_url}/files/{file}")
        raise Transient("the endpoint has not read the job's file within two minutes")

    async def find(self, tag: str, names: Collection[str], since: datetime, known: Collection[str]) -> Reconciled:
        found, whole = await self._list_jobs(
            f"{self.base_url}/batches", "after", since, _read_created, lambda job: (job.get("metadata") or {}).get(TAG) == tag
        )
        if found:
            with catch_odd_shapes():
                return Reconciled("found", str(found[0]["id"]))
        return Reconciled("absent" if whole else "unread")

    async def status(self, job: str) -> JobStatus:
        found = await self._fetch_job(f"{self.base_url}/batches/{job}", job)
        with catch_odd_shapes():
            counts = found.get("request_counts") or {}
            total = int(counts.get("total") or 0)
            done = int(counts.get("completed") or 0) + int(counts.get("failed") or 0)
            cancelled = str(found["status"]).startswith("cancel")
            expires = _parse_moment(found["expires_at"]) if found.get("expires_at") else None
            match found["status"]:
                case "completed" | "expired" | "cancelled":
                    return JobStatus(state="ended", done=done, total=total, cancelled=cancelled, expires=expires)
                case "failed":
                    return JobStatus(state="failed", done=done, total=total, error=self._explain_failure(found))
                case _:
                    return JobStatus(state="in_progress", done=done, total=total, cancelled=cancelled, expires=expires)

    async def cancel(self, job: str) -> None:
        await self._ask("POST", f"{self.base_url}/batches/{job}/cancel", body=b"{}")

    async def results(self, job: str) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        found = await self._fetch_job(f"{self.base_url}/batches/{job}", job)
        for file in (found.get("output_file_id"), found.get("error_file_id")):
            if file:
                async with aclosing(self._read_lines(f"{self.base_url}/files/{file}/content")) as lines:
                    async for line in lines:
                        yield str(line.get("custom_id")), self._outcome(line)

    def _outcome(self, line: Json) -> Response | ProviderError:
        try:
            with catch_odd_shapes():
                answer, error = line.get("response"), line.get("error")
                if not answer or not answer.get("body") or not answer.get("status_code"):
                    return _explain_undone(error if isinstance(error, dict) else {})
                return self._outcome_of(int(answer["status_code"]), answer["body"], CHATS)
        except ProviderError as unreadable:
            return unreadable

    def _explain_failure(self, job: Json) -> ProviderError:
        """The error for a whole job that failed."""
        errors = ((job.get("errors") or {}).get("data")) or [{}]
        code, message = str(errors[0].get("code") or ""), str(errors[0].get("message") or "the vendor gives no reason")
        if code in TOO_MUCH:
            return RateLimited(f"the job failed ({code}): {message}")
        return self._build_error(400, {"error": {"code": code, "message": f"the job failed: {message}"}}, {})


def _explain_undone(error: Json) -> ProviderError:
    """The error for an entry without an answer."""
    code, message = str(error.get("code") or ""), read_error_message(error)
    if code == "batch_cancelled":
        return Cancelled("the job was cancelled at the vendor")
    return Transient("the job expired before this request was answered" if code == "batch_expired" else f"no answer: {message}")


def _read_created(job: Json) -> datetime:
    return _parse_moment(job["created_at"])


def _parse_moment(seconds: object) -> datetime:
    """Turns seconds since 1970 into UTC without a zone."""
    return datetime.fromtimestamp(float(str(seconds)), UTC).replace(tzinfo=None)
