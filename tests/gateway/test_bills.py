"""What was used is paid for: also by tries that failed, also where nobody reported it; and what came of them is kept."""

from __future__ import annotations

import json

import pytest
from anyio import to_thread
from models import PICTURE, Told, all_of, chat, endpoint_of, gateway_of
from unisafe_cache import Answer, Paid, Store, Unstorable, read_file
from unisafe_providers import Malformed, ProviderError, Rejected, Request, Response, Text, Transient, Usage
from unisafe_providers.prices import Price

from unisafe_async.gateway import key_of

HI = Response(text="hi", usage=Usage(tokens_in=1_000, tokens_out=500))
PRICES = Price(1.0, 2.0, 0.04)
EMPTY = Response(missing="empty answer", usage=Usage(tokens_in=100, tokens_out=1), asks_again=True)


def told(*outcomes: Response | ProviderError) -> Told:
    """A model that gives these in turn."""
    said = iter(outcomes)
    return Told(lambda _: next(said))


def failing(kind: type[ProviderError], usage: Usage | None = None, partial: Response | None = None) -> ProviderError:
    error = kind("half an answer")
    error.usage, error.partial = usage, partial
    return error


async def stored(store: Store, columns: str) -> list[tuple[object, ...]]:
    sql = f"SELECT {columns} FROM responses ORDER BY id"
    return await to_thread.run_sync(lambda: read_file(store.path, lambda file: file.execute(sql).fetchall()))


# ---------------------------------------------------------------- tries that failed


@pytest.mark.parametrize("kind", [Malformed, Transient])
async def test_a_try_that_failed_is_paid_for_by_what_its_body_says(store: Store, kind: type[ProviderError]) -> None:
    gateway = gateway_of(store, budget=1.0)
    endpoint = endpoint_of(gateway, told(failing(kind, Usage(tokens_in=2_000, tokens_out=1_000)), HI), prices=PRICES)
    await gateway.ask(endpoint, chat("a"))
    assert gateway.budget.spent == endpoint.counts.cost == pytest.approx(0.004 + 0.002)
    counts = endpoint.counts
    assert (counts.calls, counts.retries, counts.tokens_in, counts.tokens_out) == (1, 1, 3_000, 1_500)
    assert await stored(store, "cost, key <> '', missing") == [(0.004, False, "failed: half an answer"), (0.002, True, "")]


async def test_what_came_before_a_failure_is_kept_and_answers_nothing(store: Store) -> None:
    partial = Response(text="once upon", thoughts="hm", usage=Usage(tokens_in=10, tokens_out=4))
    gateway = gateway_of(store)
    endpoint = endpoint_of(gateway, told(failing(Rejected, None, partial), HI), prices=PRICES)
    with pytest.raises(Rejected, match="half an answer") as failed:
        await gateway.ask(endpoint, chat("a"))
    assert await stored(store, "id, key, text, thoughts, missing, cost") == [
        (failed.value.kept, "", "once upon", "hm", "failed: half an answer", pytest.approx(0.000018))
    ]
    assert await gateway.look_up([key_of(endpoint.provider.identity, chat("a"))]) == {}
    assert not (await gateway.ask(endpoint, chat("a"))).cached


async def test_a_request_that_is_given_up_says_where_its_last_half_answer_is(store: Store) -> None:
    halves = [failing(Malformed, None, Response(text=text, usage=Usage(tokens_in=10, tokens_out=4))) for text in ("one", "two")]
    gateway = gateway_of(store)
    with pytest.raises(Malformed, match="gave up after 2 failed tries") as failed:
        await gateway.ask(endpoint_of(gateway, told(*halves)), chat("a"))
    assert next(row for row in await stored(store, "text, id") if row[1] == failed.value.kept)[0] == "two"


async def test_tries_that_fail_do_not_exceed_the_budget(store: Store) -> None:
    gateway = gateway_of(store, budget=0.01)
    model = Told(lambda _: failing(Transient, Usage(tokens_in=0, tokens_out=1_000)))
    endpoint = endpoint_of(gateway, model, prices=Price(0.0, 2.0), max_tries=50)
    (said,) = await all_of(gateway, endpoint, [chat("a", max_tokens=1_000)])
    assert said.startswith("BudgetSpent")
    assert (len(model.calls), gateway.budget.spent) == (5, pytest.approx(0.01))


# ---------------------------------------------------------------- empty answers


async def test_an_empty_answer_is_asked_for_once_more_and_both_are_paid(store: Store) -> None:
    gateway, model = gateway_of(store), told(EMPTY, HI)
    endpoint = endpoint_of(gateway, model, prices=PRICES)
    assert (await gateway.ask(endpoint, chat("a"))).response.text == "hi"
    assert (len(model.calls), endpoint.counts.calls) == (2, 2)
    assert gateway.budget.spent == pytest.approx(0.000102 + 0.002)
    assert await stored(store, "key <> '', missing") == [(False, "failed: empty answer; asked again"), (True, "")]


@pytest.mark.parametrize("second", [EMPTY, failing(Rejected)])
async def test_an_empty_answer_stands_where_nothing_better_comes(store: Store, second: Response | ProviderError) -> None:
    gateway, model = gateway_of(store), told(EMPTY, second)
    asked = await gateway.ask(endpoint_of(gateway, model, max_tries=1), chat("a"))
    assert (asked.response.missing, len(model.calls)) == ("empty answer", 2)


# ---------------------------------------------------------------- no usage


async def test_a_call_without_usage_is_billed_by_what_was_sent_and_what_came(store: Store) -> None:
    unknown = Response(text="x" * 400, thoughts="y" * 40, images=(PICTURE,), usage=Usage(reported=False))
    gateway = gateway_of(store)
    endpoint = endpoint_of(gateway, told(unknown), prices=Price(1_000.0, 10_000.0, 0.5))
    asked = await gateway.ask(endpoint, Request(kind="chat", parts=(PICTURE, Text("q" * 80)), system="s" * 20))
    usage = asked.response.usage
    assert (usage.tokens_in, usage.tokens_out, usage.images, usage.reported) == (1_025, 110, 1, False)
    assert usage.cost == gateway.budget.spent == pytest.approx(1.025 + 1.1 + 0.5)
    assert (endpoint.counts.estimated, endpoint.counts.calls) == (1, 1)
    assert await stored(store, "tokens_in, tokens_out, images_made, estimated") == [(1_025, 110, 1, True)]


async def test_a_budget_holds_without_any_usage(store: Store) -> None:
    gateway, model = gateway_of(store, budget=0.05), Told(lambda _: Response(text="w" * 400, usage=Usage(reported=False)))
    endpoint = endpoint_of(gateway, model, most=8, prices=Price(1.0, 10.0))
    results = await all_of(gateway, endpoint, [chat(number) for number in range(200)])
    assert results.count("w" * 400) == len(model.calls)
    assert 40 <= len(model.calls) <= 50
    assert 0.04 < gateway.budget.spent <= 0.05


async def test_a_failed_try_without_usage_is_billed_by_what_came(store: Store) -> None:
    gateway = gateway_of(store)
    half = failing(Malformed, None, Response(text="h" * 400, usage=Usage(reported=False)))
    endpoint = endpoint_of(gateway, told(half, HI), prices=Price(0.0, 10.0))
    await gateway.ask(endpoint, chat("a"))
    assert gateway.budget.spent == pytest.approx(0.001 + 0.005)
    assert endpoint.counts.estimated == 1


# ---------------------------------------------------------------- figures that make no sense


@pytest.mark.parametrize(
    "usage",
    [
        Usage(tokens_in=2**31, tokens_out=1),
        Usage(tokens_in=-1, tokens_out=1),
        Usage(tokens_in=10**30, tokens_out=1),
        Usage(tokens_in=1, tokens_out=1, cost=float("nan")),
        None,
    ],
)
async def test_a_usage_that_makes_no_sense_loses_no_answer_of_anybody(store: Store, usage: Usage) -> None:
    gateway = gateway_of(store)
    model = Told(lambda request: Response(text="odd", usage=usage) if request.text == "3" else HI)
    endpoint = endpoint_of(gateway, model, prices=PRICES)
    results = await all_of(gateway, endpoint, [chat(number) for number in range(20)])
    assert results == ["odd" if number == 3 else "hi" for number in range(20)]
    assert len(await stored(store, "id")) == 20
    assert "makes no sense" in endpoint.notes["usage"]


async def test_an_answer_that_cannot_be_stored_fails_alone(store: Store) -> None:
    class Wide(str):
        """Text that breaks where it is stored."""

        def isascii(self) -> bool:
            raise ValueError("breaks")

    model = Told(lambda request: Response(text=Wide("odd")) if request.text == "3" else HI)
    gateway = gateway_of(store)
    results = await all_of(gateway, endpoint_of(gateway, model), [chat(number) for number in range(20)])
    assert results[3].startswith("Rejected: the answer cannot be stored: ")
    assert results.count("hi") == len(await stored(store, "id")) == 19


async def test_the_cache_keeps_what_was_committed_beside_a_value_that_it_cannot_hold(store: Store) -> None:
    odd = Answer(store.ids.next(), Response(text="odd", usage=Usage(tokens_in=2**40)))
    with pytest.raises(Unstorable):
        await store.commit(Paid(key="k", identity="who", request="{}", answer=odd, run="run"))
    await store.commit(Paid(key="k", identity="who", request="{}", answer=Answer(store.ids.next(), HI), run="run"))
    assert (await store.look_up(["k"]))["k"].response.text == "hi"


# ---------------------------------------------------------------- batch jobs


async def test_answers_of_batch_jobs_are_billed_and_mended_alike(store: Store) -> None:
    gateway, request = gateway_of(store), chat("q" * 400).canonical.decode()
    endpoint = endpoint_of(gateway, told(), prices=Price(10.0, 20.0))
    await gateway.keep(endpoint, "k1", request, Response(text="x" * 400, usage=Usage(tokens_in=-1)))
    await gateway.keep_failure(endpoint, request, failing(Rejected, Usage(tokens_in=1_000, tokens_out=100), Response(text="half")))
    with pytest.raises(Rejected, match="text is no text"):
        await gateway.keep(endpoint, "k2", request, Response(text=None))  # type: ignore[arg-type]
    assert gateway.budget.spent == pytest.approx(0.003 + 0.012)
    assert json.loads(request)["kind"] == "chat"
    assert await stored(store, "key, text, tokens_in, estimated") == [("k1", "x" * 400, 100, True), ("", "half", 1_000, False)]
