"""What anybody's provider raises or returns costs one item, never the run."""

from __future__ import annotations

from typing import Any

import pytest
from unisafe_providers.base import (
    Block,
    Capabilities,
    Image,
    Limits,
    RateLimited,
    Rejected,
    Request,
    Response,
    Text,
    Transient,
    Usage,
)

from unisafe_async.gateway.calling import call_safely, request_of

HELLO = Request(kind="chat", parts=(Text("hello"),))


class Odd:
    """A provider that returns or raises what it is given."""

    def __init__(self, outcome: Any) -> None:
        self.identity, self.capabilities, self.reported = "odd", Capabilities(), Limits()
        self._outcome = outcome

    async def __aenter__(self) -> Odd:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def call(self, request: Request) -> Response:
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (None, "answered with a NoneType"),
        ("hi", "answered with a str"),
        (Response(text=None), "answer's text is no text"),  # type: ignore[arg-type]
        (Response(text="hi", finish="done"), "finish is 'done'; it may be blocked, length, refused, stop"),  # type: ignore[arg-type]
        (Response(images=[b"png"]), "images are no tuple of Image"),  # type: ignore[arg-type]
        (Response(text="hi", finish=["stop"]), "finish is ['stop']"),  # type: ignore[arg-type]
        (Response(text="hi", thoughts=None), "answer's thoughts is no text"),  # type: ignore[arg-type]
        (Response(finish="blocked", block=Block("somewhere")), "block is no Block"),  # type: ignore[arg-type]
        (Response(finish="blocked", block=Block("request", (("violence", 3),))), "block is no Block"),  # type: ignore[arg-type]
        (SystemExit(3), "SystemExit: 3"),
        (KeyError("choices"), "KeyError: 'choices'"),
        (ExceptionGroup("several", [ValueError("a")]), "ExceptionGroup"),
    ],
)
async def test_what_cannot_be_stored_fails_the_item(outcome: Any, words: str) -> None:
    with pytest.raises(Rejected, match=r"^the provider broke: ") as failed:
        await call_safely(Odd(outcome), HELLO)
    assert words in str(failed.value)


async def test_what_is_sound_or_named_goes_through() -> None:
    assert (await call_safely(Odd(Response(text="hi")), HELLO)).text == "hi"
    with pytest.raises(Transient, match="busy"):
        await call_safely(Odd(Transient("busy")), HELLO)


UNKNOWN = Usage(reported=False)


@pytest.mark.parametrize(
    ("usage", "left"),
    [
        (Usage(tokens_in=-5, tokens_out=7), UNKNOWN),
        (Usage(tokens_in=2**31, tokens_out=7), UNKNOWN),
        (Usage(tokens_in=10**400, tokens_out=7), UNKNOWN),
        (Usage(tokens_in=1.5), UNKNOWN),  # type: ignore[arg-type]
        (Usage(tokens_in=float("nan")), UNKNOWN),
        (Usage(tokens_in="12"), UNKNOWN),  # type: ignore[arg-type]
        (Usage(tokens_in=None), UNKNOWN),  # type: ignore[arg-type]
        ({"tokens_in": 3}, UNKNOWN),
        (None, UNKNOWN),
        (Usage(tokens_in=12.0, tokens_out=7), Usage(tokens_in=12, tokens_out=7)),  # type: ignore[arg-type]
        (Usage(tokens_in=12, tokens_out=7, images=-1), Usage(tokens_in=12, tokens_out=7, images=0)),
        (Usage(tokens_in=12, tokens_out=7, cost=float("nan")), Usage(tokens_in=12, tokens_out=7)),
        (Usage(tokens_in=12, tokens_out=7, cost=-0.5), Usage(tokens_in=12, tokens_out=7)),
        (Usage(tokens_in=-1, tokens_out=7, images=2, cost=0.5), Usage(images=2, cost=0.5, reported=False)),
    ],
)
async def test_a_usage_that_makes_no_sense_is_unknown_and_noted_and_the_answer_stands(usage: Any, left: Usage) -> None:
    notes: dict[str, str] = {}
    response = await call_safely(Odd(Response(text="hi", usage=usage)), HELLO, notes)
    assert (response.text, response.usage) == ("hi", left)
    assert "makes no sense" in notes["usage"]


@pytest.mark.parametrize("latency", [-1.0, float("nan"), float("inf"), None, "fast"])
async def test_a_latency_that_makes_no_sense_is_none(latency: Any) -> None:
    assert (await call_safely(Odd(Response(text="hi", latency=latency)), HELLO)).latency == 0


async def test_what_an_error_brings_along_is_held_to_the_same() -> None:
    error, odd = RateLimited("429", float("nan")), Transient("broke off", -3.0)
    error.usage, error.partial = Usage(tokens_in=-1, tokens_out=3), Response(text="half", usage=Usage(tokens_in=2**40))
    odd.partial = Response(text=b"half")  # type: ignore[arg-type]
    for one in (error, odd):
        with pytest.raises(type(one)):
            await call_safely(Odd(one), HELLO)
    assert (error.retry_after, error.usage, error.partial) == (None, UNKNOWN, Response(text="half", usage=UNKNOWN))
    assert (odd.retry_after, odd.partial) == (None, None)


def test_a_request_is_read_back_from_the_json_that_identifies_it() -> None:
    whole = Request(
        kind="edit",
        parts=(Image.from_bytes(b"png"), Text("a"), Text("b")),
        system="be kind",
        max_tokens=5,
        temperature=0.5,
        top_p=0.9,
        seed=7,
        size="8x8",
        schema=("name", "{}"),
        sample=2,
    )
    for request in (HELLO, whole):
        assert request_of(request.canonical.decode()) == request
