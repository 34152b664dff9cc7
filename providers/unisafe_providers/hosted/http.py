"""What every hosted provider shares: one HTTP client (transport.py), a key that never leaves, errors by name.

The layers of option and model copies that vendors' packages put above such a client are left out: that halves the CPU of a call
and more (benchmarks/cpu_per_call.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import ClassVar, Self, TypedDict, Unpack

import anyio
import httpx2
import orjson

from unisafe_providers.anatomy import attach_partial, decode_base64_image, is_data_url
from unisafe_providers.base import (
    Capabilities,
    Image,
    Kind,
    Limits,
    Malformed,
    Misconfigured,
    ProviderError,
    Rejected,
    Request,
    Response,
    Transient,
)
from unisafe_providers.environment import check_proxies, proxy_of, wants_credentials
from unisafe_providers.hosted.accepted import LEAVABLE, Accepted, describe_refusals
from unisafe_providers.hosted.account_failures import KEY_ADVICE
from unisafe_providers.hosted.additions import NO_KEY, Additions, Cutter, build_form
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes, find_error, find_usage, parse_body, parse_error_body
from unisafe_providers.hosted.downloads import Downloads
from unisafe_providers.hosted.failures import read_error
from unisafe_providers.hosted.flattened import flatten
from unisafe_providers.hosted.listing import PAGES, find_next_page, is_unlistable, read_names
from unisafe_providers.hosted.network_failures import FAILURES, explain_failure
from unisafe_providers.hosted.parameters import find_refused_parameter
from unisafe_providers.hosted.rate_headers import limits_of
from unisafe_providers.hosted.recording_client import open_client
from unisafe_providers.hosted.rewritten import find_rewritten
from unisafe_providers.hosted.transport import Reply as Reply
from unisafe_providers.hosted.transport import write_address
from unisafe_providers.hosted.usage import add_cost, usage_of
from unisafe_providers.images import Fitting, ImageLimits

File = tuple[str, tuple[str, bytes, str]]
Field = tuple[None, str] | tuple[str, bytes, str]
"""A part of a form: words, or a file."""
SETTINGS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("temperature", ("temperature",), "temperature"),
    ("top_p", ("top_p", "topP"), "top_p"),
    ("seed", ("seed", "random_seed"), "seed"),
    ("max_tokens", ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "maxTokens"), "max_tokens"),
    (
        "size",
        ("size", "aspectRatio", "aspect_ratio", "width", "height", "image_size", "resolution"),
        "generation.image_size",
    ),
)
"""Fields of a request that bench.toml sets, their names on the wires, and the key in bench.toml."""
Make = Callable[[Request], Awaitable[Json]]
Read = Callable[[Json], Response]
Files = Callable[[Request], Awaitable[list[File]]]
TAKEN = frozenset({200, 201, 202, 246})
"""Statuses of an answer, and of a job that was taken; Portkey answers 246 where a guardrail found something and let it pass."""
LESSONS = 6
"""How many parameters one request may lose and be sent again; this stops an endpoint that takes neither of two names."""
DOWNLOADS = 3
"""How often we try to fetch a picture that was made and paid for."""
DOWNLOAD_PAUSE = 1.0
"""Seconds between these tries; each pause is longer than the one before."""


class HostedOptions(TypedDict, total=False):
    """The keyword arguments of every hosted provider.

    timeout: seconds for one call, from connecting to the last byte; 120 unless told.
    max_connections: connections kept open at most; 64 unless told.
    extra: further keys for every body; they are part of `identity`.
    extra_by_kind: further keys for bodies of one kind of request; they replace those of `extra` and are part of `identity`.
    more_headers: further headers of every call; they are part of `identity`.
    secret_headers: further headers whose values are never shown, stored or part of `identity`.
    title: what people call the vendor, for messages.
    images: the limits of images that it takes; other images are made to fit, and `notes` says so.
    structured: whether a request's schema is sent; if an endpoint refuses it, later requests go without it.
    direct: whether proxies of the environment are left out, as for a server that the run started here.
    """

    timeout: float
    max_connections: int
    extra: Mapping[str, object] | None
    extra_by_kind: Mapping[Kind, Mapping[str, object]]
    more_headers: Mapping[str, str]
    secret_headers: Mapping[str, str]
    title: str
    images: ImageLimits | None
    structured: bool
    direct: bool


class HostedProvider:
    """One model at an HTTP endpoint; a vendor's class adds `_answer` and its own limits.

    Args:
        model: its name at the endpoint.
        base_url: the address that every path is appended to.
        api_key: never part of `identity`, and removed from every error message; an empty key is not sent.
        headers: sent with every call, such as the one that carries the key.
        capabilities: what the model takes and gives.
        query: the end of every address, such as `?api-version=2024-10-21`.
        options: HostedOptions.
    """

    TITLE = "the endpoint"

    LIST_QUERY = ""
    """Query for a first page of the list of models that is as long as possible."""

    LIST_CURSOR = "after"
    """Name of the query parameter that asks for the next page, with the last model of this page."""

    NAMES: ClassVar[Mapping[str, str]] = {}
    """The protocol's own names of parameters, if they differ from ours."""

    EXTRA_IN = ""
    """The table of a body that the user's keys go into, such as `input`; empty for the body itself."""

    def __init__(
        self,
        identity: str,
        model: str,
        base_url: str,
        api_key: str,
        headers: Mapping[str, str],
        capabilities: Capabilities,
        *,
        query: str = "",
        **options: Unpack[HostedOptions],
    ) -> None:
        images = options.get("images")
        added = Additions(
            options.get("extra") or {},
            options.get("extra_by_kind", {}),
            options.get("more_headers", {}),
            options.get("secret_headers", {}),
        )
        self.model = model
        self.title = options.get("title", self.TITLE)
        self.base_url = base_url.rstrip("/")
        self.capabilities = capabilities
        self.reported = Limits()
        self.identity = identity + added.identity
        if not api_key.isascii() or not api_key.isprintable():
            raise Misconfigured("the key holds a character that no HTTP header can; check the variable named by `key_env`")
        self._added = added
        self._keyed = api_key not in ("", NO_KEY)
        self._keyless = Cutter(api_key, *added.secrets.values())
        self._own_headers = added.merge_headers(headers)
        self._timeout = options.get("timeout", 120.0)
        self._max_connections = options.get("max_connections", 64)
        self._query = query
        self._direct = options.get("direct", False)
        self._fitting = Fitting(self.title, images) if images is not None else None
        self._accepted = Accepted(options.get("structured", True), self.NAMES)
        self._told_of: list[str] = []
        self._answered = False
        self._authorizes = type(self)._authorize is not HostedProvider._authorize

    @property
    def notes(self) -> list[str]:
        """Changes to requests that the user should know: images made to fit, parameters that the model does not take."""
        changed = self._fitting.notes if self._fitting is not None else []
        return [*self._told_of, *changed]

    async def __aenter__(self) -> Self:
        try:
            httpx2.URL(self.base_url)
        except (httpx2.InvalidURL, ValueError) as error:
            raise Misconfigured(f"base_url {self.base_url} is no address: {error}") from None
        if not self._direct:
            check_proxies(self.base_url)
        self._urls: dict[str, str] = {}
        self._headers = httpx2.Headers({**self._own_headers, "content-type": "application/json"})
        self._http = open_client(
            self.base_url,
            self._headers,
            timeout=self._timeout,
            max_connections=self._max_connections,
            direct=self._direct,
            hide=self._keyless,
        )
        self._extensions = self._http.extensions
        self._downloads = Downloads(self.base_url, timeout=self._timeout, direct=self._direct, reached=lambda: self._http.reached)
        if self._http.detour:
            self._tell(f"requests to {self.title} go through httpx2 and cost more CPU, because of {self._http.detour}")
        await self._http.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with anyio.CancelScope(shield=True):
            await self._downloads.close()
            await self._http.__aexit__(None, None, None)

    async def call(self, request: Request) -> Response:
        self.capabilities.check(request)
        started = time.perf_counter()
        try:
            request = await self.fit_request(request)
            async with asyncio.timeout(self._timeout):
                response = await self._answer(request)
            response = replace(response, latency=time.perf_counter() - started)
            return await self._fetch_pictures(response, image_due=request.image_due)
        except FAILURES as error:
            raise self._explain_network_failure(error) from None

    async def fit_request(self, request: Request) -> Request:
        """`request` with images that the vendor takes. Raises Rejected for too many images, or for one that cannot be read."""
        return await self._fitting.fit(request) if self._fitting is not None and request.images else request

    async def _exchange(
        self, request: Request, path: str, make: Make, read: Read, *, wire: str = "", files: Files | None = None
    ) -> Response:
        """Ask; if the endpoint refuses a parameter, ask again without it, and never send it again.

        Args:
            make: builds the body of a request.
            read: reads the body of an answer.
            wire: the protocol, for words that only its vendor uses.
            files: builds what goes beside the body in a form.
        """
        found = await self._send_accepted(request, path, make, wire=wire, files=files)
        return found if isinstance(found, Response) else self._read(*found, read, wire)

    async def _send_accepted(
        self, request: Request, path: str, make: Make, *, wire: str = "", files: Files | None = None
    ) -> tuple[Reply, Request] | Response:
        """The endpoint's answer, with the request as the endpoint took it; or the block or refusal that an error means."""
        for number in range(LESSONS + 1):
            accepted = self._accepted
            sent = accepted.of(request)
            body_sent, files_sent = await make(sent), await files(sent) if files is not None else None
            answer = await self._post(path, body_sent, files_sent, kind=request.kind)
            if answer.status in TAKEN:
                return answer, sent
            with catch_odd_shapes():
                body = parse_error_body(answer.content)
            if number == LESSONS or not self._learn_refusal(answer.status, body, sent, accepted):
                return self._read_error(answer.status, body, answer.headers, sent, wire)
        raise AssertionError

    def _read(self, answer: Reply, request: Request, read: Read, wire: str) -> Response:
        """The answer in a body that came with a status of success; an error in the body counts, whatever else the body holds."""
        body = parse_body(answer.content)
        wrong = self._find_error(body)
        if wrong is None:
            try:
                with catch_odd_shapes():
                    response = read(body)
                if request.image_due:
                    self._note_rewriting(body, request)
                return add_cost(response, answer.headers)
            except ProviderError as error:
                error.answered = True
                usage = usage_of(find_usage(body))
                error.usage = error.usage or (usage if usage.reported else None)
                if not isinstance(error, Malformed) or not self._names_failure(body, answer.headers, request):
                    raise
                wrong = body
        with attach_partial(_read_partial(body, read)):
            return self._read_error(200, wrong, answer.headers, request, wire)

    def _note_rewriting(self, body: object, request: Request) -> None:
        """Say for the end of the run that the vendor draws from other words than were asked, if an answer gives them back."""
        key = find_rewritten(body, request.text)
        if key:
            self._tell(f"{self.title} drew from rewritten prompts: its answers give others back than were sent ({key})")

    def _find_error(self, body: Json) -> Json | None:
        """The error inside a body that came with status 200."""
        return find_error(body)

    def _names_failure(self, body: Json, headers: Mapping[str, str], request: Request) -> bool:
        """Whether a body without an answer holds an error in another place, such as `base_resp`, or `code` and `message`."""
        with catch_odd_shapes():
            found = read_error(self.title, 200, body, headers, self.model, sent=(request.system, request.text))
        return not isinstance(found, Transient)

    def _learn_refusal(self, status: int, body: object, sent: Request, by: Accepted) -> bool:
        """Note a refused parameter; whether `sent`, which was built `by` older knowledge, would now be built differently."""
        unset = [name for name in LEAVABLE if getattr(sent, name) is None]
        refusal = find_refused_parameter(status, flatten(body, (sent.system, sent.text)), unset=unset)
        if refusal is None:
            return False
        before = self._accepted
        self._accepted = before.without(refusal, sent)
        self._told_of += [note for note in describe_refusals(self.model, self._accepted, before, sent) if note not in self._told_of]
        return self._accepted != by and by.without(refusal, sent) != by

    async def models(self) -> list[str]:
        """The endpoint's models by name, from all pages of its list. Raises what `call` raises, and Rejected if it lists none."""
        url = self._locate_list()
        names: dict[str, None] = {}
        with self._catch_network_errors(), anyio.fail_after(self._timeout):
            for _ in range(PAGES):
                answer = await self._get(url)
                if answer.status != 200:
                    raise self._build_listing_error(answer)
                page, before = parse_error_body(answer.content), len(names)
                with catch_odd_shapes():
                    names.update(dict.fromkeys(read_names(page)))
                    following = find_next_page(page, url, self.LIST_CURSOR)
                if following is None or len(names) == before:
                    break
                url = following
        return list(names)

    def _locate_list(self) -> str:
        """The address of the list of models."""
        return f"{self.base_url}/models{self._query or self.LIST_QUERY}"

    def _build_listing_error(self, answer: Reply) -> ProviderError:
        """What a status other than 200 means when we list models: a missing list is no mistake."""
        body = parse_error_body(answer.content)
        if is_unlistable(answer.status, body):
            return Rejected(f"{answer.status}")
        return self._build_error(answer.status, body, answer.headers)

    def _build_error(self, status: int, body: object, headers: Mapping[str, str]) -> ProviderError:
        """The error for a status when the model itself is not asked: no filter is involved then."""
        found = read_error(self.title, status, body, headers, self.model)
        return Rejected(f"{status}: {found.reason}") if isinstance(found, Response) else self._advise_on_key(found)

    def _read_error(
        self,
        status: int,
        body: object,
        headers: Mapping[str, str],
        request: Request | None = None,
        wire: str = "",
        *,
        ran: bool = False,
    ) -> Response:
        """The block or refusal that an error means; any other error is raised, with its usage. `ran`: of a job that had begun."""
        sent = (request.system, request.text) if request is not None else ()
        settings = self._list_settings(request) if request is not None else {}
        with catch_odd_shapes():
            found = read_error(self.title, status, body, headers, self.model, sent=sent, settings=settings, wire=wire, ran=ran)
            usage = usage_of(find_usage(body))
        if isinstance(found, Response):
            return replace(found, usage=usage)
        found = self._advise_on_key(found)
        if usage.reported:
            found.usage = usage
        raise found

    def _advise_on_key(self, found: ProviderError) -> ProviderError:
        """The error; of a refused key, with the place in bench.toml that it came from, or that none was sent."""
        if self._keyed or self._authorizes or not isinstance(found, Misconfigured) or KEY_ADVICE not in str(found):
            return found
        names = [f"headers_env.{name}" for name in self._added.secrets]
        advice = f"check the variable of {' and '.join(names)}" if names else "no key was sent: name its variable in `key_env`"
        return Misconfigured(str(found).replace(KEY_ADVICE, advice), needs=found.needs, doubtful=found.doubtful)

    def _list_settings(self, request: Request) -> dict[str, str]:
        """The values that bench.toml sets in a request: the name on the wire and the key of bench.toml."""
        keys = {name: key for field, names, key in SETTINGS if getattr(request, field) is not None for name in names}
        return keys | self._added.list_places(request.kind)

    @contextmanager
    def _catch_network_errors(self) -> Iterator[None]:
        """Turns errors of the network into ProviderErrors."""
        try:
            yield
        except FAILURES as error:
            raise self._explain_network_failure(error) from None

    def _explain_network_failure(self, error: Exception) -> ProviderError:
        return explain_failure(error, self.base_url, self._timeout, hide=self._keyless, answered=self._answered)

    def _tell(self, note: str) -> None:
        """Keep a note for the end of the run, once."""
        if note not in self._told_of:
            self._told_of.append(note)

    async def _answer(self, request: Request) -> Response:
        """The vendor's way to ask; `call` turns errors of the network into ProviderErrors."""
        raise NotImplementedError

    async def _authorize(self, method: str, url: str, body: bytes) -> Mapping[str, str]:
        """Headers of one call, such as a signature or a token that is renewed; they replace those of the same name.

        `url` and `body` are what is sent, byte for byte. A class that has one header for all calls gives it to `__init__`.
        """
        return {}

    async def _post(self, path: str, body: Json, files: list[File] | None = None, *, kind: Kind = "chat") -> Reply:
        """Send `body`, for a request of `kind`, as JSON, or as a form with `files`."""
        body = self._add_extra(body, kind)
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = write_address(f"{self.base_url}/{path}{self._query}")
        if files is None:
            content = orjson.dumps(body)
            more = await self._authorize("POST", url, content) if self._authorizes else None
            answer = self._receive(await self._http.post_json(url, content, more))
        else:
            parts: list[tuple[str, Field]] = [*build_form(body), *files]  # so it is a form of parts even without a file
            request = httpx2.Request("POST", url, files=parts, headers=self._own_headers, extensions=self._extensions)
            await request.aread()
            answer = await self._send(request)
        if answer.tells_limits:
            self.reported = limits_of(answer.headers)
        return answer

    def _add_extra(self, body: Json, kind: Kind) -> Json:
        """`body` with the user's keys, where the protocol has a place for them."""
        if not self.EXTRA_IN:
            return self._added.merge_body(body, kind)
        return {**body, self.EXTRA_IN: self._added.merge_body(body.get(self.EXTRA_IN, {}), kind)}

    async def _get(self, url: str) -> Reply:
        """What an address of the vendor's own answers; the key goes there."""
        return await self._send(httpx2.Request("GET", url, headers=self._own_headers, extensions=self._extensions))

    async def _send(self, request: httpx2.Request) -> Reply:
        """Send through httpx2, and read the whole answer. Raises Malformed for one of more than MAX_BYTES."""
        if self._authorizes:
            url = write_address(str(request.url))
            request.headers.update(await self._authorize(request.method, url, request.content))
        return self._receive(await self._http.exchange(request))

    def _receive(self, answer: Reply) -> Reply:
        """The answer without the key; an error's headers are without it too."""
        if answer.status == 407:
            raise wants_credentials(proxy_of(self.base_url))
        self._answered = True
        headers = answer.headers
        if answer.status != 200:
            headers = {name: self._keyless(value.encode()).decode() for name, value in headers.items()}
        return Reply(answer.status, headers, self._keyless(answer.content), answer.tells_limits)

    def _fetch_picture(self, url: object) -> Image:
        """A picture from base64 or a data URL, or by its address; by address it has no digest until it is fetched."""
        if isinstance(url, str) and url.lstrip()[:8].lower().startswith(("http://", "https://")):
            return Image("", "", partial(self._download_noted, url.strip()))
        if isinstance(url, str) and ":" in url and not is_data_url(url):
            raise Malformed("the endpoint answered with an image at no web address")
        return decode_base64_image(url)

    async def _fetch_pictures(self, response: Response, *, image_due: bool = True) -> Response:
        """`response` with the pictures that the endpoint keeps at an address; each is tried three times.

        Raises Rejected if one cannot be fetched: it was paid for, so this run does not have it made again. If no picture was due,
        it is left out.
        """
        if all(image.digest for image in response.images):
            return response
        with attach_partial(replace(response, images=())):
            images = []
            for image in response.images:
                try:
                    images.append(image if image.digest else await self._try_fetch(image))
                except Rejected:
                    if image_due:
                        raise
        return replace(response, images=tuple(images))

    async def _try_fetch(self, image: Image) -> Image:
        for number in range(1, DOWNLOADS + 1):
            try:
                with anyio.fail_after(self._timeout):
                    return Image.from_bytes(await image.read())
            except Rejected as error:
                raise Rejected(f"the image was made and paid for, but {error}") from None
            except (Transient, TimeoutError) as error:
                if number == DOWNLOADS:
                    why = str(error) or f"nothing came within {self._timeout:g} s"
                    raise Rejected(f"the image was made and paid for, but {why}, {DOWNLOADS} times") from None
                await anyio.sleep(number * DOWNLOAD_PAUSE)
        raise AssertionError

    async def _download_noted(self, url: str) -> bytes:
        """As `_download`; a client that records keeps the picture too."""
        data = await self._download(url)
        self._http.note_download(url, data)
        return data

    async def _download(self, url: str) -> bytes:
        """The bytes at an address; the key is not sent there. Raises Rejected for an address that pictures are not fetched from."""
        return await self._downloads.fetch(url)


def _read_partial(body: Json, read: Read) -> Response:
    """The content of a body beside its error, and its usage."""
    try:
        with catch_odd_shapes():
            return read(body)
    except ProviderError as error:
        return error.partial or Response(usage=error.usage or usage_of(find_usage(body)))
