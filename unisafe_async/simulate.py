"""`unisafe simulate`: the simulated models over HTTP in the OpenAI shape, with faults on demand: to rehearse limits."""

from __future__ import annotations

import base64
import json
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields, replace

import anyio
from aiohttp import web

from providers.base import Capabilities, Image, Part, Request, Response, Text, digest_of
from providers.http import media_type_of
from providers.simulated import PROFILES, Profile, Simulated
from unisafe_async.dataset import Dataset

ALL = Capabilities(image_in=True, image_out=True, edit=True)
Reader = Callable[[web.Request], Awaitable[tuple[str, Request, str]]]
MAX_BODY = 256 * 1024 * 1024


@dataclass(frozen=True)
class Faults:
    """Shares of requests, between 0 and 1, that meet a fault; at most one fault a request.

    Args:
        rate_limited: 429 with `retry-after-ms`.
        unavailable: 503.
        dropped: the connection is closed without an answer.
        stalled: no answer for `stall_s` seconds.
        truncated: the body ends early.
        malformed: 200 with a body that is no JSON.
        blocked: 400 with code `content_filter`.
    """

    rate_limited: float = 0.0
    unavailable: float = 0.0
    dropped: float = 0.0
    stalled: float = 0.0
    truncated: float = 0.0
    malformed: float = 0.0
    blocked: float = 0.0


FAULTS = tuple(field.name for field in fields(Faults))


@dataclass
class Seen:
    """What the server was asked: answers given by body digest, faults by name, and the most requests at a time."""

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
        dataset: tells which task and category a request belongs to, for profiles whose rates differ by them.
        faults, retry_after, stall_s: what goes wrong, and how long a 429 and a stall last, in seconds.
        rpm: requests a minute that are let through, over a sliding window of `window_s` seconds; None for no limit.
        latency: seconds an answer takes (lognormal around it with `sigma`).
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
        profiles: Mapping[str, Profile] | None = None,
        key: str | None = None,
        seed: int = 0,
    ) -> None:
        self.faults = faults or Faults()
        self.seen = Seen()
        self._retry_after, self._stall_s = retry_after, stall_s
        self._rpm, self._window_s = rpm, window_s
        self._latency, self._sigma = latency, sigma
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
        app.router.add_get("/v1/models", self._list)
        app.router.add_get("/stats", self._stats)
        app.router.add_post("/v1/chat/completions", self._answering(self._chat))
        app.router.add_post("/v1/images/generations", self._answering(self._image))
        app.router.add_post("/v1/images/edits", self._answering(self._edit))
        return app

    def _answering(self, reader: Reader) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            return await self._answer(request, reader)

        return answer

    async def _list(self, _: web.Request) -> web.Response:
        models = [{"id": name, "object": "model", "owned_by": "unisafe-simulated"} for name in self._models]
        return web.json_response({"object": "list", "data": models})

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response(self.seen.stats())

    async def _answer(self, request: web.Request, reader: Reader) -> web.StreamResponse:
        self.seen.in_flight += 1
        self.seen.most_in_flight = max(self.seen.most_in_flight, self.seen.in_flight)
        try:
            if self._key is not None and request.headers.get("authorization") != f"Bearer {self._key}":
                return _error(401, "invalid_api_key", "Incorrect API key provided")
            try:
                name, asked, digest = await reader(request)
            except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                return _error(400, "invalid_request_error", f"The request cannot be read: {error!r}")
            model = self._models.get(name)
            if model is None:
                return _error(404, "model_not_found", f"The model {name!r} does not exist; models are {', '.join(self._models)}")
            if not self._let_through():
                self.seen.faults["rpm"] += 1
                return _error(429, "rate_limit_exceeded", "Rate limit reached", {"retry-after": "1"})
            fault = self._fault()
            if fault is not None:
                self.seen.faults[fault] += 1
            if fault in ("rate_limited", "unavailable", "dropped", "stalled", "blocked"):
                return await self._fail(request, fault)
            await self._delay()
            response = await model.call(asked)
            if fault is None:
                self.seen.answers[digest] += 1
            return await _send(request, response, asked.kind, name, fault)
        finally:
            self.seen.in_flight -= 1

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

    def _fault(self) -> str | None:
        draw = self._random.random()
        for name in FAULTS:
            draw -= getattr(self.faults, name)
            if draw < 0:
                return name
        return None

    async def _fail(self, request: web.Request, fault: str) -> web.StreamResponse:
        if fault == "rate_limited":
            headers = {"retry-after-ms": str(round(self._retry_after * 1000))}
            return _error(429, "rate_limit_exceeded", "Slow down (simulated)", headers)
        if fault == "unavailable":
            return _error(503, "server_error", "Overloaded (simulated)")
        if fault == "blocked":
            return _error(400, "content_filter", "The prompt was stopped by the content filter (simulated)")
        if fault == "stalled":
            await anyio.sleep(self._stall_s)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def _delay(self) -> None:
        if self._latency:
            factor = self._random.lognormvariate(0, self._sigma) if self._sigma else 1.0
            await anyio.sleep(self._latency * factor)

    # -------------------------------------------------------- from the wire to a Request

    async def _chat(self, request: web.Request) -> tuple[str, Request, str]:
        raw = await request.read()
        body = json.loads(raw)
        system = "\n".join(str(one["content"]) for one in body["messages"] if one["role"] == "system")
        parts: list[Part] = []
        for message in body["messages"]:
            if message["role"] == "user":
                content = message["content"]
                parts += [Text(content)] if isinstance(content, str) else [_part(one) for one in content]
        kind = "chat"
        if "image" in (body.get("modalities") or []):
            kind = "edit" if any(isinstance(part, Image) for part in parts) else "image"
        form = body.get("response_format") or {}
        schema = (str(form["json_schema"]["name"]), json.dumps(form["json_schema"]["schema"])) if "json_schema" in form else None
        asked = Request(kind, tuple(parts), system=system, seed=body.get("seed"), schema=schema)  # type: ignore[arg-type]
        return str(body["model"]), self._labelled(asked), digest_of(raw)

    async def _image(self, request: web.Request) -> tuple[str, Request, str]:
        raw = await request.read()
        body = json.loads(raw)
        return (
            str(body["model"]),
            self._labelled(Request("image", (Text(str(body["prompt"])),), seed=body.get("seed"))),
            digest_of(raw),
        )

    async def _edit(self, request: web.Request) -> tuple[str, Request, str]:
        form = await request.post()
        images = []
        for name, value in form.items():
            if name.startswith("image") and isinstance(value, web.FileField):
                data = value.file.read()
                images.append(Image.from_bytes(data, media_type_of(data)))
        seed = int(str(form["seed"])) if "seed" in form else None
        asked = Request("edit", (*images, Text(str(form["prompt"]))), seed=seed)
        return str(form["model"]), self._labelled(asked), digest_of(asked.canonical + str(form["model"]).encode())

    def _labelled(self, request: Request) -> Request:
        labels = self._labels.get(_content(request))
        return replace(request, labels=labels) if labels else request


def _labels(dataset: Dataset) -> dict[str, dict[str, str]]:
    """Task and category by what a request for the item holds."""
    from unisafe_async.jobs import Sampling, generation_request

    labels: dict[str, dict[str, str]] = {}
    for item in dataset.items():
        image = dataset.images.identify(item.image) if item.image is not None else None
        request = generation_request(item, image, Sampling(), 0)
        labels.setdefault(_content(request), dict(request.labels))
    return labels


def _content(request: Request) -> str:
    return digest_of(json.dumps([request.kind, request.text, [image.digest for image in request.images]]).encode())


def _part(content: Mapping[str, object]) -> Part:
    if content["type"] == "text":
        return Text(str(content["text"]))
    url = str(content["image_url"]["url"])  # type: ignore[index]
    head, _, data = url.partition(";base64,")
    return Image.from_bytes(base64.b64decode(data), head.removeprefix("data:"))


def _error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"message": message, "type": code, "code": code}}, status=status, headers=headers)


async def _send(request: web.Request, response: Response, kind: str, model: str, fault: str | None) -> web.StreamResponse:
    """A Response in the OpenAI shape, or cut short or spoilt by a fault."""
    chat = request.path.endswith("/chat/completions")
    if fault == "malformed":
        return web.Response(text='{"choices": [{"message": ', content_type="application/json")
    if response.finish == "blocked" and (not chat or model.endswith("judge")):
        return _error(400, "content_policy_violation", "Rejected by the content policy (simulated)")
    if not chat and response.text and not response.images:
        return web.json_response({"created": 1, "data": [], "usage": _usage(response)})
    body = json.dumps(_chat_body(response, model) if chat else _image_body(response)).encode()
    if fault != "truncated":
        return web.Response(body=body, content_type="application/json")
    answer = web.StreamResponse(headers={"content-length": str(len(body)), "content-type": "application/json"})
    await answer.prepare(request)
    with suppress(ConnectionError):
        await answer.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return answer


def _chat_body(response: Response, model: str) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": response.text}
    if response.finish == "refused":
        message |= {"content": None, "refusal": response.text}
    if response.images:
        message["images"] = [
            {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{_encoded(image)}"}}
            for image in response.images
        ]
    finish = {"blocked": "content_filter", "length": "length"}.get(response.finish, "stop")
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return {
        "id": "simulated",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [choice],
        "usage": _usage(response),
    }


def _image_body(response: Response) -> dict[str, object]:
    return {"created": 1, "data": [{"b64_json": _encoded(image)} for image in response.images], "usage": _usage(response)}


def _encoded(image: Image) -> str:
    assert isinstance(image.source, bytes)
    return base64.b64encode(image.source).decode()


def _usage(response: Response) -> dict[str, int]:
    usage = response.usage
    return {
        "prompt_tokens": usage.tokens_in,
        "completion_tokens": usage.tokens_out,
        "total_tokens": usage.tokens_in + usage.tokens_out,
    }


@asynccontextmanager
async def serving(simulator: Simulator, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
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
