"""Anthropic's Message Batches API: messages at half the price within a day.

Shapes: platform.claude.com, "Batch processing" and the reference of Message Batches: 100,000 requests or 256 MB a job, results
kept for 29 days, in any order.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx2

from providers.anthropic import Anthropic, message_response, messages_body
from providers.base import ProviderError, Rejected, Request, Response, Transient
from providers.batch_http import PAGES, BatchHttp
from providers.batching import JobStatus
from providers.http import Json, reading
from providers.openai_wire import unsupported_sampling
from providers.outcomes import error_message

SKEW = timedelta(minutes=10)
"""How far the vendor's clock may be from ours."""
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
"""The HTTP status that an error's type has where it is answered online."""


class AnthropicBatches(Anthropic, BatchHttp):
    """One model whose messages can be handed over as jobs; arguments as in Anthropic."""

    most_requests = 100_000
    most_bytes = 256_000_000

    async def entry(self, name: str, request: Request) -> bytes:
        if request.kind != "chat":
            raise Rejected("Anthropic's models draw no images")
        sent = await self._ready(request)
        return self._entry({"custom_id": name}, "params", await messages_body(self.model, sent, structured=False))

    async def submit(self, entries: Sequence[bytes], tag: str) -> str:
        body = b'{"requests":[' + b",".join(entries) + b"]}"
        answer = await self._ask("POST", f"{self.base_url}/messages/batches", body=body, missing=self._no_api())
        with reading():
            return str(answer["id"])

    async def find(self, tag: str, names: Collection[str], since: datetime, known: Collection[str]) -> str | None:
        """By time and number of requests, and once there are results by a name in them: a job carries no tag here."""
        after = ""
        for _ in range(PAGES):
            page = await self._ask("GET", f"{self.base_url}/messages/batches?limit=100{after}")
            with reading():
                jobs = [(str(job["id"]), job) for job in page["data"]]
                for name, job in jobs:
                    if _created(job) < since - SKEW:
                        return None
                    same_size = sum(map(int, job["request_counts"].values())) == len(names)
                    if name not in known and same_size and (job["processing_status"] != "ended" or await self._holds(job, names)):
                        return name
                if not jobs or not page.get("has_more"):
                    return None
                after = f"&after_id={jobs[-1][0]}"
        return None

    async def _holds(self, job: Json, names: Collection[str]) -> bool:
        """Whether the first result of an ended job is one of ours."""
        async with aclosing(self._lines(self._results_url(job))) as lines:
            async for line in lines:
                return line.get("custom_id") in names
        return False

    async def status(self, job: str) -> JobStatus:
        found = await self._job(f"{self.base_url}/messages/batches/{job}", job)
        with reading():
            counts = {state: int(number) for state, number in found["request_counts"].items()}
            total = sum(counts.values())
            ended = found["processing_status"] == "ended"
            return JobStatus("ended" if ended else "in_progress", total - counts.get("processing", 0), total)

    async def results(self, job: str) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        found = await self._job(f"{self.base_url}/messages/batches/{job}", job)
        async with aclosing(self._lines(self._results_url(found))) as lines:
            async for line in lines:
                yield str(line.get("custom_id")), self._outcome(line)

    def _results_url(self, job: Json) -> str:
        """Where the vendor says the results are; the key is sent to no other host than that of `base_url`."""
        named, ours = str(job.get("results_url") or ""), urlsplit(self.base_url)
        with reading():
            there = urlsplit(named)
            if (there.scheme, there.netloc) == (ours.scheme, ours.netloc):
                return named
            return f"{self.base_url}/messages/batches/{job['id']}/results"

    def _outcome(self, line: Json) -> Response | ProviderError:
        try:
            with reading():
                result = line["result"]
                match result["type"]:
                    case "succeeded":
                        return message_response(result["message"])
                    case "expired":
                        return Transient("the job expired before this request was answered")
                    case "canceled":
                        return Rejected("the job was cancelled at the vendor")
                    case _:
                        body = result["error"]
                        kind = (body.get("error") or body).get("type")
                        parameter = unsupported_sampling(error_message(body)) if kind == "invalid_request_error" else None
                        return self._learned(parameter) or self._error(STATUS_OF.get(kind, 500), body, httpx2.Headers())
        except ProviderError as unreadable:
            return unreadable


def _created(job: Json) -> datetime:
    return datetime.fromisoformat(str(job["created_at"])).astimezone(UTC).replace(tzinfo=None)
