"""The conformance suite: ours pass it, and each way of breaking the contract is caught by name."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import anyio
import pytest
from unisafe_providers.base import Capabilities, Image, Misconfigured, Provider, RateLimited, Request, Response, Text, Transient
from unisafe_providers.conformance import NotConforming, conforms
from unisafe_providers.conformance.server import draw_picture
from unisafe_providers.hosted.anthropic import Anthropic
from unisafe_providers.hosted.ark import Ark
from unisafe_providers.hosted.bedrock import Bedrock
from unisafe_providers.hosted.bedrock_pictures import BedrockPictures
from unisafe_providers.hosted.bodies import Json
from unisafe_providers.hosted.cohere import Cohere
from unisafe_providers.hosted.gemini import Gemini
from unisafe_providers.hosted.http import HostedProvider
from unisafe_providers.hosted.interactions import GeminiInteractions
from unisafe_providers.hosted.minimax import MiniMax
from unisafe_providers.hosted.openai_compatible import OpenAICompatible
from unisafe_providers.hosted.recraft import Recraft
from unisafe_providers.hosted.stability import Stability
from unisafe_providers.hosted.together_images import Together
from unisafe_providers.hosted.vertex import VertexClaude, VertexGemini, VertexImagen
from unisafe_providers.hosted.xai_images import XAI
from unisafe_providers.registry import build_provider, built_in_spec
from unisafe_providers.settings import ProviderSettings

from unisafe_async.simulate.simulated import PROFILES, Simulated

EVERYTHING = Capabilities(image_in=True, image_out=True, edit=True)
SEES = Capabilities(image_in=True)


def hosted(vendor: Callable[..., Any], **options: Any) -> Callable[[ProviderSettings], Provider]:
    """One of our classes as a plugin's entry point would make it."""

    def make(settings: ProviderSettings) -> Provider:
        place = (settings.model, settings.base_url, settings.key, settings.capabilities)
        return vendor(*place, timeout=settings.timeout_s, max_connections=settings.max_connections, **options)

    return make


def openai_says(text: str) -> object:
    return {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": text}}]}


def openai_draws(png: bytes) -> object:
    return {"data": [{"b64_json": base64.b64encode(png).decode()}]}


def gemini_says(text: str) -> object:
    return {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}


def gemini_draws(png: bytes) -> object:
    part = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(png).decode()}}
    return {"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}


def anthropic_says(text: str) -> object:
    return {
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }


def openai_ends(word: str | None, **message: object) -> object:
    return {"choices": [{"finish_reason": word, "message": {"role": "assistant", "content": None, **message}}]}


OPENAI_NOTHING = (
    openai_ends("stop", reasoning_content="Hm."),
    openai_ends("stop", reasoning="Hm."),
    openai_ends("stop", tool_calls=[{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]),
    openai_ends("stop", audio={"data": "QUJD"}),
    openai_ends("length"),
    openai_ends("whatever"),
    openai_ends("abort", content="Half of"),
    openai_ends(None),
    {**openai_says("Half of"), "error": {"message": "upstream failed", "code": 502}},
    {"choices": [{"finish_reason": "stop", "message": {}}]},
    openai_says("<think>It goes on and"),
)
ANTHROPIC_NOTHING = (
    {"content": [{"type": "thinking", "thinking": "Hm."}], "stop_reason": "end_turn"},
    {"content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}], "stop_reason": "tool_use"},
    {"content": [], "stop_reason": "max_tokens"},
    {"content": [], "stop_reason": "whatever"},
    {"type": "error", "error": {"type": "api_error", "message": "broken"}},
)
GEMINI_NOTHING = (
    {"candidates": [{"content": {"parts": [{"text": "Hm.", "thought": True}]}, "finishReason": "STOP"}]},
    {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}]},
    {"candidates": [{"content": {}, "finishReason": "MAX_TOKENS"}]},
    {"candidates": [{"content": {}, "finishReason": "WHATEVER"}]},
    {"candidates": [{"finishReason": "NO_IMAGE"}]},
    {"candidates": []},
)


COHERE_NOTHING = (
    {"message": {"content": [{"type": "thinking", "thinking": "Hm."}]}, "finish_reason": "COMPLETE"},
    {"message": {"tool_calls": [{"id": "1"}]}, "finish_reason": "TOOL_CALL"},
    {"message": {"content": []}, "finish_reason": "MAX_TOKENS"},
    {"message": {"content": []}, "finish_reason": "WHATEVER"},
    {"message": {"content": [{"type": "text", "text": "Half of"}]}, "finish_reason": "ERROR"},
    {"message": "your request was blocked"},
)
INTERACTIONS_NOTHING = (
    {"status": "completed", "steps": [{"type": "thought", "summary": [{"type": "text", "text": "Hm."}]}]},
    {"status": "requires_action", "steps": [{"type": "function_call", "name": "f"}]},
    {"status": "incomplete", "steps": []},
    {"status": "failed", "steps": [], "errors": [{"code": "api_error", "message": "broken"}]},
    {"status": "completed"},
    {"status": "in_progress", "steps": []},
)


def cohere_says(text: str) -> object:
    return {"message": {"role": "assistant", "content": [{"type": "text", "text": text}]}, "finish_reason": "COMPLETE"}


def interaction_of(part: dict[str, Any]) -> object:
    return {"id": "v1_1", "status": "completed", "steps": [{"type": "model_output", "content": [part]}]}


def interactions_say(text: str) -> object:
    return interaction_of({"type": "text", "text": text})


def interactions_draw(png: bytes) -> object:
    return interaction_of({"type": "image", "mime_type": "image/png", "data": base64.b64encode(png).decode()})


def imagen_draws(png: bytes) -> object:
    return {"predictions": [{"bytesBase64Encoded": base64.b64encode(png).decode(), "mimeType": "image/png"}]}


async def test_cohere_conforms() -> None:
    await conforms(hosted(Cohere), says=cohere_says, capabilities=SEES, nothing=COHERE_NOTHING)


async def test_gemini_by_interactions_conforms() -> None:
    says, draws, vendor = interactions_say, interactions_draw, hosted(GeminiInteractions)
    await conforms(vendor, says=says, draws=draws, capabilities=EVERYTHING, nothing=INTERACTIONS_NOTHING)


async def test_vertex_conforms() -> None:
    gemini, claude = hosted(VertexGemini, project="p"), hosted(VertexClaude, project="p")
    await conforms(gemini, says=gemini_says, draws=gemini_draws, capabilities=EVERYTHING, nothing=GEMINI_NOTHING)
    await conforms(claude, says=anthropic_says, capabilities=SEES, nothing=ANTHROPIC_NOTHING)


async def test_imagen_conforms() -> None:
    draws_only = Capabilities(text_out=False, image_out=True)
    await conforms(hosted(VertexImagen), draws=imagen_draws, capabilities=draws_only, nothing=({}, {"predictions": []}))


async def test_openai_conforms() -> None:
    says, draws = openai_says, openai_draws
    await conforms(hosted(OpenAICompatible), says=says, draws=draws, capabilities=EVERYTHING, nothing=OPENAI_NOTHING)


async def test_azure_conforms() -> None:
    await conforms(hosted(OpenAICompatible, key_header="api-key"), says=openai_says, capabilities=SEES)


@pytest.mark.parametrize("name", ["deepseek", "perplexity", "litellm", "snowflake"])
async def test_a_vendor_s_file_on_the_wire_conforms(name: str) -> None:
    """One that is asked by chats, by Responses, a gateway, and one whose customers have addresses of their own."""
    spec = built_in_spec(name)

    def make(settings: ProviderSettings) -> Provider:
        told = replace(settings, vendor=spec.vendor)
        options = {**spec.defaults, "base_url": settings.base_url or "", "key_env": "K", "timeout_s": settings.timeout_s}
        return build_provider(spec, told, spec.options(**options))

    await conforms(make, says=openai_says, capabilities=SEES)


async def test_anthropic_conforms() -> None:
    await conforms(hosted(Anthropic), says=anthropic_says, capabilities=SEES, nothing=ANTHROPIC_NOTHING)


async def test_gemini_conforms() -> None:
    says, draws = gemini_says, gemini_draws
    await conforms(hosted(Gemini), says=says, draws=draws, capabilities=EVERYTHING, nothing=GEMINI_NOTHING)


# ---------------------------------------------------------------- those that give pictures and no text

DRAWS = Capabilities(text_out=False, image_in=True, image_out=True, edit=True)


def stability_draws(png: bytes) -> object:
    return {"image": base64.b64encode(png).decode(), "finish_reason": "SUCCESS", "seed": 7}


def minimax_draws(png: bytes) -> object:
    told = {"status_code": 0, "status_msg": "success"}
    return {"data": {"image_base64": [base64.b64encode(png).decode()]}, "metadata": {"failed_count": "0"}, "base_resp": told}


NO_ENTRIES = ({"data": []}, {"data": [{}]}, {"data": [{"b64_json": ""}]}, {"data": [{"error": {"code": "InternalServiceError"}}]})
PICTURES: dict[type[HostedProvider], tuple[Callable[[bytes], object], Sequence[object]]] = {
    Stability: (
        stability_draws,
        ({"image": "", "finish_reason": "SUCCESS"}, {"seed": 7}, {"image": "QUJD", "finish_reason": "ERROR"}),
    ),
    Recraft: (openai_draws, NO_ENTRIES),
    Ark: (openai_draws, NO_ENTRIES),
    MiniMax: (minimax_draws, ({"data": {"image_urls": []}}, {"data": None})),
    XAI: (openai_draws, NO_ENTRIES),
    Together: (openai_draws, NO_ENTRIES),
}


@pytest.mark.parametrize("vendor", PICTURES, ids=lambda vendor: vendor.__name__)
async def test_those_that_give_pictures_alone_conform(vendor: type[HostedProvider]) -> None:
    draws, nothing = PICTURES[vendor]
    await conforms(hosted(vendor), draws=draws, capabilities=DRAWS, nothing=nothing)


async def test_one_that_draws_and_edits_nothing_is_examined_too() -> None:
    draws_only = Capabilities(text_out=False, image_out=True)
    await conforms(hosted(Ark), draws=openai_draws, capabilities=draws_only)

    class OneAfterTheOther(Ark):
        async def __aenter__(self) -> Self:
            self.turn = anyio.Lock()
            return await super().__aenter__()

        async def call(self, request: Request) -> Response:
            async with self.turn:
                return await super().call(request)

    with pytest.raises(NotConforming, match=r"^concurrency: of 8 calls at once only 1 "):
        await conforms(hosted(OneAfterTheOther), draws=openai_draws, capabilities=draws_only)


async def test_one_that_takes_requests_for_later_is_polled() -> None:
    await conforms(hosted(Stability), draws=stability_draws, takes=lambda job: {"id": job}, capabilities=DRAWS)


class TakesAnyBytes(Ark):
    """It says that nothing is a picture of no pixels."""

    def _read_pictures(self, body: Json) -> Response:
        return Response(images=(Image.from_bytes(base64.b64decode(body["data"][0]["b64_json"]) or draw_picture(0)),))


async def test_a_picture_that_was_never_sent_is_caught() -> None:
    with pytest.raises(NotConforming, match=r"^anatomy: nothing in the place of a picture"):
        await conforms(hosted(TakesAnyBytes), draws=openai_draws, capabilities=DRAWS)


def bedrock_ends(word: str, *content: object) -> object:
    return {"output": {"message": {"role": "assistant", "content": list(content)}}, "stopReason": word}


def bedrock_says(text: str) -> object:
    return bedrock_ends("end_turn", {"text": text})


def bedrock_shows(png: bytes) -> object:
    return bedrock_ends("end_turn", {"image": {"format": "png", "source": {"bytes": base64.b64encode(png).decode()}}})


def bedrock_draws(png: bytes) -> object:
    return {"images": [base64.b64encode(png).decode()], "error": None}


BEDROCK_NOTHING = (
    bedrock_ends("end_turn", {"reasoningContent": {"reasoningText": {"text": "Hm."}}}),
    bedrock_ends("end_turn", {"reasoningContent": {"redactedContent": "QUJD"}}),
    bedrock_ends("tool_use", {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}),
    bedrock_ends("max_tokens"),
    bedrock_ends("whatever"),
    bedrock_ends("malformed_model_output", {"text": "Half of"}),
    {"output": {}, "stopReason": "end_turn"},
    {"message": "broken"},
)


async def test_bedrock_conforms() -> None:
    says, draws = bedrock_says, bedrock_shows
    await conforms(hosted(Bedrock), says=says, draws=draws, capabilities=EVERYTHING, nothing=BEDROCK_NOTHING)


async def test_bedrock_s_models_that_only_draw_conform() -> None:
    draws_only = Capabilities(text_out=False, image_out=True, edit=True)
    await conforms(hosted(BedrockPictures), draws=bedrock_draws, capabilities=draws_only)


async def test_simulated_conforms() -> None:
    answers = replace(PROFILES["balanced"], refusal=0.0, refusal_by={}, blocked=0.0, empty=0.0)
    await conforms(lambda settings: Simulated(settings.model, answers, settings.capabilities), capabilities=EVERYTHING)


# ---------------------------------------------------------------- the suite can fail


class Plain(HostedProvider):
    """A provider that conforms; each one below breaks it in one way."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings
        super().__init__(
            f"plain|{settings.base_url}|{settings.model}",
            settings.model,
            str(settings.base_url),
            str(settings.key),
            {"authorization": f"Bearer {settings.key}"},
            settings.capabilities,
            timeout=settings.timeout_s,
            max_connections=settings.max_connections,
            extra=None,
        )

    async def _answer(self, request: Request) -> Response:
        return await self._exchange(request, "say", self._said, lambda body: Response(text=str(body["said"])))

    async def _said(self, request: Request) -> Json:
        return {"model": self.model, "text": request.text}


def plain_says(text: str) -> object:
    return {"said": text}


class NoLimits(Plain):
    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.reported = None  # type: ignore[assignment]


class OneForAll(Plain):
    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.identity = "plain"


class KeyInIdentity(Plain):
    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.identity += str(settings.key)


class AnotherEachTime(Plain):
    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.identity += f"|{id(self)}"


class TakesAnything(Plain):
    async def call(self, request: Request) -> Response:
        return await self._answer(request)


class SaysNothing(Plain):
    async def _answer(self, request: Request) -> Response:
        return replace(await super()._answer(request), text="")


class NoResponse(Plain):
    async def call(self, request: Request) -> Response:
        self.capabilities.check(request)
        return (await super().call(request)).text  # type: ignore[return-value]


class Changes(Plain):
    async def _answer(self, request: Request) -> Response:
        object.__setattr__(request, "system", "")
        return await super()._answer(request)


class RaisesAnything(Plain):
    async def _answer(self, request: Request) -> Response:
        answer = await self._post("say", {"model": self.model, "text": request.text})
        if answer.status != 200:
            raise RuntimeError(answer.status)
        return Response(text=json.loads(answer.content)["said"])


class InventsWords(Plain):
    async def call(self, request: Request) -> Response:
        answer = await super().call(request)
        return answer if answer.text else replace(answer, text="(no answer)")


class NothingIsARefusal(Plain):
    async def call(self, request: Request) -> Response:
        answer = await super().call(request)
        return answer if answer.text else replace(answer, finish="refused")


class TakesWordsForPictures(Plain):
    async def call(self, request: Request) -> Response:
        answer = await super().call(request)
        return replace(answer, text=answer.text.partition("data:")[0])


class FailureIsAnAnswer(Plain):
    async def call(self, request: Request) -> Response:
        self.capabilities.check(request)
        try:
            return await super().call(request)
        except Transient as error:
            return Response(text=f"sorry: {error}")


class TriesAgain(Plain):
    async def _answer(self, request: Request) -> Response:
        try:
            return await super()._answer(request)
        except Transient:
            return await super()._answer(request)


class TellsTheKey(Plain):
    async def call(self, request: Request) -> Response:
        try:
            return await super().call(request)
        except Misconfigured as error:
            raise Misconfigured(f"{error} ({self.settings.key})") from None


class ForgetsTheWait(Plain):
    async def call(self, request: Request) -> Response:
        try:
            return await super().call(request)
        except RateLimited as error:
            raise RateLimited(str(error)) from None


class Shielded(Plain):
    async def _answer(self, request: Request) -> Response:
        with anyio.CancelScope(shield=True):
            return await super()._answer(request)


class SwallowsCancellation(Plain):
    async def call(self, request: Request) -> Response:
        try:
            return await super().call(request)
        except anyio.get_cancelled_exc_class():
            raise Transient("the call ended") from None


class OneAtATime(Plain):
    async def __aenter__(self) -> Self:
        self.lock = anyio.Lock()
        return await super().__aenter__()

    async def call(self, request: Request) -> Response:
        async with self.lock:
            return await super().call(request)


class SharesItsState(Plain):
    asked = ""

    async def _answer(self, request: Request) -> Response:
        self.asked = request.text
        await anyio.sleep(0.01)
        return await super()._answer(replace(request, parts=(Text(self.asked),)))


class OpensOnce(Plain):
    opened = 0

    async def __aenter__(self) -> Self:
        self.opened += 1
        if self.opened > 1:
            raise RuntimeError("this client was closed")
        return await super().__aenter__()


class LeavesATask(Plain):
    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(asyncio.Event().wait(), name="heartbeat")
        return await super().__aenter__()


class LeavesConnections(Plain):
    kept: ClassVar[list[object]] = []

    async def __aexit__(self, *_: object) -> None:
        self.kept.append(self._http)


class OneClientForAll(Plain):
    client: ClassVar[list[Any]] = []

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        if self.client:
            await self._http.aclose()
            self._http = self.client[0]
        else:
            self.client.append(self._http)
            LeavesConnections.kept.append(self._http)
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class EndsTheProgram(Plain):
    async def call(self, request: Request) -> Response:
        raise SystemExit(3)


class LeavesFiles(Plain):
    kept: ClassVar[list[object]] = []

    async def __aenter__(self) -> Self:
        self.kept.append(Path(os.devnull).open())  # noqa: ASYNC230, SIM115
        return await super().__aenter__()


class ForgetsFiles(Plain):
    async def __aenter__(self) -> Self:
        self.file = Path(os.devnull).open()  # noqa: ASYNC230, SIM115
        return await super().__aenter__()


BROKEN = {
    NoLimits: "^protocol: its reported limits are a NoneType",
    OneForAll: "^identity: the models .* have the same",
    KeyInIdentity: "^identity: .*holds the key",
    AnotherEachTime: "^identity: two of the same settings differ",
    TakesAnything: "^capabilities: a chat request with an image, which it is not declared for, was sent",
    SaysNothing: "^answers: a chat request was answered with no text",
    NoResponse: "^answers: it answered with a str",
    Changes: "^requests: the call changed its chat request",
    RaisesAnything: r"^errors: a 400 \(chat\) should raise Rejected; it raised RuntimeError",
    InventsWords: "^anatomy: an answer with no text is no answer",
    NothingIsARefusal: "^anatomy: an answer with no text is no answer",
    TakesWordsForPictures: "^anatomy: text that looks like a picture should be read as",
    FailureIsAnAnswer: r"^errors: a 500 \(chat\) should raise Transient; it answered",
    TriesAgain: r"^errors: a 500 \(chat\): the request was sent 2 times",
    TellsTheKey: r"^errors: a 401 \(chat\): the message holds the key",
    ForgetsTheWait: "^errors: a 429 .*retry_after should be the 7 seconds",
    Shielded: "^cancellation: a cancelled call went on",
    SwallowsCancellation: "^cancellation: a cancelled call should end by the cancellation; it raised Transient",
    OneAtATime: "^concurrency: of 8 calls at once only 1 reached the endpoint together",
    SharesItsState: "^concurrency: a chat request got an answer that is not its own",
    OpensOnce: "^reopening: it cannot be opened again: RuntimeError: this client was closed",
    LeavesATask: "^leaks: a task goes on after the block: heartbeat",
    LeavesConnections: "^leaks: .* connections are still open",
    OneClientForAll: "^leaks: .* connections are still open",
    EndsTheProgram: "^answers: a chat request should be answered; it raised RuntimeError: it ended the program",
    LeavesFiles: "^leaks: 3 files or sockets more are open",
    ForgetsFiles: "^leaks: something was not closed: unclosed file",
}


async def test_a_plain_provider_conforms() -> None:
    await conforms(Plain, says=plain_says)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
async def test_what_is_broken_is_named(broken: type[Plain]) -> None:
    with pytest.raises(NotConforming, match=BROKEN[broken]):
        await conforms(broken, says=plain_says)
    await tidy()


async def tidy() -> None:
    """End what the broken ones left."""
    for task in asyncio.all_tasks():
        if task.get_name() == "heartbeat":
            task.cancel()
    for http in LeavesConnections.kept:
        await http.aclose()  # type: ignore[attr-defined]
    for file in LeavesFiles.kept:
        file.close()  # type: ignore[attr-defined]
    LeavesConnections.kept.clear()
    LeavesFiles.kept.clear()
