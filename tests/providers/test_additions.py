"""What a user adds to requests: keys by the kind of request and headers, which are sent with every call and told to nobody else."""

from __future__ import annotations

import base64
import io
import json

import pytest
from PIL import Image as Picture
from unisafe_providers.base import Capabilities, Image, Misconfigured, ProviderError, Request, Text
from unisafe_providers.hosted.anthropic import Anthropic
from unisafe_providers.hosted.gemini import Gemini
from unisafe_providers.hosted.openai_batch import OpenAIBatches
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from vendors import KEY, Asked, Reply, anthropic, gemini, openai

ALL = Capabilities(image_in=True, image_out=True, edit=True)
GATEWAY_KEY = "pk-gateway/0123456789-planted"
HELLO = Request(kind="chat", parts=(Text("hello"),), seed=7)


def png(colour: str) -> bytes:
    out = io.BytesIO()
    Picture.new("RGB", (8, 8), colour).save(out, "PNG")
    return out.getvalue()


RED, BLUE = Image.from_bytes(png("red")), Image.from_bytes(png("blue"))
DRAWN = Reply({"data": [{"b64_json": base64.b64encode(png("green")).decode()}]})
DRAW = Request(kind="image", parts=(Text("a park"),), size="64x64", seed=7)
EDIT = Request(kind="edit", parts=(RED, Text("bluer")))
EDIT_TWO = Request(kind="edit", parts=(RED, BLUE, Text("both")))


def answering(asked: Asked) -> Reply:
    return DRAWN if "/images/" in asked.path else openai.completion()


async def test_each_kind_of_request_is_sent_its_own_keys() -> None:
    by_kind = {
        "chat": {"modalities": ["text"]},
        "image": {"steps": 4, "quality": "low"},
        "edit": {"strength": 0.5, "more": {"a": True}},
    }
    async with openai.OpenAIServer(answering) as server:
        options = {"extra": {"quality": "high", "flag": True}, "extra_by_kind": by_kind}
        async with OpenAICompatible("m", server.url, KEY, ALL, **options) as provider:
            for request in (HELLO, DRAW, EDIT):
                await provider.call(request)
    chat, image, edit = (asked.body for asked in server.asked)
    assert (chat["modalities"], chat["quality"]) == (["text"], "high")
    assert "steps" not in chat
    assert (image["steps"], image["quality"]) == (4, "low")
    assert "modalities" not in image
    form = edit["form"]
    assert all(part in form for part in (b'name="strength"', b'name="more"', b'{"a":true}', b'name="flag"\r\n\r\ntrue'))
    assert b"modalities" not in form


async def test_an_image_asked_for_in_a_chat_has_the_keys_for_images() -> None:
    by_kind = {"chat": {"modalities": ["text"]}, "image": {"modalities": ["image"]}}
    picture = openai.completion(
        "", message={"images": [{"image_url": {"url": "data:image/png;base64," + base64.b64encode(png("red")).decode()}}]}
    )
    async with (
        openai.OpenAIServer(picture) as server,
        OpenAICompatible("m", server.url, KEY, ALL, image_api="chat", extra_by_kind=by_kind) as provider,
    ):
        await provider.call(DRAW)
    assert server.asked[0].body["modalities"] == ["image"]


async def test_what_changes_answers_is_part_of_the_identity_and_secrets_are_not() -> None:
    def identity(**options: object) -> str:
        return OpenAICompatible("m", "http://x/v1", KEY, ALL, **options).identity

    plain = identity()
    assert plain == identity(extra={}, extra_by_kind={}, more_headers={}, secret_headers={}) == "openai|http://x/v1|m|images"
    assert identity(extra={"top_k": 1}) == plain + '|{"top_k":1}'
    assert identity(secret_headers={"x-portkey-api-key": GATEWAY_KEY}) == plain
    found = {
        plain,
        identity(extra={"top_k": 1}),
        identity(extra_by_kind={"chat": {"top_k": 1}}),
        identity(extra_by_kind={"image": {"top_k": 1}}),
        identity(more_headers={"X-Route": "a"}),
        identity(more_headers={"x-route": "b"}),
    }
    assert len(found) == 6
    assert identity(more_headers={"X-Route": "a"}) == identity(more_headers={"x-route": "a"})


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "gemini"])
async def test_own_headers_go_with_every_call_and_the_list_of_models(vendor: str) -> None:
    listed = Reply({"data": [{"id": "m"}]})
    made = {
        "openai": (openai.OpenAIServer(openai.completion(), listed), OpenAICompatible),
        "anthropic": (anthropic.AnthropicServer(anthropic.message(), listed), Anthropic),
        "gemini": (gemini.GeminiServer(gemini.candidate({"text": "Hello."}), listed), Gemini),
    }
    server, provider_class = made[vendor]
    async with server:
        headers = {"more_headers": {"X-Title": "bench"}, "secret_headers": {"X-Gateway-Key": GATEWAY_KEY}}
        async with provider_class("m", server.url, KEY, Capabilities(), **headers) as provider:
            await provider.call(Request(kind="chat", parts=(Text("hello"),)))
            assert await provider.models() == ["m"]
    assert [(asked.headers["x-title"], asked.headers["x-gateway-key"]) for asked in server.asked] == [("bench", GATEWAY_KEY)] * 2


async def test_own_headers_do_not_follow_an_image_to_where_it_is_kept() -> None:
    async with openai.OpenAIServer(DRAWN) as server:
        seen: list[dict[str, str]] = []

        class Store(openai.OpenAIServer):
            def refusal(self, asked: Asked) -> Reply | None:
                seen.append(asked.headers)
                return None

        async with Store(Reply(png("red"), headers={"content-type": "image/png"})) as store:
            server.replies = [Reply({"data": [{"url": f"{store.url}/kept.png"}]})]
            secret = {"X-Gateway-Key": GATEWAY_KEY}
            async with OpenAICompatible(
                "m", server.url, KEY, ALL, more_headers={"X-Title": "b"}, secret_headers=secret
            ) as provider:
                assert (await provider.call(DRAW)).images[0].digest
    assert len(seen) == 1
    assert not {"x-gateway-key", "x-title", "authorization"} & seen[0].keys()


@pytest.mark.parametrize("form", [GATEWAY_KEY, GATEWAY_KEY.replace("/", "\\/"), f"Bearer {GATEWAY_KEY}"])
async def test_a_secret_header_is_cut_out_of_what_an_endpoint_repeats(form: str) -> None:
    body = b'{"error": {"message": "Unknown gateway key: ' + form.encode() + b'", "code": "x"}}'
    async with openai.OpenAIServer(Reply(body, 401)) as server:
        secret = {"Proxy-Authorization": f"Bearer {GATEWAY_KEY}"}
        async with OpenAICompatible("m", server.url, KEY, ALL, secret_headers=secret) as provider:
            with pytest.raises(ProviderError) as caught:
                await provider.call(HELLO)
            assert GATEWAY_KEY not in f"{provider.identity}{provider!r}"
    assert "planted" not in str(caught.value)
    assert "[key]" in str(caught.value)


async def test_an_own_header_replaces_ours_and_without_a_key_none_is_sent() -> None:
    async with (
        openai.OpenAIServer(openai.completion()) as server,
        OpenAICompatible("m", server.url, "", ALL, secret_headers={"Authorization": f"Bearer {KEY}"}) as provider,
    ):
        await provider.call(HELLO)

    class Open(openai.OpenAIServer):
        def refusal(self, asked: Asked) -> Reply | None:
            return None

    async with (
        Open(openai.completion()) as unlocked,
        OpenAICompatible("m", unlocked.url, "", ALL, secret_headers={"cf-aig-authorization": "Bearer x"}) as provider,
    ):
        await provider.call(HELLO)
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in unlocked.asked[0].headers


@pytest.mark.parametrize("value", ["two\nlines", "schlüssel"])
def test_a_value_that_no_header_can_carry_is_refused(value: str) -> None:
    with pytest.raises(Misconfigured, match="x-a holds a character") as caught:
        OpenAICompatible("m", "http://x/v1", KEY, ALL, secret_headers={"x-a": value})
    assert value not in str(caught.value)


async def test_one_image_is_edited_as_image_and_several_as_a_list() -> None:
    async with openai.OpenAIServer(DRAWN) as server, OpenAICompatible("m", server.url, KEY, ALL) as provider:
        await provider.call(EDIT)
        await provider.call(EDIT_TWO)
    one, two = (asked.body["form"] for asked in server.asked)
    assert (one.count(b'name="image"'), one.count(b'name="image[]"')) == (1, 0)
    assert (two.count(b'name="image"'), two.count(b'name="image[]"')) == (0, 2)


async def test_a_vendor_of_json_edits_is_sent_data_urls_and_no_size() -> None:
    async with openai.OpenAIServer(DRAWN) as server:
        options = {"edit_body": "json", "image_leaves_out": ("seed", "size")}
        async with OpenAICompatible("m", server.url, KEY, ALL, title="xAI", **options) as provider:
            for request in (DRAW, EDIT, EDIT_TWO):
                await provider.call(request)
            assert sorted(provider.notes) == [
                "xAI takes no seed for images: it was left out",
                "xAI takes no size for images: it was left out",
            ]
    drawn, one, two = (asked.body for asked in server.asked)
    assert not {"seed", "size"} & drawn.keys()
    assert one["image"]["type"] == "image_url"
    assert base64.b64decode(one["image"]["url"].removeprefix("data:image/png;base64,")) == png("red")
    assert "images" not in one
    assert [base64.b64decode(entry["url"].partition(",")[2]) for entry in two["images"]] == [png("red"), png("blue")]
    assert "image" not in two


async def test_seed_has_the_vendor_s_own_name_online_and_in_batches() -> None:
    async with (
        openai.OpenAIServer(openai.completion()) as server,
        OpenAIBatches("m", server.url, KEY, Capabilities(), names={"seed": "random_seed"}) as provider,
    ):
        await provider.call(HELLO)
        entry = json.loads(await provider.entry("a", HELLO))
    for body in (server.asked[0].body, entry["body"]):
        assert body["random_seed"] == 7
        assert "seed" not in body


async def test_batches_are_sent_the_keys_of_chats() -> None:
    options = {"extra": {"top_k": 1}, "extra_by_kind": {"chat": {"top_k": 2}, "image": {"steps": 4}}}
    async with OpenAIBatches("m", "http://127.0.0.1:9/v1", KEY, Capabilities(), **options) as provider:
        body = json.loads(await provider.entry("a", HELLO))["body"]
    assert body["top_k"] == 2
    assert "steps" not in body
