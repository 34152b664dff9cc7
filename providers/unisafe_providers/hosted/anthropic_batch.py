"""Anthropic's Message Batches API: messages at half the price within a day.

Shapes: platform.claude.com, "Batch processing" and the reference of Message Batches: 100,000 requests or 256 MB a job, results
kept for 29 days, in any order.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from datetime import datetime
from urllib.parse import urlsplit

from unisafe_providers.base import ProviderError, Rejected, Request, Response, Transient
from unisafe_providers.batching import Cancelled, JobStatus, Reconciled
from unisafe_providers.hosted.anthropic import Anthropic, build_messages_body, read_message_response
from unisafe_providers.hosted.batch_http import A_PAGE, BatchHttp, Listing, follow_last, found_or
from unisafe_providers.hosted.batch_states import parse_moment
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes

STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The HTTP status with which an online call gets an error of this type."""


class AnthropicBatches(Anthropic, BatchHttp):
    """One model whose messages can be submitted as batch jobs; arguments as in Anthropic."""

    most_requests = 100_000
    most_bytes = 256_000_000

    async def entry(self, name: str, request: Request) -> bytes:
        if request.kind != "chat":
            raise Rejected("Anthropic's models draw no images")
        sent = await self._fit_request(request)
        return self._build_entry({"custom_id": name}, "params", await build_messages_body(self.model, sent))

    async def submit(self, entries: Sequence[bytes], tag: str) -> str:
        body = b'{"requests":[' + b",".join(entries) + b"]}"
        answer = await self._ask("POST", f"{self.base_url}/messages/batches", body=body, missing=self._no_api())
        with catch_odd_shapes():
            return str(answer["id"])

    async def find(self, tag: str, names: Collection[str], since: datetime, known: Collection[str]) -> Reconciled:
        """Finds an ended job by the names in its results: here a job carries no tag, and a job in progress shows no names.

        Candidates are jobs of the same size that were created during the submission.
        """
        place = f"{self.base_url}/messages/batches"
        listing = Listing(url=f"{place}?limit={A_PAGE}", following=follow_last("after_id"))

        def could_be(job: Json) -> bool:
            made = self._was_made(listing.find_time(job), since)
            return made and str(job["id"]) not in known and sum(map(int, job["request_counts"].values())) == len(names)

        jobs, whole = await self._list_jobs(listing, since, could_be)
        with catch_odd_shapes():
            for job in jobs:
                ended = job["processing_status"] == "ended"
                if ended and await self._read_first_name(str(job["id"]), self._find_results_url(job)) in names:
                    return Reconciled("found", str(job["id"]))
            if any(job["processing_status"] != "ended" for job in jobs):
                return Reconciled("perhaps")
        return found_or(whole, "")

    async def status(self, job: str) -> JobStatus:
        found = await self._fetch_job(f"{self.base_url}/messages/batches/{job}", job)
        with catch_odd_shapes():
            counts = {state: int(number) for state, number in found["request_counts"].items()}
            total = sum(counts.values())
            ended = found["processing_status"] == "ended"
            done = total - counts.get("processing", 0)
            return JobStatus(
                state="ended" if ended else "in_progress",
                done=done,
                total=total,
                cancelled=bool(found.get("cancel_initiated_at")),
                expires=parse_moment(found.get("expires_at")),
            )

    async def cancel(self, job: str) -> None:
        await self._ask("POST", f"{self.base_url}/messages/batches/{job}/cancel", body=b"{}")

    async def results(self, job: str) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        found = await self._fetch_job(f"{self.base_url}/messages/batches/{job}", job)
        async with aclosing(self._read_lines(self._find_results_url(found))) as lines:
            async for line in lines:
                yield str(line.get("custom_id")), self._outcome(line)

    def _find_results_url(self, job: Json) -> str:
        """The address of the results, as the vendor gives it; the key is sent only to the host of `base_url`."""
        named, ours = str(job.get("results_url") or ""), urlsplit(self.base_url)
        with catch_odd_shapes():
            there = urlsplit(named)
            if (there.scheme, there.netloc) == (ours.scheme, ours.netloc):
                return named
            return f"{self.base_url}/messages/batches/{job['id']}/results"

    def _outcome(self, line: Json) -> Response | ProviderError:
        try:
            with catch_odd_shapes():
                result = line["result"]
                match result["type"]:
                    case "succeeded":
                        return self._outcome_of(200, result["message"], read_message_response, "anthropic")
                    case "expired":
                        return Transient("the job expired before this request was answered")
                    case "canceled":
                        return Cancelled("the job was cancelled at the vendor")
                    case _:
                        body = result["error"]
                        kind = (body.get("error") or body).get("type")
                        return self._outcome_of(STATUS_OF.get(kind, 500), body, read_message_response, "anthropic")
        except ProviderError as unreadable:
            return unreadable
