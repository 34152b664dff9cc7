"""OpenAI's Batch API, and those of its shape (Azure, Groq, Together, DashScope, Moonshot, Nebius): chats for less, within a day.

Shapes: OpenAI's API reference, "Batch" and "Files" (results and errors in two files); Azure's "Getting started with Azure OpenAI
batch deployments" (a file is `processed` before a job may name it); Groq SDK 1.7; Together SDK 3.1 (states in capitals, the new job
under `job`, a bare list, no metadata). What differs stands in the vendors' files as BatchRules.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from functools import partial

import anyio
import orjson

from unisafe_providers.base import ProviderError, RateLimited, Rejected, Request, Response, Transient
from unisafe_providers.batching import JobStatus, NoSuchJob, Reconciled
from unisafe_providers.hosted import openai_wire as wire
from unisafe_providers.hosted.batch_http import A_PAGE, BatchHttp, Listing, follow_last, found_or
from unisafe_providers.hosted.batch_lines import explain_undone, find_answer, find_line_error
from unisafe_providers.hosted.batch_states import State, parse_moment, read_state, tells_cancel
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes
from unisafe_providers.hosted.openai_compatible import CHAT, OpenAICompatible
from unisafe_providers.hosted.responses_wire import read_responses_response

TAG = "unisafe"
FILE_WAIT, FILE_LOOKS = 1.0, 120
CHATS = partial(wire.read_chat_response, image_due=False)
"""Batch jobs hold chats only, so a broken picture beside the words costs no answer."""
TOO_MUCH = frozenset({"token_limit_exceeded", "rate_limit_exceeded", "request_limit_exceeded", "batch_limit_exceeded"})
"""Codes of a job that failed because the vendor's queue was full."""


def read_answer(body: Json) -> Response:
    """A chat completion, or a Responses object: a vendor may answer a request of the one kind with the other."""
    if "choices" not in body and isinstance(body.get("output"), list):
        return read_responses_response(body)
    return CHATS(body)


class OpenAIBatches(OpenAICompatible, BatchHttp):
    """One model whose chat requests can be submitted as batch jobs; arguments as in OpenAICompatible."""

    async def entry(self, name: str, request: Request) -> bytes:
        fields = {"custom_id": name, "method": "POST", "url": f"/v1/{CHAT}"}
        return self._build_entry(fields, "body", await self._build_batch_body(request))

    async def _build_batch_body(self, request: Request) -> Json:
        return await wire.build_chat_body(self.model, await self._fit_request(request), self._accepted)

    async def submit(self, entries: Sequence[bytes], tag: str) -> str:
        job: Json = {
            "input_file_id": await self._await_processing(await self._upload_file(f"{tag}.jsonl", entries)),
            "endpoint": f"/v1/{CHAT}",
            "completion_window": self.rules.window,
        }
        if self.rules.tags:
            job["metadata"] = {TAG: tag}
        answer = await self._ask("POST", f"{self.base_url}/batches", body=orjson.dumps(job), missing=self._no_api())
        with catch_odd_shapes():
            return str((answer.get("job") or answer)["id"])

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
        """Finds a job by its tag; where jobs carry none, by the names of the requests in its file."""
        listing = Listing(url=f"{self.base_url}/batches?limit={A_PAGE}", following=follow_last("after"))

        def could_be(job: Json) -> bool:
            told = (job.get("metadata") or {}).get(TAG)
            if told is not None or self.rules.tags:
                return bool(told == tag)
            return str(job["id"]) not in known and self._was_made(listing.find_time(job), since, calls=2)

        jobs, whole = await self._list_jobs(listing, since, could_be)
        with catch_odd_shapes():
            if self.rules.tags:
                return found_or(whole, str(jobs[0]["id"]) if jobs else "")
            unread = False
            for job in jobs:
                first = await self._find_first_name(job)
                if first in names:
                    return Reconciled("found", str(job["id"]))
                unread = unread or (not first and read_state(job.get("status")) == "in_progress")
        return Reconciled("perhaps") if unread else found_or(whole, "")

    async def _find_first_name(self, job: Json) -> str:
        """The name of a request of a job, from the file that it was given, else from one of its results; empty if none is told."""
        for key in ("input_file_id", "output_file_id", "error_file_id"):
            if job.get(key) and (first := await self._read_first_name(f"{job['id']}/{key}", self._place_file(job[key]))):
                return first
        return ""

    async def status(self, job: str) -> JobStatus:
        found = await self._fetch_job(f"{self.base_url}/batches/{job}", job)
        with catch_odd_shapes():
            counts = found.get("request_counts") or {}
            total = int(counts.get("total") or 0)
            done = int(counts.get("completed") or 0) + int(counts.get("failed") or 0)
            expires = parse_moment(found.get("expires_at") or found.get("job_deadline"))
            return self._tell_status(found, read_state(found["status"]), done, total, expires)

    def _tell_status(self, found: Json, state: State, done: int, total: int, expires: datetime | None) -> JobStatus:
        """The status from what a vendor says of a job; a failed one with a file of errors or results has ended, with these."""
        cancelled = tells_cancel(found.get("status") or found.get("state"))
        error: ProviderError | None = None
        if state == "failed":
            error = self._explain_failure(found)
        elif state == "expired":
            error = Transient("the job expired before this request was answered")
        if state == "failed" and not self._has_results(found):
            return JobStatus(state="failed", done=done, total=total, error=error)
        under_way = state == "in_progress"
        return JobStatus(
            state="in_progress" if under_way else "ended",
            done=done,
            total=total,
            error=error,
            cancelled=cancelled,
            expires=expires,
        )

    def _has_results(self, job: Json) -> bool:
        return bool(job.get("output_file_id") or job.get("error_file_id"))

    async def cancel(self, job: str) -> None:
        await self._ask("POST", f"{self.base_url}/batches/{job}/cancel", body=b"{}")

    async def results(self, job: str) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        found = await self._fetch_job(f"{self.base_url}/batches/{job}", job)
        may_lack = (NoSuchJob,) if read_state(found.get("status")) == "failed" else ()  # it may name files that were never written
        for file in (found.get("output_file_id"), found.get("error_file_id")):
            if file:
                with suppress(*may_lack):
                    async with aclosing(self._read_lines(self._place_file(file))) as lines:
                        async for line in lines:
                            yield str(line.get("custom_id")), self._outcome(line)

    def _place_file(self, file: object) -> str:
        return f"{self.base_url}/files/{file}/content"

    def _outcome(self, line: Json) -> Response | ProviderError:
        """What a line of the results says; a line without an answer says why there is none."""
        try:
            with catch_odd_shapes():
                found = find_answer(line)
                if found is not None:
                    return self._outcome_of(*found, read_answer)
                error = find_line_error(line)
                return explain_undone(error, partial(self._outcome_of, read=read_answer))
        except ProviderError as unreadable:
            return unreadable

    def _explain_failure(self, job: Json) -> ProviderError:
        """The error for a whole job that failed."""
        errors = job.get("errors")
        found = (errors.get("data") if isinstance(errors, dict) else errors) or [job.get("error") or job.get("status_message")]
        first = found[0] if isinstance(found[0], dict) else {"message": found[0]}
        code, message = str(first.get("code") or ""), str(first.get("message") or "the vendor gives no reason")
        if code in TOO_MUCH:
            return RateLimited(f"the job failed ({code}): {message}")
        return self._explain_job(400, {"error": {"code": code, "message": f"the job failed: {message}"}})
