"""What the vendors' batch APIs are told, and what their answers stand for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from unisafe_providers.base import Capabilities, Misconfigured, RateLimited, Rejected, Request, Response, Text, Transient
from unisafe_providers.batching import Batching, Reconciled
from unisafe_providers.hosted.anthropic_batch import AnthropicBatches
from unisafe_providers.hosted.openai_batch import OpenAIBatches

from tests.batch_servers import KEY, Anthropic, Job, OpenAI, serving

pytestmark = pytest.mark.anyio
ASKED = Request(kind="chat", parts=(Text("Mild stand-in."),), max_tokens=16)


async def test_both_vendors_take_jobs() -> None:
    for made in (OpenAIBatches, AnthropicBatches):
        assert isinstance(made("m", "http://127.0.0.1:9/v1", KEY, Capabilities()), Batching)


async def test_the_key_goes_to_no_other_host_than_base_url() -> None:
    asked: list[str | None] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.headers.get("x-api-key"))
        return web.Response(status=404)

    class Misleading(Anthropic):
        def routes(self) -> list[web.RouteDef]:
            return [*super().routes(), web.get("/elsewhere", elsewhere)]

        def _said(self, job: Job, request: web.Request) -> dict[str, Any]:
            port = request.host.rsplit(":", 1)[-1]
            return super()._said(job, request) | {"results_url": f"http://localhost:{port}/elsewhere"}

    vendor = Misleading()
    async with serving(vendor) as address, AnthropicBatches("m", address + vendor.path, KEY, Capabilities()) as provider:
        job = await provider.submit([await provider.entry("a-name", ASKED)], "tag")
        assert (await provider.status(job)).state == "ended"
        found = [outcome async for outcome in provider.results(job)]
    assert asked == []
    assert [(name, isinstance(outcome, Response)) for name, outcome in found] == [("a-name", True)]


async def test_azure_reads_a_file_before_a_job_may_name_it() -> None:
    class Azure(OpenAI):
        waits = 1

        def routes(self) -> list[web.RouteDef]:
            return [*super().routes(), web.get("/v1/files/{file}", self._keyed(self._file))]

        async def _upload(self, request: web.Request) -> web.Response:
            await super()._upload(request)
            return web.json_response({"id": "file-0", "status": "pending"}, status=201)

        async def _file(self, request: web.Request) -> web.Response:
            self.waits -= 1
            return web.json_response({"id": "file-0", "status": "processed"})

    vendor = Azure()
    async with serving(vendor) as address, OpenAIBatches("m", f"{address}/v1", KEY, Capabilities()) as provider:
        await provider.submit([await provider.entry("a-name", ASKED)], "tag")
    assert vendor.waits == 0
    assert len(vendor.jobs) == 1


async def test_extra_keys_stand_in_each_request_and_not_beside_the_job() -> None:
    vendor = OpenAI()
    extra = {"reasoning_effort": "low"}
    async with serving(vendor) as address, OpenAIBatches("m", f"{address}/v1", KEY, Capabilities(), extra=extra) as provider:
        await provider.submit([await provider.entry("a-name", ASKED)], "tag")
    body = vendor.jobs[0].entries[0]["body"]
    assert body["reasoning_effort"] == "low"
    assert body["max_tokens"] == 16


async def test_a_job_is_found_by_its_tag_on_a_later_page() -> None:
    vendor = OpenAI()
    async with serving(vendor) as address, OpenAIBatches("m", f"{address}/v1", KEY, Capabilities()) as provider:
        entry = await provider.entry("a-name", ASKED)
        jobs = [await provider.submit([entry], tag) for tag in ("ours", "other", "another")]
        begun = datetime.fromtimestamp(0)
        assert await provider.find("ours", {"a-name"}, begun, set()) == Reconciled("found", jobs[0])
        assert await provider.find("nobody's", {"a-name"}, begun, set()) == Reconciled("absent")


async def test_a_list_whose_oldest_come_first_is_read_to_its_end() -> None:
    class OldestFirst(OpenAI):
        a_page = 2

        def _listed(self) -> list[Job]:
            return super()._listed()[::-1]

    vendor = OldestFirst()
    async with serving(vendor) as address, OpenAIBatches("m", f"{address}/v1", KEY, Capabilities()) as provider:
        entry = await provider.entry("a-name", ASKED)
        jobs = [await provider.submit([entry], tag) for tag in ("other", "another", "ours")]
        for job, hours in zip(vendor.jobs, (3, 2, 0), strict=True):
            job.created -= timedelta(hours=hours)
        begun = datetime.now(UTC).replace(tzinfo=None)
        assert await provider.find("ours", {"a-name"}, begun, set()) == Reconciled("found", jobs[2])


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("token_limit_exceeded", "Enqueued token limit reached", RateLimited),
        ("model_not_found", "The model does not exist", Misconfigured),
        ("insufficient_quota", "You exceeded your quota", Misconfigured),
        ("invalid_json_line", "Line 1 is no JSON", Rejected),
    ],
)
async def test_why_a_whole_job_failed_decides_what_is_done(code: str, message: str, kind: type[Exception]) -> None:
    vendor = OpenAI()
    vendor.failures = [(code, message)]
    async with serving(vendor) as address, OpenAIBatches("m", f"{address}/v1", KEY, Capabilities()) as provider:
        status = await provider.status(await provider.submit([await provider.entry("a-name", ASKED)], "tag"))
    assert status.state == "failed"
    assert type(status.error) is kind
    assert message in str(status.error)


async def test_a_parameter_that_the_model_does_not_take_is_left_out_of_the_next_job() -> None:
    class Strict(Anthropic):
        def _line(self, name: str, text: str, outcome: str) -> dict[str, Any]:
            error = {"type": "invalid_request_error", "message": "`temperature` is not supported by this model"}
            return {"custom_id": name, "result": {"type": "errored", "error": {"type": "error", "error": error}}}

    vendor = Strict()
    warm = Request(kind="chat", parts=(Text("Mild stand-in."),), temperature=0.5)
    async with serving(vendor) as address, AnthropicBatches("m", address + vendor.path, KEY, Capabilities()) as provider:
        assert b"temperature" in await provider.entry("a-name", warm)
        job = await provider.submit([await provider.entry("a-name", warm)], "tag")
        await provider.status(job)
        outcomes = [outcome async for _, outcome in provider.results(job)]
        assert [type(outcome) for outcome in outcomes] == [Transient]
        assert b"temperature" not in await provider.entry("a-name", warm)
