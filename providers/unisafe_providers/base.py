"""The vocabulary every layer shares: a request, a response, a provider and what can go wrong.

Read this page first. A provider is one model behind one async call; about twenty lines make a new one (docs/providers.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self, TypeGuard, runtime_checkable

import orjson

from unisafe_providers.errors import UnisafeError

Kind = Literal["chat", "image", "edit"]
Finish = Literal["stop", "length", "refused", "blocked"]
Stage = Literal["request", "response"]
Need = Literal["images in", "images out"]
ImageSource = bytes | Path | Callable[[], Awaitable[bytes]]


# ---------------------------------------------------------------- what is asked


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text in a prompt, without lone surrogates (`clean`)."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image, identified by the digest of its bytes; `source` says where the bytes are and is not part of its identity.

    `mended` describes what is done to a model's picture before anybody sees it (unisafe_providers/pictures.py). It is empty for a
    sound picture, and None if nobody has looked yet.
    """

    digest: str
    media_type: str
    source: ImageSource = field(compare=False, repr=False)
    mended: str | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_bytes(cls, data: bytes, media_type: str = "image/png") -> Image:
        return cls(digest_of(data), media_type, data)

    @property
    def file_name(self) -> str:
        """A name for uploads, such as `image.png`."""
        return f"image.{self.media_type.rsplit('/', 1)[-1]}"

    async def read(self) -> bytes:
        """The image file's bytes. Raises OSError if the file is gone."""
        if isinstance(self.source, bytes):
            return self.source
        if isinstance(self.source, Path):
            from anyio import to_thread

            return await to_thread.run_sync(self.source.read_bytes)
        return await self.source()


Part = Text | Image


@dataclass(frozen=True)
class Request:
    """One call, immutable; two requests are the same call exactly when their `canonical` bytes are equal.

    Args:
        kind: `chat` (text and images in, text out), `image` (text in, image out) or `edit` (image and text in, image out).
        parts: the user's turn, in order.
        system: instructions before the user's turn; empty for none.
        max_tokens: the most tokens to generate; None leaves it to the endpoint. Chat only.
        temperature, top_p, seed: sampling; None leaves them to the endpoint.
        size: `WIDTHxHEIGHT` in pixels, for images; None leaves it to the endpoint.
        schema: name and JSON schema (as canonical text) that the answer should follow, if the endpoint supports that.
        sample: the number of the repeat, from 0; it keeps repeats apart in the cache.
        labels: the caller's own words for the request, by name: never sent, and no part of the identity. A provider of the caller's
            own may read them.
    """

    kind: Kind
    parts: tuple[Part, ...]
    _: KW_ONLY
    system: str = ""
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    size: str | None = None
    schema: tuple[str, str] | None = None
    sample: int = 0
    labels: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def canonical(self) -> bytes:
        """The bytes that identify this request: JSON with sorted keys, absent parameters left out, images by digest."""
        parts = [
            {"text": part.text} if isinstance(part, Text) else {"image": part.digest, "type": part.media_type}
            for part in self.parts
        ]
        content: dict[str, object] = {"kind": self.kind, "parts": parts, "sample": self.sample}
        if self.system:
            content["system"] = self.system
        for name in ("max_tokens", "temperature", "top_p", "seed", "size", "schema"):
            value = getattr(self, name)
            if value is not None:
                content[name] = float(value) if name in ("temperature", "top_p") else value
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)

    @property
    def text(self) -> str:
        """All text of the user's turn, joined by newlines."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def images(self) -> tuple[Image, ...]:
        return tuple(part for part in self.parts if isinstance(part, Image))

    @property
    def image_due(self) -> bool:
        """Whether the request asks for an image."""
        return self.kind != "chat"

    @property
    def needs(self) -> frozenset[Need]:
        """What an endpoint must be able to do beyond text to answer this."""
        needs: set[Need] = {"images in"} if self.images else set()
        return frozenset(needs | {"images out"} if self.image_due else needs)


def clean(text: str) -> str:
    """`text` with `?` for each lone surrogate, because UTF-8 (on a wire, in a column) cannot hold one."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def digest_of(data: bytes) -> str:
    """BLAKE2b of `data`, 128 bits, in hexadecimal: how images, requests and datasets are named."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


# ---------------------------------------------------------------- what comes back


@dataclass(frozen=True, slots=True)
class Usage:
    """What one call used: tokens in and out, images made, and its cost in US dollars if the provider reports it.

    `reported` is False if the endpoint reported no tokens, or numbers that make no sense: then an estimate is billed.
    """

    tokens_in: int = 0
    tokens_out: int = 0
    _: KW_ONLY
    images: int = 0
    cost: float | None = None
    reported: bool = True


@dataclass(frozen=True, slots=True)
class Block:
    """What a platform's content filter reported when it stopped a request or a response.

    Args:
        stage: whether it stopped the request, before the model answered, or the response.
        categories: the vendor's own names of the harm categories that were hit, each with the vendor's severity or probability
            (empty if it gives none), such as `(("violence", "high"),)`.
    """

    stage: Stage
    categories: tuple[tuple[str, str], ...] = ()


INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\x00 \t\r\n"
"""Characters that show nothing but are no white space for Python: joiners, a byte order mark, NUL."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. A block is an answer too (`finish="blocked"`); the model's own refusal is another one (`"refused"`).

    Args:
        text: the model's text; for a refusal, its words.
        images: the pictures that the model drew.
        finish: why the answer ended.
        reason: the provider's own words for why, such as a content filter's category.
        latency: seconds from sending to the last byte.
        block: for a block, its stage and categories; None if they are not known.
        thoughts: the model's thoughts before its answer; they are stored and are not part of the answer.
        missing: why there is nothing to judge although nobody refused, such as an answer that came in `reasoning_content`. Such
            an answer is unjudged, and a later run asks again. Empty if there is something to judge.
        model: the name of the model that served the call, as the endpoint reports it; empty if it reports none.
        asks_again: whether a second call may bring the missing answer.
    """

    text: str = ""
    _: KW_ONLY
    images: tuple[Image, ...] = ()
    finish: Finish = "stop"
    reason: str = ""
    usage: Usage = Usage()
    latency: float = 0.0
    block: Block | None = None
    thoughts: str = ""
    missing: str = ""
    model: str = ""
    asks_again: bool = field(default=False, compare=False)

    @property
    def empty(self) -> bool:
        return not self.images and not self.text.strip().strip(INVISIBLE)


# ---------------------------------------------------------------- what can go wrong


class ProviderError(UnisafeError):
    """The root of the errors that a provider may raise; each kind below makes the gateway act in another way.

    Attributes:
        usage: what the failed call used, if its body reports it: a failed call is paid for too.
        partial: the part of the answer that came before the failure; people can look at it, and it is never judged.
        answered: whether the endpoint gave a complete answer: then the failure does not show that the endpoint is down.
        kept: the id under which `partial` is stored; the code that stores it sets this.
    """

    usage: Usage | None = None
    partial: Response | None = None
    answered: bool = False
    kept: int | None = None


class RateLimited(ProviderError):
    """The endpoint asks to slow down; `retry_after` is the number of seconds to wait, None if it gave none."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Transient(ProviderError):
    """Another try may succeed: after a dropped connection, a timeout, a 5xx, a body that does not parse.

    `retry_after` is in seconds, None if the endpoint named no time; `unreachable` says that no connection could be made.
    """

    def __init__(self, message: str, retry_after: float | None = None, unreachable: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.unreachable = unreachable


class Malformed(Transient):
    """A complete answer that cannot be read, such as a broken picture. It was paid for, so it is asked for twice at most."""


class Timeout(Transient):
    """No answer in time: another try may succeed, and the endpoint probably has too much to do."""


class Rejected(ProviderError):
    """This request will never work (too long, bad image): its item fails and the run goes on."""


class Withdrawn(ProviderError):
    """The run is stopping, and the provider gave the request up before it began: this is no failure."""


class Misconfigured(ProviderError):
    """This model will never work (wrong key, wrong name): it stops and the others go on. The message says what to change.

    Args:
        needs: set if the endpoint takes or gives no images: then only requests that need images stop.
        doubtful: whether the error may concern this request alone, as a bare 403 may. If the model has answered other requests,
            it goes on.
    """

    def __init__(self, message: str, *, needs: Need | None = None, doubtful: bool = False) -> None:
        super().__init__(message)
        self.needs = needs
        self.doubtful = doubtful


class BadEnvironment(Misconfigured):
    """A variable of the environment stops every request to this model: the message names the variable and no key of bench.toml."""


# ---------------------------------------------------------------- who answers


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do: take images in chats (`image_in`), draw from text (`image_out`), `edit` an image by text."""

    text_out: bool = True
    image_in: bool = False
    image_out: bool = False
    edit: bool = False

    def can(self, request: Request) -> bool:
        match request.kind:
            case "chat":
                return self.text_out and (self.image_in or not request.images)
            case "image":
                return self.image_out
            case "edit":
                return self.edit

    def check(self, request: Request) -> None:
        """Raises Rejected for a request that the model cannot do; a provider calls this before it sends anything."""
        if not self.can(request):
            seen = "chats with images" if request.kind == "chat" and request.images else f"{request.kind} requests"
            raise Rejected(f"the model is not declared to answer {seen} (`takes`, `gives`)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The rate limits that an endpoint reported with its last answer; None for each value that it did not report.

    Args:
        remaining_requests, remaining_tokens: how much of the current window is left.
        reset_requests, reset_tokens: seconds until it is full again.
        limit_requests, limit_tokens: how much a window holds.
        window_requests, window_tokens: seconds of that window, if the endpoint reports them; usually it is a minute.
    """

    remaining_requests: int | None = None
    remaining_tokens: int | None = None
    reset_requests: float | None = None
    reset_tokens: float | None = None
    limit_requests: int | None = None
    limit_tokens: int | None = None
    window_requests: float | None = None
    window_tokens: float | None = None


@runtime_checkable
class Provider(Protocol):
    """One model behind one async call.

    Attributes:
        identity: what tells this model from every other one in the cache: the kind of provider, the endpoint's address, the
            model's name at the endpoint and settings that change its answers. Never a key.
        capabilities: what the model takes and gives.
        reported: the rate limits that the endpoint last reported, if it reports any.
    """

    identity: str
    capabilities: Capabilities
    reported: Limits

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def call(self, request: Request) -> Response:
        """Send one request. Raises RateLimited, Transient, Rejected or Misconfigured and nothing else; does not retry."""
        ...


@runtime_checkable
class Listing(Protocol):
    """A provider that can say which models its endpoint has."""

    async def models(self) -> list[str]:
        """The names of the models; costs nothing. Raises what `call` raises, and Rejected if the endpoint has no such list."""
        ...


@runtime_checkable
class Noting(Protocol):
    """A provider that changes requests to fit its endpoint, and reports the changes.

    Attributes:
        notes: one line for each kind of change, for the end of a run.
    """

    @property
    def notes(self) -> list[str]: ...


@dataclass(slots=True, kw_only=True)
class DeviceStatus:
    """What a model on this machine is doing, for progress displays.

    Attributes:
        state: `unloaded`, `loading`, `ready` or `failed`.
        places: the devices it was loaded on.
        size: bytes of weights on disk; 0 when not known.
        load_seconds: how long loading took.
        memory_used, memory_total: bytes on its device (of several: the fullest).
        batch: requests in the current batch.
        tokens, images, busy_seconds: what the model made so far, and the seconds of work for it.
        halved: how often memory ran out and a batch was halved.
        said: the last thing that it reported, such as a line of its log or how far a download is; it is foreign text.
        heard: when it last gave a sign of life, by `time.monotonic()`; 0 for never.
        log: the file that holds what its process printed; empty if there is none.
        began: when loading began, by `time.monotonic()`; 0 where that is not known.
        patience: seconds without a sign of life after which it is ended; 0 where that is not known.
    """

    state: str = "unloaded"
    places: tuple[str, ...] = ()
    size: int = 0
    load_seconds: float = 0.0
    memory_used: int = 0
    memory_total: int = 0
    batch: int = 0
    tokens: int = 0
    images: int = 0
    busy_seconds: float = 0.0
    halved: int = 0
    said: str = ""
    heard: float = 0.0
    log: str = ""
    began: float = 0.0
    patience: float = 0.0


@runtime_checkable
class OnDevice(Protocol):
    """A provider whose model runs on a device of this machine and takes all or most of it.

    A cancelled run does not release it: the model must be gone once `__aexit__` has returned, so shield the wait for its end there.

    Attributes:
        devices: their names, such as `cuda:0` or `cpu`.
        size: bytes of weights, which is the cost of loading.
        status: what the model is doing.
    """

    devices: tuple[str, ...]
    status: DeviceStatus

    @property
    def size(self) -> int: ...

    async def release(self) -> None:
        """Give the device back; the next call takes it again."""
        ...

    def withdraw(self) -> None:
        """Give up the calls that have not begun: they raise Withdrawn, as do later calls."""
        ...


def picks_batches(provider: Provider) -> TypeGuard[OnDevice]:
    """Whether a model on this machine takes its batches from many waiting requests. A server on a device (`takes_calls = True` in
    its class) does that by itself, and is asked as any endpoint is."""
    return isinstance(provider, OnDevice) and not getattr(type(provider), "takes_calls", False)


@runtime_checkable
class Described(Protocol):
    """A provider whose model says what it is only once it is started, after its identity was needed.

    Attributes:
        expected: what it must say of itself, because the answers in the cache came from that; empty where there are none.
        described: what it said of itself, as canonical JSON; empty before it has started.
        on_described: awaited once it has said what it is, before its first answer is passed on.
    """

    expected: str
    described: str
    on_described: Callable[[], Awaitable[None]] | None


class AnsweredBefore(Protocol):
    """A provider whose answers were given before, elsewhere: it looks them up and asks nobody."""

    def addressed(self, request: Request) -> Request:
        """`request` with what tells its answer from those to other items in the same words."""
        ...


def is_answered_before(provider: Provider) -> TypeGuard[AnsweredBefore]:
    """Whether `provider` is an AnsweredBefore. It is asked for every call, and `isinstance` with a Protocol would cost some 10
    microseconds of it."""
    return callable(getattr(type(provider), "addressed", None))
