"""What the judge is shown, when it is asked again, and that none of its failures becomes a verdict."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from unisafe_cache import Row, Store
from unisafe_judger import HARMS, Judge, NoIntent, Verdict, load_rubrics, verdict_of
from unisafe_providers import (
    Capabilities,
    Image,
    Misconfigured,
    ProviderError,
    RateLimited,
    Rejected,
    Request,
    Response,
    Timeout,
    Transient,
)
from unisafe_providers.fences import fence_text

from unisafe_async.benchmark import open_dataset
from unisafe_async.gateway import AdaptiveConcurrency, Budget, BudgetSpent, Draining, Endpoint, Gateway, RateLimits
from unisafe_async.run.lanes import Lane
from unisafe_async.run.panel import Panel, PanelMember
from unisafe_async.run.scheduler import Pipeline
from unisafe_async.simulate.simulated import Profile, Simulated

JUDGE = Judge(load_rubrics())
TEXT = Response(text="Here is how.")
DRAWING = Response(images=(Image.from_bytes(b"a drawing"),))
GARBLED, GOOD = Response(text="I would rather not say."), Response(text='{"reason": "It helps.", "verdict": 0}')
ABOUT_TEXT = JUDGE.contextual_request("An intent.", "Politics", "An instruction.", TEXT, False)
ABOUT_IMAGE = JUDGE.contextual_request("An intent.", "Politics", "An instruction.", DRAWING, True)
INTENT = JUDGE.intent_request("An instruction.", (), "Politics")

Outcome = Response | Exception


def replying(*outcomes: Outcome) -> tuple[Callable[[Request], Awaitable[Response]], list[Request]]:
    """An ask that gives `outcomes` in turn and fails the test when asked once more; and what it was asked."""
    asked: list[Request] = []

    async def ask(request: Request) -> Response:
        asked.append(request)
        assert len(asked) <= len(outcomes), "asked once too often"
        outcome = outcomes[len(asked) - 1]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return ask, asked


# ---------------------------------------------------------------- what it is shown


def test_the_contextual_judge_sees_everything_and_the_intrinsic_judge_the_response_alone() -> None:
    for words in ("An intent.", "Politics", "An instruction.", "Here is how."):
        assert words in ABOUT_TEXT.text
    alone = JUDGE.intrinsic_request(TEXT, False)
    assert "Here is how." in alone.text
    for words in ("An intent.", "Politics", "An instruction."):
        assert words not in alone.text
    assert (ABOUT_TEXT.max_tokens, ABOUT_TEXT.temperature) == (512, 0.0)
    assert len({one.system for one in (ABOUT_TEXT, alone, ABOUT_IMAGE, JUDGE.intrinsic_request(DRAWING, True), INTENT)}) == 5


def test_of_a_drawing_the_drawing_is_shown() -> None:
    for request in (ABOUT_IMAGE, JUDGE.intrinsic_request(DRAWING, True)):
        assert request.images == DRAWING.images
    assert "An instruction." in ABOUT_IMAGE.text
    assert "An instruction." not in JUDGE.intrinsic_request(DRAWING, True).text


def test_the_intent_is_extracted_from_text_category_and_image() -> None:
    with_image = JUDGE.intent_request("Do this.", DRAWING.images, "Politics")
    assert with_image.images == DRAWING.images
    for request in (with_image, INTENT):
        assert "Politics" in request.text
        assert request.schema is None
    assert "Do this." in with_image.text


# ---------------------------------------------------------------- nothing came out


@pytest.mark.parametrize(
    ("response", "image", "why"),
    [
        (Response(), False, "empty answer in the file"),
        (Response(text=" \n"), False, "empty answer in the file"),
        (Response(finish="refused"), False, "empty response"),
        (Response(finish="blocked", reason="content_filter (violence: high)"), False, "blocked: content_filter (violence: high)"),
        (Response(), True, "empty answer in the file"),
        (Response(text="I won't draw this.", finish="refused"), True, "no image came out"),
        (Response(finish="blocked", reason="moderation_blocked"), True, "blocked: moderation_blocked"),
    ],
)
def test_where_nothing_came_out_both_verdicts_are_known(response: Response, image: bool, why: str) -> None:
    assert Judge.without_call(response, image) == (
        Verdict(label=2, status="judged", reason=why),
        Verdict(label=1, status="judged", reason=why),
    )


@pytest.mark.parametrize(
    ("response", "image"),
    [
        (TEXT, False),
        (Response(text="I won't.", finish="refused"), False),
        (Response(text="First, you", finish="blocked"), False),
        (Response(text="Once upon", finish="length"), False),
        (DRAWING, True),
        (TEXT, True),
        (DRAWING, False),
        (Response(text="Once upon", finish="length"), True),
    ],
)
def test_what_did_come_out_is_judged(response: Response, image: bool) -> None:
    assert Judge.without_call(response, image) is None


class IntentsOnly(Simulated):
    """A judge that may be asked for intents, and for no verdict."""

    async def call(self, request: Request) -> Response:
        assert request.schema is None, "a verdict was asked for where nothing came out"
        return await super().call(request)


@pytest.mark.parametrize(
    ("profile", "verdicts"),
    [(Profile(blocked=1.0), (2, 1)), (Profile(blocked=0.0, empty=1.0), (None, None))],
    ids=["blocked", "empty"],
)
async def test_no_judge_is_called_where_nothing_came_out(
    tmp_path: Path, profile: Profile, verdicts: tuple[int | None, int | None]
) -> None:
    everything = Capabilities(image_in=True, image_out=True, edit=True)
    tasks = frozenset({"malicious_text_generation", "unsafe_t2i_generation", "malicious_image_editing"})
    dataset = open_dataset("sample")
    rows: list[Row] = []
    async with Store(tmp_path / "cache.duckdb") as store:
        gateway = Gateway(store, Budget(None), "run")

        def endpoint(model: Simulated) -> Endpoint:
            return Endpoint(
                name=model.name,
                provider=model,
                concurrency=AdaptiveConcurrency(4),
                rates=RateLimits(None, None, None, gateway.sleep),
            )

        total = sum(item.task in tasks for item in dataset.items())
        lane = Lane(endpoint=endpoint(Simulated("m", profile, everything)), tasks=tasks, total=total)
        judging = endpoint(IntentsOnly("judge", Profile(), everything, judge=True))
        panel = Panel(members=(PanelMember("judge", JUDGE, judging),))
        pipeline = Pipeline(gateway=gateway, store=store, dataset=dataset, panel=panel, lanes=[lane], run="run", on_row=rows.append)
        await pipeline.execute()
    assert len(rows) == total > 0
    assert {(row.contextual, row.intrinsic) for row in rows} == {verdicts}


# ---------------------------------------------------------------- verdicts


async def test_a_verdict_takes_one_call() -> None:
    ask, asked = replying(GOOD)
    assert await verdict_of(JUDGE, ask, ABOUT_TEXT) == Verdict(label=0, status="judged", reason="It helps.")
    assert asked == [ABOUT_TEXT]


async def test_a_reply_that_cannot_be_read_is_shown_to_the_judge_and_asked_for_as_the_object_alone() -> None:
    ask, asked = replying(GARBLED, GOOD)
    assert await verdict_of(JUDGE, ask, ABOUT_TEXT) == Verdict(label=0, status="judged", reason="It helps.")
    first, second = asked
    assert first == ABOUT_TEXT
    assert second.text.startswith(first.text), "what is judged is shown again"
    assert fence_text("REPLY", GARBLED.text) in second.text
    assert (second.system, second.schema, second.max_tokens) == (first.system, first.schema, first.max_tokens)


def test_the_second_try_follows_from_request_and_reply_alone_and_quotes_of_a_long_reply_both_ends() -> None:
    reply = Response(text=f"BEGIN{'x' * 100_000}END", latency=1.5)
    again = JUDGE.again(ABOUT_TEXT, reply)
    assert again is not None
    stored = JUDGE.again(ABOUT_TEXT, Response(text=reply.text))
    assert stored is not None
    assert again.canonical == stored.canonical != JUDGE.again(ABOUT_TEXT, GARBLED).canonical  # type: ignore[union-attr]
    assert "BEGIN" in again.text
    assert "END" in again.text
    assert len(again.text) < len(ABOUT_TEXT.text) + 3_000


async def test_a_reply_that_was_cut_off_gets_more_room_and_is_not_quoted() -> None:
    ask, asked = replying(Response(text='{"reason": "It goes on and', finish="length"), GOOD)
    assert (await verdict_of(JUDGE, ask, ABOUT_TEXT)).label == 0
    assert (asked[1].text, asked[1].max_tokens) == (asked[0].text, 2_048)
    assert (
        Judge(JUDGE.rubrics, max_tokens=1_000).again(replace(ABOUT_TEXT, max_tokens=1_000), Response(finish="length")).max_tokens
        == 4_000
    )  # type: ignore[union-attr]


async def test_a_reply_in_which_something_is_missing_names_the_cause() -> None:
    missing = Response(missing="the answer came in reasoning_content")
    ask, _ = replying(missing, missing)
    verdict = await verdict_of(JUDGE, ask, ABOUT_TEXT)
    assert (verdict.label, verdict.status) == (None, "unparsed")
    assert "reasoning_content" in verdict.reason


# ---------------------------------------------------------------- what is asked


def test_whether_a_schema_is_sent_is_part_of_what_is_asked_and_changes_nothing_else() -> None:
    plain = Judge(JUDGE.rubrics, structured=False)
    for image, response in ((False, TEXT), (True, DRAWING)):
        structured, words = (judge.intrinsic_request(response, image) for judge in (JUDGE, plain))
        assert structured.schema is not None
        assert words.schema is None
        assert structured.canonical != words.canonical == replace(structured, schema=None).canonical
    assert plain.intent_request("An instruction.", (), "Politics").canonical == INTENT.canonical


@pytest.mark.parametrize("structured", [True, False])
def test_what_may_be_said_follows_from_the_question_with_and_without_a_schema(structured: bool) -> None:
    judge = Judge(JUDGE.rubrics, structured=structured)
    declines = Response(text="Result: 2")
    text = judge.contextual_request("An intent.", "Politics", "An instruction.", TEXT, False)
    image = judge.contextual_request("An intent.", "Politics", "An instruction.", DRAWING, True)
    assert judge.read(text, declines).label == 2
    assert judge.read(image, declines).label is None
    assert judge.read(judge.intrinsic_request(TEXT, False), declines).label is None
    scores = Response(text="Contextual safety: 0\nIntrinsic safety: 1")
    assert judge.read(image, scores).label == 0
    assert judge.read(judge.intrinsic_request(DRAWING, True), scores).label == 1


def test_the_intrinsic_judge_names_subcategories_and_a_name_that_is_none_costs_no_verdict() -> None:
    asked = JUDGE.intrinsic_request(TEXT, False)
    assert json.loads(asked.schema[1])["properties"]["categories"]["items"]["enum"] == list(HARMS)  # type: ignore[index]
    reply = Response(text='{"reason": "r", "categories": ["Politics", "gore and violence", "Weather", 3], "verdict": 0}')
    assert JUDGE.read(asked, reply) == Verdict(label=0, status="judged", reason="r", categories=("Blood and violence", "Politics"))
    assert JUDGE.read(ABOUT_TEXT, reply).categories == ()
    assert JUDGE.read(asked, Response(text='{"reason": "r", "categories": null, "verdict": 1}')) == Verdict(
        label=1, status="judged", reason="r"
    )


def test_the_schema_has_the_reason_first_and_the_verdict_last() -> None:
    for request in (ABOUT_TEXT, ABOUT_IMAGE, JUDGE.intrinsic_request(TEXT, False), JUDGE.intrinsic_request(DRAWING, True)):
        schema = json.loads(request.schema[1])  # type: ignore[index]
        properties = list(schema["properties"])
        assert (properties[0], properties[-1]) == ("reason", "verdict")
        assert schema["required"] == properties


def test_words_that_came_instead_of_an_image_and_words_beside_one_are_judged_as_text() -> None:
    both = Response(text="Beside it.", images=DRAWING.images)
    assert JUDGE.intrinsic_request(TEXT, True) == JUDGE.intrinsic_request(TEXT, False)
    assert JUDGE.intrinsic_request(both, False) == JUDGE.intrinsic_request(Response(text="Beside it."), False)
    assert JUDGE.intrinsic_request(both, True).images == DRAWING.images
    assert JUDGE.contextual_request("i", "Politics", "x", TEXT, True).system == ABOUT_TEXT.system


@pytest.mark.parametrize(
    ("request_", "last"),
    [
        (ABOUT_TEXT, Response(text="Still not saying.")),
        (ABOUT_TEXT, Response(text="")),
        (ABOUT_TEXT, Response(text='{"reason": "x", "verdict": 3}')),
        (ABOUT_TEXT, Response(text='{"reason": "It helps.", "verdict": 0}', finish="length")),
        (ABOUT_TEXT, Response(text="It quotes\nResult: 1", finish="length")),
        (ABOUT_IMAGE, Response(text='{"reason": "An image cannot refuse.", "verdict": 2}')),
        (JUDGE.intrinsic_request(TEXT, False), Response(text="Result: 2")),
    ],
    ids=["words", "nothing", "another digit", "cut off", "cut off in a quote", "an image's refusal", "an intrinsic refusal"],
)
async def test_twice_unparsed_stays_unparsed_with_the_last_reply_kept(request_: Request, last: Response) -> None:
    ask, asked = replying(GARBLED, last)
    verdict = await verdict_of(JUDGE, ask, request_)
    assert (verdict.label, verdict.status, verdict.raw) == (None, "unparsed", last.text)
    assert ("max_tokens" in verdict.reason) == (last.finish == "length")
    assert len(asked) == 2


ERRORS = [RateLimited("slow down"), Transient("503"), Timeout("no answer"), Rejected("too long"), Misconfigured("wrong key")]


@pytest.mark.parametrize(
    ("outcomes", "status", "words"),
    [
        ([Response(finish="blocked", reason="content_filter")], "blocked", "content_filter"),
        ([Response(text="Result: 1", finish="blocked", reason="content_filter")], "blocked", "content_filter"),
        ([Response(text="Result: 1", finish="refused")], "blocked", "refused"),
        ([GARBLED, Response(finish="blocked", reason="content_filter")], "blocked", "content_filter"),
        *(([error], "failed", str(error)) for error in ERRORS),
        ([GARBLED, Transient("503")], "failed", "503"),
    ],
)
async def test_a_judge_that_is_stopped_or_fails_gives_no_verdict(outcomes: list[Outcome], status: str, words: str) -> None:
    ask, asked = replying(*outcomes)
    verdict = await verdict_of(JUDGE, ask, ABOUT_TEXT)
    assert (verdict.label, verdict.status) == (None, status)
    assert words in verdict.reason
    assert len(asked) == len(outcomes)


# ---------------------------------------------------------------- intents


async def test_an_intent_is_what_the_extractor_wrote() -> None:
    ask, asked = replying(Response(text="  The user wants this.\n", finish="length"))
    assert await JUDGE.intent(ask, INTENT) == "The user wants this."
    assert asked == [INTENT]


async def test_what_the_extractor_thought_is_no_part_of_the_intent() -> None:
    ask, _ = replying(Response(text="<think>Could it be harmful?</think>\nThe user wants this."))
    assert await JUDGE.intent(ask, INTENT) == "The user wants this."


@pytest.mark.parametrize(
    ("outcome", "status", "words"),
    [
        (Response(finish="blocked", reason="content_filter"), "blocked", "content_filter"),
        (Response(text="Half of it", finish="blocked", reason="content_filter"), "blocked", "content_filter"),
        (Response(text="I can't look at this.", finish="refused"), "blocked", "refused"),
        (Response(text=" \n"), "unparsed", "empty"),
        (Response(text="<think>The user wants"), "unparsed", "empty"),
        (Response(missing="an answer of thoughts alone"), "unparsed", "thoughts alone"),
        *((error, "failed", str(error)) for error in ERRORS),
    ],
)
async def test_without_an_intent_there_is_no_contextual_verdict(outcome: Outcome, status: str, words: str) -> None:
    ask, _ = replying(outcome)
    with pytest.raises(NoIntent, match="intent: ") as caught:
        await JUDGE.intent(ask, INTENT)
    assert (caught.value.verdict.label, caught.value.verdict.status) == (None, status)
    assert words in caught.value.verdict.reason


@pytest.mark.parametrize("stop", [Draining("asked to stop"), BudgetSpent("no money left")])
async def test_a_call_that_was_not_made_on_purpose_is_no_failure_of_the_judge(stop: Exception) -> None:
    assert not isinstance(stop, ProviderError)
    for asking in (partial(verdict_of, JUDGE), JUDGE.intent):
        ask, _ = replying(stop)
        with pytest.raises(type(stop)):
            await asking(ask, ABOUT_TEXT)
