"""Models that answer by jobs: the vendor is paid once for each request, whatever fails and whatever run asks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from models import PNG, chat, endpoint_of
from unisafe_cache import CacheError, Store
from unisafe_cache.submitted_jobs import JobRecord, list_jobs
from unisafe_providers import Capabilities, Image, Misconfigured, Rejected, Request, Response, Transient, Usage
from unisafe_providers.base import ProviderError, RateLimited, Timeout
from unisafe_providers.hosted.jobs import JobFailed, JobProvider
from unisafe_providers.jobs import Job, JobLost
from unisafe_providers.prices import Price
from virtual_time import VirtualTime

from unisafe_async.gateway import Budget, BudgetSpent, Endpoint, Gateway
from unisafe_async.gateway.job_calls import keep_jobs

DONE = Response(text="done")
Step = Response | Exception | None


@dataclass
class Vendor:
    """Takes requests as jobs; `polls` says what each poll of a job shows, the last one over and over.

    Attributes:
        submitted: how often each request was submitted.
        takes: what happens to a submission: None for a job of its own.
    """

    polls: Callable[[int], Step] = lambda _: DONE
    takes: Callable[[int], Step] = lambda _: None
    price: float | None = None
    submitted: Counter[str] = field(default_factory=Counter)
    polled: Counter[str] = field(default_factory=Counter)


class Model(JobProvider):
    """One model at a Vendor in memory."""

    def __init__(self, vendor: Vendor) -> None:
        capabilities = Capabilities(image_in=True, image_out=True)
        super().__init__("jobs|http://127.0.0.1:9|m", "m", "http://127.0.0.1:9", "", {}, capabilities, timeout=5.0)
        self.vendor = vendor

    async def _submit(self, request: Request) -> Job | Response:
        number = self.vendor.submitted.total()
        self.vendor.submitted[request.text] += 1
        step = self.vendor.takes(number)
        if isinstance(step, Exception):
            raise step
        return step or Job(name=f"job-{number}", poll=f"http://127.0.0.1:9/{number}", cost=self.vendor.price)

    async def _poll(self, request: Request, job: Job) -> Response | None:
        number = self.vendor.polled[job.name]
        self.vendor.polled[job.name] += 1
        step = self.vendor.polls(number)
        if isinstance(step, Exception):
            raise step
        return step


def in_turn(*steps: Step) -> Callable[[int], Step]:
    return lambda number: steps[min(number, len(steps) - 1)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unisafe_providers.hosted.jobs.FIRST_PAUSE", 0.0)
    monkeypatch.setattr("unisafe_providers.hosted.jobs.LONGEST_PAUSE", 0.0)
    monkeypatch.setattr("unisafe_providers.hosted.http.DOWNLOAD_PAUSE", 0.0)


@asynccontextmanager
async def run(
    folder: Path,
    vendor: Vendor,
    *,
    budget: float | None = None,
    name: str = "run",
    since: int = 0,
    price: Price | None = None,
    kind: type[Model] = Model,
) -> AsyncIterator[tuple[Gateway, Endpoint]]:
    """A run on the cache of `folder`, with one model at the vendor."""
    async with Store(folder / "cache.duckdb") as store, kind(vendor) as provider:
        gateway = Gateway(store, Budget(budget), name, since, VirtualTime())
        endpoint = endpoint_of(gateway, provider, max_tries=3, **({"prices": price} if price else {}))
        keep_jobs(endpoint, store, name)
        yield gateway, endpoint


async def jobs_in(folder: Path) -> list[JobRecord]:
    async with Store(folder / "cache.duckdb") as store:
        return await store.query(list_jobs)


async def ask(folder: Path, vendor: Vendor, text: str = "one", **options: object) -> str:
    """What a run gets for one request: the answer's text, or its error."""
    async with run(folder, vendor, **options) as (gateway, endpoint):  # type: ignore[arg-type]
        try:
            return (await gateway.ask(endpoint, chat(text))).response.text
        except (ProviderError, BudgetSpent) as error:
            return f"{type(error).__name__}: {error}"


async def cut_off(folder: Path, vendor: Vendor, *texts: str, **options: object) -> None:
    """A run that ends while the vendor works on its jobs."""
    async with run(folder, vendor, **options) as (gateway, endpoint):  # type: ignore[arg-type]
        polled = anyio.Event()

        def poll(_: int) -> None:
            if len(vendor.polled) == len(texts):
                polled.set()

        polls, vendor.polls = vendor.polls, poll
        async with anyio.create_task_group() as group:
            for text in texts:
                group.start_soon(gateway.ask, endpoint, chat(text))
            await polled.wait()
            group.cancel_scope.cancel()
        vendor.polls = polls


async def test_an_answer_ends_its_job(tmp_path: Path) -> None:
    vendor = Vendor(in_turn(None, None, DONE))
    assert await ask(tmp_path, vendor) == "done"
    assert await jobs_in(tmp_path) == []
    assert await ask(tmp_path, vendor) == "done"
    assert (vendor.submitted["one"], vendor.polled["job-0"]) == (1, 3)


async def test_the_next_run_goes_on_with_the_jobs_of_one_that_was_cut_off(tmp_path: Path) -> None:
    vendor = Vendor()
    await cut_off(tmp_path, vendor, "one", "two")
    assert {(job.state, job.run) for job in await jobs_in(tmp_path)} == {("submitted", "run")}
    async with run(tmp_path, vendor, name="next") as (gateway, endpoint):
        for text in ("one", "two", "three"):
            assert (await gateway.ask(endpoint, chat(text))).response.text == "done"
        assert list(endpoint.notes.values()) == ["2 jobs of an earlier run gone on with, and not submitted again"]
    assert vendor.submitted == {"one": 1, "two": 1, "three": 1}
    assert await jobs_in(tmp_path) == []


async def test_a_fresh_run_takes_a_job_that_nobody_has_seen_the_answer_of(tmp_path: Path) -> None:
    vendor = Vendor()
    await cut_off(tmp_path, vendor, "one")
    async with Store(tmp_path / "cache.duckdb") as store:
        since = store.ids.next()
    assert await ask(tmp_path, vendor, since=since) == "done"
    assert vendor.submitted["one"] == 1
    assert await ask(tmp_path, vendor, since=since + 2**40) == "done"  # its answer is an old one by then
    assert vendor.submitted["one"] == 2


@pytest.mark.parametrize(
    "failure", [Transient("500"), Timeout("no answer"), RateLimited("429", 0.1), Transient("refused", unreachable=True)]
)
async def test_a_poll_that_fails_is_repeated_about_the_same_job(tmp_path: Path, failure: Exception) -> None:
    vendor = Vendor(in_turn(failure, None, failure, DONE))
    assert await ask(tmp_path, vendor) == "done"
    assert vendor.submitted["one"] == 1


async def test_a_job_whose_polls_fail_to_the_end_is_gone_on_with_by_the_next_run(tmp_path: Path) -> None:
    vendor = Vendor(in_turn(Transient("500: busy")))
    said = await ask(tmp_path, vendor)
    assert "gave up after 3 failed tries: 500: busy; its job job-0 stays under way and is paid for" in said
    vendor.polls = in_turn(DONE)
    assert await ask(tmp_path, vendor) == "done"
    assert vendor.submitted["one"] == 1


async def test_a_wrong_key_at_a_poll_stops_the_model_and_keeps_the_job(tmp_path: Path) -> None:
    vendor = Vendor(in_turn(Misconfigured("401: wrong key")))
    assert await ask(tmp_path, vendor) == "Misconfigured: 401: wrong key"
    vendor.polls = in_turn(DONE)
    assert await ask(tmp_path, vendor) == "done"
    assert vendor.submitted["one"] == 1


async def test_a_picture_that_cannot_be_fetched_is_fetched_by_the_next_run(tmp_path: Path) -> None:
    works = False

    async def download() -> bytes:
        if not works:
            raise Transient("its address answered 503")
        return PNG

    vendor = Vendor(lambda _: Response(images=(Image("", "", download),)))
    said = await ask(tmp_path, vendor)
    assert "was made and paid for" in said
    assert "its job job-0 stays under way" in said
    works = True
    async with run(tmp_path, vendor) as (gateway, endpoint):
        assert len((await gateway.ask(endpoint, chat("one"))).response.images) == 1
    assert vendor.submitted["one"] == 1


async def test_only_a_failure_that_the_vendor_reports_allows_another_submission(tmp_path: Path) -> None:
    vendor = Vendor(in_turn(None, JobFailed(Transient("the vendor's worker died")), DONE))
    vendor.polls = lambda number: DONE if vendor.submitted["one"] == 2 else in_turn(None, JobFailed(Transient("died")))(number)
    assert await ask(tmp_path, vendor) == "done"
    assert vendor.submitted["one"] == 2
    vendor.polls = in_turn(JobFailed(Rejected("no such size")))
    assert await ask(tmp_path, vendor, "two") == "Rejected: no such size"
    assert await jobs_in(tmp_path) == []


async def test_an_empty_answer_is_asked_for_once_more_by_another_job(tmp_path: Path) -> None:
    empty = Response(usage=Usage(5, 5))
    vendor = Vendor(lambda _: DONE if vendor.submitted["one"] == 2 else empty)
    assert await ask(tmp_path, vendor) == "done"
    assert vendor.submitted["one"] == 2
    assert await jobs_in(tmp_path) == []


async def test_the_job_of_a_second_try_is_kept_if_the_first_empty_answer_has_to_do(tmp_path: Path) -> None:
    empty = Response(usage=Usage(5, 5))
    vendor = Vendor(lambda _: Transient("500") if vendor.submitted["one"] == 2 else empty)
    assert await ask(tmp_path, vendor) == ""
    assert [job.job and Job.read(job.job).name for job in await jobs_in(tmp_path)] == ["job-1"]
    vendor.polls = in_turn(DONE)
    assert await ask(tmp_path, vendor, name="next") == "done"
    assert vendor.submitted["one"] == 2


async def test_a_lost_job_fails_its_item_and_is_never_bought_again_unasked(tmp_path: Path) -> None:
    vendor = Vendor(in_turn(JobLost("the vendor knows no job job-0")))
    for _ in range(2):
        said = await ask(tmp_path, vendor)
        assert "the vendor knows no job job-0; its job job-0 was paid for" in said
        assert "`unisafe batches --cancel job-0` frees the request to be submitted and paid for once more" in said
    assert vendor.submitted["one"] == 1
    assert vendor.polled["job-0"] == 4  # twice in each run: a vendor may be slow to know its newest jobs
    assert [job.state for job in await jobs_in(tmp_path)] == ["lost"]


async def test_many_lost_jobs_do_not_stop_a_model_that_works(tmp_path: Path) -> None:
    vendor = Vendor()
    lost = [f"old {number}" for number in range(3)]  # so many as a model is asked at once before it has answered
    await cut_off(tmp_path, vendor, *lost)
    old = set(vendor.polled)
    vendor.polls = in_turn(JobLost("gone"))
    async with run(tmp_path, vendor, name="next") as (gateway, endpoint):
        for text in lost:
            with pytest.raises(Transient, match="gone"):
                await gateway.ask(endpoint, chat(text))
        vendor.polls = in_turn(DONE)
        assert (await gateway.ask(endpoint, chat("new"))).response.text == "done"
        assert endpoint.stopped is None
    assert {Job.read(job.job).name for job in await jobs_in(tmp_path) if job.job} == old


async def test_two_runs_at_once_on_one_cache_have_one_job_for_a_request(tmp_path: Path) -> None:
    vendor = Vendor(in_turn(*[None] * 20, DONE))
    said: list[str] = []

    async def one(name: str) -> None:
        said.append(await ask(tmp_path, vendor, name=name))

    async with anyio.create_task_group() as group:
        group.start_soon(one, "first")
        group.start_soon(one, "second")
    assert said == ["done", "done"]
    assert vendor.submitted["one"] == 1


@pytest.mark.parametrize("poll", ["", "file:///etc/passwd", "https://x.example/" + "long" * 9_000, "HTTP odd \ud800"])
async def test_odd_names_addresses_and_prices_of_jobs_spoil_no_cache(tmp_path: Path, poll: str) -> None:
    class Odd(Model):
        async def _submit(self, request: Request) -> Job | Response:
            self.vendor.submitted[request.text] += 1
            return Job(name="job/\x00\u202e é\ud800" + "n" * 9_000, poll=poll, cost=float("nan"))

    vendor = Vendor()
    await cut_off(tmp_path, vendor, "one", kind=Odd)
    assert await ask(tmp_path, vendor, kind=Odd) == "done"
    assert vendor.submitted["one"] == 1


class Seldom(Model):
    """A model that answers most requests at once."""

    submits_each = False


async def test_a_run_finds_the_rare_job_that_another_one_submitted_meanwhile(tmp_path: Path) -> None:
    vendor = Vendor(takes=lambda _: Response(text="at once"))
    async with run(tmp_path, vendor, kind=Seldom) as (gateway, endpoint):
        assert (await gateway.ask(endpoint, chat("zero"))).response.text == "at once"
        vendor.takes = lambda _: None
        await cut_off(tmp_path, vendor, "one", kind=Seldom, name="other")
        assert (await gateway.ask(endpoint, chat("one"))).response.text == "done"
        assert (await gateway.ask(endpoint, chat("two"))).response.text == "done"
    assert vendor.submitted == {"zero": 1, "one": 1, "two": 1}
    assert await jobs_in(tmp_path) == []


async def test_a_request_whose_rare_job_failed_a_run_is_not_submitted_again_within_it(tmp_path: Path) -> None:
    vendor = Vendor(in_turn(Transient("500")))
    async with run(tmp_path, vendor, kind=Seldom) as (gateway, endpoint):
        for _ in range(2):
            with pytest.raises(Transient, match="its job job-0 stays under way"):
                await gateway.ask(endpoint, chat("one"))
    assert vendor.submitted == {"one": 1}


# ---------------------------------------------------------------- submissions that nobody saw confirmed


async def test_a_submission_that_was_cut_off_is_made_again_and_told(tmp_path: Path) -> None:
    async with run(tmp_path, Vendor()) as (gateway, endpoint):
        started = anyio.Event()

        async def hang(request: Request) -> Job:
            started.set()
            await anyio.sleep_forever()
            raise AssertionError

        endpoint.provider._submit = hang  # type: ignore[attr-defined]
        async with anyio.create_task_group() as group:
            group.start_soon(gateway.ask, endpoint, chat("one"))
            await started.wait()
            group.cancel_scope.cancel()
    assert [(job.state, job.job) for job in await jobs_in(tmp_path)] == [("submitting", None)]
    async with run(tmp_path, Vendor(), name="next", budget=5.0) as (gateway, endpoint):
        assert (await gateway.ask(endpoint, chat("one"))).response.text == "done"
        assert "1 request on the way to the vendor when an earlier run ended, and submitted again" in endpoint.notes["unsure"]
    assert await jobs_in(tmp_path) == []


@pytest.mark.parametrize(
    ("failure", "left"),
    [
        (Rejected("400: too long"), []),
        (Misconfigured("401"), []),
        (Transient("no connection", unreachable=True), []),
        (Timeout("no answer within 5 s"), ["submitting"]),
        (Transient("502"), ["submitting"]),
    ],
)
async def test_a_submission_counts_as_perhaps_paid_only_if_the_vendor_may_have_it(
    tmp_path: Path, failure: Exception, left: list[str]
) -> None:
    await ask(tmp_path, Vendor(takes=in_turn(failure)))
    assert [job.state for job in await jobs_in(tmp_path)] == left


async def test_a_request_that_is_answered_at_once_leaves_no_job(tmp_path: Path) -> None:
    vendor = Vendor(takes=in_turn(RateLimited("429", 0.1), Transient("502"), Response(text="at once")))
    assert await ask(tmp_path, vendor) == "at once"
    assert await jobs_in(tmp_path) == []


async def test_a_job_that_cannot_be_written_down_ends_the_run(tmp_path: Path) -> None:
    async with run(tmp_path, vendor := Vendor()) as (gateway, endpoint):

        def spoil(_: int) -> None:
            os.replace(tmp_path / "cache.duckdb", tmp_path / "elsewhere.duckdb")

        vendor.takes = spoil
        with pytest.raises(CacheError, match="is gone"):
            await gateway.ask(endpoint, chat("one"))


# ---------------------------------------------------------------- money

DEAR = Price(image=1.0, tokens_in=0.0, tokens_out=0.0)
DRAWN = Response(images=(Image.from_bytes(PNG),), usage=Usage(images=1))


async def draw(gateway: Gateway, endpoint: Endpoint, text: str) -> float | None:
    return (await gateway.ask(endpoint, Request(kind="image", parts=chat(text).parts))).response.usage.cost


async def test_a_failed_poll_keeps_the_money_of_its_job_reserved(tmp_path: Path) -> None:
    vendor = Vendor(lambda _: Transient("500") if vendor.submitted["two"] == 0 else DRAWN)
    async with run(tmp_path, vendor, budget=1.5, price=DEAR) as (gateway, endpoint):
        with pytest.raises(Transient):
            await draw(gateway, endpoint, "one")
        with pytest.raises(BudgetSpent, match="for jobs under way"):
            await draw(gateway, endpoint, "two")
    assert vendor.submitted == {"one": 1}


async def test_a_job_of_an_earlier_run_is_collected_and_billed_whatever_the_budget(tmp_path: Path) -> None:
    vendor = Vendor(in_turn(DRAWN))
    async with run(tmp_path, vendor, price=DEAR) as (gateway, endpoint):
        vendor.polls = in_turn(Transient("500"))
        with pytest.raises(Transient):
            await draw(gateway, endpoint, "one")
    vendor.polls = in_turn(DRAWN)
    async with run(tmp_path, vendor, budget=0.1, price=DEAR) as (gateway, endpoint):
        assert await draw(gateway, endpoint, "one") == 1.0
        assert gateway.budget.spent == endpoint.counts.cost == 1.0
        with pytest.raises(BudgetSpent):
            await draw(gateway, endpoint, "two")
    assert vendor.submitted == {"one": 1}


async def test_the_price_that_the_vendor_told_when_it_took_the_job_is_the_cost(tmp_path: Path) -> None:
    vendor = Vendor(in_turn(DRAWN), price=0.04)
    async with run(tmp_path, vendor, price=DEAR) as (gateway, endpoint):
        vendor.polls = in_turn(Transient("500"))
        with pytest.raises(Transient):
            await draw(gateway, endpoint, "one")
    assert [job.cost for job in await jobs_in(tmp_path)] == [0.04]
    vendor.polls = in_turn(DRAWN)
    async with run(tmp_path, vendor, budget=5.0, price=DEAR) as (gateway, endpoint):
        assert await draw(gateway, endpoint, "one") == 0.04
        assert gateway.budget.spent == 0.04
