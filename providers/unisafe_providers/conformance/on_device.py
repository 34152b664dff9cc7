"""Whether a model that this program starts keeps the contract of unisafe_providers.base.OnDevice. It is loaded three times."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import anyio
import anyio.lowlevel

from unisafe_providers.anatomy import examine_response
from unisafe_providers.base import Image, Misconfigured, OnDevice, Provider, Request, Response, Text, Transient, Withdrawn
from unisafe_providers.conformance.server import draw_picture
from unisafe_providers.conformance.suite import NotConforming, require
from unisafe_providers.workers.pool import PooledProvider

AT_ONCE = 6
Told = Callable[[str, str], None]
"""Called after each check with its name and what was seen."""


async def conforms_on_device(
    make: Callable[[], Provider],
    tell: Told = lambda check, seen: None,
    *,
    warn: Told = lambda check, seen: None,
    patience: float = 3_600,
) -> None:
    """Check a provider that starts processes, and return when it keeps its contract.

    The model starts, says what it is, and answers each kind of request that the provider is declared for; calls at the same time
    each get an answer; a killed process costs what was under way and no more; calls that had not begun are given back when the run
    stops; released, it is gone, and the next call starts it again; at the end nothing of it is left.

    Args:
        make: the provider, not yet open.
        tell: hears of each check that passed.
        warn: hears of what the contract allows and somebody should look at.
        patience: seconds that all checks together may take.

    Raises NotConforming, whose message begins with the name of what failed.
    """
    with anyio.fail_after(patience):
        await _Examination(make, tell, warn).run()


class _Examination:
    def __init__(self, make: Callable[[], Provider], tell: Told, warn: Told) -> None:
        self._make = make
        self._tell = tell
        self._warn = warn
        self._numbers = count(1)
        self._seen: set[int] = set()

    async def run(self) -> None:
        async with self._open() as provider:
            await self._check_answers(provider)
            await self._check_at_once(provider)
            await self._check_release(provider)
            await self._check_crash(provider)
            await self._check_withdrawal(provider)
        await self._check_gone("the end")
        self._tell("end", "nothing of it is left")

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[PooledProvider]:
        provider = self._make()
        require(isinstance(provider, OnDevice), "protocol", "it has no `devices`, `size`, `status`, `release` and `withdraw`")
        assert isinstance(provider, PooledProvider), "the checks need its processes"
        async with provider:
            yield provider

    # -------------------------------------------------------- the checks

    async def _check_answers(self, provider: PooledProvider) -> None:
        started = time.monotonic()
        for request in self._build_probes(provider):
            response = await self._answer(provider, request, "answers")
            what = f"{len(response.images)} picture" if response.images else repr(response.text[:60])
            self._tell(f"answers ({_describe(request)})", f"{what}, {time.monotonic() - started:.1f} s")
            started = time.monotonic()

    async def _check_at_once(self, provider: PooledProvider) -> None:
        """Calls at the same time each get an answer."""
        request = self._build_probes(provider)[0]
        async with anyio.create_task_group() as group:
            for _ in range(AT_ONCE):
                group.start_soon(self._answer, provider, self._renew(request), "several at once")
        self._tell("several at once", f"{AT_ONCE} calls, {AT_ONCE} answers")

    async def _check_release(self, provider: PooledProvider) -> None:
        """Released, it is gone, and the next call starts it again."""
        self._note_processes(provider)
        await provider.release()
        if provider.needed:
            self._warn("end", f"it stayed after the end of its input and was ended by {provider.needed}")
        await self._check_gone("release")
        await self._answer(provider, self._build_probes(provider)[0], "release")
        self._tell("release", "gone, and started again by the next call")

    async def _check_crash(self, provider: PooledProvider) -> None:
        """A killed process costs the requests that were under way, which fail in passing."""
        request = self._renew(self._build_probes(provider)[0])
        self._note_processes(provider)
        outcomes: list[Response | Exception] = []

        async def ask() -> None:
            outcomes.append(await _try_call(provider, request))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            while not provider.status.batch and not outcomes:  # noqa: ASYNC110 its own report is what is waited for
                await anyio.sleep(0.001)
            for process in provider.pids:
                os.kill(process, signal.SIGKILL)
        allowed = isinstance(outcomes[0], Response | Transient)
        require(allowed, "crash", f"a request whose process was killed should raise Transient; it {_describe_outcome(outcomes[0])}")
        await self._answer(provider, request, "crash")
        self._tell("crash", "a killed process costs the batch under way, which is answered by the next process")

    async def _check_withdrawal(self, provider: PooledProvider) -> None:
        """When the run stops, calls that have not begun are given back at once."""
        self._note_processes(provider)
        outcomes: list[Response | Exception] = []
        request = self._build_probes(provider)[0]

        async def ask() -> None:
            outcomes.append(await _try_call(provider, self._renew(request)))

        async with anyio.create_task_group() as group:
            for _ in range(4 * AT_ONCE):
                group.start_soon(ask)
            await anyio.lowlevel.checkpoint()
            provider.withdraw()
        wrong = [outcome for outcome in outcomes if not isinstance(outcome, Response | Withdrawn)]
        for outcome in wrong:
            raise NotConforming(f"withdraw: calls should be answered or given back; one {_describe_outcome(outcome)}")
        given_back = sum(isinstance(outcome, Withdrawn) for outcome in outcomes)
        require(given_back, "withdraw", "every call was answered, and none was given back")
        self._tell("withdraw", f"{given_back} of {len(outcomes)} calls had not begun, and were given back")

    async def _check_gone(self, when: str) -> None:
        with anyio.move_on_after(5):
            while any(map(_is_alive, self._seen)):  # noqa: ASYNC110 other processes
                await anyio.sleep(0.01)
        left = [process for process in self._seen if _is_alive(process)]
        require(not left, "processes", f"after {when} there is still {', '.join(map(str, left))}")

    # -------------------------------------------------------- what they are made of

    def _note_processes(self, provider: PooledProvider) -> None:
        self._seen.update(provider.pids)

    def _build_probes(self, provider: Provider) -> list[Request]:
        """One request of each kind that the provider is declared for."""
        picture = Image.from_bytes(draw_picture(next(self._numbers)))
        probes = [
            Request(kind="chat", parts=(self._mark("Say hello."),), max_tokens=32, temperature=0.0),
            Request(kind="chat", parts=(picture, self._mark("What is this?")), max_tokens=32),
            Request(kind="image", parts=(self._mark("A plain square."),)),
            Request(kind="edit", parts=(picture, self._mark("Make it blue."))),
        ]
        return [request for request in probes if provider.capabilities.can(request)]

    def _mark(self, words: str) -> Text:
        return Text(f"{words} ({next(self._numbers)})")

    def _renew(self, request: Request) -> Request:
        """The same request in other words, which no batch has seen."""
        parts = tuple(self._mark(part.text.split(" (")[0]) if isinstance(part, Text) else part for part in request.parts)
        return Request(kind=request.kind, parts=parts, max_tokens=request.max_tokens, temperature=request.temperature)

    async def _answer(self, provider: PooledProvider, request: Request, check: str) -> Response:
        """The answer, of the right kind. Raises NotConforming."""
        outcome = await _try_call(provider, request)
        self._note_processes(provider)
        if isinstance(outcome, Misconfigured):
            raise NotConforming(str(outcome))
        if isinstance(outcome, Exception):
            log = f"; its log: {provider.status.log}" if provider.status.log else ""
            why = provider.last_end or f"{str(outcome)[:500]}{log}"
            raise NotConforming(f"{check}: {_describe(request)} should be answered; it failed: {why}")
        try:
            response = await examine_response(outcome, image_due=request.image_due)
        except Exception as error:
            raise NotConforming(f"{check}: the answer to {_describe(request)} cannot be used: {error}") from None
        due = response.images if request.image_due else response.text.strip()
        words = f"{_describe(request)} was answered with no {'picture' if request.image_due else 'text'}"
        require(due or response.finish in ("refused", "blocked"), check, words)
        return response


def _describe(request: Request) -> str:
    return {"image": "text to image", "edit": "editing"}.get(request.kind, "image in" if request.images else "text")


def _describe_outcome(outcome: Response | Exception) -> str:
    return f"raised {type(outcome).__name__}: {str(outcome)[:300]}" if isinstance(outcome, Exception) else "answered"


async def _try_call(provider: Provider, request: Request) -> Response | Exception:
    try:
        return await provider.call(request)
    except Exception as error:
        return error


def _is_alive(process: int) -> bool:
    """Whether a process runs; one whose parent has not asked for its exit code yet has ended."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, PermissionError):
        return False
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[-1].split()[0] != "Z"
    except OSError:
        return not os.path.isdir("/proc/self")
