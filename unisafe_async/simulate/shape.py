"""The parts of a vendor's protocol that the simulated server needs."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web
from unisafe_providers.base import Image, Request, Response


@dataclass(frozen=True, slots=True)
class Asked:
    """A request from the wire: the model's name, the request, and a digest of the body."""

    model: str
    request: Request
    digest: str


class Shape(Protocol):
    """One vendor's protocol."""

    @property
    def paths(self) -> Mapping[str, Callable[[web.Request], Awaitable[Asked]]]:
        """The reader of a request for each path of a POST (an aiohttp pattern).

        Readers raise ValueError, KeyError, TypeError, AttributeError or IndexError for a wrong body.
        """
        ...

    @property
    def listing(self) -> str:
        """The path that lists the models."""
        ...

    def key_of(self, request: web.Request) -> str:
        """The key that came with a request."""
        ...

    def models(self, names: list[str]) -> dict[str, object]:
        """The list of models as a body."""
        ...

    def error(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response: ...

    def answer(self, path: str, asked: Asked, response: Response) -> web.Response:
        """The answer of the endpoint at `path`."""
        ...


def encode_image(image: Image) -> str:
    """The image's bytes in base64."""
    assert isinstance(image.source, bytes)
    return base64.b64encode(image.source).decode()
