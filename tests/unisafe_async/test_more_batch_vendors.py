"""Batch jobs at the other vendors that take them: whole runs over each protocol, each request paid for once, whatever ends a run."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from aiohttp import web
from unisafe_providers.batching import Batching
from unisafe_providers.presets import load_presets
from unisafe_providers.registry import built_in_spec

from tests.batch_bench import bench, change, cut_off, newest, paid_once, prompts, ran, started, table
from tests.batch_servers import ANSWERED, BLOCKED, EXPIRED, KEY, OVERLOADED, REJECTED, UNREADABLE, Job, Vendor, serving
from tests.more_batch_servers import MORE, XAI, Fireworks, Gemini, Mistral, OpenRouter, Together
from unisafe_async import parse_config
from unisafe_async.config.bench_toml import ConfigError, load_config
from unisafe_async.run.endpoints import provider_of
from unisafe_async.screens.provider_facts import describe_batches

pytestmark = pytest.mark.anyio
EACH = pytest.mark.parametrize("kind", MORE)
PRICED = "price_in = 10.0\nprice_out = 20.0"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_KEY", KEY)


@EACH
async def test_an_interrupted_submission_is_adopted_and_every_request_ends_as_it_would_online(
    tmp_path: Path, kind: type[Vendor]
) -> None:
    first = dict(zip(prompts(6), [ANSWERED, BLOCKED, REJECTED, EXPIRED, OVERLOADED, UNREADABLE], strict=True))
    vendor = kind(lambda prompt, before: ANSWERED if before and first[prompt] != REJECTED else first[prompt])
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 6, model=PRICED)
        vendor.silent = True
        await cut_off(tmp_path, lambda: vendor.until(lambda: len(vendor.jobs) == 1))
        assert table(tmp_path, "SELECT status FROM batches") == [("submitting",)]
        vendor.others(vendor.jobs[0].entries)
        done = await ran(tmp_path)
    assert "1 failed" in done.said, done.said
    rows = newest(tmp_path)
    assert [row[1] for row in rows] == ["answered", "blocked_request", "failed", "answered", "answered", "answered"]
    assert "oo long" in rows[2][4]
    assert [len(job.entries) for job in vendor.jobs if not job.foreign] == [6, 3]
    paid_once(vendor, 5)
    costs = table(tmp_path, "SELECT DISTINCT round(cost, 9) FROM responses WHERE identity NOT LIKE '%judge%' AND text <> ''")
    assert costs == [({Together: 0.03, XAI: 0.024}.get(kind, 0.015),)]
    assert KEY.encode() not in (tmp_path / "run.duckdb").read_bytes()


async def test_a_killed_run_s_job_is_collected_by_the_next_run(tmp_path: Path) -> None:
    vendor = Gemini(by_itself=False)
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2)
        async with started(tmp_path) as process:
            await vendor.until(lambda: len(vendor.jobs) == 1 and vendor.jobs[0].looks > 0)
            process.kill()
        vendor.finish(vendor.jobs[0])
        assert "2 items: 2 judged" in (await ran(tmp_path)).said
    assert vendor.submissions == 1
    paid_once(vendor, 2)


async def test_results_that_name_no_request_are_not_bought_again(tmp_path: Path) -> None:
    class Nameless(Gemini):
        def _line(self, name: str, text: str, outcome: str) -> dict[str, object]:
            return super()._line(name, text, outcome) | {"metadata": {}}

    vendor = Nameless()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2)
        await ran(tmp_path)
    assert [(row[1], "none says which request" in row[4]) for row in newest(tmp_path)] == [("failed", True)] * 2
    assert vendor.submissions == 1


async def test_results_that_are_no_longer_kept_are_not_bought_again(tmp_path: Path) -> None:
    class Forgetful(Mistral):
        def _said(self, job: Job, request: web.Request) -> dict[str, object]:
            done = {"outputs": None, "succeeded_requests": len(job.entries)} if job.ended else {}
            return super()._said(job, request) | done

    vendor = Forgetful()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2)
        await ran(tmp_path)
    assert [(row[1], "shows no results" in row[4]) for row in newest(tmp_path)] == [("failed", True)] * 2
    assert vendor.submissions == 1


async def test_a_job_that_never_ends_is_waited_for_until_a_day_after_its_announced_end(tmp_path: Path) -> None:
    vendor = Gemini(by_itself=False)
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 1)
        async with anyio.create_task_group() as group:
            group.start_soon(ran, tmp_path)
            await vendor.until(lambda: len(vendor.jobs) == 1 and vendor.jobs[0].looks > 1)
            vendor.jobs[0].created -= timedelta(days=3, hours=1)
    assert [(row[1], "should have ended long ago" in row[4]) for row in newest(tmp_path)] == [("failed", True)]
    assert table(tmp_path, "SELECT status FROM batches") == [("submitted",)]
    assert vendor.submissions == 1


async def test_a_container_that_stayed_empty_is_filled_anew(tmp_path: Path) -> None:
    vendor = XAI()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2)
        vendor.silent = True
        await cut_off(tmp_path, lambda: vendor.until(lambda: len(vendor.jobs) == 1))
        vendor.jobs.clear()
        change(tmp_path, "UPDATE batches SET created = created - INTERVAL 1 HOUR")
        assert "2 items: 2 judged" in (await ran(tmp_path)).said
    assert vendor.submissions == 2
    paid_once(vendor, 2)


async def test_a_container_whose_requests_are_still_counted_has_not_ended(tmp_path: Path) -> None:
    vendor = XAI()
    vendor.arrives_late = 1
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3)
        assert "3 items: 3 judged" in (await ran(tmp_path)).said
    assert vendor.submissions == 1
    paid_once(vendor, 3)


@pytest.mark.parametrize("kind", [Gemini, Mistral])
async def test_a_large_job_goes_as_a_file_and_comes_back_as_one(
    tmp_path: Path, kind: type[Vendor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"unisafe_providers.hosted.{kind.provider}_batch.INLINE_REQUESTS", 1)  # type: ignore[attr-defined]
    vendor = kind(lambda prompt, before: REJECTED if prompt == prompts(1)[0] else ANSWERED)
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3)
        await ran(tmp_path)
    assert len(vendor.files) > 0  # type: ignore[attr-defined]
    assert [row[1] for row in newest(tmp_path)] == ["failed", "answered", "answered"]
    assert len(vendor.jobs) == 1


async def test_the_error_file_of_a_failed_job_says_which_requests_were_wrong(tmp_path: Path) -> None:
    class Strict(Together):
        """A job fails whole if a line is wrong; its error file names that line."""

        async def _accept(self, *args: object) -> object:
            job = await super()._accept(*args)  # type: ignore[arg-type]
            wrong = [entry["custom_id"] for entry in job.entries if self._prompt(entry) == prompts(1)[0]]
            if wrong:
                self.files["e"] = b'{"custom_id": "%s", "error": {"code": 400, "message": "max_tokens"}}' % wrong[0].encode()
                job.failure = ("e", "validation failed on line 1")
            return job

    vendor = Strict()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3)
        await ran(tmp_path)
    rows = newest(tmp_path)
    assert [row[1] for row in rows] == ["failed", "answered", "answered"]
    assert "max_tokens" in rows[0][4]
    assert [len(job.entries) for job in vendor.jobs] == [3, 2]


async def test_a_failed_job_whose_error_file_was_never_written_fails_its_items(tmp_path: Path) -> None:
    vendor = Together()
    vendor.failures = [("never-written", "validation failed on line 1")]
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2)
        await ran(tmp_path)
    assert [(row[1], "validation failed on line 1" in row[4]) for row in newest(tmp_path)] == [("failed", True)] * 2
    assert len(vendor.jobs) == 1


async def test_a_job_refused_for_a_parameter_goes_again_without_it(tmp_path: Path) -> None:
    vendor = Together()
    vendor.failures = [("", "Line 1: `temperature` is not supported by this model")]
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2, run="[generation]\ntemperature = 0.5")
        assert "2 items: 2 judged" in (await ran(tmp_path)).said
    assert ["temperature" in job.entries[0]["body"] for job in vendor.jobs] == [True, False]


async def test_a_job_that_expired_whole_is_handed_over_again(tmp_path: Path) -> None:
    vendor = Gemini()
    vendor.failures = [("4", "Batch expired")]
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2)
        assert "2 items: 2 judged" in (await ran(tmp_path)).said
    assert len(vendor.jobs) == 2


async def test_fireworks_results_are_fetched_without_the_key(tmp_path: Path) -> None:
    vendor = Fireworks()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 1)
        await ran(tmp_path)
    assert vendor.signed_with == [None, None]


async def test_a_key_of_several_accounts_needs_the_account_s_name(tmp_path: Path) -> None:
    vendor = Fireworks()
    vendor.accounts = ["an-account", "another"]
    async with serving(vendor) as address:
        bench(tmp_path / "untold", vendor, address, 1)
        assert "account_id; it is one of an-account, another" in (await ran(tmp_path / "untold")).said
        bench(tmp_path / "told", vendor, address, 1, model='account_id = "an-account"')
        assert "1 items: 1 judged" in (await ran(tmp_path / "told")).said.replace("1 item:", "1 items:")


def test_images_do_not_go_into_jobs_that_take_none(tmp_path: Path) -> None:
    bench(tmp_path, OpenRouter(), "http://127.0.0.1:9", model='takes = ["text", "image"]')
    with pytest.raises(ConfigError, match=r"models\[0\].takes: batch jobs of OpenRouter hold no images; put takes"):
        load_config(tmp_path / "bench.toml")


def test_an_account_goes_with_fireworks_jobs_alone(tmp_path: Path) -> None:
    bench(tmp_path, Together(), "http://127.0.0.1:9", model='account_id = "a"')
    with pytest.raises(ConfigError, match=r"models\[0\].account_id: goes with .* Fireworks only"):
        load_config(tmp_path / "bench.toml")


WIRES = ("openai", "azure", "anthropic", "gemini")
TAKERS = [name for name, preset in load_presets().items() if preset.wire in WIRES and built_in_spec(name).batches]


@pytest.mark.parametrize("name", TAKERS)
def test_each_vendor_s_jobs_keep_to_its_own_limits_and_discount(name: str) -> None:
    section = {"name": "m", "provider": name, "model": "a-model", "mode": "batch", "key_env": "BATCH_KEY"}
    section |= {"base_url": "https://r.openai.azure.com/openai/v1"} if name == "azure" else {}
    config = parse_config({"models": [section], "judge": {"provider": "simulated", "model": "judge"}})
    model, vendor = config.models[0], built_in_spec(name).vendor
    assert vendor is not None
    assert vendor.batch.source
    provider = provider_of(model, Path())
    assert isinstance(provider, Batching)
    assert (provider.most_requests, provider.most_bytes) == (vendor.batch.most_requests, vendor.batch.most_bytes)
    assert model.batch_discount == vendor.batch.price


@pytest.mark.parametrize(
    ("keys", "discount"),
    [
        ({"provider": "together", "model": "zai-org/GLM-4.5-Air-FP8"}, 0.5),
        ({"provider": "together", "batch_discount": 0.7}, 0.7),
        ({"provider": "openai", "base_url": "https://api.together.xyz/v1", "key_env": "K"}, 1.0),
    ],
)
def test_a_discount_is_the_model_s_own_or_the_user_s_or_the_address_s(keys: dict[str, object], discount: float) -> None:
    section = {"name": "m", "model": "a-model", "mode": "batch"} | keys
    assert (
        parse_config({"models": [section], "judge": {"provider": "simulated", "model": "judge"}}).models[0].batch_discount
        == discount
    )


def test_what_a_vendor_s_jobs_hold_and_cost_is_told() -> None:
    told = {name: describe_batches(spec.vendor.batch) for name in TAKERS if (spec := built_in_spec(name)).vendor is not None}
    assert told["openrouter"].startswith("at 50% of the price; a job holds at most 10,000 requests, 50 MB; no images; OpenRouter,")
    assert told["together"].startswith("at the full price (meta-llama/Llama-3.3-70B-Instruct-Turbo,")
    assert "500 MB, 6 MB a request" in told["dashscope"]
    page = (Path(__file__).parents[2] / "docs" / "batch.md").read_text("utf-8")
    assert [name for name in TAKERS if f"`{name}`" not in page] == []
