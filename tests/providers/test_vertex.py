"""Vertex AI: which address a model has, how calls are signed, and what becomes of tokens and credentials that are wrong."""

from __future__ import annotations

import datetime
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from unisafe_providers.base import Capabilities, Image, Misconfigured, ProviderError, Rejected, Request, Response, Text, Transient
from unisafe_providers.hosted.vertex import Vertex, VertexClaude, VertexGemini, VertexImagen
from vendors import KEY, Reply
from vendors.anthropic import message
from vendors.gemini import candidate, error
from vendors.google_cloud import TokenServer, VertexServer, write_credentials

from unisafe_async import ConfigError, parse_config

EVERYTHING = Capabilities(image_in=True, image_out=True, edit=True)
OLD, NEW = "ya29.old-token-0123456789", "ya29.new-token-0123456789"
GREETING = Request(kind="chat", parts=(Text("Please greet me."),))
DRAWING = Request(kind="image", parts=(Text("A quiet garden."),), size="1024x1024", seed=7)
HELLO = candidate({"text": "Hello."})


@asynccontextmanager
async def signed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, server: VertexServer, tokens: TokenServer
) -> AsyncIterator[VertexGemini]:
    """A model whose calls are signed by credentials of this machine."""
    async with server, tokens:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_credentials(folder, tokens.url)))
        async with VertexGemini("gemini-2.5-flash", server.url, "", EVERYTHING, project="p") as provider:
            yield provider


async def fails(provider: Vertex) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await provider.call(GREETING)
    return caught.value


# ---------------------------------------------------------------- tokens


async def test_calls_at_once_are_signed_with_one_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, tokens = VertexServer(HELLO, accepts={OLD}), TokenServer(OLD)
    async with signed(tmp_path, monkeypatch, server, tokens) as provider, anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(provider.call, GREETING)
    assert (len(server.asked), len(tokens.asked)) == (8, 1)
    assert {asked.path for asked in server.asked} == {
        "/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-flash:generateContent"
    }


async def test_a_token_is_renewed_before_it_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from google.auth import _helpers

    now = _helpers.utcnow
    server, tokens = VertexServer(HELLO, accepts={OLD, NEW}), TokenServer(OLD, NEW)
    async with signed(tmp_path, monkeypatch, server, tokens) as provider:
        await provider.call(GREETING)
        monkeypatch.setattr(_helpers, "utcnow", lambda: now() + datetime.timedelta(minutes=57))
        await provider.call(GREETING)
    assert [asked.headers["authorization"] for asked in server.asked] == [f"Bearer {OLD}", f"Bearer {NEW}"]


async def test_a_token_that_is_refused_is_renewed_once_for_all_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, tokens = VertexServer(HELLO, accepts={NEW}), TokenServer(OLD, NEW)
    answers: list[Response] = []
    async with signed(tmp_path, monkeypatch, server, tokens) as provider, anyio.create_task_group() as group:

        async def call() -> None:
            answers.append(await provider.call(GREETING))

        for _ in range(8):
            group.start_soon(call)
    assert [answer.text for answer in answers] == ["Hello."] * 8
    assert len(tokens.asked) == 2


async def test_credentials_whose_tokens_are_refused_stop_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, tokens = VertexServer(HELLO), TokenServer(OLD, NEW)
    async with signed(tmp_path, monkeypatch, server, tokens) as provider:
        wrong = await fails(provider)
    assert isinstance(wrong, Misconfigured)
    assert "also after the token was renewed" in str(wrong)
    assert "GOOGLE_APPLICATION_CREDENTIALS" in str(wrong)
    assert "key_env`" not in str(wrong)
    assert (server.refused, len(tokens.asked)) == (2, 2)


async def test_no_token_is_repeated_in_what_an_error_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = VertexServer(error("INVALID_ARGUMENT", f"I do not like {NEW}, nor {OLD}.", 400), accepts={NEW})
    async with signed(tmp_path, monkeypatch, server, TokenServer(OLD, NEW)) as provider:
        wrong = await fails(provider)
        assert OLD not in provider.identity
    assert str(wrong) == "400: I do not like [key], nor [key]"


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400), Misconfigured, "invalid_grant"),
        (Reply({"error": "unauthorized_client"}, 401), Misconfigured, "gcloud auth application-default login"),
    ],
)
async def test_a_token_server_that_refuses(
    reply: Reply, kind: type[ProviderError], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, tokens = VertexServer(HELLO), TokenServer()
    tokens.replies = [reply]
    async with signed(tmp_path, monkeypatch, server, tokens) as provider:
        wrong = await fails(provider)
    assert isinstance(wrong, kind)
    assert words in str(wrong)
    assert not server.asked


async def test_a_token_server_that_cannot_be_reached_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_credentials(tmp_path, "http://127.0.0.1:9/token")))
    monkeypatch.setattr("google.auth._exponential_backoff.time.sleep", lambda _: None)
    async with VertexGemini("gemini", "http://127.0.0.1:9/v1", "", EVERYTHING, project="p") as provider:
        wrong = await fails(provider)
    assert isinstance(wrong, Transient)
    assert "token server cannot be reached" in str(wrong)


async def test_credentials_that_are_nowhere_or_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    for file in (None, tmp_path / "missing.json", broken):
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        if file is not None:
            monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        async with VertexGemini("gemini", "http://127.0.0.1:9/v1", "", EVERYTHING, project="p") as provider:
            wrong = await fails(provider)
        assert isinstance(wrong, Misconfigured)
        assert "set GOOGLE_APPLICATION_CREDENTIALS" in str(wrong)
        assert file is None or file.name in str(wrong)


async def test_without_google_auth_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    async with VertexGemini("gemini", "http://127.0.0.1:9/v1", "", EVERYTHING, project="p") as provider:
        wrong = await fails(provider)
    assert isinstance(wrong, Misconfigured)
    assert "pip install 'unisafe-async[google]'" in str(wrong)


async def test_doctor_looks_at_credentials_although_there_is_no_list_of_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, tokens = VertexServer(HELLO), TokenServer(OLD)
    async with signed(tmp_path, monkeypatch, server, tokens) as provider:
        with pytest.raises(Rejected, match="lists no models"):
            await provider.models()
        tokens.replies = [Reply({"error": "invalid_grant"}, 400)]
        async with VertexGemini("gemini", server.url, "", EVERYTHING, project="p") as another:
            with pytest.raises(Misconfigured, match="invalid_grant"):
                await another.models()
    assert not server.asked


async def test_a_key_signs_by_itself() -> None:
    async with VertexServer(HELLO, accepts={OLD}) as server:
        for key, project in ((OLD, "p"), (KEY, "")):
            async with VertexGemini("gemini-2.5-flash", server.url, key, EVERYTHING, project=project) as provider:
                assert (await provider.call(GREETING)).text == "Hello."
        placed = f"{server.url}/projects/q/locations/eu"
        async with VertexGemini("gemini-2.5-flash", placed, OLD, EVERYTHING) as provider:
            assert (await provider.call(GREETING)).text == "Hello."
        async with VertexGemini("gemini-2.5-flash", server.url, "wrong-token-0123456789", EVERYTHING, project="p") as provider:
            wrong = await fails(provider)
    assert isinstance(wrong, Misconfigured)
    assert "check the variable named by `key_env`" in str(wrong)
    assert server.refused == 1
    assert server.asked[1].path == "/v1/publishers/google/models/gemini-2.5-flash:generateContent"
    assert "authorization" not in server.asked[1].headers


# ---------------------------------------------------------------- what is sent


async def test_gemini_gets_its_settings() -> None:
    async with VertexServer(HELLO) as server:
        settings: dict[str, Any] = {
            "safety": {"HARM_CATEGORY_IMAGE_HATE": "BLOCK_ONLY_HIGH"},
            "safety_method": "SEVERITY",
            "model_armor": {"prompt": "projects/p/locations/l/templates/t"},
            "person_generation": "dont_allow",
        }
        async with VertexGemini("gemini-3-pro-image", server.url, KEY, EVERYTHING, **settings) as provider:
            await provider.call(GREETING)
            await provider.call(DRAWING)
        plain = VertexGemini("gemini-3-pro-image", server.url, KEY, EVERYTHING)
    said, drawn = (asked.body for asked in server.asked[:2])
    assert said["safetySettings"] == [
        {"category": "HARM_CATEGORY_IMAGE_HATE", "threshold": "BLOCK_ONLY_HIGH", "method": "SEVERITY"}
    ]
    assert said["modelArmorConfig"] == {"promptTemplateName": "projects/p/locations/l/templates/t"}
    assert "generationConfig" not in said
    assert drawn["generationConfig"]["imageConfig"] == {"aspectRatio": "1:1", "personGeneration": "ALLOW_NONE"}
    assert provider.identity.startswith(plain.identity)
    assert all(word in provider.identity for word in ("BLOCK_ONLY_HIGH", "SEVERITY", "templates/t", "dont_allow"))


async def test_claude_gets_anthropic_s_body_without_the_model() -> None:
    async with VertexServer(message()) as server:
        for name in ("claude-opus-5@20260101", "publishers/anthropic/models/claude-opus-5@20260101"):
            async with VertexClaude(name, server.url, KEY, Capabilities()) as provider:
                assert (await provider.call(GREETING)).text == "Hello."
    assert {asked.path for asked in server.asked} == {"/v1/publishers/anthropic/models/claude-opus-5@20260101:rawPredict"}
    assert server.asked[0].body["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in server.asked[0].body


async def test_imagen_draws_what_it_is_told() -> None:
    picture = {"bytesBase64Encoded": "iVBORw0KGgo=", "mimeType": "image/png", "prompt": "A quiet garden at dawn."}
    async with VertexServer(Reply({"predictions": [picture]})) as server:
        settings: dict[str, Any] = {"safety_setting": "block_only_high", "person_generation": "allow_all"}
        async with VertexImagen("imagen-4.0", server.url, KEY, EVERYTHING, **settings) as provider:
            assert len((await provider.call(DRAWING)).images) == 1
            with pytest.raises(Misconfigured, match="its ratios are 1:1, 3:4"):
                await provider.call(Request(kind="image", parts=(Text("A garden."),), size="2100x900"))
            with pytest.raises(Misconfigured, match="from text alone"):
                await provider.call(Request(kind="edit", parts=(Text("Blue."), Image.from_bytes(b"\x89PNG\r\n\x1a\n"))))
    assert server.asked[0].body == {
        "instances": [{"prompt": "A quiet garden."}],
        "parameters": {
            "sampleCount": 1,
            "includeRaiReason": True,
            "enhancePrompt": False,
            "safetySetting": "block_only_high",
            "personGeneration": "allow_all",
            "aspectRatio": "1:1",
            "seed": 7,
            "addWatermark": False,
        },
    }
    assert "rewritten prompts" in "; ".join(provider.notes)


# ---------------------------------------------------------------- what bench.toml says


def section(**keys: Any) -> Any:
    model = {"name": "m", "provider": "vertex", "model": "gemini-2.5-flash", "project": "p", **keys}
    table = {"models": [model], "judge": {"provider": "simulated", "model": "judge"}}
    return parse_config({**table, "generation": {"max_tokens": 10}}).models[0]


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ({"project": ""}, "project: missing; put the id of your Google Cloud project"),
        (
            {"base_url": "https://gateway.example.com/v1"},
            "key_env: missing; the Google credentials of this machine go to Google's own",
        ),
        ({"model": "claude-opus-5", "gives": ["image"]}, "gives: Anthropic's models write text only"),
        ({"model": "imagen-4.0", "gives": ["text"]}, "gives: Imagen draws only"),
        ({"model": "claude-opus-5", "safety": {"HARM_CATEGORY_HARASSMENT": "OFF"}}, "safety: goes with models of gemini only"),
        (
            {"safety_setting": "block_none"},
            "safety_setting: goes with models of imagen only; 'gemini-2.5-flash' is asked as gemini",
        ),
        ({"safety": {"HARASSMENT": "OFF"}}, "did you mean HARM_CATEGORY_HARASSMENT"),
        ({"safety_method": "SEVERITY"}, "safety_method: says what the thresholds"),
        ({"model_armor": {"answer": "t"}}, "model_armor"),
        ({"location": "https://x"}, "location: should look like europe-west4"),
    ],
)
def test_mistakes_name_their_key(keys: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ConfigError) as caught:
        section(**keys)
    assert mistake in str(caught.value)


def test_a_key_of_express_mode_needs_no_project() -> None:
    assert section(project="", key_env="VERTEX_API_KEY").key_env == "VERTEX_API_KEY"
    assert section().key_env is None


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("global", "https://aiplatform.googleapis.com/v1"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com/v1"),
        ("europe-west4", "https://europe-west4-aiplatform.googleapis.com/v1"),
    ],
)
def test_the_address_follows_the_location(location: str, address: str) -> None:
    provider = built(location=location)
    assert provider.base_url == address
    assert f"/locations/{location}/" in provider.identity
    assert built(location=location, base_url="http://localhost:1/v1", key_env="K").base_url == "http://localhost:1/v1"


def test_a_model_s_name_tells_how_it_is_asked_unless_family_does() -> None:
    assert isinstance(built(model="claude-opus-5"), VertexClaude)
    assert isinstance(built(model="publishers/google/models/imagen-4.0", gives=["image"]), VertexImagen)
    assert isinstance(built(model="endpoints/123"), VertexGemini)
    assert isinstance(built(model="endpoints/123", family="claude"), VertexClaude)


def built(**keys: Any) -> Any:
    from unisafe_providers.settings import ProviderSettings

    made = section(**keys)
    return made.spec.build(ProviderSettings(made.model, EVERYTHING, key="k" if made.key_env else None, vendor=made.preset), made)
