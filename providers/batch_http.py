"""What the vendors' batch APIs share over HTTP: calls whose bodies are no chat, uploads, and results a line at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta
from typing import Any

import anyio
import httpx2
import orjson

from providers.base import Misconfigured, Request, Transient
from providers.batching import NoSuchJob
from providers.http import SAMPLING, HostedProvider, Json, error_body, parsed, reading

UPLOAD_SECONDS = 600.0
"""Seconds that handing over or fetching a job's hundreds of megabytes may take at least."""
LINE_BYTES = 64 * 1024 * 1024
SKEW = timedelta(minutes=10)
"""How far a vendor's clock may be from ours."""
PAGES, A_PAGE = 100, 100
"""Pages of a vendor's list of jobs that are looked through at most, and jobs on each."""


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
        """The JSON object that the endpoint answers; `form` holds a form's `data` and `files`; `missing` is what a 404 means."""
        headers = self._own_headers if form is not None or body is None else self._headers
        with self._network(), anyio.fail_after(max(self._timeout, UPLOAD_SECONDS if body or form else 0.0)):
            request = httpx2.Request(method, url, content=body, headers=headers, extensions=self._extensions, **(form or {}))
            await request.aread()
            answer = await self._http.send(request)
        if answer.status_code in (404, 405) and missing is not None:
            raise missing
        if answer.status_code not in (200, 201, 202):
            with reading():
                error = self._error(answer.status_code, error_body(self._content(answer)), answer.headers)
            raise error
        with reading():
            return parsed(self._content(answer))

    async def _lines(self, url: str) -> AsyncGenerator[Json, None]:
        """The objects of a JSON Lines file, as they arrive, with the key cut out of them."""
        rest = b""
        with self._network():
            async with self._http.stream("GET", url, headers=self._own_headers) as answer:
                if answer.status_code in (404, 410):
                    raise NoSuchJob(f"{self.base_url} no longer keeps the results of this job, or this key may not read them")
                if answer.status_code != 200:
                    await answer.aread()
                    with reading():
                        error = self._error(answer.status_code, error_body(self._content(answer)), answer.headers)
                    raise error
                async for chunk in answer.aiter_bytes():
                    *lines, rest = (rest + chunk).split(b"\n")
                    if len(rest) > LINE_BYTES:
                        raise Transient("a line of the results is longer than 64 MiB")
                    for line in lines:
                        if line.strip():
                            yield self._line(line)
        if rest.strip():
            yield self._line(rest)

    async def _job(self, url: str, job: str) -> Json:
        """What the endpoint says of a job."""
        words = f"this key knows no job {job} at {self.base_url}; run with the key of the project or workspace that handed it over"
        return await self._ask("GET", url, missing=NoSuchJob(words))

    async def _listed(
        self, url: str, cursor: str, since: datetime, created: Callable[[Json], datetime], picks: Callable[[Json], bool]
    ) -> tuple[list[Json], bool]:
        """Of a vendor's list of jobs those that `picks` takes, and whether the list was read to its end or back to `since`.

        A list is read to its end where it is not ordered by time, the newest first.
        """
        picked: list[Json] = []
        last, ordered, after = None, True, ""
        for _ in range(PAGES):
            page = await self._ask("GET", f"{url}?limit={A_PAGE}{after}")
            with reading():
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

    async def _ready(self, request: Request) -> Request:
        """`request` as this model takes it. Raises Rejected, or OSError for an image that has gone."""
        self.capabilities.check(request)
        return self._without(await self.fitted(request))

    def _learned(self, parameter: str | None) -> Transient | None:
        """A sampling parameter that the model does not take is left out from now on: the request goes again without it."""
        if parameter not in SAMPLING:
            return None
        self._left_out.setdefault(parameter, f"{self.model} takes no {parameter} such as was asked for: it was left out")
        return Transient(f"the model takes no {parameter}")

    def _no_api(self) -> Misconfigured:
        return Misconfigured(f'{self.base_url} has no batch API; take out mode = "batch", or check base_url')

    def _line(self, line: bytes) -> Json:
        return parsed(self._cut(line))

    def _entry(self, fields: Json, body_key: str, body: Json) -> bytes:
        return orjson.dumps({**fields, body_key: self._added.over(body, "chat")})
