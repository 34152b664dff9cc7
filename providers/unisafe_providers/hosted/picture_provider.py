"""What providers share whose models give pictures only and answer at once."""

from __future__ import annotations

from typing import ClassVar, Unpack

from unisafe_providers.base import Capabilities, Request, Response
from unisafe_providers.hosted.bodies import Json
from unisafe_providers.hosted.http import HostedOptions, HostedProvider
from unisafe_providers.hosted.openai_wire import read_images_response


class PictureProvider(HostedProvider):
    """One model that draws; a vendor's class says where it is asked and builds the body.

    Args:
        model: its name at the endpoint.
        base_url: the address that paths are appended to.
        api_key: sent as a bearer token; never part of `identity`.
        capabilities: what the model takes and gives.
        options: HostedOptions.
    """

    NAME: ClassVar[str]
    """The beginning of `identity`."""
    PATH: ClassVar[str]

    def __init__(
        self, model: str, base_url: str, api_key: str, capabilities: Capabilities, **options: Unpack[HostedOptions]
    ) -> None:
        super().__init__(
            f"{self.NAME}|{base_url.rstrip('/')}|{model}",
            model,
            base_url,
            api_key,
            {"authorization": f"Bearer {api_key}"},
            capabilities,
            **options,
        )

    async def _answer(self, request: Request) -> Response:
        return await self._exchange(request, self.PATH, self._build_body, self._read_pictures)

    async def _build_body(self, request: Request) -> Json:
        raise NotImplementedError

    def _read_pictures(self, body: Json) -> Response:
        """An answer in OpenAI's shape, `data` with an entry for each picture."""
        return read_images_response(body, self._fetch_picture, empty_fails=True)
