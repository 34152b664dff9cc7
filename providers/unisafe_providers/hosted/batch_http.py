"""The common HTTP part of the vendors' batch APIs: calls without a chat, uploads, and results line by line."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import anyio
import httpx2
import orjson

from unisafe_providers.base import Misconfigured, ProviderError, Request, Response, Transient
from unisafe_providers.batching import NoSuchJob
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes, parse_body, parse_error_body, read_whole
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


class BatchHttp(HostedProvider):
    """Calls of a batch API; errors as in HostedProvider, in words of the same kind."""

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        form: dict[str, Any] | None = None,
        missing: Misconfigured | None = None,
    ) -> Json:
        """The endpoint's answer as a JSON object; `form` holds a form's `data` and `files`; `missing` is the error for a 404."""
        headers = self._own_headers if form is not None or body is None else self._headers
        with self._catch_network_errors(), anyio.fail_after(max(self._timeout, UPLOAD_SECONDS if body or form else 0.0)):
            request = httpx2.Request(method, url, content=body, headers=headers, extensions=self._extensions, **(form or {}))
            await request.aread()
            answer = await self._send(request)
        if answer.status in (404, 405) and missing is not None:
            raise missing
        with catch_odd_shapes():
            if answer.status not in (200, 201, 202):
                raise self._build_error(answer.status, parse_error_body(answer.content), answer.headers)
            return parse_body(answer.content)

    async def _read_lines(self, url: str) -> AsyncGenerator[Json, None]:
        """The objects of a JSON Lines file, as they arrive, with the key cut out of them."""
        rest = b""
        with self._catch_network_errors():
            more = await self._authorize("GET", write_address(url), b"")
            async with self._http.stream("GET", url, headers={**self._own_headers, **more}) as answer:
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

    async def _list_jobs(
        self, url: str, cursor: str, since: datetime, created: Callable[[Json], datetime], picks: Callable[[Json], bool]
    ) -> tuple[list[Json], bool]:
        """The jobs in a vendor's list that `picks` takes, and whether the list was read to its end or back to `since`.

        A list that is not ordered from the newest to the oldest is read to its end.
        """
        picked: list[Json] = []
        last, ordered, after = None, True, ""
        for _ in range(PAGES):
            page = await self._ask("GET", f"{url}?limit={A_PAGE}{after}")
            with catch_odd_shapes():
                for job in page["data"]:
                    time = created(job)
                    last, ordered = time, ordered and (last is None or time <= last)
                    if picks(job):
                        picked.append(job)
                if not page.get("has_more"):
                    return picked, True
                if ordered and last is not None and last < since - SKEW:
                    return picked, True
                after = f"&{cursor}={page['data'][-1]['id']}"
        return picked, False

    async def _fit_request(self, request: Request) -> Request:
        """`request` as this model takes it. Raises Rejected, or OSError for an image that has gone."""
        self.capabilities.check(request)
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
        return orjson.dumps({**fields, body_key: self._added.merge_body(body, "chat")})
