"""Google's Vertex AI: Gemini by generateContent, Anthropic's Claude by rawPredict, Imagen by predict; one way to sign all calls.

Shapes: docs.cloud.google.com, "Generate content with the Gemini API", "Anthropic's Claude models" and "Imagen API"; google-genai
3.6 and anthropic 2.14 (AnthropicVertex), which build the same addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Unpack
from urllib.parse import quote

import orjson

from unisafe_providers.base import Capabilities, Kind, Misconfigured, Rejected, Request, Response
from unisafe_providers.hosted.additions import Cutter
from unisafe_providers.hosted.anthropic import build_messages_body, read_message_response
from unisafe_providers.hosted.bodies import Json, parse_error_body
from unisafe_providers.hosted.flattened import read_error_message
from unisafe_providers.hosted.gemini import build_content_body, list_safety_settings, read_content_response
from unisafe_providers.hosted.google_numbers import VERTEX_AI
from unisafe_providers.hosted.google_tokens import HOW_TO, SIGNING, GoogleTokens
from unisafe_providers.hosted.http import File, HostedOptions, HostedProvider, Reply
from unisafe_providers.hosted.imagen import ENDED, build_predict_body, read_predict_response

API_KEYS = ("AIza", "AQ.")
"""How Google's API keys begin; other keys are access tokens."""
PROJECTS = "/projects/"
"""What an address holds that names the project and the location itself, as a gateway's may."""
ANTHROPIC_VERSION = "vertex-2023-10-16"
PEOPLE_AT_GEMINI = {"dont_allow": "ALLOW_NONE", "allow_adult": "ALLOW_ADULT", "allow_all": "ALLOW_ALL"}
"""What generateContent calls the values of `personGeneration`, by what `:predict` calls them."""


class Vertex(HostedProvider):
    """One model at Vertex AI; a class for each publisher adds how it is asked. Other arguments as in HostedProvider.

    Without a key, calls are signed by Application Default Credentials.

    Args:
        api_key: an access token, or an API key of express mode; empty for Application Default Credentials.
        project, location: where the model is asked; with an API key, no project is needed.
        settings: what else decides answers; part of `identity`.
    """

    TITLE = "Vertex AI"
    PUBLISHER: ClassVar[str] = "google"
    METHOD: ClassVar[str] = "generateContent"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        project: str = "",
        location: str = "global",
        settings: Mapping[str, Any] | None = None,
        **options: Unpack[HostedOptions],
    ) -> None:
        place = f"projects/{project}/locations/{location}/" if project else ""
        self._path = f"{place}{_locate_model(model, self.PUBLISHER)}:{self.METHOD}"
        kept = {name: value for name, value in (settings or {}).items() if value}
        written = f"|{orjson.dumps(kept, option=orjson.OPT_SORT_KEYS).decode()}" if kept else ""
        express = api_key.startswith(API_KEYS) or not (project or PROJECTS in base_url)
        super().__init__(
            f"vertex|{base_url.rstrip('/')}|{self._path}{written}",
            model,
            base_url,
            api_key,
            {"x-goog-api-key": api_key} if express else {"authorization": f"Bearer {api_key}"},
            capabilities,
            **options,
        )
        secrets = options.get("secret_headers", {})
        self._secrets = (api_key, *secrets.values())
        signed = bool(api_key) or any(name.lower() in SIGNING for name in secrets)
        self._tokens = None if signed else GoogleTokens()

    async def models(self) -> list[str]:
        """Raises Rejected, as there is no list; credentials of this machine are looked at before, which costs nothing."""
        if self._tokens is not None:
            with self._catch_network_errors():
                await self._sign()
        raise Rejected("Vertex AI lists no models")

    async def _authorize(self, method: str, url: str, body: bytes) -> Mapping[str, str]:
        return await self._sign() if self._tokens is not None else {}

    async def _sign(self) -> Mapping[str, str]:
        """The headers of one call by Application Default Credentials."""
        assert self._tokens is not None, "only calls without a key are signed"
        old = self._tokens.token
        headers = await self._tokens.build_headers()
        if self._tokens.token != old:
            self._hide(old)
        return headers

    async def _post(self, path: str, body: Json, files: list[File] | None = None, *, kind: Kind = "chat") -> Reply:
        """As at any endpoint; a token that is refused is renewed once."""
        if self._tokens is None:
            return await super()._post(path, body, files, kind=kind)
        await self._sign()
        used = self._tokens.token
        answer = await super()._post(path, body, files, kind=kind)
        if answer.status != 401:
            return answer
        await self._tokens.renew(used)
        self._hide(used)
        answer = await super()._post(path, body, files, kind=kind)
        if answer.status == 401:
            said = read_error_message(parse_error_body(answer.content))
            raise Misconfigured(f"{self.title} refused the access token, also after the token was renewed (401): {said}; {HOW_TO}")
        return answer

    def _hide(self, old: str | None) -> None:
        """Cut the newest token out of what comes back, and the one before it, which calls under way still carry."""
        token = self._tokens.token if self._tokens is not None else None
        self._keyless = Cutter(*self._secrets, token or "", old or "")


class VertexGemini(Vertex):
    """A Gemini model; arguments as in Vertex.

    Args:
        safety: threshold by harm category.
        safety_method: what thresholds are compared with: `SEVERITY` or `PROBABILITY`; empty for Google's own choice.
        model_armor: names of the Model Armor templates for `prompt` and `response`.
        person_generation: whether people are drawn: `dont_allow`, `allow_adult` or `allow_all`.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        project: str = "",
        location: str = "global",
        safety: Mapping[str, str] | None = None,
        safety_method: str = "",
        model_armor: Mapping[str, str] | None = None,
        person_generation: str = "",
        **options: Unpack[HostedOptions],
    ) -> None:
        settings = {
            "safety": dict(safety or {}),
            "safety_method": safety_method if safety else "",
            "model_armor": dict(model_armor or {}),
            "person_generation": person_generation,
        }
        super().__init__(model, base_url, api_key, capabilities, project=project, location=location, settings=settings, **options)
        self._safety = list_safety_settings(safety or {}, safety_method)
        self._armor = {f"{stage}TemplateName": name for stage, name in sorted((model_armor or {}).items())}
        self._people = PEOPLE_AT_GEMINI.get(person_generation, "")

    async def _answer(self, request: Request) -> Response:
        read = partial(read_content_response, image_due=request.image_due, numbering=VERTEX_AI)
        return await self._exchange(request, self._path, self._build_body, read, wire="gemini")

    async def _build_body(self, request: Request) -> Json:
        body = await build_content_body(request, self._safety)
        if self._armor:
            body["modelArmorConfig"] = self._armor
        if self._people and request.image_due:
            body["generationConfig"].setdefault("imageConfig", {})["personGeneration"] = self._people
        return body


class VertexClaude(Vertex):
    """A model of Anthropic's; arguments as in Vertex."""

    PUBLISHER = "anthropic"
    METHOD = "rawPredict"

    async def _answer(self, request: Request) -> Response:
        if request.image_due:
            raise Rejected("Anthropic's models draw no images")
        return await self._exchange(request, self._path, self._build_body, read_message_response, wire="anthropic")

    async def _build_body(self, request: Request) -> Json:
        body = await build_messages_body(self.model, request)
        del body["model"]
        return {"anthropic_version": ANTHROPIC_VERSION, **body}


class VertexImagen(Vertex):
    """A model of Imagen's; arguments as in Vertex.

    Args:
        safety_setting: how strictly pictures are filtered, such as `block_only_high`; empty for Google's own choice.
        person_generation: whether people are drawn: `dont_allow`, `allow_adult` or `allow_all`.
    """

    METHOD = "predict"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        project: str = "",
        location: str = "global",
        safety_setting: str = "",
        person_generation: str = "",
        **options: Unpack[HostedOptions],
    ) -> None:
        given = {"safetySetting": safety_setting, "personGeneration": person_generation}
        self._settings = {name: value for name, value in given.items() if value}
        super().__init__(
            model, base_url, api_key, capabilities, project=project, location=location, settings=self._settings, **options
        )

    async def _answer(self, request: Request) -> Response:
        return await self._exchange(request, self._path, self._build_body, read_predict_response, wire="gemini")

    async def _build_body(self, request: Request) -> Json:
        return build_predict_body(request, self._settings)

    async def _post(self, path: str, body: Json, files: list[File] | None = None, *, kind: Kind = "chat") -> Reply:
        answer = await super()._post(path, body, files, kind=kind)
        if answer.status in (404, 410):
            found = self._build_error(answer.status, parse_error_body(answer.content), answer.headers)
            raise Misconfigured(f"{found}; {ENDED}")
        return answer


def _locate_model(model: str, publisher: str) -> str:
    """Where a model lies below its project: a publisher's model by its name, or an endpoint (a tuned model) by `endpoints/ID`."""
    if model.startswith("endpoints/"):
        return quote(model)
    name = model.rpartition("publishers/")[2].removeprefix(f"{publisher}/").removeprefix("models/")
    return f"publishers/{publisher}/models/{quote(name, safe='@')}"
