"""Vendors whose pictures are made by jobs keep the contract of every provider, and that of jobs."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from unisafe_providers.base import Capabilities, Provider, Request, Response
from unisafe_providers.conformance import NotConforming, conforms
from unisafe_providers.hosted.bfl import BlackForestLabs
from unisafe_providers.hosted.dashscope_images import DashScopeImages
from unisafe_providers.hosted.fal import Fal
from unisafe_providers.hosted.ideogram import Ideogram
from unisafe_providers.hosted.luma import Luma
from unisafe_providers.hosted.replicate import Replicate
from unisafe_providers.jobs import Job
from unisafe_providers.settings import ProviderSettings

DRAWS = Capabilities(text_out=False, image_out=True, edit=True)


def hosted(vendor: Callable[..., Any]) -> Callable[[ProviderSettings], Provider]:
    """One of our classes as a plugin's entry point would make it."""

    def make(settings: ProviderSettings) -> Provider:
        place = (settings.model, settings.base_url, settings.key, settings.capabilities)
        return vendor(*place, timeout=settings.timeout_s, max_connections=settings.max_connections)  # type: ignore[no-any-return]

    return make


def address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


VENDORS: dict[str, tuple[Callable[..., Any], Callable[[str], object], Callable[[bytes], object], tuple[object, ...]]] = {
    "bfl": (
        BlackForestLabs,
        lambda name: {"id": name, "polling_url": f"https://api.us1.bfl.ai/v1/get_result?id={name}"},
        lambda png: {"id": "t", "status": "Ready", "result": {"sample": address(png)}},
        ({"status": "Ready", "result": {}}, {"status": "Error"}),
    ),
    "fal": (
        Fal,
        lambda name: {"request_id": name, "status": "IN_QUEUE"},
        lambda png: {"images": [{"url": address(png)}], "has_nsfw_concepts": [False]},
        ({"images": []}, {"seed": 7}),
    ),
    "replicate": (
        Replicate,
        lambda name: {"id": name, "status": "starting", "error": None},
        lambda png: {"id": "p", "status": "succeeded", "output": [address(png)], "error": None},
        ({"id": "p", "status": "succeeded", "output": []}, {"id": "p", "status": "canceled"}),
    ),
    "luma": (
        Luma,
        lambda name: {"id": name, "state": "queued"},
        lambda png: {"id": "g", "state": "completed", "output": [{"type": "image", "url": address(png)}]},
        ({"id": "g", "state": "completed", "output": []}, {"id": "g", "state": "failed", "failure_code": "generation_failed"}),
    ),
    "ideogram": (
        Ideogram,
        lambda name: {"generation_id": name},
        lambda png: {"status": "completed", "data": [{"url": address(png), "is_image_safe": True}]},
        ({"status": "completed", "data": []}, {"status": "failed"}),
    ),
    "dashscope": (
        DashScopeImages,
        lambda name: {"output": {"task_id": name, "task_status": "PENDING"}},
        lambda png: {"output": {"task_status": "SUCCEEDED", "results": [{"url": address(png)}]}},
        ({"output": {"task_status": "SUCCEEDED", "results": []}}, {"output": {"task_status": "CANCELED"}}),
    ),
}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unisafe_providers.hosted.jobs.FIRST_PAUSE", 0.005)


@pytest.mark.parametrize("name", VENDORS)
async def test_it_conforms(name: str) -> None:
    vendor, takes, draws, nothing = VENDORS[name]
    await conforms(hosted(vendor), takes=takes, draws=draws, capabilities=DRAWS, nothing=nothing)


class SubmitsAgain(BlackForestLabs):
    """It writes no job down, and pays for each try."""

    async def _answer(self, request: Request) -> Response:
        submitted = await self._submit(request)
        assert isinstance(submitted, Job)
        return await self._follow(request, submitted)


async def test_a_provider_that_buys_again_is_caught() -> None:
    _, takes, draws, _ = VENDORS["bfl"]
    with pytest.raises(NotConforming, match="jobs: a job that was taken is not in the book"):
        await conforms(hosted(SubmitsAgain), takes=takes, draws=draws, capabilities=replace(DRAWS, edit=False))
