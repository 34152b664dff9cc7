"""Vendors that draw at once: what each is sent, what it is told of sizes and settings, and which models it has been before."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import anyio
import pytest
from unisafe_providers.base import Capabilities, Image, Misconfigured, Provider, Request, Text
from unisafe_providers.hosted.rewritten import find_rewritten
from vendor_cases import PICTURE
from vendors.server import KEY, Asked, Reply, VendorServer

from unisafe_async import ConfigError, parse_config
from unisafe_async.run.endpoints import endpoint_of

B64 = base64.b64encode(PICTURE).decode()
DRAWN = Reply({"data": [{"b64_json": B64}]})
SEEN = Image.from_bytes(PICTURE)
DATA_URL = f"data:image/png;base64,{B64}"
ALL = Capabilities(text_out=False, image_in=True, image_out=True, edit=True)
ANSWERS = {
    "stability": Reply({"image": B64, "finish_reason": "SUCCESS"}),
    "minimax": Reply({"data": {"image_base64": [B64]}, "base_resp": {"status_code": 0}}),
}


class Anybody(VendorServer):
    """Takes every path; the key has to come as a bearer token."""

    def refusal(self, asked: Asked) -> Reply | None:
        return None if asked.headers.get("authorization") == f"Bearer {self.key}" else Reply({"message": "no"}, 401)


def draw(**more: Any) -> Request:
    return Request(kind="image", parts=(Text("a lighthouse"),), **more)


def edit(*images: Image, **more: Any) -> Request:
    return Request(kind="edit", parts=(*(images or (SEEN,)), Text("make it blue")), **more)


def parsed(**model: Any) -> Any:
    section = {"name": "m", "model": "x", "takes": ["text", "image"], "gives": ["image"], **model}
    return parse_config({"models": [section], "judge": {"provider": "simulated", "model": "judge"}}).models[0]


def provider_of(**model: Any) -> Provider:
    return endpoint_of(parsed(**model), "m", Path(), anyio.sleep).provider


@asynccontextmanager
async def asking(
    monkeypatch: pytest.MonkeyPatch, vendor: str, *replies: Reply, **model: Any
) -> AsyncIterator[tuple[Any, list[Asked]]]:
    """The provider of a section of bench.toml at a server of its own, and what was asked."""
    monkeypatch.setenv("VENDOR_KEY", KEY)
    server = Anybody(*(replies or (ANSWERS.get(vendor, DRAWN),)))
    async with server, provider_of(provider=vendor, base_url=server.url, key_env="VENDOR_KEY", **model) as provider:
        yield provider, server.asked


def fields_of(asked: Asked) -> dict[str, str]:
    """A form's fields; a file is told by its type."""
    kind = asked.headers["content-type"]
    form = message_from_bytes(f"content-type: {kind}\r\n\r\n".encode() + asked.body["form"])
    return {
        str(part.get_param("name", header="content-disposition")): (
            part.get_content_type() if part.get_filename() else part.get_payload(decode=True).decode()  # type: ignore[union-attr]
        )
        for part in form.get_payload()  # type: ignore[union-attr]
    }


SENT: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "ark": (
        {"size": "2048x2048", "seed": 7},
        "images/generations",
        {"prompt": "a lighthouse", "response_format": "b64_json", "watermark": False, "size": "2048x2048", "seed": 7},
    ),
    "minimax": (
        {"size": "1280x720", "seed": 7},
        "image_generation",
        {"prompt": "a lighthouse", "n": 1, "response_format": "base64", "prompt_optimizer": False}
        | {"width": 1280, "height": 720, "seed": 7},
    ),
    "recraft": (
        {"size": "1024x1280", "seed": 7},
        "images/generations",
        {"prompt": "a lighthouse", "n": 1, "response_format": "b64_json", "random_seed": 7, "size": "1024x1280"},
    ),
    "together": (
        {"size": "1024x768", "seed": 7},
        "images/generations",
        {"prompt": "a lighthouse", "n": 1, "response_format": "base64", "width": 1024, "height": 768, "seed": 7},
    ),
    "xai": (
        {"size": "2048x1152", "seed": 7},
        "images/generations",
        {"prompt": "a lighthouse", "n": 1, "aspect_ratio": "16:9", "resolution": "2k"},
    ),
}


@pytest.mark.parametrize("vendor", SENT)
async def test_each_vendor_is_asked_in_its_own_words(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, path, body = SENT[vendor]
    async with asking(monkeypatch, vendor) as (provider, asked):
        assert (await provider.call(draw(**settings))).images == (SEEN,)
    assert (asked[0].path, asked[0].body) == (f"/v1/{path}", {"model": "x", **body})


EDITED: dict[str, tuple[str, dict[str, Any]]] = {
    "ark": ("images/generations", {"image": DATA_URL}),
    "minimax": ("image_generation", {"subject_reference": [{"type": "character", "image_file": DATA_URL}]}),
    "together": ("images/generations", {"image_url": DATA_URL}),
    "xai": ("images/edits", {"image": {"url": DATA_URL, "type": "image_url"}}),
}


@pytest.mark.parametrize("vendor", EDITED)
async def test_each_vendor_is_given_what_it_edits(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, body = EDITED[vendor]
    async with asking(monkeypatch, vendor) as (provider, asked):
        assert (await provider.call(edit())).images == (SEEN,)
    assert asked[0].path == f"/v1/{path}"
    assert asked[0].body | body == asked[0].body


async def test_several_pictures_go_as_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    two = edit(SEEN, Image.from_bytes(PICTURE + b"\0"))
    for vendor, key in (("ark", "image"), ("together", "reference_images"), ("xai", "images")):
        async with asking(monkeypatch, vendor) as (provider, asked):
            await provider.call(two)
        assert len(asked[0].body[key]) == 2


@pytest.mark.parametrize(
    ("model", "path", "more"),
    [
        ("core", "generate/core", {}),
        ("stable-image-ultra", "generate/ultra", {}),
        ("sd3.5-large", "generate/sd3", {"model": "sd3.5-large", "mode": "text-to-image"}),
    ],
)
async def test_stability_gets_a_form_even_without_a_file(
    model: str, path: str, more: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asking(monkeypatch, "stability", model=model, extra={"style_preset": "anime"}) as (provider, asked):
        await provider.call(draw(size="1024x1536", seed=7))
    assert asked[0].path == f"/v1/v2beta/stable-image/{path}"
    told = {"prompt": "a lighthouse", "output_format": "png", "seed": "7", "aspect_ratio": "2:3", "style_preset": "anime"}
    assert (fields_of(asked[0]), asked[0].headers["accept"]) == (told | more, "application/json")


async def test_stability_edits_by_drawing_anew_or_by_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking(monkeypatch, "stability", model="sd3.5-large", strength=0.4) as (provider, asked):
        await provider.call(edit())
    drawn = {"prompt": "make it blue", "output_format": "png", "image": "image/png"}
    assert fields_of(asked[0]) == drawn | {"strength": "0.4", "model": "sd3.5-large", "mode": "image-to-image"}
    more = {"edits_by": "search-and-replace", "extra_edit": {"search_prompt": "the sky"}}
    async with asking(monkeypatch, "stability", model="core", **more) as (provider, asked):
        await provider.call(edit())
    assert asked[0].path == "/v1/v2beta/stable-image/edit/search-and-replace"
    assert fields_of(asked[0]) == drawn | {"search_prompt": "the sky"}
    async with asking(monkeypatch, "stability", model="core") as (provider, asked):
        with pytest.raises(Misconfigured, match="takes no picture") as caught:
            await provider.call(edit())
    assert (asked, caught.value.needs) == ([], "images in")


async def test_recraft_edits_in_a_form(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking(monkeypatch, "recraft", strength=0.3) as (provider, asked):
        await provider.call(edit())
    assert asked[0].path == "/v1/images/imageToImage"
    told = {"model": "x", "prompt": "make it blue", "n": "1", "response_format": "b64_json", "strength": "0.3"}
    assert fields_of(asked[0]) == told | {"image": "image/png"}


async def test_a_size_that_a_vendor_cannot_draw_is_said_with_those_that_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    for vendor, size in (("xai", "4096x256"), ("stability", "4096x1024"), ("minimax", "100x400")):
        async with asking(monkeypatch, vendor) as (provider, asked):
            with pytest.raises(Misconfigured, match=r"its ratios are .*16:9"):
                await provider.call(draw(size=size))
        assert asked == []


@pytest.mark.parametrize("vendor", ["xai", "openai"])
async def test_a_vendor_that_takes_no_size_is_asked_again_without(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Reply({"code": "400", "error": "Argument not supported: size"}, 400)
    async with asking(monkeypatch, vendor, refused, DRAWN) as (provider, asked):
        for _ in range(2):
            await provider.call(draw(size="1024x1024"))
        assert provider.notes == ["x takes no size such as 1024x1024: it was left out"]
    assert ["size" in one.body or "aspect_ratio" in one.body for one in asked] == [True, False, False]


async def test_a_prompt_that_was_rewritten_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    for revised, notes in (("A tall lighthouse.", 1), ("a  lighthouse ", 0)):
        reply = Reply({"data": [{"b64_json": B64, "revised_prompt": revised}]})
        async with asking(monkeypatch, "xai", reply) as (provider, _):
            await provider.call(draw())
            assert len(provider.notes) == notes
    assert find_rewritten({"output": {"results": [{"actual_prompt": "x"}]}}, "y") == "actual_prompt"
    assert find_rewritten({"data": [{"prompt": "y"}], "prompt": None}, "y") == ""


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("model", "identity"),
    [
        ({"provider": "xai"}, "openai|https://api.x.ai/v1|x|images"),
        ({"provider": "together"}, "openai|https://api.together.xyz/v1|x|images"),
        ({"provider": "xai", "gives": ["text", "image"]}, "openai|https://api.x.ai/v1|x|images"),
        ({"provider": "xai", "gives": ["text", "image"], "image_api": "chat"}, "openai|https://api.x.ai/v1|x|chat"),
        ({"provider": "xai", "extra": {"quality": "low"}}, 'openai|https://api.x.ai/v1|x|images|{"quality":"low"}'),
        ({"provider": "openai", "base_url": "https://api.x.ai/v1", "key_env": "K"}, "openai|https://api.x.ai/v1|x|images"),
        ({"provider": "xai", "gives": ["text"]}, "openai|https://api.x.ai/v1|x|images"),
        (
            {"provider": "openai", "base_url": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "key_env": "K"},
            "openai|https://dashscope-intl.aliyuncs.com/compatible-mode/v1|x|images",
        ),
    ],
)
def test_models_that_were_asked_before_keep_their_names_in_the_cache(model: dict[str, Any], identity: str) -> None:
    assert provider_of(**model).identity == identity


@pytest.mark.parametrize("vendor", ["ark", "minimax", "dashscope"])
def test_a_vendor_s_chats_and_pictures_have_one_name(vendor: str) -> None:
    assert type(provider_of(provider=vendor, gives=["text"])).__name__ == "OpenAICompatible"
    assert provider_of(provider=vendor).identity.startswith(f"{vendor}|https://")
    with pytest.raises(ConfigError, match='gives text or images, not both; put gives = \\["image"\\]'):
        parsed(provider=vendor, gives=["text", "image"])


@pytest.mark.parametrize("vendor", ["stability", "recraft"])
def test_vendors_that_only_draw_need_not_say_so(vendor: str) -> None:
    section = {"name": "m", "model": "x", "provider": vendor}
    judge = {"provider": "simulated", "model": "judge"}
    assert parse_config({"models": [section], "judge": judge}).models[0].gives == ["image"]
    with pytest.raises(ConfigError, match='give pictures only; put gives = \\["image"\\]'):
        parsed(provider=vendor, gives=["text", "image"])
    with pytest.raises(ConfigError, match="none of them reads"):
        parse_config({"models": [section], "judge": {"provider": vendor, "model": "x"}})


@pytest.mark.parametrize("option", [{"strength": 0.2}, {"extra": {"style": "x"}}, {"extra_edit": {"n": 2}}])
def test_what_changes_the_pictures_makes_another_model(option: dict[str, Any]) -> None:
    for vendor in ("stability", "recraft"):
        assert provider_of(provider=vendor).identity != provider_of(provider=vendor, **option).identity
