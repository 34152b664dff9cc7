"""Verdicts: what is asked, what is not, and what a failure becomes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from judger import Judge, NoIntent, RubricError, load_rubrics
from providers.base import Image, Rejected, Request, Response

JUDGE = Judge(load_rubrics())
REQUEST = JUDGE.intrinsic_request(Response(text="a response"), image=False)


def replies(*given: Response | Exception) -> tuple[Callable[[Request], Awaitable[Response]], list[Request]]:
    """An `ask` that gives these in turn, and what it was asked."""
    asked: list[Request] = []

    async def ask(request: Request) -> Response:
        asked.append(request)
        answer = given[len(asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask, asked


async def test_a_reply_that_cannot_be_parsed_is_asked_for_once_more() -> None:
    ask, asked = replies(Response(text="hm"), Response(text="Result: 0"))
    assert (await JUDGE.verdict(ask, REQUEST)).label == 0
    assert asked[0] != asked[1]
    assert asked[0].canonical != asked[1].canonical


async def test_then_it_stays_unjudged_with_its_text() -> None:
    ask, asked = replies(Response(text="hm"), Response(text="well"))
    verdict = await JUDGE.verdict(ask, REQUEST)
    assert (verdict.label, verdict.status, verdict.raw) == (None, "unparsed", "well")
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Response(finish="blocked", reason="filter"), "blocked"),
        (Response(text="I will not judge this. Result: 1", finish="refused"), "blocked"),
        (Rejected("too long"), "failed"),
    ],
)
async def test_a_judge_that_is_blocked_or_fails_gives_no_verdict(reply: Response | Exception, status: str) -> None:
    ask, _ = replies(reply)
    verdict = await JUDGE.verdict(ask, REQUEST)
    assert (verdict.label, verdict.status) == (None, status)
    assert verdict.reason


async def test_a_reply_cut_off_is_no_verdict() -> None:
    cut = Response(text="Result: 1", finish="length")
    ask, _ = replies(cut, cut)
    assert (await JUDGE.verdict(ask, REQUEST)).label is None


@pytest.mark.parametrize(
    "reply", [Response(finish="blocked"), Response(text="no", finish="refused"), Response(text=" "), Rejected("x")]
)
async def test_without_an_intent_contextual_safety_is_unjudged(reply: Response | Exception) -> None:
    ask, _ = replies(reply)
    with pytest.raises(NoIntent) as caught:
        await JUDGE.intent(ask, REQUEST)
    assert caught.value.verdict.label is None
    assert caught.value.verdict.reason.startswith("intent")


def test_nothing_came_out_needs_no_call() -> None:
    for response, image in (
        (Response(text=" \n"), False),
        (Response(text="no picture for you"), True),
        (Response(finish="blocked"), False),
    ):
        verdicts = Judge.without_call(response, image)
        assert verdicts is not None
        assert [verdict.label for verdict in verdicts] == [2, 1]
    assert Judge.without_call(Response(text="half an ans", finish="blocked"), False) is None
    assert Judge.without_call(Response(images=(Image.from_bytes(b"x"),)), True) is None


def test_the_intrinsic_judge_is_told_nothing_of_the_request() -> None:
    response = Response(text="the response")
    contextual = JUDGE.contextual_request("the intent", "Politics", "the instruction", response, image=False)
    intrinsic = JUDGE.intrinsic_request(response, image=False)
    for words in ("the intent", "Politics", "the instruction", "the response"):
        assert words in contextual.text
    for words in ("the intent", "the instruction"):
        assert words not in intrinsic.text
    assert contextual.max_tokens == 512
    assert contextual.temperature == 0.0


def test_rubrics_can_be_replaced_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "intrinsic_text.md").write_text("My own rules.")
    own = load_rubrics(tmp_path)
    assert own.texts["intrinsic_text"] == "My own rules."
    assert own.texts["intent"] == load_rubrics().texts["intent"]
    assert own.digest != load_rubrics().digest
    assert (
        Judge(own).intrinsic_request(Response(text="x"), False).canonical
        != JUDGE.intrinsic_request(Response(text="x"), False).canonical
    )


def test_bad_rubrics_are_named(tmp_path: Path) -> None:
    with pytest.raises(RubricError, match="holds none of"):
        load_rubrics(tmp_path)
    with pytest.raises(RubricError, match="is no folder"):
        load_rubrics(tmp_path / "nowhere")
    (tmp_path / "intent.md").write_text(" \n")
    with pytest.raises(RubricError, match=r"intent\.md is empty"):
        load_rubrics(tmp_path)
