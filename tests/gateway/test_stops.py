"""What stops a model, what stops one kind of request, and what is one item's alone."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from models import PICTURE, Told, all_of, chat, endpoint_of, gateway_of
from unisafe_cache import Store
from unisafe_providers import Misconfigured, ProviderError, RateLimited, Rejected, Request, Response, Text, Transient
from unisafe_providers.base import DeviceStatus

HI = Response(text="hi")


def forbids(*words: str, status: str = "403 Forbidden") -> Told:
    """A model that forbids some requests, in an error that could be about its key as well."""
    return Told(lambda request: Misconfigured(status, doubtful=True) if request.text in words else HI)


# ---------------------------------------------------------------- kinds of request


async def test_a_model_that_takes_no_pictures_still_gets_every_request_without_one(store: Store) -> None:
    wrong = Misconfigured("no image input", needs="images in")
    model, gateway = Told(lambda request: wrong if request.images else HI), gateway_of(store)
    endpoint = endpoint_of(gateway, model, most=1)
    seen = [chat(number, PICTURE) for number in range(5)]
    results = await all_of(gateway, endpoint, [*seen, *map(chat, range(5, 10))])
    assert results == ["Misconfigured: no image input"] * 5 + ["hi"] * 5
    assert Counter(int(text) < 5 for text in model.calls) == {True: 1, False: 5}
    assert (endpoint.stopped, endpoint.stopped_words) == (None, "for requests with images in only: no image input")


async def test_a_model_that_makes_no_pictures_is_asked_for_one_once_and_edits_are_not_sent_either(store: Store) -> None:
    wrong = Misconfigured("makes no images", needs="images out")
    model, gateway = Told(lambda request: wrong if request.image_due else HI), gateway_of(store)
    endpoint = endpoint_of(gateway, model, most=1)
    due = [Request(kind="image", parts=(Text("draw"),)), Request(kind="edit", parts=(PICTURE, Text("edit")))]
    assert await all_of(gateway, endpoint, [*due, chat("see", PICTURE)]) == ["Misconfigured: makes no images"] * 2 + ["hi"]
    assert model.calls == ["draw", "see"]


# ---------------------------------------------------------------- doubtful errors


@pytest.mark.parametrize("place", [0, 1, 5, 11])
@pytest.mark.parametrize("most", [1, 32])
async def test_one_forbidden_prompt_among_twelve_fails_alone(store: Store, place: int, most: int) -> None:
    gateway, model = gateway_of(store), forbids(str(place))
    results = await all_of(gateway, endpoint_of(gateway, model, most=most), [chat(number) for number in range(12)])
    assert results == ["Rejected: 403 Forbidden" if number == place else "hi" for number in range(12)]
    assert len(model.calls) == 12


async def test_one_forbidden_prompt_fails_alone_where_only_the_cache_has_answered(store: Store) -> None:
    gateway = gateway_of(store)
    await gateway.ask(endpoint_of(gateway, forbids()), chat("known"))
    later, model = gateway_of(store), forbids("bad")
    endpoint = endpoint_of(later, model, most=1)
    assert await all_of(later, endpoint, [chat("known"), chat("bad"), chat("good")]) == ["hi", "Rejected: 403 Forbidden", "hi"]


@pytest.mark.parametrize("doubtful", [False, True])
@pytest.mark.parametrize("most", [1, 2, 32])
async def test_a_wrong_key_from_the_start_costs_three_calls_at_most(store: Store, doubtful: bool, most: int) -> None:
    gateway, model = gateway_of(store), Told(lambda _: Misconfigured("wrong key", doubtful=doubtful))
    endpoint = endpoint_of(gateway, model, most=most)
    results = await all_of(gateway, endpoint, [chat(number) for number in range(50)])
    one_by_one = doubtful and most == 1
    assert set(results) == {"Misconfigured: wrong key"} | ({"Rejected: wrong key"} if one_by_one else set())
    assert len(model.calls) == (3 if one_by_one else min(most, 3))
    assert str(endpoint.stopped) == "wrong key"


async def test_nothing_new_is_sent_while_it_is_open_whether_the_first_error_is_its_item_s_alone(store: Store) -> None:
    slow = anyio.Event()

    class Slow(Told):
        async def call(self, request: Request) -> Response:
            if request.text == "slow":
                self.calls.append("slow")
                await slow.wait()
                return HI
            return await super().call(request)

    gateway, model = gateway_of(store), Slow(forbids("bad")._says)
    endpoint, results = endpoint_of(gateway, model, most=2), []

    async def ask() -> None:
        results.extend(await all_of(gateway, endpoint, [chat("slow"), chat("bad"), chat("third"), chat("fourth")]))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        while len(model.calls) < 2:
            await anyio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
        assert sorted(model.calls) == ["bad", "slow"]
        slow.set()
    assert results == ["hi", "Rejected: 403 Forbidden", "hi", "hi"]


@pytest.mark.parametrize("other", [Rejected("too long"), RateLimited("429", 0.0), Transient("503")])
async def test_doubtful_errors_with_no_answer_at_all_stop_the_model(store: Store, other: ProviderError) -> None:
    first = iter([Misconfigured("404 Not Found", doubtful=True), other])
    gateway, model = gateway_of(store), Told(lambda _: next(first, Misconfigured("404 Not Found", doubtful=True)))
    endpoint = endpoint_of(gateway, model, most=2)
    results = await all_of(gateway, endpoint, [chat(number) for number in range(6)])
    assert results.count("Misconfigured: 404 Not Found") >= 5
    assert len(model.calls) == 2


async def test_five_doubtful_errors_in_a_row_stop_a_model_that_did_answer(store: Store) -> None:
    bad = [f"bad {number}" for number in range(9)]
    gateway, model = gateway_of(store), forbids(*bad)
    endpoint = endpoint_of(gateway, model, most=1)
    row = ["good", *bad[:4], "fine", *bad[4:], "never sent"]
    results = await all_of(gateway, endpoint, [chat(text) for text in row])
    rejected, stopped = "Rejected: 403 Forbidden", "Misconfigured: 403 Forbidden"
    assert results == ["hi", *[rejected] * 4, "hi", *[rejected] * 4, stopped, stopped]
    assert model.calls == row[:-1]


async def test_a_rejected_request_stands_between_doubtful_errors(store: Store) -> None:
    def says(request: Request) -> Response | ProviderError:
        match request.text[0]:
            case "b":
                return Misconfigured("422", doubtful=True)
            case "r":
                return Rejected("too long")
        return HI

    gateway, model = gateway_of(store), Told(says)
    endpoint = endpoint_of(gateway, model, most=1)
    row = ["good", *(f"b{number}" for number in range(4)), "r", *(f"b{number}" for number in range(4, 8)), "good again"]
    assert (await all_of(gateway, endpoint, [chat(text) for text in row]))[-1] == "hi"
    assert endpoint.stopped is None


# ---------------------------------------------------------------- beginning slowly


async def test_an_endpoint_gets_three_calls_at_once_until_it_answers_and_then_all(store: Store) -> None:
    gateway, model, before = gateway_of(store), Told(lambda _: HI, turns=10), []
    model._says = lambda _: before.append(model.most_at_once) or HI  # type: ignore[func-returns-value]
    await all_of(gateway, endpoint_of(gateway, model, most=20), [chat(number) for number in range(40)])
    assert (before[0], model.most_at_once) == (3, 20)


async def test_an_endpoint_whose_answers_are_in_the_cache_gets_all_at_once(store: Store) -> None:
    gateway = gateway_of(store)
    await gateway.ask(endpoint_of(gateway, Told(lambda _: HI)), chat("known"))
    later, model = gateway_of(store), Told(lambda _: HI, turns=10)
    endpoint = endpoint_of(later, model, most=20)
    await later.ask(endpoint, chat("known"))
    await all_of(later, endpoint, [chat(number) for number in range(40)])
    assert model.most_at_once == 20


async def test_a_model_on_this_machine_gets_all_at_once_since_it_batches(store: Store) -> None:
    class Local(Told):
        devices = ("cpu",)
        status = DeviceStatus()
        size = 0

        async def release(self) -> None: ...

        def withdraw(self) -> None: ...

    gateway, model = gateway_of(store), Local(lambda _: HI)
    await all_of(gateway, endpoint_of(gateway, model, most=20), [chat(number) for number in range(20)])
    assert model.most_at_once == 20
