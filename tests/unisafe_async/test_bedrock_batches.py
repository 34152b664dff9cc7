"""Batch jobs of Amazon Bedrock: a bucket, a job that is signed for, answers in any order, nothing paid twice."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from unisafe_providers.base import Capabilities, Image, Misconfigured, RateLimited, Rejected, Request, Response, Text, Transient
from unisafe_providers.batching import Batching, Reconciled
from unisafe_providers.hosted.aws import Signer
from unisafe_providers.hosted.bedrock_batch import BedrockBatches
from vendor_cases import cases
from vendors.bedrock import KEY_ID, REGION, SECRET

from tests.batch_bedrock import ROLE, Bedrock
from tests.batch_bench import bench, change, cut_off, newest, paid_once, prompts, ran, table
from tests.batch_servers import ANSWERED, BLOCKED, OVERLOADED, REJECTED, UNREADABLE, serving

pytestmark = pytest.mark.anyio
ASKED = Request(kind="chat", parts=(Text("Mild stand-in."),), max_tokens=16, schema=("s", "{}"))


@pytest.fixture(autouse=True)
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("BATCH_KEY", "a-bedrock-key-that-opens-no-bucket")


def batches(address: str, **more: Any) -> BedrockBatches:
    return BedrockBatches(
        "amazon.nova-pro-v1:0", address, "", Capabilities(image_in=True),
        role=ROLE, place="s3://a-bucket/mine", signer=Signer(REGION), s3_url=f"{address}/s3", **more,
    )  # fmt: skip


async def test_every_entry_ends_as_it_would_online(tmp_path: Path) -> None:
    first = dict(zip(prompts(5), [ANSWERED, BLOCKED, REJECTED, OVERLOADED, UNREADABLE], strict=True))
    vendor = Bedrock(lambda prompt, before: ANSWERED if before and first[prompt] != REJECTED else first[prompt])
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 5, model=vendor.keys(address) + "price_in = 10.0\nprice_out = 20.0")
        done = await ran(tmp_path)
    assert "1 failed" in done.said
    assert [row[1] for row in newest(tmp_path)] == ["answered", "blocked_request", "failed", "answered", "answered"]
    assert vendor.faults == {""}, "each call is signed for what arrived, the bucket's for S3"
    assert {round(cost, 9) for (cost,) in table(tmp_path, "SELECT cost FROM responses WHERE text LIKE 'An answer%'")} == {0.015}
    stored = (tmp_path / "run.duckdb").read_bytes()
    assert SECRET.encode() not in stored
    assert KEY_ID.encode() not in stored


async def test_a_job_that_was_taken_as_the_run_was_cut_off_is_adopted_by_its_name(tmp_path: Path) -> None:
    vendor = Bedrock()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 3, model=vendor.keys(address))
        vendor.silent = True
        await cut_off(tmp_path, lambda: vendor.until(lambda: len(vendor.jobs) == 1))
        assert table(tmp_path, "SELECT status FROM batches") == [("submitting",)]
        vendor.others(vendor.jobs[0].entries)
        done = await ran(tmp_path)
    assert "3 items: 3 judged" in done.said
    assert vendor.submissions == 1
    paid_once(vendor, 3)


async def test_a_job_that_the_vendor_never_got_is_submitted_again(tmp_path: Path) -> None:
    vendor = Bedrock()
    async with serving(vendor) as address:
        bench(tmp_path, vendor, address, 2, model=vendor.keys(address))
        vendor.silent = True
        await cut_off(tmp_path, lambda: vendor.until(lambda: len(vendor.jobs) == 1))
        vendor.jobs.clear()
        vendor.bodies.clear()
        change(tmp_path, "UPDATE batches SET created = created - INTERVAL 1 HOUR")
        done = await ran(tmp_path)
    assert "2 items: 2 judged" in done.said
    paid_once(vendor, 2)


async def test_what_a_job_is_asked_with() -> None:
    vendor = Bedrock()
    async with serving(vendor) as address, batches(address) as provider:
        assert isinstance(provider, Batching)
        await provider.submit([await provider.entry("a-name", ASKED)], "unisafe-1f")
    (body,) = vendor.bodies
    assert body == {
        "jobName": "unisafe-1f",
        "clientRequestToken": "unisafe-1f",
        "roleArn": ROLE,
        "modelId": "amazon.nova-pro-v1:0",
        "modelInvocationType": "Converse",
        "inputDataConfig": {"s3InputDataConfig": {"s3InputFormat": "JSONL", "s3Uri": "s3://a-bucket/mine/unisafe-1f.jsonl"}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://a-bucket/mine/"}},
    }
    (line,) = [json.loads(line) for line in vendor.bucket["a-bucket/mine/unisafe-1f.jsonl"].splitlines()]
    assert line == {
        "recordId": "a-name",
        "modelInput": {
            "messages": [{"role": "user", "content": [{"text": "Mild stand-in."}]}],
            "inferenceConfig": {"maxTokens": 16},
        },
    }


async def test_a_job_is_found_on_a_later_page() -> None:
    vendor = Bedrock()
    async with serving(vendor) as address, batches(address) as provider:
        entry = await provider.entry("a-name", ASKED)
        jobs = [await provider.submit([entry], tag) for tag in ("unisafe-1", "unisafe-12", "unisafe-123")]
        begun = datetime.fromtimestamp(0)
        assert await provider.find("unisafe-1", {"a-name"}, begun, set()) == Reconciled("found", jobs[0])
        assert await provider.find("unisafe-2", {"a-name"}, begun, set()) == Reconciled("absent")


@pytest.mark.parametrize(
    ("state", "means", "cancelled"),
    [
        ("Submitted", "in_progress", False),
        ("Validating", "in_progress", False),
        ("Scheduled", "in_progress", False),
        ("Pondering", "in_progress", False),
        ("Stopping", "in_progress", True),
        ("Completed", "ended", False),
        ("PartiallyCompleted", "ended", False),
        ("Expired", "ended", False),
        ("Stopped", "ended", True),
    ],
)
async def test_what_a_state_stands_for(state: str, means: str, cancelled: bool) -> None:
    vendor = Bedrock()
    async with serving(vendor) as address, batches(address) as provider:
        job = await provider.submit([await provider.entry("a-name", ASKED)], "unisafe-1")
        vendor.state = state
        status = await provider.status(job)
    assert (status.state, status.cancelled, status.total) == (means, cancelled, 1)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Batch job contains less records (3) than the required minimum of: 100", Misconfigured),
        ("The account's quota of concurrent jobs is exceeded", RateLimited),
        ("The provided model identifier is invalid.", Misconfigured),
        ("The input file is malformed", Rejected),
    ],
)
async def test_why_a_whole_job_failed_decides_what_is_done(message: str, kind: type[Exception]) -> None:
    vendor = Bedrock()
    async with serving(vendor) as address, batches(address) as provider:
        job = await provider.submit([await provider.entry("a-name", ASKED)], "unisafe-1")
        vendor.state, vendor.message = "Failed", message
        status = await provider.status(job)
    assert status.state == "failed"
    assert type(status.error) is kind
    assert message.rstrip(".") in str(status.error)


async def test_a_job_that_stopped_early_gives_what_it_has() -> None:
    vendor = Bedrock(by_itself=False)
    async with serving(vendor) as address, batches(address) as provider:
        entries = [await provider.entry(name, ASKED) for name in ("one", "two")]
        job = await provider.submit(entries, "unisafe-1")
        await provider.cancel(job)
        assert (await provider.status(job)).cancelled
        outcomes = {name: outcome async for name, outcome in provider.results(job)}
        vendor.bucket.clear()
        vendor.writes = False
        assert [name async for name, _ in provider.results(job)] == []
    assert {name: type(outcome) for name, outcome in outcomes.items()} == {"one": Response, "two": Transient}


async def test_pictures_go_out_in_batches_too() -> None:
    async with batches("http://127.0.0.1:9") as provider:
        line = json.loads(await provider.entry("a", Request(kind="chat", parts=(Image.from_bytes(b"\x89PNG"), Text("?")))))
        with pytest.raises(Rejected):
            await provider.entry("b", Request(kind="image", parts=(Text("a garden"),)))
    assert line["modelInput"]["messages"][0]["content"][0]["image"]["format"] == "png"


async def test_answers_as_they_were_documented() -> None:
    (told,), (lines,) = cases("bedrock get model invocation job"), cases("bedrock batch output file")

    async def answer(request: web.Request) -> web.Response:
        if request.path.startswith("/model-invocation-job/"):
            return web.json_response(told.body)
        assert request.path == "/s3/b/out/j/in.jsonl.out"
        return web.Response(text=str(lines.body))

    class Documented(Bedrock):
        def routes(self) -> list[web.RouteDef]:
            return [web.get("/{path:.*}", answer)]

    async with serving(Documented()) as address, batches(address) as provider:
        status = await provider.status("arn:aws:bedrock:r:1:model-invocation-job/j")
        outcomes = {name: outcome async for name, outcome in provider.results("arn:aws:bedrock:r:1:model-invocation-job/j")}
    assert (status.state, status.done, status.total) == ("ended", 2, 2)
    first = outcomes["0"]
    assert isinstance(first, Response)
    assert (first.text, first.finish) == ("4", "stop")
    assert type(outcomes["1"]) is Rejected
