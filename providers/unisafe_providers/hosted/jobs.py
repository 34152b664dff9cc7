"""A model whose answers are made by jobs: it submits a request once, polls the job until it is done, and reads its answer.

A request that was submitted is not submitted again because a poll or a download failed: only where the vendor says that its job
failed. Until then whoever asks again goes on with the same job, also in a later run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import anyio

from unisafe_providers.anatomy import NO_PICTURE, attach_partial
from unisafe_providers.base import (
    Image,
    Misconfigured,
    ProviderError,
    RateLimited,
    Rejected,
    Request,
    Response,
    Transient,
    Usage,
)
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes, find_error, parse_body, parse_error_body
from unisafe_providers.hosted.endings import Ending
from unisafe_providers.hosted.http import Files, HostedProvider, Make, Reply
from unisafe_providers.hosted.key_hosts import may_get_key
from unisafe_providers.hosted.network_failures import FAILURES
from unisafe_providers.hosted.withheld import build_pictures_response, find_withheld_block
from unisafe_providers.jobs import Job, JobBook, JobLost, JobsInMemory

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
GROWTH = 1.5
"""Each pause between two polls is so many times the one before: pictures take from one second to a minute and more."""
FAILED_POLLS = 5
"""So many polls that fail one after the other fail the try; the next try goes on with the job."""
BRIEF = 1.0
"""The longest wait in seconds that a vendor may ask for between two polls of one try."""
LINKS = 3
"""How often a link to a finished picture is asked for, where the one before cannot be fetched."""
GONE = frozenset({404, 410})


def read_job_name(value: object) -> str:
    """The id of a job, which some gateways write as a number; empty if there is none."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


class JobFailed(Exception):
    """The vendor reports that a job failed; `error` says what that means. Another job may be submitted for its request."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(str(error))
        self.error = error


class JobProvider(HostedProvider):
    """One model that answers by jobs; a vendor's class adds `_submit` and `_poll`.

    Attributes:
        book: where jobs are written down; None for a provider that is used by itself.
        job_wait: seconds that a job may take; then its item fails, and the next run goes on with the job. None for PATIENCE.
        key_hosts: other hosts of the vendor's, which an answer may name for polls.
    """

    PATIENCE: ClassVar[float] = 600.0
    """Seconds that a job may take, unless bench.toml says otherwise."""

    WIRE: ClassVar[str] = ""
    """The protocol, for words that mean something special in it."""

    LASTS = "a while"
    """How long the vendor keeps a job's answer, in words."""

    book: JobBook | None = None
    job_wait: float | None = None
    key_hosts: Sequence[str] = ()

    @property
    def submits_each(self) -> bool:
        """Whether each answer is made by a job; False where most come at once."""
        return True

    @cached_property
    def _memory(self) -> JobsInMemory:
        return JobsInMemory()

    async def call(self, request: Request) -> Response:
        self.capabilities.check(request)
        started = time.perf_counter()
        try:
            response = await self._answer(request)
        except FAILURES as error:
            raise self._explain_network_failure(error) from None
        return replace(response, latency=time.perf_counter() - started)

    async def _answer(self, request: Request) -> Response:
        """The answer of the request's job, which is submitted unless the book has it."""
        book = self._memory if self.book is None else self.book
        job = await book.find(request)
        if job is None:
            fitted = await self.fit_request(request)
            with anyio.fail_after(self._timeout):
                submitted = await self._submit(fitted)
            if isinstance(submitted, Response):
                return await self._fetch_pictures(submitted)
            job = submitted
            with anyio.CancelScope(shield=True):
                await book.note(request, job)
        try:
            response = await self._follow(request, job)
        except JobFailed as failed:
            await book.end(request)
            raise failed.error from None
        if response.asks_again or self.book is None:  # whoever keeps the book ends a job with its answer
            await book.end(request)
        return response

    # -------------------------------------------------------- submitting

    async def _submit(self, request: Request) -> Job | Response:
        """Submit a request; some vendors answer or block at once. Raises what `call` raises."""
        raise NotImplementedError

    async def _order(self, request: Request, path: str, make: Make, *, files: Files | None = None) -> Job | Response:
        """Send a request, and read what came: a job, or the answer itself."""
        found = await self._send_accepted(request, path, make, wire=self.WIRE, files=files)
        if isinstance(found, Response):
            return found
        answer, sent = found
        body = parse_body(answer.content)
        try:
            with catch_odd_shapes():
                taken = self._read_taken(body, request)
        except JobFailed as failed:
            raise failed.error from None
        if taken is not None:
            return taken
        wrong = find_error(body)
        return self._read_error(200, wrong if wrong is not None else body, answer.headers, sent)

    def _read_taken(self, body: Json, request: Request) -> Job | Response | None:
        """The job that an answer names, or the answer to the request that stands in it; None for a body with neither."""
        raise NotImplementedError

    # -------------------------------------------------------- polling

    async def _poll(self, request: Request, job: Job) -> Response | None:
        """The job's answer; None while it is under way, and for a state that nobody knows.

        Raises JobFailed if the vendor says that the job failed, JobLost if it knows the job no more, and for a poll that fails
        itself what `call` raises: the job is polled again then.
        """
        raise NotImplementedError

    def _place(self, told: str, path: str) -> str:
        """Where a job is polled: as the vendor told if the key may go there, else at `path` below the endpoint's address."""
        return told if told and may_get_key(told, self.base_url, self.key_hosts) else f"{self.base_url}/{path}"

    async def _look(self, request: Request, job: Job, address: str, *state: str) -> Json | Response:
        """The body of a poll's answer, or the block that an error means. Raises as `_poll`, also for a body without a `state`."""
        answer = await self._get(address)
        if answer.status >= 300:
            return self._read_failed_look(request, job, answer)
        body = parse_body(answer.content)
        if any(body.get(key) for key in state):
            return body
        return self._read_error(200, find_error(body) or body, answer.headers, request, ran=True)

    def _read_failed_look(self, request: Request, job: Job, answer: Reply) -> Response:
        """The block that a poll's error means. Raises JobLost where the job is not known, else the error itself."""
        with catch_odd_shapes():
            body = parse_error_body(answer.content)
        try:
            return self._read_error(answer.status, body, answer.headers, request, ran=True)
        except ProviderError:
            if answer.status in GONE:
                raise self._build_lost(job, f"{self.title} answers {answer.status}") from None
            raise

    def _build_lost(self, job: Job, why: str) -> JobLost:
        """The error of a job that was paid for and has no answer any more."""
        lost = JobLost(f"the job {job.name} was paid for, and {why}; answers are kept there for {self.LASTS}")
        lost.answered = True
        return lost

    def _explain_failed(
        self, request: Request, body: object, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        """The block that the failure of a job means; raises JobFailed with the error that it means otherwise."""
        try:
            return self._read_error(status, body, headers or {}, request, ran=True)
        except ProviderError as error:
            error.answered = True
            raise JobFailed(error) from None

    async def _await_job(self, request: Request, job: Job) -> Response:
        """The job's answer. A poll that fails is made again after a pause, and several of them fail this try."""
        patience = self.PATIENCE if self.job_wait is None else self.job_wait
        pause, failed, until = FIRST_PAUSE, 0, time.monotonic() + patience
        while True:
            wait = pause
            try:
                found = await self._poll_in_time(request, job)
                if found is not None:
                    return found
                failed = 0
            except (RateLimited, Transient) as error:
                failed += 1
                if failed >= FAILED_POLLS or not _is_brief(error):
                    raise
                wait = max(pause, error.retry_after or 0.0)
            if time.monotonic() + wait > until:
                raise Rejected(f"the job {job.name} is not done after {patience:g} s (job_wait_s); the next run goes on with it")
            await anyio.sleep(wait)
            pause = min(LONGEST_PAUSE, pause * GROWTH)

    async def _poll_in_time(self, request: Request, job: Job) -> Response | None:
        try:
            with anyio.fail_after(self._timeout), catch_odd_shapes():
                return await self._poll(request, job)
        except FAILURES as error:
            raise self._explain_network_failure(error) from None

    # -------------------------------------------------------- fetching

    async def _follow(self, request: Request, job: Job) -> Response:
        """The job's answer with its pictures; where one cannot be fetched, the vendor is asked for a fresh link."""
        why = ""
        for number in range(LINKS):
            await anyio.sleep(number * FIRST_PAUSE)
            response = await self._await_job(request, job)
            try:
                with attach_partial(replace(response, images=())):
                    return replace(response, images=tuple([await self._fetch(image) for image in response.images]))
            except Transient as error:
                why = str(error)
        raise Transient(f"the image was made and paid for, but {why}, {LINKS} times; the next try asks for a new link to it")

    async def _fetch(self, image: Image) -> Image:
        """The picture with its bytes; one try."""
        if image.digest:
            return image
        try:
            with anyio.fail_after(self._timeout):
                return Image.from_bytes(await image.read())
        except Rejected as error:
            raise Rejected(f"the image was made and paid for, but {error}") from None
        except TimeoutError:
            raise Transient(f"nothing came from its address within {self._timeout:g} s") from None

    # -------------------------------------------------------- what every such vendor says

    def _gather(
        self, body: Json, places: Sequence[object], request: Request, *, withheld: Sequence[Ending] = (), cost: float | None = None
    ) -> Response:
        """The answer that some places of pictures are; one without any place and any reason is asked for once more.

        Args:
            body: the vendor's answer, with the flags beside its pictures.
            places: base64 or an address for each picture; None where one is missing.
            withheld: what the answer says beside its entries of pictures that are not there.
            cost: US dollars, if the vendor tells them.
        """
        self._note_rewriting(body, request)
        usage = Usage(images=len(places), cost=cost)
        if not places and not withheld and find_withheld_block(body) is None:
            return Response(usage=usage, missing=NO_PICTURE, asks_again=True)
        return build_pictures_response(body, places, self._fetch_picture, usage=usage, withheld=withheld, title=self.title)

    def _leave_out(self, request: Request, *names: str) -> None:
        """Tell the user which settings the vendor has no place for."""
        for name in names:
            if getattr(request, name) is not None:
                self._tell(f"{self.title} takes no {name} for images: it was left out")

    def _refuse_pictures(self) -> Misconfigured:
        """The error of a model that edits none: only requests with pictures stop."""
        return Misconfigured(
            f'{self.model} edits no pictures; take "image" out of its `takes`, or name a model that edits', needs="images in"
        )


def _is_brief(error: RateLimited | Transient) -> bool:
    """Whether a failed poll is made again here: the gateway waits longer, and holds the endpoint meanwhile."""
    if isinstance(error, JobLost):
        return False
    asked = error.retry_after
    return asked <= BRIEF if asked is not None else isinstance(error, Transient)


__all__ = ["JobFailed", "JobLost", "JobProvider", "read_job_name"]
