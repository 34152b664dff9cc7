"""The common HTTP part of the vendors' batch APIs: calls without a chat, uploads, lists of jobs, and results line by line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import quote

import anyio
import httpx2
import orjson

from unisafe_providers.base import Misconfigured, ProviderError, Rejected, Request, Response, Transient
from unisafe_providers.batch_rules import BatchRules
from unisafe_providers.batching import NoSuchJob, Reconciled
from unisafe_providers.hosted.batch_states import parse_moment
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes, json_of, parse_body, parse_error_body, read_whole
from unisafe_providers.hosted.flattened import flatten
from unisafe_providers.hosted.http import HostedProvider, Read, Reply
from unisafe_providers.hosted.parameters import Refusal, find_refused_parameter
from unisafe_providers.hosted.transport import write_address

NOTHING = Request(kind="chat", parts=())
"""Used instead of a line's request, which is not known when results are read."""
UPLOAD_SECONDS = 600.0
"""The least timeout in seconds for uploading or fetching a job, which may have hundreds of megabytes."""
LINE_BYTES = 64 * 1024 * 1024
SKEW = timedelta(minutes=10)
"""The largest difference between a vendor's clock and ours."""
PAGES = 100
"""The most pages of a vendor's list of jobs that are read."""
A_PAGE = 100
"""Jobs on one page of that list."""
TAKEN = (200, 201, 202, 204)
FILES = "files"
"""OpenAI's path for uploads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """How a vendor's list of jobs is read.

    Args:
        url: its first page.
        key: where a page holds its jobs.
        created: where a job tells when it was made; keys within each other are joined by a dot.
        following: from a page and its number (1, 2, ...) to what `url` ends with for the next page; None for the last page. Raises
            KeyError for a page of another shape.
        may_lack_key: whether a page without jobs may lack `key`.
    """

    url: str
    key: str = "data"
    created: str = "created_at"
    following: Callable[[Json, int], str | None]
    may_lack_key: bool = False

    def list_jobs(self, page: Json) -> list[Json]:
        """The jobs on a page. Raises KeyError for a page of another shape."""
        return list(page.get(self.key) or [] if self.may_lack_key else page[self.key])

    def find_time(self, job: Json) -> datetime | None:
        """When a job was made, in UTC; None if it does not say."""
        value: Any = job
        for key in self.created.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return parse_moment(value)


def follow_last(cursor: str, key: str = "id") -> Callable[[Json, int], str | None]:
    """The next page begins after the last job of this one: OpenAI's and Anthropic's way.

    Some say nothing of a next page: then a page that holds just as many jobs as were asked for may have one.
    """

    def follow(page: Json, number: int) -> str | None:
        jobs = page["data"]
        more = page["has_more"] if "has_more" in page else len(jobs) == A_PAGE
        return f"&{cursor}={quote(str(jobs[-1][key]))}" if more and jobs else None

    return follow


def follow_token(token: str, parameter: str) -> Callable[[Json, int], str | None]:
    """A page names the next one by a token: Google's way."""

    def follow(page: Json, number: int) -> str | None:
        return f"&{parameter}={quote(str(page[token]))}" if page.get(token) else None

    return follow


class BatchHttp(HostedProvider):
    """Calls of a batch API; errors as in HostedProvider, in words of the same kind."""

    rules = BatchRules()
    most_requests = rules.most_requests
    most_bytes = rules.most_bytes

    def keep_to(self, rules: BatchRules) -> Self:
        """This provider, with a vendor's own rules for batch jobs."""
        self.rules = rules
        self.most_requests, self.most_bytes = rules.most_requests, rules.most_bytes
        return self

    async def __aenter__(self) -> Self:
        self._first_names: dict[str, str] = {}
        return await super().__aenter__()

    # -------------------------------------------------------- calls

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        form: dict[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        missing: Misconfigured | None = None,
    ) -> Json:
        """The endpoint's answer as a JSON object: a bare list is its `data`, and `null` or nothing is an empty one.

        `form` holds a form's `data` and `files`; `headers` stand beside or instead of those of every call; `missing` is the error
        for a 404.
        """
        own = self._own_headers if form is not None or body is None else self._headers
        sent = httpx2.Headers({**dict(own), **(headers or {})})
        with self._catch_network_errors(), anyio.fail_after(max(self._timeout, UPLOAD_SECONDS if body or form else 0.0)):
            request = httpx2.Request(method, url, content=body, headers=sent, extensions=self._extensions, **(form or {}))
            await request.aread()
            answer = await self._send(request)
        if answer.status in (404, 405) and missing is not None:
            raise missing
        with catch_odd_shapes():
            if answer.status not in TAKEN:
                raise self._build_error(answer.status, parse_error_body(answer.content), answer.headers)
            return _parse_answer(answer.content)

    async def _read_lines(self, url: str, *, keyless: bool = False) -> AsyncGenerator[Json, None]:
        """The objects of a JSON Lines file, as they arrive, with the key cut out of them.

        Args:
            keyless: whether the file lies at a signed address, where the key does not belong.
        """
        rest = b""
        with self._catch_network_errors():
            headers: Mapping[str, str] = {}
            if not keyless:
                headers = {**self._own_headers, **await self._authorize("GET", write_address(url), b"")}
            async with self._http.stream("GET", url, headers=headers) as answer:
                if answer.status_code in (404, 410):
                    raise NoSuchJob(f"{self.base_url} no longer keeps the results of this job, or this key may not read them")
                if answer.status_code != 200:
                    with catch_odd_shapes():
                        raise self._build_error(
                            answer.status_code, parse_error_body(self._keyless(await read_whole(answer))), answer.headers
                        )
                async for chunk in answer.aiter_bytes():
                    *lines, rest = (rest + chunk).split(b"\n")
                    if len(rest) > LINE_BYTES:
                        raise Transient("a line of the results is longer than 64 MiB")
                    for line in lines:
                        if line.strip():
                            yield self._parse_line(line)
        if rest.strip():
            yield self._parse_line(rest)

    async def _fetch_job(self, url: str, job: str) -> Json:
        """The endpoint's description of a job."""
        words = f"this key knows no job {job} at {self.base_url}; run with the key of the project or workspace that submitted it"
        return await self._ask("GET", url, missing=NoSuchJob(words))

    async def _upload_file(self, name: str, entries: Collection[bytes]) -> Json:
        """The endpoint's description of a new file of requests, as OpenAI's Files API takes it."""
        files = [("file", (name, b"\n".join(entries) + b"\n", "application/jsonl"))]
        if self.rules.upload != FILES:
            form = {"data": {"purpose": self.rules.purpose, "file_name": name}, "files": files}
            nowhere = self._no_api()
            try:
                return await self._ask("POST", f"{self.base_url}/{self.rules.upload}", form=form, missing=nowhere)
            except Misconfigured as error:
                if error is not nowhere:  # a gateway before the vendor may have OpenAI's address alone
                    raise
        form = {"data": {"purpose": self.rules.purpose}, "files": files}
        return await self._ask("POST", f"{self.base_url}/{FILES}", form=form, missing=self._no_api())

    # -------------------------------------------------------- lists of jobs

    async def _list_jobs(self, listing: Listing, since: datetime, picks: Callable[[Json], bool]) -> tuple[list[Json], bool]:
        """The jobs in a vendor's list that `picks` takes, and whether the list was read to its end or back to `since`.

        A list that is not ordered from the newest to the oldest is read to its end.
        """
        picked: list[Json] = []
        last, ordered, after = None, True, ""
        for number in range(1, PAGES + 1):
            page = await self._ask("GET", f"{listing.url}{after}")
            with catch_odd_shapes():
                for job in listing.list_jobs(page):
                    time = listing.find_time(job)
                    ordered = ordered and time is not None and (last is None or time <= last)
                    last = time
                    if picks(job):
                        picked.append(job)
                following = listing.following(page, number)
            if following is None or (ordered and last is not None and last < since - SKEW):
                return picked, True
            after = following
        return picked, False

    def _was_made(self, made: datetime | None, since: datetime, calls: int = 1) -> bool:
        """Whether a job may come from a submission of so many `calls` that began at `since`; a job that tells no time may."""
        until = since + calls * timedelta(seconds=max(self._timeout, UPLOAD_SECONDS))
        return made is None or since - SKEW <= made <= until + SKEW

    async def _read_first_name(self, job: str, url: str, key: str = "custom_id") -> str:
        """The name of the first request in a file of a job; empty if the file is gone or empty. It is read once for each job."""
        if job not in self._first_names:
            first = ""
            with suppress(NoSuchJob, Rejected):
                async with aclosing(self._read_lines(url)) as lines:
                    async for line in lines:
                        first = str(line.get(key))
                        break
            self._first_names[job] = first
        return self._first_names[job]

    # -------------------------------------------------------- requests and results

    async def _fit_request(self, request: Request) -> Request:
        """`request` as this model takes it. Raises Rejected, or OSError for an image that has gone."""
        self.capabilities.check(request)
        if request.kind != "chat":
            raise Rejected("batch jobs carry chats only; ask for images online")
        if request.images and not self.rules.pictures:
            raise Rejected(f"{self.title} takes no images in batch jobs; ask about images online")
        return self._accepted.of(replace(await self.fit_request(request), schema=None))

    def _outcome_of(self, status: int, body: Json, read: Read, wire: str = "") -> Response | ProviderError:
        """Reads a line of the results like an online body; if it refuses a parameter, later requests leave that parameter out."""
        headers: dict[str, str] = {}
        try:
            if status == 200:
                return self._read(Reply(200, headers, orjson.dumps(body)), NOTHING, read, wire)
            refusal = find_refused_parameter(status, flatten(body))
            if refusal is not None and (words := self._note_refusal(refusal)):
                return Transient(words)
            return self._read_error(status, body, headers, None, wire)
        except ProviderError as error:
            return error

    def _explain_job(self, status: int, body: Json) -> ProviderError:
        """The error of a job that failed whole: `status` and `body` as an online call would get them.

        If the job was refused for a parameter that the model does not take, its requests go into another job without that.
        """
        refusal = find_refused_parameter(status, flatten(body))
        if refusal is not None and (words := self._note_refusal(refusal)):
            return Transient(words)
        return self._build_error(status, body, {})

    def _note_refusal(self, refusal: Refusal) -> str:
        """Note a parameter that the model does not take and return a sentence about it; empty if nothing changes."""
        asked = replace(NOTHING, temperature=1.0, top_p=1.0, seed=0)
        before, self._accepted = self._accepted, self._accepted.without(refusal, asked)
        if self._accepted == before and refusal.parameter not in before.left_out and refusal.parameter not in before.names:
            return ""
        if self._accepted.left_out != before.left_out:
            self._told_of.append(f"{self.model} takes no {refusal.parameter} such as was asked for: it was left out")
        return f"the model takes no {refusal.parameter}"

    def _no_api(self) -> Misconfigured:
        return Misconfigured(f'{self.base_url} has no batch API; take out mode = "batch", or check base_url')

    def _parse_line(self, line: bytes) -> Json:
        return parse_body(self._keyless(line))

    def _build_entry(self, fields: Json, body_key: str, body: Json) -> bytes:
        """A request as a line of a job. Raises Rejected for one that is longer than the vendor takes."""
        entry = orjson.dumps({**fields, body_key: self._added.merge_body(body, "chat")})
        if 0 < self.rules.most_line_bytes < len(entry):
            raise Rejected(
                f"the request takes {len(entry):,} bytes; in batch jobs of {self.title} one may hold {self.rules.most_line_bytes:,}"
            )
        return entry


def found_or(absent: bool, job: str) -> Reconciled:
    """The result of a search by a tag: the job that has it, else whether the whole list was read."""
    if job:
        return Reconciled("found", job)
    return Reconciled("absent" if absent else "unread")


def _parse_answer(content: bytes) -> Json:
    if not content.strip():
        return {}
    body = json_of(content)
    if isinstance(body, list):
        return {"data": body}
    return {} if body is None and content.strip() == b"null" else parse_body(content)
