"""The checks: each is a method, and its failures begin with the method's name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from itertools import count
from typing import TypeVar

import anyio
import anyio.lowlevel

from unisafe_providers.anatomy import examine_response
from unisafe_providers.base import (
    Capabilities,
    Image,
    Provider,
    ProviderError,
    RateLimited,
    Rejected,
    Request,
    Response,
    Text,
    Transient,
)
from unisafe_providers.conformance.faults import FAULTS, KEY
from unisafe_providers.conformance.leaks import Leaks
from unisafe_providers.conformance.server import Play, Server, build_text, draw_picture, encode_body
from unisafe_providers.errors import UnisafeError
from unisafe_providers.jobs import JobsInMemory, Submitting
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.soundness import find_provider_fault, find_response_fault, find_usage_fault

T = TypeVar("T")
PATIENCE = 20.0
"""Seconds that a call may take."""
SHORT = 0.3
"""Seconds that a call may take if the endpoint stalls."""
PROMPT = 2.0
AT_ONCE = 8
ROUNDS = 3


ANATOMY = (
    ("an answer with thoughts before it", "<think>\nHm.\n</think>\n\nHello.", "Hello.", "Hm."),
    ("text that looks like a picture", "See ![a](data:image/png;base64,QUJD).", "See ![a](data:image/png;base64,QUJD).", ""),
)
"""An endpoint's words, and how a provider must read them: text and thoughts."""
NO_PICTURES = (
    ("a page", b"<!doctype html><p>Busy</p>"),
    ("half of a picture", draw_picture(0)[:-40]),
    ("nothing", b""),
)
"""Bytes in the place of a picture that are none."""


class NotConforming(UnisafeError, AssertionError):
    """A provider does not keep its contract."""


def require(holds: object, check: str, words: str) -> None:
    if not holds:
        raise NotConforming(f"{check}: {words}")


class Suite:
    """One provider under examination; `answered` holds the kinds of request that its endpoint (or the provider itself) answers."""

    def __init__(
        self,
        make: Callable[[ProviderSettings], Provider],
        server: Server | None,
        capabilities: Capabilities,
        models: tuple[str, str],
        answered: frozenset[str],
        nothing: Sequence[object] = (),
    ) -> None:
        self._make = make
        self._nothing = nothing
        self._server = server
        self._models = models
        self._answered = answered
        self._numbers = count(1)
        self._settings = ProviderSettings(
            model=models[0], capabilities=capabilities, base_url=server.url if server else None, key=KEY, timeout_s=PATIENCE
        )

    async def run(self) -> None:
        """All checks, in the order in which failures are best understood."""
        self._leaks = Leaks()
        with anyio.fail_after(300), self._leaks.watch():
            for check in (
                self.check_protocol,
                self.check_identity,
                self.check_answers,
                self.check_anatomy,
                self.check_capabilities,
                self.check_errors,
                self.check_cancellation,
                self.check_jobs,
                self.check_concurrency,
                self.check_reopening,
                self.check_leaks,
            ):
                if self._server is not None:
                    self._server.play, self._server.gather = None, 0
                await check()

    # -------------------------------------------------------- the checks

    async def check_protocol(self) -> None:
        provider = self._make(self._settings)
        wrong = find_provider_fault(provider, None)
        require(not wrong, "protocol", wrong)
        opened = await provider.__aenter__()
        await provider.__aexit__(None, None, None)
        require(opened is provider, "protocol", "__aenter__ does not return the provider itself")

    async def check_identity(self) -> None:
        async with self._open() as one, self._open() as same, self._open(model=self._models[1]) as other:
            require(one.identity == same.identity, "identity", f"two of the same settings differ: {one.identity} {same.identity}")
            require(
                one.identity != other.identity,
                "identity",
                f"the models {self._models[0]!r} and {self._models[1]!r} have the same, {one.identity!r}: they would share answers",
            )
            for text, what in ((one.identity, "it"), (repr(one), "its repr")):
                require(KEY not in text, "identity", f"{what} holds the key")
        async with self._open(key=KEY[::-1]) as rekeyed:
            require(
                rekeyed.identity == one.identity, "identity", "another key makes another model of it: answers would be paid again"
            )
        if self._server is not None:
            async with self._open(base_url=f"{self._server.url}/elsewhere") as elsewhere:
                require(elsewhere.identity != one.identity, "identity", "another base_url has the same: they would share answers")

    async def check_answers(self) -> None:
        async with self._open() as provider:
            for request in self._build_probes():
                if request.kind in self._answered and provider.capabilities.can(request):
                    before = _content(request)
                    await self._answer(provider, request, "answers")
                    require(_content(request) == before, "requests", f"the call changed its {request.kind} request")

    async def check_anatomy(self) -> None:
        """The provider's answers pass the examination that every answer passes before it is stored
        (unisafe_providers/anatomy.py).
        """
        if self._server is None:
            return
        for what, text, wanted, thoughts in ANATOMY:
            found = await self._examine("chat", self._server.body_of(text))
            if isinstance(found, Response):
                seen = (found.text, found.thoughts)
                require(seen == (wanted, thoughts), "anatomy", f"{what} should be read as {(wanted, thoughts)}, and is {seen}")
        drawn = sorted(self._answered - {"chat"})
        asked = ["chat"] if "chat" in self._answered else drawn
        bodies = [("a body with nothing to judge", body) for body in self._nothing]
        if "chat" in self._answered:
            bodies.insert(0, ("an answer with no text", self._server.body_of("")))
        for kind in asked:
            for what, body in bodies:
                found = await self._examine(kind, body)
                did = _describe_outcome(found)
                words = f"{what} is no answer and no refusal: it should raise, or leave all empty ({kind}); it {did}"
                require(not isinstance(found, Response) or found.missing, "anatomy", words)
        for kind in drawn:
            for what, data in NO_PICTURES:
                found = await self._examine(kind, self._server.picture_body(data))
                words = f"{what} in the place of a picture should fail ({kind}); it {_describe_outcome(found)}"
                require(not isinstance(found, Response) or found.missing, "anatomy", words)

    async def _examine(self, kind: str, body: object) -> Response | Exception | None:
        """The gateway's result for a body; None if the provider is not asked for this kind."""
        assert self._server is not None
        async with self._open() as provider:
            request = next((one for one in self._build_probes() if one.kind == kind and provider.capabilities.can(one)), None)
            if request is None or kind not in self._answered:
                return None
            self._server.play = Play(200, encode_body(body), of_answer=True)
            try:
                return await examine_response(await provider.call(request), image_due=request.image_due)
            except Exception as error:  # what may be raised is checked by `errors`
                return error
            finally:
                self._server.play = None

    async def check_capabilities(self) -> None:
        """A request of an undeclared kind is rejected, unsent."""
        for declared in (self._settings.capabilities, Capabilities(), Capabilities(text_out=False, image_out=True)):
            async with self._open(capabilities=declared) as provider:
                for request in self._build_probes():
                    if provider.capabilities.can(request):
                        continue
                    what = f"{request.kind} request" + (" with an image" if request.images else "")
                    sent = self._count_sent()
                    outcome = await _try_call(provider, request)
                    require(
                        self._count_sent() == sent, "capabilities", f"a {what}, which it is not declared for, was sent all the same"
                    )
                    words = f"a {what}, which it is not declared for, should raise Rejected; it {_describe_outcome(outcome)}"
                    require(isinstance(outcome, Rejected), "capabilities", words)

    async def check_errors(self) -> None:
        """Every fault of the endpoint raises the error that tells the gateway what to do."""
        if self._server is None:
            return
        for what, play, wanted in FAULTS:
            for kind in sorted(self._answered):
                timeout = SHORT if play.does == "stalls" else PATIENCE
                async with self._open(timeout_s=timeout) as provider:
                    request = next(
                        (one for one in self._build_probes() if one.kind == kind and provider.capabilities.can(one)), None
                    )
                    if request is None:
                        continue
                    self._server.play, self._server.kind, sent = play, kind, self._count_sent()
                    outcome = await _try_call(provider, request)
                    self._server.play = None
                    self._check_error(f"{what} ({kind})", outcome, wanted, self._count_sent() - sent)
        async with self._open(base_url="http://127.0.0.1:9/v1") as provider:
            request = next(
                (one for one in self._build_probes() if one.kind in self._answered and provider.capabilities.can(one)), None
            )
            if request is not None:
                self._check_error("a server that is not there", await _try_call(provider, request), Transient, 1)

    async def check_cancellation(self) -> None:
        """A call under way ends when it is cancelled, and the provider answers afterwards."""
        async with self._open() as provider:
            for request in self._build_probes():
                if request.kind not in self._answered or not provider.capabilities.can(request):
                    continue
                await self._cancel(provider, request)
                await self._answer(provider, next(one for one in self._build_probes() if _is_alike(one, request)), "cancellation")

    async def check_jobs(self) -> None:
        """A job that the endpoint took is written down before it is polled, and whoever asks again goes on with it."""
        if self._server is None or not self._server.takes_jobs:
            return
        async with self._open() as provider:
            can = [one for one in self._build_probes() if one.kind in self._answered and provider.capabilities.can(one)]
            if not can:
                return
            request, book = can[0], JobsInMemory()
            require(isinstance(provider, Submitting), "jobs", "its endpoint takes jobs, and it has no `book` for them")
            assert isinstance(provider, Submitting)
            provider.book = book
            self._server.kind, sent = request.kind, self._count_sent()
            self._server.play = Play(503, b"{}", of_answer=True)
            with anyio.move_on_after(SHORT):
                await _try_call(provider, request)
            self._server.play = None
            require(book.jobs, "jobs", "a job that was taken is not in the book while its polls fail")
            await self._answer(provider, request, "jobs")
            again = self._count_sent() - sent
            require(again == 1, "jobs", f"a job whose polls failed was submitted {again} times: each is paid for")

    async def check_concurrency(self) -> None:
        """Calls at the same time each get their own answer, and none waits for another."""
        async with self._open() as provider:
            can = [one for one in self._build_probes() if one.kind in self._answered and provider.capabilities.can(one)]
            if not can:
                return
            alike = can[0]
            kind = alike.kind
            requests = [next(one for one in self._build_probes() if _is_alike(one, alike)) for _ in range(AT_ONCE)]
            if self._server is not None:
                self._server.gather, self._server.most_at_once, self._server.kind = AT_ONCE, 0, kind
            outcomes: dict[int, Response | Exception] = {}

            async def ask(number: int) -> None:
                outcomes[number] = await _try_call(provider, requests[number])

            async with anyio.create_task_group() as group:
                for number in range(AT_ONCE):
                    group.start_soon(ask, number)
            for number, request in enumerate(requests):
                await self._check_answer(request, outcomes[number], "concurrency")
            if self._server is not None:
                most_at_once = self._server.most_at_once
                require(
                    most_at_once == AT_ONCE,
                    "concurrency",
                    f"of {AT_ONCE} calls at once only {most_at_once} reached the endpoint together",
                )

    async def check_reopening(self) -> None:
        provider = self._make(self._settings)
        for _ in range(2):
            try:
                await provider.__aenter__()
            except Exception as error:
                raise NotConforming(f"reopening: it cannot be opened again: {type(error).__name__}: {error}") from error
            try:
                await self._ask_once(provider, "reopening")
            finally:
                await provider.__aexit__(None, None, None)

    async def check_leaks(self) -> None:
        """After the block no task, connection, file or unclosed object is left, even if a call failed or was cancelled."""
        await self._round()
        self._leaks.note_files()
        for _ in range(ROUNDS):
            await self._round()
        found = await self._leaks.describe(ROUNDS, lambda: self._server.connections if self._server else 0)
        require(not found, "leaks", found)

    # -------------------------------------------------------- what they are made of

    @asynccontextmanager
    async def _open(self, **changes: object) -> AsyncIterator[Provider]:
        async with self._make(replace(self._settings, **changes)) as provider:  # type: ignore[arg-type]
            yield provider

    def _count_sent(self) -> int:
        return len(self._server.seen) if self._server else 0

    def _build_probes(self) -> list[Request]:
        """One request of each kind, each with a marker of its own."""
        picture = Image.from_bytes(draw_picture(next(self._numbers)))

        def mark(words: str) -> Text:
            return Text(f"{words} (conformance-{next(self._numbers)})")

        labels = {"about": "a greeting"}
        return [
            Request(
                kind="chat", parts=(mark("Say hello."),), system="Be kind.", max_tokens=64, temperature=0.0, labels=dict(labels)
            ),
            Request(kind="chat", parts=(picture, mark("What is this?")), max_tokens=64, labels=dict(labels)),
            Request(kind="image", parts=(mark("A plain square."),), labels=dict(labels)),
            Request(kind="edit", parts=(picture, mark("Make it blue.")), labels=dict(labels)),
        ]

    async def _ask_once(self, provider: Provider, check: str) -> None:
        for request in self._build_probes():
            if request.kind in self._answered and provider.capabilities.can(request):
                await self._answer(provider, request, check)
                return

    async def _answer(self, provider: Provider, request: Request, check: str) -> None:
        if self._server is not None:
            self._server.kind = request.kind
        await self._check_answer(request, await _try_call(provider, request), check)

    async def _check_answer(self, request: Request, outcome: Response | Exception, check: str) -> None:
        """The answer is of the right kind and, if the suite plays the endpoint, belongs to this request."""
        what = f"{request.kind} request" + (" with an image" if request.kind == "chat" and request.images else "")
        if isinstance(outcome, Exception):
            raise NotConforming(f"{check}: a {what} should be answered; it {_describe_outcome(outcome)}") from outcome
        wrong = find_response_fault(outcome)
        require(not wrong, check, wrong)
        wrong = find_usage_fault(outcome.usage)
        require(not wrong, check, f"its answer's usage makes no sense: {wrong}")
        number = _number(request)
        if request.kind == "chat":
            require(outcome.text.strip(), check, f"a {what} was answered with no text")
            own = self._server is None or build_text(number) in outcome.text
            require(own, check, f"a {what} got an answer that is not its own: {outcome.text[:80]!r}")
        else:
            require(outcome.images, check, f"a {what} was answered with no image")
            data = await outcome.images[0].read()
            own = self._server is None or data == draw_picture(number)
            require(own, check, f"a {what} got an image that is not its own")

    def _check_error(self, what: str, outcome: Response | Exception, wanted: type[ProviderError], sent: int) -> None:
        require(isinstance(outcome, wanted), "errors", f"{what} should raise {wanted.__name__}; it {_describe_outcome(outcome)}")
        require(sent == 1, "errors", f"{what}: the request was sent {sent} times; trying again is the gateway's part")
        require(KEY not in f"{outcome} {outcome!r}", "errors", f"{what}: the message holds the key")
        require(str(outcome).strip(), "errors", f"{what}: the message is empty")
        if wanted is RateLimited:
            after = getattr(outcome, "retry_after", None)
            words = f"{what}: retry_after should be the 7 seconds that the endpoint named, and is {after}"
            require(after is not None and 6 <= after <= 8, "errors", words)

    async def _cancel(self, provider: Provider, request: Request) -> None:
        """Cancel a call that the endpoint keeps waiting (or, without one, that has just begun)."""
        scope, ended = anyio.CancelScope(), anyio.Event()
        outcome: list[Response | Exception] = []

        async def call() -> None:
            with scope:
                outcome.append(await _try_call(provider, request))
            ended.set()

        sent = self._count_sent()
        if self._server is not None:
            self._server.play = Play(does="stalls")
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            while self._server is not None and self._count_sent() == sent and not ended.is_set():  # noqa: ASYNC110 another thread
                await anyio.sleep(0.005)
            await anyio.lowlevel.checkpoint()
            scope.cancel()
            with anyio.move_on_after(PROMPT) as deadline:
                await ended.wait()
        if self._server is not None:
            self._server.play = None
            require(not deadline.cancelled_caught, "cancellation", f"a cancelled call went on for {PROMPT:g} s")
            told = _describe_outcome(outcome[0]) if outcome else ""
            require(not outcome, "cancellation", f"a cancelled call should end by the cancellation; it {told}")

    async def _round(self) -> None:
        """Open the provider, make a cancelled, a failing and last an answered call, whose connection is kept; close it."""
        async with self._open() as provider:
            request = next(
                (one for one in self._build_probes() if one.kind in self._answered and provider.capabilities.can(one)), None
            )
            if request is None:
                return
            await self._cancel(provider, request)
            if self._server is not None:
                self._server.play = Play(does="drops")
                await _try_call(provider, request)
                self._server.play = None
            await self._ask_once(provider, "leaks")


async def _try_call(provider: Provider, request: Request) -> Response | Exception:
    """What a call returns or raises; a cancellation is passed on."""
    try:
        return await provider.call(request)
    except Exception as error:
        return error
    except SystemExit as error:
        return RuntimeError(f"it ended the program: SystemExit({error.code})")


def _describe_outcome(outcome: Response | Exception | None) -> str:
    if isinstance(outcome, Exception):
        return f"raised {type(outcome).__name__}: {str(outcome)[:200].replace(KEY, '[key]')}"
    return f"answered {outcome!r}"[:200]


def _is_alike(one: Request, other: Request) -> bool:
    return one.kind == other.kind and bool(one.images) == bool(other.images)


def _number(request: Request) -> int:
    return int(request.text.rsplit("conformance-", 1)[1].rstrip(")"))


def _content(request: Request) -> str:
    return repr([(field.name, repr(getattr(request, field.name))) for field in fields(request)])
