"""Models whose answers are made by jobs: nothing is bought twice, the key stays at the vendor, and each vendor is asked in its way."""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from typing import Any

import anyio
import pytest
from PIL import Image as Pillow
from unisafe_providers.base import Capabilities, Image, Misconfigured, RateLimited, Rejected, Request, Response, Text, Transient
from unisafe_providers.hosted.bfl import BlackForestLabs
from unisafe_providers.hosted.dashscope_images import DashScopeImages
from unisafe_providers.hosted.fal import Fal
from unisafe_providers.hosted.ideogram import Ideogram
from unisafe_providers.hosted.jobs import JobProvider
from unisafe_providers.hosted.key_hosts import may_get_key
from unisafe_providers.hosted.luma import Luma
from unisafe_providers.hosted.replicate import Replicate
from unisafe_providers.jobs import JobLost, JobsInMemory
from unisafe_providers.settings import ProviderSettings
from vendors import KEY, Asked, Reply
from vendors.jobs import (
    GONE,
    BflServer,
    DashScopeServer,
    FalServer,
    IdeogramServer,
    JobServer,
    LumaServer,
    PhotonServer,
    ReplicateServer,
)

from unisafe_async import parse_config
from unisafe_async.config.bench_toml import ConfigError

DRAWS = Capabilities(text_out=False, image_out=True, edit=True)


def draw(colour: str = "red") -> bytes:
    file = BytesIO()
    Pillow.new("RGB", (8, 8), colour).save(file, "PNG")
    return file.getvalue()


PICTURE = Image.from_bytes(draw("blue"))
GARDEN = Request(kind="image", parts=(Text("A quiet garden."),), seed=7, size="1536x1024")
EDIT = Request(kind="edit", parts=(PICTURE, Text("Make it green.")), seed=7)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unisafe_providers.hosted.jobs.FIRST_PAUSE", 0.005)


def taken(**more: Any) -> Reply:
    return Reply({"id": "t1", **more})


def pending(status: str = "Pending") -> Reply:
    return Reply({"id": "t1", "status": status})


def ready(server: Callable[[], JobServer]) -> Callable[[Asked], Reply]:
    return lambda _: Reply({"id": "t1", "status": "Ready", "result": {"sample": server().made}, "cost": 4.0})


async def ask(server: JobServer, request: Request = GARDEN, **options: Any) -> tuple[Response, BlackForestLabs]:
    async with BlackForestLabs("flux-2-pro", server.url, KEY, DRAWS, **options) as provider:
        provider.key_hosts = (".bfl.ai",)
        return await provider.call(request), provider


def bfl(*replies: Any) -> BflServer:
    """A server that takes one job, gives these answers to polls, and then the picture."""
    server = BflServer(taken(), *replies, ready(lambda: server))
    server.picture = draw()
    return server


# ---------------------------------------------------------------- what is paid for


@pytest.mark.parametrize(
    "polls",
    [
        [pending(), pending("Reasoning"), pending("A word never seen")],
        [Reply({"detail": "overloaded"}, 503), Reply(b"<html>busy</html>"), Reply([1])],
        [Reply({"detail": "slow down"}, 429, {"retry-after": "0.01"}), pending()],
    ],
)
async def test_whatever_polls_say_on_the_way_the_job_is_submitted_once(polls: list[Reply]) -> None:
    async with bfl(*polls) as server:
        answer, _ = await ask(server)
        assert await answer.images[0].read() == server.picture
        assert len(server.submitted) == 1
        assert answer.usage.cost == pytest.approx(0.04)


async def test_a_poll_that_hangs_loses_no_job() -> None:
    waits = iter([2.0, 0.0])

    class Slow(BflServer):
        async def _answer(self, request: Any) -> Any:
            if "get_result" in request.path:
                await anyio.sleep(next(waits))
            return await super()._answer(request)

    server = Slow(taken(), ready(lambda: server))
    server.picture = draw()
    async with server:
        answer, _ = await ask(server, timeout=0.3)
    assert answer.images
    assert len(server.submitted) == 1


async def test_a_run_that_was_killed_after_the_submission_goes_on_with_the_job() -> None:
    book = JobsInMemory()
    async with bfl(*[pending()] * 50) as server:
        async with BlackForestLabs("flux-2-pro", server.url, KEY, DRAWS) as first:
            first.book = book
            with anyio.move_on_after(0.15):
                await first.call(GARDEN)
        assert await book.find(GARDEN) is not None
        server.replies = [ready(lambda: server)]
        async with BlackForestLabs("flux-2-pro", server.url, KEY, DRAWS) as second:
            second.book = book
            assert (await second.call(GARDEN)).images
        assert len(server.submitted) == 1


async def test_the_job_is_in_the_book_before_its_first_poll() -> None:
    book, seen = JobsInMemory(), []

    async def look(_: Any) -> None:
        seen.append(await book.find(GARDEN))

    class Looking(BflServer):
        async def _answer(self, request: Any) -> Any:
            if "get_result" in request.path:
                await look(request)
            return await super()._answer(request)

    server = Looking(taken(), ready(lambda: server))
    server.picture = draw()
    async with server, BlackForestLabs("flux-2-pro", server.url, KEY, DRAWS) as provider:
        provider.book = book
        await provider.call(GARDEN)
    assert seen
    assert all(seen)


async def test_a_vendor_that_asks_for_a_long_wait_gets_it_from_the_gateway_and_the_job_goes_on() -> None:
    async with bfl(Reply({"detail": "slow down"}, 429, {"retry-after": "30"})) as server:
        async with BlackForestLabs("flux-2-pro", server.url, KEY, DRAWS) as provider:
            with pytest.raises(RateLimited) as waits:
                await provider.call(GARDEN)
            assert waits.value.retry_after == 30
            assert (await provider.call(GARDEN)).images
        assert len(server.submitted) == 1


async def test_polls_that_keep_failing_fail_the_try_and_not_the_job() -> None:
    async with bfl(*[Reply({"detail": "down"}, 502)] * 5) as server:
        async with BlackForestLabs("flux-2-pro", server.url, KEY, DRAWS) as provider:
            with pytest.raises(Transient, match="502"):
                await provider.call(GARDEN)
            assert (await provider.call(GARDEN)).images
        assert len(server.submitted) == 1


async def test_a_job_that_takes_too_long_fails_its_item_and_the_next_run_takes_its_answer() -> None:
    book = JobsInMemory()
    async with bfl(*[pending()] * 200) as server, BlackForestLabs("flux-2-pro", server.url, KEY, DRAWS) as provider:
        provider.book, provider.job_wait = book, 0.1
        with pytest.raises(Rejected, match=r"t1 is not done after 0.1 s \(job_wait_s\); the next run goes on with it"):
            await provider.call(GARDEN)
        server.replies = [ready(lambda: server)]
        assert (await provider.call(GARDEN)).images
        assert len(server.submitted) == 1


async def test_a_job_that_its_vendor_does_not_know_yet_is_polled_by_the_next_try() -> None:
    async with bfl(pending("Task not found"), pending()) as server:
        async with BlackForestLabs("flux-2-pro", server.url, KEY, DRAWS) as provider:
            with pytest.raises(JobLost):
                await provider.call(GARDEN)
            assert (await provider.call(GARDEN)).images
        assert len(server.submitted) == 1


async def test_a_job_that_failed_may_be_submitted_again() -> None:
    async with bfl(pending("Error"), taken()) as server, BlackForestLabs("flux-2-pro", server.url, KEY, DRAWS) as provider:
        with pytest.raises(Transient):
            await provider.call(GARDEN)
        assert (await provider.call(GARDEN)).images
        assert len(server.submitted) == 2


async def test_a_link_that_expired_is_asked_for_anew() -> None:
    server = bfl()

    def gone(_: Asked) -> Reply:
        return Reply({"id": "t1", "status": "Ready", "result": {"sample": server.made.replace("/made.png", GONE)}})

    server.replies.insert(1, gone)
    async with server:
        answer, _ = await ask(server)
    assert answer.images
    assert (len(server.submitted), server.fetched) == (1, 2)


async def test_a_picture_that_cannot_be_fetched_is_not_bought_again() -> None:
    server = BflServer(
        taken(), lambda _: Reply({"id": "t1", "status": "Ready", "result": {"sample": server.made.replace("/made.png", GONE)}})
    )
    async with server, BlackForestLabs("flux-2-pro", server.url, KEY, DRAWS) as provider:
        for _ in range(2):
            with pytest.raises(Transient, match="made and paid for, but its address answered 403"):
                await provider.call(GARDEN)
    assert len(server.submitted) == 1


@pytest.mark.parametrize(
    ("make", "first", "lost"),
    [
        (BflServer, {"id": "t1"}, Reply({"id": "t1", "status": "Task not found"})),
        (BflServer, {"id": "t1"}, Reply({"detail": "Not Found"}, 404)),
        (ReplicateServer, {"id": "t1", "status": "starting"}, Reply({"status": "succeeded", "output": None, "data_removed": True})),
        (LumaServer, {"id": "t1", "state": "queued"}, Reply({"detail": "Generation not found"}, 404)),
        (IdeogramServer, {"generation_id": "t1"}, Reply({"error": "no such generation"}, 404)),
        (DashScopeServer, {"output": {"task_id": "t1"}}, Reply({"output": {"task_id": "t1", "task_status": "UNKNOWN"}})),
        (FalServer, {"request_id": "t1"}, Reply({"detail": "Request not found"}, 404)),
    ],
)
async def test_an_answer_that_expired_is_told_as_paid_for_and_not_bought_again(
    make: type[JobServer], first: dict[str, Any], lost: Reply
) -> None:
    async with make(Reply(first), lost) as server, VENDORS[make](server.url) as provider:
        for _ in range(2):
            with pytest.raises(JobLost, match="the job t1 was paid for"):
                await provider.call(GARDEN)
        assert len(server.submitted) == 1


VENDORS: dict[type[JobServer], Callable[[str], JobProvider]] = {
    BflServer: lambda url: BlackForestLabs("flux-2-pro", url, KEY, DRAWS),
    FalServer: lambda url: Fal("fal-ai/flux/dev", url, KEY, DRAWS),
    ReplicateServer: lambda url: Replicate("black-forest-labs/flux-schnell", url, KEY, DRAWS),
    LumaServer: lambda url: Luma("uni-1", url, KEY, DRAWS),
    IdeogramServer: lambda url: Ideogram("ideogram-4-5", url, KEY, DRAWS),
    DashScopeServer: lambda url: DashScopeImages("wan2.5-t2i-preview", url, KEY, DRAWS),
}


# ---------------------------------------------------------------- where the key goes

AT_BFL = "https://api.bfl.ai/v1"


@pytest.mark.parametrize(
    ("told", "endpoint", "goes"),
    [
        ("https://api.us1.bfl.ai/v1/get_result?id=1", AT_BFL, True),
        ("https://api.bfl.ai/v1/get_result?id=1", AT_BFL, True),
        ("http://api.us1.bfl.ai/v1/get_result?id=1", AT_BFL, False),
        ("https://api.us1.bfl.ai:8443/v1/get_result?id=1", AT_BFL, False),
        ("https://api.us1.bfl.ai.evil.example/v1", AT_BFL, False),
        ("https://evilbfl.ai/v1", AT_BFL, False),
        ("https://evil.example\\@api.us1.bfl.ai/v1", AT_BFL, False),
        ("https://api.us1.bfl.ai@evil.example/v1", AT_BFL, False),
        ("//api.us1.bfl.ai/v1", AT_BFL, False),
        ("file:///etc/passwd", AT_BFL, False),
        ("https://[::1", AT_BFL, False),
        ("https://api.us1.bfl.ai/v1/get_result?id=1", "http://127.0.0.1:8000/v1", False),
        ("https://api.us1.bfl.ai/v1/get_result?id=1", "https://proxy.example/v1", False),
        ("http://127.0.0.1:8000/other", "http://127.0.0.1:8000/v1", True),
        ("http://127.0.0.1:9000/other", "http://127.0.0.1:8000/v1", False),
        ("http://proxy.example/v1", "https://proxy.example/v1", False),
    ],
)
def test_the_key_goes_to_the_endpoint_and_from_there_to_hosts_of_its_vendor(told: str, endpoint: str, goes: bool) -> None:
    assert may_get_key(told, endpoint, (".bfl.ai",)) is goes


async def test_an_address_of_another_host_is_not_polled_and_one_of_this_host_is() -> None:
    async with bfl() as server:
        server.replies[0] = taken(polling_url="https://api.us1.bfl.ai/v1/get_result?id=t1")
        await ask(server)
        assert [(asked.path, asked.query) for asked in server.asked[1:]] == [("/v1/get_result", {"id": "t1"})]
    async with bfl() as server:
        server.replies[0] = taken(polling_url=f"{server.url}/get_result?region=eu")
        await ask(server)
        assert server.asked[1].query == {"region": "eu", "id": "t1"}


# ---------------------------------------------------------------- how each vendor is asked


async def sent_by(server: JobServer, provider: JobProvider, request: Request) -> Asked:
    async with server, provider:
        with pytest.raises(Transient):
            await provider.call(request)
        return server.asked[0]


def failed() -> Reply:
    return Reply({"detail": "down"}, 503)


DATA = base64.b64encode(draw("blue")).decode()
URL = f"data:image/png;base64,{DATA}"
ASKED: list[tuple[type[JobServer], Callable[[str], JobProvider], Request, str, dict[str, Any]]] = [
    (
        BflServer,
        lambda url: BlackForestLabs("flux-2-pro", url, KEY, DRAWS, extra={"safety_tolerance": 5}),
        GARDEN,
        "/v1/flux-2-pro",
        {"prompt": "A quiet garden.", "disable_pup": True, "seed": 7, "width": 1536, "height": 1024, "safety_tolerance": 5},
    ),
    (
        BflServer,
        lambda url: BlackForestLabs("flux-kontext-pro", url, KEY, DRAWS),
        EDIT,
        "/v1/flux-kontext-pro",
        {"prompt": "Make it green.", "prompt_upsampling": False, "seed": 7, "input_image": DATA},
    ),
    (
        FalServer,
        lambda url: Fal("fal-ai/flux/dev", url, KEY, DRAWS, extra={"enable_safety_checker": False}),
        GARDEN,
        "/fal-ai/flux/dev",
        {"prompt": "A quiet garden.", "seed": 7, "image_size": {"width": 1536, "height": 1024}, "enable_safety_checker": False},
    ),
    (
        FalServer,
        lambda url: Fal("fal-ai/flux-pro/kontext", url, KEY, DRAWS),
        EDIT,
        "/fal-ai/flux-pro/kontext",
        {"prompt": "Make it green.", "seed": 7, "image_url": URL},
    ),
    (
        ReplicateServer,
        lambda url: Replicate("black-forest-labs/flux-schnell", url, KEY, DRAWS, extra={"disable_safety_checker": True}),
        GARDEN,
        "/v1/models/black-forest-labs/flux-schnell/predictions",
        {"input": {"prompt": "A quiet garden.", "seed": 7, "aspect_ratio": "3:2", "disable_safety_checker": True}},
    ),
    (
        ReplicateServer,
        lambda url: Replicate("o/m:5c7d", url, KEY, DRAWS, size_as="width_and_height", picture_as="image_input"),
        EDIT,
        "/v1/predictions",
        {"version": "5c7d", "input": {"prompt": "Make it green.", "seed": 7, "image_input": [URL]}},
    ),
    (
        FalServer,
        lambda url: Fal("fal-ai/flux-2-pro/edit", url, KEY, DRAWS),
        EDIT,
        "/fal-ai/flux-2-pro/edit",
        {"prompt": "Make it green.", "seed": 7, "image_urls": [URL]},
    ),
    (
        ReplicateServer,
        lambda url: Replicate("qwen/qwen-image-edit-plus", url, KEY, DRAWS),
        EDIT,
        "/v1/models/qwen/qwen-image-edit-plus/predictions",
        {"input": {"prompt": "Make it green.", "seed": 7, "image": [URL]}},
    ),
    (
        LumaServer,
        lambda url: Luma("uni-1", url, KEY, DRAWS),
        GARDEN,
        "/v1/generations",
        {"model": "uni-1", "type": "image", "prompt": "A quiet garden.", "aspect_ratio": "3:2"},
    ),
    (
        LumaServer,
        lambda url: Luma("uni-1", url, KEY, DRAWS),
        EDIT,
        "/v1/generations",
        {
            "model": "uni-1",
            "type": "image_edit",
            "prompt": "Make it green.",
            "source": {"data": DATA, "media_type": "image/png"},
        },
    ),
    (
        PhotonServer,
        lambda url: Luma("photon-1", url, KEY, DRAWS),
        Request(kind="image", parts=GARDEN.parts, size="1024x1024"),
        "/dream-machine/v1/generations/image",
        {"model": "photon-1", "prompt": "A quiet garden.", "aspect_ratio": "1:1"},
    ),
    (
        IdeogramServer,
        lambda url: Ideogram("ideogram-4-5", url, KEY, DRAWS),
        GARDEN,
        "/v2/image/generate/ideogram-4-5",
        {"prompt": "A quiet garden.", "magic_prompt": "off", "async": True, "seed": 7, "size": "1536x1024"},
    ),
    (
        DashScopeServer,
        lambda url: DashScopeImages("qwen-image-plus", url, KEY, DRAWS, extra={"prompt_extend": True}),
        GARDEN,
        "/api/v1/services/aigc/multimodal-generation/generation",
        {
            "model": "qwen-image-plus",
            "input": {"messages": [{"role": "user", "content": [{"text": "A quiet garden."}]}]},
            "parameters": {"n": 1, "prompt_extend": True, "watermark": False, "seed": 7, "size": "1536*1024"},
        },
    ),
    (
        DashScopeServer,
        lambda url: DashScopeImages("wan2.5-i2i-preview", url, KEY, DRAWS),
        EDIT,
        "/api/v1/services/aigc/image2image/image-synthesis",
        {
            "model": "wan2.5-i2i-preview",
            "input": {"prompt": "Make it green.", "images": [URL]},
            "parameters": {"n": 1, "prompt_extend": False, "watermark": False, "seed": 7},
        },
    ),
]


@pytest.mark.parametrize(("make", "build", "request_", "path", "body"), ASKED, ids=[f"{row[3]} {row[2].kind}" for row in ASKED])
async def test_each_vendor_is_asked_in_its_own_way(
    make: type[JobServer], build: Callable[[str], JobProvider], request_: Request, path: str, body: dict[str, Any]
) -> None:
    async with make(failed()) as server:
        async with build(server.url) as provider:
            with pytest.raises(Transient):
                await provider.call(request_)
        assert (server.asked[0].path, server.asked[0].body) == (path, body)


async def test_ideogram_s_older_api_takes_forms_with_and_without_a_picture() -> None:
    for request, path, words in (
        (GARDEN, "/v1/ideogram-v3/generate", [b'name="magic_prompt"\r\n\r\nOFF', b'name="aspect_ratio"\r\n\r\n3x2']),
        (EDIT, "/v1/ideogram-v3/remix", [b'name="image"; filename="image.png"', draw("blue")]),
    ):
        async with IdeogramServer(failed()) as server, Ideogram("ideogram-v3", server.url, KEY, DRAWS) as provider:
            with pytest.raises(Transient):
                await provider.call(request)
            assert server.asked[0].path == path
            assert all(word in server.asked[0].body["form"] for word in words)


async def test_tasks_are_asked_for_by_a_header_only_where_a_model_takes_them() -> None:
    for model, told in (("wan2.2-t2i-flash", "enable"), ("qwen-image", None), ("wan2.6-t2i", None)):
        async with DashScopeServer(failed()) as server, DashScopeImages(model, server.url, KEY, DRAWS) as provider:
            with pytest.raises(Transient):
                await provider.call(GARDEN)
            assert server.asked[0].headers.get("x-dashscope-async") == told


async def test_a_size_that_a_vendor_has_no_ratio_for_is_refused_with_those_that_it_has() -> None:
    wide = Request(kind="image", parts=GARDEN.parts, size="3000x100")
    async with LumaServer(failed()) as server, Luma("uni-1", server.url, KEY, DRAWS) as provider:
        with pytest.raises(Misconfigured, match=r"Luma draws no image of 3000x100: its ratios are 3:1, .*generation.image_size"):
            await provider.call(wide)
        assert not server.asked


async def test_a_model_that_edits_nothing_stops_for_pictures_alone() -> None:
    for provider in (
        BlackForestLabs("flux-pro-1.1", "http://127.0.0.1:9/v1", KEY, DRAWS),
        Luma("photon-1", "http://127.0.0.1:9/v1", KEY, DRAWS),
    ):
        async with provider:
            with pytest.raises(Misconfigured, match="edits no pictures") as stopped:
                await provider.call(EDIT)
            assert stopped.value.needs == "images in"


async def test_what_a_vendor_makes_of_a_request_is_told() -> None:
    done = Reply({"output": {"task_status": "SUCCEEDED", "results": [{"url": URL, "actual_prompt": "A quiet garden at dusk, 8k"}]}})
    async with DashScopeServer(Reply({"output": {"task_id": "t1"}}), done) as server:
        async with VENDORS[DashScopeServer](server.url) as provider:
            await provider.call(GARDEN)
        assert any("rewr" in note for note in provider.notes)
    done = Reply({"state": "completed", "output": [{"url": URL}]})
    async with LumaServer(taken(state="queued"), done) as server, VENDORS[LumaServer](server.url) as provider:
        await provider.call(GARDEN)
        assert provider.notes == ["Luma takes no seed for images: it was left out"]


def test_an_address_of_chats_is_turned_into_that_of_images() -> None:
    at_home = DashScopeImages("qwen-image", "https://dashscope.aliyuncs.com/compatible-mode/v1", KEY, DRAWS)
    assert at_home.base_url == "https://dashscope.aliyuncs.com/api/v1"


# ---------------------------------------------------------------- why a job failed


@pytest.mark.parametrize(
    ("words", "finish", "stage"),
    [
        ("NSFW content was detected in the output. Please try another prompt.", "blocked", "response"),
        ("Content flagged for: sexual", "blocked", None),
        ("The prompt was flagged as sensitive (E005)", "blocked", "request"),
        ("ContentModerationError: the generated image violates our content policy", "blocked", "response"),
        ("Prediction interrupted; please retry (code: PA)", Transient, None),
        ("Unknown error (E1000)", Transient, None),
        ("CUDA out of memory: ran out of memory", Rejected, None),
        ("Input validation error: prompt is required", Rejected, None),
        ("Input validation error: aspect_ratio must be one of 1:1", Misconfigured, None),
        ("safety checker failed to load", Transient, None),
    ],
)
async def test_words_of_a_failed_prediction(words: str, finish: Any, stage: str | None) -> None:
    replies = (Reply({"id": "t1", "status": "starting"}, 201), Reply({"status": "failed", "error": words}))
    async with ReplicateServer(*replies) as server, VENDORS[ReplicateServer](server.url) as provider:
        if finish == "blocked":
            answer = await provider.call(GARDEN)
            assert (answer.finish, answer.block.stage if answer.block else None) == ("blocked", stage)
        else:
            with pytest.raises(finish) as raised:
                await provider.call(GARDEN)
            assert type(raised.value) is finish


@pytest.mark.parametrize(
    ("code", "words", "expected"),
    [
        (None, "400: failed to moderate image", Rejected),
        (None, "500: internal", Transient),
        ("content_moderated", "Output image not allowed", "response"),
        ("content_moderated", "", None),
        (None, "Prompt moderation failed", "request"),
        ("budget_exhausted", "", Misconfigured),
        ("output_not_found", "", Transient),
    ],
)
async def test_codes_of_a_failed_generation(code: str | None, words: str, expected: Any) -> None:
    replies = (taken(state="queued"), Reply({"state": "failed", "failure_code": code, "failure_reason": words}))
    async with LumaServer(*replies) as server, VENDORS[LumaServer](server.url) as provider:
        if isinstance(expected, type):
            with pytest.raises(expected):
                await provider.call(GARDEN)
        else:
            answer = await provider.call(GARDEN)
            assert (answer.finish, answer.block.stage if answer.block else None) == ("blocked", expected)


# ---------------------------------------------------------------- bench.toml


def parsed(**model: Any) -> Any:
    judge = {"provider": "simulated", "model": "judge"}
    return parse_config({"dataset": {"source": "."}, "models": [{"name": "a", **model}], "judge": judge}).models[0]


def test_a_model_that_draws_needs_no_more_than_its_name() -> None:
    section = parsed(provider="bfl", model="flux-2-pro")
    assert (section.gives, section.max_concurrency, section.key_env, section.job_wait_s) == (["image"], 24, "BFL_API_KEY", 600.0)


@pytest.mark.parametrize("provider", ["bfl", "fal", "luma", "ideogram"])
def test_a_model_that_draws_and_should_write_is_one_clear_error(provider: str) -> None:
    with pytest.raises(ConfigError, match=r'models\[0\].gives: the models of .* give pictures only; put gives = \["image"\]'):
        parsed(provider=provider, model="m", gives=["text", "image"])


def test_a_model_at_replicate_writes_or_draws() -> None:
    with pytest.raises(ConfigError, match=r"models\[0\].gives: a model at Replicate writes or draws"):
        parsed(provider="replicate", model="o/m", gives=["text", "image"])
    assert parsed(provider="replicate", model="o/m", gives=["text"]).gives == ["text"]


def test_how_long_a_job_may_take_is_said_beside_the_model() -> None:
    for told, waits in (({}, None), ({"job_wait_s": 90}, 90.0)):
        section = parsed(provider="dashscope", model="wan2.5-t2i-preview", gives=["image"], **told)
        settings = ProviderSettings("wan2.5-t2i-preview", DRAWS, key=KEY, vendor=section.spec.vendor)
        provider = section.spec.build(settings, section)
        assert isinstance(provider, DashScopeImages)
        assert provider.job_wait == waits
