"""Mistral's batch jobs: chats at half the price within a day.

Shapes: mistralai SDK 3.7 (BatchJob, CreateBatchJobRequest) and recorded exchanges of ruby_llm: requests stand in the job itself or
in files, and results in the job (`?inline=true`) or in files. The model is named once, for the whole job.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing, suppress
from datetime import datetime

import anyio
import orjson

from unisafe_providers.base import ProviderError, Request, Response
from unisafe_providers.batching import JobStatus, NoSuchJob, Reconciled
from unisafe_providers.hosted.batch_http import A_PAGE, Listing, found_or
from unisafe_providers.hosted.batch_states import read_state
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes
from unisafe_providers.hosted.openai_batch import TAG, OpenAIBatches
from unisafe_providers.hosted.openai_compatible import CHAT

INLINE_REQUESTS, INLINE_BYTES = 1_000, 16_000_000
"""A larger job goes as a file, and so do its results: an answer with results within it has to be read whole."""
HOURS = 24
LOOKS, LOOK_WAIT = 3, 1.0
"""A new job may not be known at once: it is asked for so often, so many seconds apart, before it counts as unknown."""


class MistralBatches(OpenAIBatches):
    """One model of Mistral whose chats can be submitted as batch jobs; arguments as in OpenAICompatible."""

    async def entry(self, name: str, request: Request) -> bytes:
        body = await self._build_batch_body(request)
        del body["model"]
        return self._build_entry({"custom_id": name}, "body", body)

    async def submit(self, entries: Sequence[bytes], tag: str) -> str:
        job: Json = {"endpoint": f"/v1/{CHAT}", "model": self.model, "metadata": {TAG: tag}, "timeout_hours": HOURS}
        requests = b""
        if len(entries) <= INLINE_REQUESTS and sum(map(len, entries)) <= INLINE_BYTES:
            requests = b',"requests":[' + b",".join(entries) + b"]"
        else:
            job["input_files"] = [await self._await_processing(await self._upload_file(f"{tag}.jsonl", entries))]
        body = orjson.dumps(job)[:-1] + requests + b"}"
        answer = await self._ask("POST", f"{self.base_url}/batch/jobs", body=body, missing=self._no_api())
        with catch_odd_shapes():
            return str(answer["id"])

    async def find(self, tag: str, names: Collection[str], since: datetime, known: Collection[str]) -> Reconciled:
        """Finds a job by the tag in its metadata."""

        def follow(page: Json, number: int) -> str | None:
            return f"&page={number}" if page.get("data") and number * A_PAGE < int(page["total"]) else None

        url = f"{self.base_url}/batch/jobs?page_size={A_PAGE}&order_by=-created"
        listing = Listing(url=url, following=follow, may_lack_key=True)
        jobs, whole = await self._list_jobs(listing, since, lambda job: bool((job.get("metadata") or {}).get(TAG) == tag))
        with catch_odd_shapes():
            return found_or(whole, str(jobs[0]["id"]) if jobs else "")

    async def status(self, job: str) -> JobStatus:
        found = await self._await_job(job)
        with catch_odd_shapes():
            total = int(found.get("total_requests") or 0)
            done = int(found.get("succeeded_requests") or 0) + int(found.get("failed_requests") or 0)
            done = max(done, int(found.get("completed_requests") or 0))
            return self._tell_status(found, read_state(found["status"]), done, total, None)

    async def _await_job(self, job: str) -> Json:
        for look in range(1, LOOKS):
            with suppress(NoSuchJob):
                return await self._fetch_job(f"{self.base_url}/batch/jobs/{job}", job)
            await anyio.sleep(look * LOOK_WAIT)
        return await self._fetch_job(f"{self.base_url}/batch/jobs/{job}", job)

    def _has_results(self, job: Json) -> bool:
        return any(job.get(key) for key in ("outputs", "output_file", "error_file", "succeeded_requests"))

    async def cancel(self, job: str) -> None:
        await self._ask("POST", f"{self.base_url}/batch/jobs/{job}/cancel", body=b"{}")

    async def results(self, job: str) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        found = await self._fetch_job(f"{self.base_url}/batch/jobs/{job}", job)
        outputs = found.get("outputs")
        if not outputs and not found.get("output_file"):
            outputs = (await self._fetch_job(f"{self.base_url}/batch/jobs/{job}?inline=true", job)).get("outputs")
        for line in outputs or []:
            yield str(line.get("custom_id")), self._outcome(line)
        for file in (None if outputs else found.get("output_file"), found.get("error_file")):
            if file:
                async with aclosing(self._read_lines(self._place_file(file))) as lines:
                    async for line in lines:
                        yield str(line.get("custom_id")), self._outcome(line)
