"""OpenRouter's batch jobs: requests within one call, results within the job; text only, and nothing cancels a job.

Shapes: openrouter.ai, "Batch API Quickstart" (`requests` come last; images in base64 are refused by every provider), and two public
clients' tests (openrouter4j, a batch backend in TypeScript): results stand in the job alone, not in the list, which tells no names.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from datetime import datetime

import orjson

from unisafe_providers.base import ProviderError, Rejected, Request, Response
from unisafe_providers.batching import Reconciled
from unisafe_providers.hosted.batch_http import A_PAGE, Listing, follow_last, found_or
from unisafe_providers.hosted.batch_states import read_state
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes
from unisafe_providers.hosted.openai_batch import OpenAIBatches
from unisafe_providers.hosted.openai_compatible import CHAT


class OpenRouterBatches(OpenAIBatches):
    """One model at OpenRouter whose chats can be submitted as batch jobs; arguments as in OpenAICompatible."""

    async def entry(self, name: str, request: Request) -> bytes:
        body = await self._build_batch_body(request)
        del body["model"]
        return self._build_entry({"custom_id": name}, "body", body)

    async def submit(self, entries: Sequence[bytes], tag: str) -> str:
        job = orjson.dumps({"endpoint": f"/v1/{CHAT}", "model": self.model, "completion_window": self.rules.window})
        body = job[:-1] + b',"requests":[' + b",".join(entries) + b"]}"
        answer = await self._ask("POST", f"{self.base_url}/batches", body=body, missing=self._no_api())
        with catch_odd_shapes():
            return str(answer["id"])

    async def find(self, tag: str, names: Collection[str], since: datetime, known: Collection[str]) -> Reconciled:
        """Finds an ended job by the names in its results: a job carries no tag, and one in progress shows no names."""
        listing = Listing(url=f"{self.base_url}/batches?limit={A_PAGE}", following=follow_last("after"))

        def could_be(job: Json) -> bool:
            size = int((job.get("request_counts") or {}).get("total") or 0)
            return (
                self._was_made(listing.find_time(job), since)
                and str(job["id"]) not in known
                and size in (0, len(names))  # it is not counted before it is validated
            )

        jobs, whole = await self._list_jobs(listing, since, could_be)
        with catch_odd_shapes():
            ended = [str(job["id"]) for job in jobs if read_state(job["status"]) != "in_progress"]
            for job in ended:
                if await self._read_first_result(job) in names:
                    return Reconciled("found", job)
        return Reconciled("perhaps") if len(ended) < len(jobs) else found_or(whole, "")

    async def _read_first_result(self, job: str) -> str:
        """The name in the first result of an ended job; it is read once for each job."""
        if job not in self._first_names:
            results = (await self._fetch_job(f"{self.base_url}/batches/{job}", job)).get("results") or [{}]
            self._first_names[job] = str(results[0].get("custom_id") or "")
        return self._first_names[job]

    def _has_results(self, job: Json) -> bool:
        return bool(job.get("results"))

    async def cancel(self, job: str) -> None:
        raise Rejected(f"{self.title} cancels no batch job; it ends within {self.rules.window}")

    async def results(self, job: str) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        found = await self._fetch_job(f"{self.base_url}/batches/{job}", job)
        for line in found.get("results") or []:
            yield str(line.get("custom_id")), self._outcome(line)
