"""Amazon Bedrock: the way to it (a Bedrock key, or requests signed with AWS credentials), and chats by Converse.

Shapes are in bedrock_wire.py; models that give images only are asked by InvokeModel (bedrock_pictures.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, Unpack
from urllib.parse import quote

import anyio
import httpx2

from unisafe_providers.base import Capabilities, Kind, Misconfigured, ProviderError, Rejected, Request, Response
from unisafe_providers.hosted.additions import Additions, Cutter
from unisafe_providers.hosted.aws import Signer, is_expired
from unisafe_providers.hosted.bedrock_wire import build_converse_body, read_converse_response
from unisafe_providers.hosted.bodies import Json, catch_odd_shapes, parse_error_body
from unisafe_providers.hosted.http import File, HostedOptions, HostedProvider, Reply

RUNTIME = re.compile(r"(https://)bedrock-runtime(-fips)?(\.[\w.-]+)")
"""The address that models are asked at; that of lists and batch jobs differs in its first word."""
STOP_DETAILS = "/stop_details"
"""Where Claude says which policy its classifier stopped for."""


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A guardrail of the user's own: its id or ARN, its version, and how much its trace tells (GuardrailTrace)."""

    id: str
    version: str = "DRAFT"
    trace: str = "enabled"

    @property
    def config(self) -> dict[str, str]:
        """`guardrailConfig` of Converse."""
        return {"guardrailIdentifier": self.id, "guardrailVersion": self.version, "trace": self.trace}

    @property
    def headers(self) -> dict[str, str]:
        """The headers of InvokeModel that say the same."""
        return {
            "x-amzn-bedrock-guardrailidentifier": self.id,
            "x-amzn-bedrock-guardrailversion": self.version,
            "x-amzn-bedrock-trace": self.trace.upper(),
        }


class JoinedAdditions(Additions):
    """Additions whose tables are joined with ours of the same name, so that one more setting leaves the others as they are."""

    def merge_body(self, body: dict[str, Any], kind: Kind) -> dict[str, Any]:
        return body | {key: _join(body.get(key), value) for key, value in self._of(kind).items()}

    def list_places(self, kind: Kind) -> dict[str, str]:
        """Also the keys within tables, such as those of `additionalModelRequestFields`, which errors name alone."""
        places = super().list_places(kind)
        tables = {places[key]: value for key, value in self._of(kind).items() if isinstance(value, dict)}
        inner = {key: f"{place}.{key}" for place, table in tables.items() for key in table}
        return inner | places

    def _of(self, kind: Kind) -> dict[str, object]:
        return {**self.extra, **self.by_kind.get(kind, {})}


def _join(ours: object, added: object) -> object:
    return {**ours, **added} if isinstance(ours, dict) and isinstance(added, dict) else added


class BedrockAccess(HostedProvider):
    """One model at Amazon Bedrock, however it is asked.

    Args:
        model: a model's id, an inference profile's, or an ARN.
        base_url: `https://bedrock-runtime.REGION.amazonaws.com`, or another address that leads there.
        api_key: a Bedrock key; empty if requests are signed.
        signer: signs requests if there is no key.
        guardrail: the guardrail that checks requests and answers.
        asked_by: how the model is asked, which is part of `identity`.
        options: HostedOptions.
    """

    TITLE = "Amazon Bedrock"

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        signer: Signer | None = None,
        guardrail: Guardrail | None = None,
        asked_by: str = "converse",
        headers: Mapping[str, str] | None = None,
        **options: Unpack[HostedOptions],
    ) -> None:
        guarded = f"|guardrail={guardrail.id}:{guardrail.version}" if guardrail is not None else ""
        super().__init__(
            f"bedrock|{base_url.rstrip('/')}|{model}|{asked_by}{guarded}",
            model,
            base_url,
            api_key,
            {"authorization": f"Bearer {api_key}", **(headers or {})},
            capabilities,
            **options,
        )
        added = self._added
        self._added = JoinedAdditions(added.extra, added.by_kind, added.headers, added.secrets)
        self._signer = signer
        self._authorizes = signer is not None
        self._hidden: tuple[str, ...] = ()
        self._guardrail = guardrail
        self._path = f"model/{quote(model, safe='')}"

    async def __aenter__(self) -> Self:
        if self._signer is not None:
            await self._signer.open()
            self._hide_credentials(self._signer)
        return await super().__aenter__()

    async def _authorize(self, method: str, url: str, body: bytes) -> Mapping[str, str]:
        return await self._sign(self._signer, method, url, body) if self._signer is not None else {}

    async def _sign(self, signer: Signer, method: str, url: str, body: bytes, service: str = "bedrock") -> Mapping[str, str]:
        """A signature, whose credentials are cut out of whatever the endpoint answers, as keys are."""
        headers = await signer.sign(method, url, body, service)
        if signer.secrets != self._hidden:
            self._hide_credentials(signer)
        return headers

    def _hide_credentials(self, signer: Signer) -> None:
        self._hidden = signer.secrets
        self._keyless = Cutter(*self._hidden, *self._added.secrets.values())

    async def _post(self, path: str, body: Json, files: list[File] | None = None, *, kind: Kind = "chat") -> Reply:
        used = self._hidden
        answer = await super()._post(path, body, files, kind=kind)
        return await super()._post(path, body, files, kind=kind) if await self._has_renewed(answer, used) else answer

    async def _send(self, request: httpx2.Request) -> Reply:
        used = self._hidden
        answer = await super()._send(request)
        return await super()._send(request) if await self._has_renewed(answer, used) else answer

    async def _has_renewed(self, answer: Reply, used: tuple[str, ...]) -> bool:
        """Whether an answer says that the credentials `used` have expired, and there are other ones now."""
        if self._signer is None or not is_expired(answer.status, answer.headers, answer.content):
            return False
        return await self._signer.renew(used)

    def _read_error(
        self,
        status: int,
        body: object,
        headers: Mapping[str, str],
        request: Request | None = None,
        wire: str = "",
        *,
        ran: bool = False,
    ) -> Response:
        try:
            return super()._read_error(status, body, headers, request, wire, ran=ran)
        except Misconfigured as error:
            raise self._name_credentials(error) from None

    def _build_error(self, status: int, body: object, headers: Mapping[str, str]) -> ProviderError:
        found = super()._build_error(status, body, headers)
        return self._name_credentials(found) if isinstance(found, Misconfigured) else found

    def _name_credentials(self, error: Misconfigured) -> Misconfigured:
        """The error with what to renew: the key, or the credentials that requests are signed with."""
        words = str(error)
        if self._signer is not None:
            words = words.replace("check the variable named by `key_env`", f"renew or check {self._signer.described}")
        elif "expired" in words:
            words = words.replace("check the variable", "renew it in the variable")
        error.args = (words,)
        return error

    async def models(self) -> list[str]:
        """The ids of the region's models and inference profiles. Raises what `call` raises, and Rejected if they are not listed."""
        place = RUNTIME.sub(r"\1bedrock\2\3", self.base_url)
        names: list[str] = []
        with self._catch_network_errors(), anyio.fail_after(self._timeout):
            for path, entries, key in (
                ("foundation-models", "modelSummaries", "modelId"),
                ("inference-profiles?maxResults=1000", "inferenceProfileSummaries", "inferenceProfileId"),
            ):
                request = httpx2.Request("GET", f"{place}/{path}", headers=self._own_headers, extensions=self._extensions)
                answer = await self._send(request)
                if answer.status != 200:
                    raise self._build_listing_error(answer)
                with catch_odd_shapes():
                    page: Any = parse_error_body(answer.content)
                    names += [str(entry[key]) for entry in page.get(entries) or []]
        if self.model.startswith("arn:"):
            raise Rejected("an ARN stands in none of its lists")
        return names


class Bedrock(BedrockAccess):
    """One model that is asked by Converse; arguments as in BedrockAccess.

    Args:
        response_fields: further fields of the model's own that answers shall hold, as JSON pointers.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        response_fields: Sequence[str] | None = None,
        signer: Signer | None = None,
        guardrail: Guardrail | None = None,
        **options: Unpack[HostedOptions],
    ) -> None:
        super().__init__(model, base_url, api_key, capabilities, signer=signer, guardrail=guardrail, **options)
        default = (STOP_DETAILS,) if "anthropic" in model else ()
        self._response_fields = default if response_fields is None else tuple(response_fields)
        self._asks_by_schema = self._accepted.structured

    async def _answer(self, request: Request) -> Response:
        read = partial(read_converse_response, image_due=request.image_due)
        response = await self._exchange(request, f"{self._path}/converse", self._build_converse_body, read, wire="bedrock")
        if response.reason.startswith("a guardrail masked"):
            self._tell(f"a guardrail masked words of requests or answers of {self.model}: what is left of them was judged")
        if request.schema is not None and self._asks_by_schema and not self._accepted.structured:
            self._tell(f"{self.model} takes no outputConfig with a schema: it was asked without")
        return response

    async def _build_converse_body(self, request: Request) -> Json:
        config = self._guardrail.config if self._guardrail is not None else {}
        return await build_converse_body(request, guardrail=config, response_fields=self._response_fields)
