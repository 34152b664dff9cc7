"""The simulated models over HTTP, in each vendor's shape, with faults on demand: to rehearse limits and blocks."""

from __future__ import annotations

import json
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields, replace

import anyio
from aiohttp import web
from unisafe_providers.base import Block, Capabilities, Image, Request, Response, digest_of

from unisafe_async.benchmark import Dataset
from unisafe_async.run.trials import Sampling, build_generation_request
from unisafe_async.simulate.anthropic_shape import AnthropicShape
from unisafe_async.simulate.batch_jobs import AnthropicJobs, OpenAIJobs
from unisafe_async.simulate.gemini_shape import GeminiShape
from unisafe_async.simulate.openai_shape import OpenAIShape
from unisafe_async.simulate.shape import Asked, Shape
from unisafe_async.simulate.simulated import PROFILES, Profile, Simulated

ALL = Capabilities(image_in=True, image_out=True, edit=True)
Reader = Callable[[web.Request], Awaitable[Asked]]
MAX_BODY = 256 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Shares of requests with a fault, between 0 and 1; a request has at most one fault.

    Args:
        rate_limited: 429 with `retry-after-ms`.
        unavailable: 503.
        dropped: the connection is closed without an answer.
        stalled: no answer for `stall_s` seconds.
        truncated: the body ends early.
        malformed: 200 with a body that is no JSON.
        blocked: the platform stops the request, in the vendor's form.
    """

    rate_limited: float = 0.0
    unavailable: float = 0.0
    dropped: float = 0.0
    stalled: float = 0.0
    truncated: float = 0.0
    malformed: float = 0.0
    blocked: float = 0.0


SHAPES: tuple[Shape, ...] = (OpenAIShape("/v1"), OpenAIShape("/openai/v1", azure=True), AnthropicShape(), GeminiShape())
"""OpenAI at /v1, Azure OpenAI at /openai/v1, Anthropic at /anthropic/v1, Gemini at /v1beta."""
TOLD = ("rate_limited", "unavailable", "blocked")
FAULTS = tuple(field.name for field in fields(Faults))


@dataclass
class Seen:
    """Counts of the server: answers by body digest, faults by name, and the most requests at a time."""

    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0

    def stats(self) -> dict[str, object]:
        return {
            "answers": self.answers.total(),
            "distinct": len(self.answers),
            "repeats": self.answers.total() - len(self.answers),
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "faults": dict(self.faults),
        }


class Simulator:
    """The server's state.

    Args:
        dataset: gives the task and category of a request, for profiles whose rates depend on them.
        faults, retry_after, stall_s: the faults, and how long a 429 and a stall last, in seconds.
        rpm: the most requests a minute, over a sliding window of `window_s` seconds; None for no limit.
        latency: seconds an answer takes (lognormal around it with `sigma`).
        batch_delay: seconds from taking a batch job to its end.
        profiles: by model name; a name that ends in `judge` judges.
    """

    def __init__(
        self,
        dataset: Dataset | None = None,
        *,
        faults: Faults | None = None,
        retry_after: float = 0.05,
        stall_s: float = 3600.0,
        rpm: float | None = None,
        window_s: float = 10.0,
        latency: float = 0.0,
        sigma: float = 0.0,
        batch_delay: float = 0.0,
        profiles: Mapping[str, Profile] | None = None,
        key: str | None = None,
        seed: int = 0,
    ) -> None:
        self.faults = faults or Faults()
        self.seen = Seen()
        self._retry_after, self._stall_s = retry_after, stall_s
        self._rpm, self._window_s = rpm, window_s
        self._latency, self._sigma, self._batch_delay = latency, sigma, batch_delay
        self._key = key
        self._random = random.Random(seed)
        self._arrivals: deque[float] = deque()
        self._labels = _labels(dataset) if dataset is not None else {}
        self._models = {
            name: Simulated(name, replace(profile, latency=0.0), ALL, judge=name.endswith("judge"))
            for name, profile in (profiles or PROFILES).items()
        }

    @property
    def models(self) -> list[str]:
        """The names of the models that are served."""
        return list(self._models)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_get("/stats", self._stats)
        for shape in SHAPES:
            app.router.add_get(shape.listing, self._listing(shape))
            for path, reader in shape.paths.items():
                app.router.add_post(path, self._answering(shape, reader))
            if isinstance(shape, OpenAIShape):
                app.router.add_routes(OpenAIJobs(shape, self._answer_in_job, self._batch_delay, self._key).routes())
            if isinstance(shape, AnthropicShape):
                app.router.add_routes(AnthropicJobs(shape, self._answer_in_job, self._batch_delay, self._key).routes())
        return app

    def _answering(self, shape: Shape, reader: Reader) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            return await self._answer(request, shape, reader)

        return answer

    def _listing(self, shape: Shape) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def list_models(request: web.Request) -> web.Response:
            if self._key is not None and shape.key_of(request) != self._key:
                return shape.error(401, "invalid_api_key", "Incorrect API key provided")
            return web.json_response(shape.models(list(self._models)))

        return list_models

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response(self.seen.stats())

    async def _answer(self, request: web.Request, shape: Shape, reader: Reader) -> web.StreamResponse:
        self.seen.in_flight += 1
        self.seen.most_in_flight = max(self.seen.most_in_flight, self.seen.in_flight)
        try:
            if self._key is not None and shape.key_of(request) != self._key:
                return shape.error(401, "invalid_api_key", "Incorrect API key provided")
            try:
                asked = await reader(request)
            except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                return shape.error(400, "invalid_request_error", f"The request cannot be read: {error!r}")
            model = self._models.get(asked.model)
            if model is None:
                return self._refuse_unknown(shape, asked)
            if not self._let_through():
                self.seen.faults["rpm"] += 1
                return shape.error(429, "rate_limit_exceeded", "Rate limit reached", {"retry-after": "1"})
            fault = self._draw_fault()
            if fault is not None:
                self.seen.faults[fault] += 1
            if fault in ("rate_limited", "unavailable", "dropped", "stalled", "blocked"):
                return await self._fail(request, shape, asked, fault)
            await self._wait()
            response = await model.call(self._add_labels(asked.request))
            if fault is None:
                self.seen.answers[asked.digest] += 1
            return await _spoil(request, shape.answer(request.path, asked, response), fault)
        finally:
            self.seen.in_flight -= 1

    async def _answer_in_job(self, shape: Shape, path: str, asked: Asked) -> web.Response:
        """The answer to a request of a batch job, with those faults that an answer can show."""
        model = self._models.get(asked.model)
        if model is None:
            return self._refuse_unknown(shape, asked)
        fault = self._draw_fault()
        if fault in TOLD:
            self.seen.faults[fault] += 1
            return self._tell_fault(path, shape, asked, fault)
        self.seen.answers[asked.digest] += 1
        return shape.answer(path, asked, await model.call(self._add_labels(asked.request)))

    def _refuse_unknown(self, shape: Shape, asked: Asked) -> web.Response:
        known = ", ".join(self._models)
        return shape.error(404, "model_not_found", f"The model {asked.model!r} does not exist; models are {known}")

    def _let_through(self) -> bool:
        if self._rpm is None:
            return True
        now = time.monotonic()
        while self._arrivals and self._arrivals[0] < now - self._window_s:
            self._arrivals.popleft()
        if len(self._arrivals) >= self._rpm * self._window_s / 60:
            return False
        self._arrivals.append(now)
        return True

    def _draw_fault(self) -> str | None:
        draw = self._random.random()
        for name in FAULTS:
            draw -= getattr(self.faults, name)
            if draw < 0:
                return name
        return None

    async def _fail(self, request: web.Request, shape: Shape, asked: Asked, fault: str) -> web.StreamResponse:
        if fault in TOLD:
            return self._tell_fault(request.path, shape, asked, fault)
        if fault == "stalled":
            await anyio.sleep(self._stall_s)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    def _tell_fault(self, path: str, shape: Shape, asked: Asked, fault: str) -> web.Response:
        """A fault that an answer shows."""
        if fault == "rate_limited":
            headers = {"retry-after-ms": str(round(self._retry_after * 1000))}
            return shape.error(429, "rate_limit_exceeded", "Slow down (simulated)", headers)
        if fault == "unavailable":
            return shape.error(503, "server_error", "Overloaded (simulated)")
        return shape.answer(path, asked, Response(finish="blocked", block=Block("request", (("simulated", "high"),))))

    async def _wait(self) -> None:
        if self._latency:
            factor = self._random.lognormvariate(0, self._sigma) if self._sigma else 1.0
            await anyio.sleep(self._latency * factor)

    def _add_labels(self, request: Request) -> Request:
        labels = self._labels.get(_content(request))
        return replace(request, labels=labels) if labels else request


def _labels(dataset: Dataset) -> dict[str, dict[str, str]]:
    """Task and category by the content of a request for the item."""
    labels: dict[str, dict[str, str]] = {}
    for item in dataset.items():
        image = Image.from_bytes(dataset.images.bytes_of(item.image)) if item.image is not None else None
        request = build_generation_request(item, image, Sampling(), 0)
        labels.setdefault(_content(request), dict(request.labels))
    return labels


def _content(request: Request) -> str:
    return digest_of(json.dumps([request.kind, request.text, [image.digest for image in request.images]]).encode())


async def _spoil(request: web.Request, whole: web.Response, fault: str | None) -> web.StreamResponse:
    """The answer, possibly cut short or damaged by a fault."""
    if fault == "malformed":
        return web.Response(text='{"choices": [{"message": ', content_type="application/json")
    if fault != "truncated":
        return whole
    body = whole.body
    assert isinstance(body, bytes)
    answer = web.StreamResponse(headers={"content-length": str(len(body)), "content-type": "application/json"})
    await answer.prepare(request)
    with suppress(ConnectionError):
        await answer.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return answer


@asynccontextmanager
async def open_server(simulator: Simulator, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve until the block ends; yields the base URL, such as `http://127.0.0.1:8900/v1`. Raises OSError for a taken port."""
    runner = web.AppRunner(simulator.app(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=4096)
        await site.start()
        bound = runner.addresses[0][1]
        yield f"http://{host}:{bound}/v1"
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
