"""A model whose answers are made by jobs: it submits a request once, polls the job until it is done, and reads its answer."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import ClassVar

import anyio

from unisafe_providers.base import ProviderError, Request, Response, Timeout
from unisafe_providers.hosted.http import HostedProvider
from unisafe_providers.hosted.network_failures import FAILURES
from unisafe_providers.jobs import Job, JobBook, JobLost

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 5.0
GROWTH = 1.3


class JobFailed(Exception):
    """The vendor reports that a job failed; `error` says what that means. Another job may be submitted for its request."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(str(error))
        self.error = error


class JobProvider(HostedProvider):
    """One model that answers by jobs; a vendor's class adds `_submit` and `_poll`.

    Attributes:
        book: where jobs are written down; None for a provider that is used by itself.
    """

    PATIENCE: ClassVar[float] = 600.0
    """Seconds that a job may take; then the try fails, and the next one polls the same job."""

    book: JobBook | None = None

    async def call(self, request: Request) -> Response:
        self.capabilities.check(request)
        started = time.perf_counter()
        try:
            response = await self._finish(request)
            response = replace(response, latency=time.perf_counter() - started)
            response = await self._fetch_pictures(response)
        except FAILURES as error:
            raise self._explain_network_failure(error) from None
        return response

    async def _finish(self, request: Request) -> Response:
        """The answer of the request's job, which is submitted unless the book has it."""
        job = await self.book.find(request) if self.book is not None else None
        if job is None:
            fitted = await self.fit_request(request)
            with anyio.fail_after(self._timeout):
                submitted = await self._submit(fitted)
            if isinstance(submitted, Response):
                return submitted
            job = submitted
            if self.book is not None:
                with anyio.CancelScope(shield=True):
                    await self.book.note(request, job)
        try:
            return await self._await_job(request, job)
        except JobFailed as failed:
            if self.book is not None:
                await self.book.end(request)
            raise failed.error from None

    async def _await_job(self, request: Request, job: Job) -> Response:
        pause, until = FIRST_PAUSE, time.monotonic() + self.PATIENCE
        while True:
            with anyio.fail_after(self._timeout):
                found = await self._poll(request, job)
            if found is not None:
                return found
            if time.monotonic() > until:
                raise Timeout(f"the job {job.name} is not done after {self.PATIENCE:g} s; the next try goes on with it")
            await anyio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * GROWTH)

    async def _submit(self, request: Request) -> Job | Response:
        """Submit a request; some vendors answer or block at once. Raises what `call` raises."""
        raise NotImplementedError

    async def _poll(self, request: Request, job: Job) -> Response | None:
        """The job's answer; None while it is under way, and for a state that nobody knows.

        Raises JobFailed if the vendor says that the job failed, JobLost if it knows the job no more, and for a poll that fails
        itself what `call` raises: the job is polled again then.
        """
        raise NotImplementedError


__all__ = ["JobFailed", "JobLost", "JobProvider"]
