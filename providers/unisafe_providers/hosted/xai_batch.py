"""xAI's batch jobs: a named container, then its requests; there is no word for its state, only counts.

Shapes: docs.x.ai, "Batch API" (25 MB for each call that adds requests), and recorded exchanges of ruby_llm: the call that adds
requests answers `null`, results come in pages, and a request of one kind may be answered as another.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import quote

import orjson

from unisafe_providers.base import ProviderError, Request, Response
from unisafe_providers.batching import JobStatus, Reconciled
from unisafe_providers.hosted.batch_http import A_PAGE, Listing, follow_token, found_or
from unisafe_providers.hosted.batch_lines import explain_undone, find_line_error
from unisafe_providers.hosted.batch_states import parse_moment
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes
from unisafe_providers.hosted.openai_batch import OpenAIBatches, read_answer

KIND = "chat_get_completion"
TOKEN = "pagination_token"  # noqa: S105 a query parameter
SIZED = re.compile(r"unisafe-\w+-(\d+)")
"""A container's name: the job's tag, and how many requests it is to hold."""
FILLED_WITHIN = timedelta(hours=1)
"""After that no more requests come into a container."""


class XAIBatches(OpenAIBatches):
    """One model of xAI whose chats can be submitted as batch jobs; arguments as in OpenAICompatible.

    All requests of a job go in one call, so that a job has all of them or none.
    """

    async def entry(self, name: str, request: Request) -> bytes:
        entry = self._build_entry({}, KIND, await self._build_batch_body(request))
        return b'{"batch_request_id":' + orjson.dumps(name) + b',"batch_request":' + entry + b"}"

    async def submit(self, entries: Sequence[bytes], tag: str) -> str:
        place = f"{self.base_url}/batches"
        named = orjson.dumps({"name": f"{tag}-{len(entries)}"})
        made = await self._ask("POST", place, body=named, missing=self._no_api())
        with catch_odd_shapes():
            job = str(made.get("batch_id") or made["id"])
        body = b'{"batch_requests":[' + b",".join(entries) + b"]}"
        await self._ask("POST", f"{place}/{job}/requests", body=body, missing=self._no_api())
        return job

    async def find(self, tag: str, names: Collection[str], since: datetime, known: Collection[str]) -> Reconciled:
        """Finds a container by its name; one that stays empty holds nothing that is paid for, and counts as absent."""
        listing = Listing(
            url=f"{self.base_url}/batches?limit={A_PAGE}",
            key="batches",
            created="create_time",
            following=follow_token(TOKEN, TOKEN),
            may_lack_key=True,
        )

        def is_ours(job: Json) -> bool:
            name = str(job.get("name") or "")
            return (name == tag or name.startswith(f"{tag}-")) and _count(job, "num_requests") > 0

        jobs, whole = await self._list_jobs(listing, since, is_ours)
        with catch_odd_shapes():
            return found_or(whole, str(jobs[0].get("batch_id") or jobs[0]["id"]) if jobs else "")

    async def status(self, job: str) -> JobStatus:
        found = await self._fetch_job(f"{self.base_url}/batches/{job}", job)
        with catch_odd_shapes():
            total, pending = _count(found, "num_requests"), _count(found, "num_pending")
            cancelled = bool(found.get("cancel_time")) or _count(found, "num_cancelled") > 0
            ended = pending == 0 and (total >= _read_size(found) or bool(found.get("cancel_time")))
            return JobStatus(
                state="ended" if ended else "in_progress",
                done=total - pending,
                total=total,
                cancelled=cancelled,
                expires=parse_moment(found.get("expire_time")),
            )

    async def cancel(self, job: str) -> None:
        await self._ask("POST", f"{self.base_url}/batches/{job}:cancel", body=b"{}")

    async def results(self, job: str) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        url, token = f"{self.base_url}/batches/{job}/results?limit={A_PAGE}", ""
        while True:
            page = await self._fetch_job(f"{url}{f'&{TOKEN}={quote(token)}' if token else ''}", job)
            with catch_odd_shapes():
                lines = page.get("results") or page.get("batch_results") or []
                found = [(str(line.get("batch_request_id")), self._outcome(line)) for line in lines]
            for one in found:
                yield one
            following = str(page.get(TOKEN) or "")
            if not following or following == token:
                return
            token = following

    def _outcome(self, line: Json) -> Response | ProviderError:
        try:
            with catch_odd_shapes():
                result = line.get("batch_result") or line
                for body in (result.get("response") or {}).values():
                    if isinstance(body, dict):
                        return self._outcome_of(200, body, read_answer)
                return explain_undone(find_line_error(result), partial(self._outcome_of, read=read_answer))
        except ProviderError as unreadable:
            return unreadable


def _count(job: Json, name: str) -> int:
    return int((job.get("state") or {}).get(name) or 0)


def _read_size(job: Json) -> int:
    """How many requests a container must hold before it can have ended: all that its name tells, as long as they may still come."""
    named = SIZED.fullmatch(str(job.get("name") or ""))
    made = parse_moment(job.get("create_time"))
    if named is None or made is None or made < datetime.now(UTC).replace(tzinfo=None) - FILLED_WITHIN:
        return 1
    return int(named[1])
