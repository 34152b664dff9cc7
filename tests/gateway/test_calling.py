"""What anybody's provider raises or returns costs one item, never the run."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Capabilities, Limits, Rejected, Request, Response, Text, Transient, Usage
from unisafe_async.gateway.calling import called

HELLO = Request("chat", (Text("hello"),))


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
        (Response(text=None), "text or reason is no text"),  # type: ignore[arg-type]
        (Response(text="hi", finish="done"), "finish is 'done'; it may be blocked, length, refused, stop"),  # type: ignore[arg-type]
        (Response(images=[b"png"]), "images are no tuple of Image"),  # type: ignore[arg-type]
        (Response(text="hi", usage=Usage(tokens_in=1.5)), "whole numbers"),  # type: ignore[arg-type]
        (Response(text="hi", usage=Usage(cost=float("nan"))), "cost is nan"),
        (Response(text="hi", latency=-1.0), "latency or cost is -1.0"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyError("choices"), "KeyError: 'choices'"),
        (ExceptionGroup("several", [ValueError("a")]), "ExceptionGroup"),
    ],
)
async def test_what_cannot_be_stored_fails_the_item(outcome: Any, words: str) -> None:
    with pytest.raises(Rejected, match=r"^the provider broke: ") as failed:
        await called(Odd(outcome), HELLO)
    assert words in str(failed.value)


async def test_what_is_sound_or_named_goes_through() -> None:
    assert (await called(Odd(Response(text="hi")), HELLO)).text == "hi"
    with pytest.raises(Transient, match="busy"):
        await called(Odd(Transient("busy")), HELLO)
