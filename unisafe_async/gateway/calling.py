"""One call of a provider that may be anybody's: what comes out is a sound Response or a ProviderError, whatever it does."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from providers.anatomy import examined
from providers.base import AnsweredBefore, Image, Provider, ProviderError, Rejected, Request, Response, Text
from providers.soundness import mend_error, mended, wrong_with_response


async def called(provider: Provider, request: Request, notes: dict[str, str] | None = None) -> Response:
    """The provider's answer. An error that it should not raise, or an answer that is none, is Rejected: one item fails.

    `notes` takes what was mended in the answer, by what it is about.
    """
    try:
        response = await provider.call(request)
    except ProviderError as error:
        mend_error(error)
        raise
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        if was_cancelled(error):
            raise
        raise Rejected(f"the provider broke: {type(error).__name__}: {error}") from error
    return await sound(response, request, notes, recorded=isinstance(provider, AnsweredBefore))


def was_cancelled(error: BaseException) -> bool:
    """Whether this task was cancelled; one that nobody asked for is a fault of the provider, and ends no other work."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > 0)


async def sound(response: Response, request: Request, notes: dict[str, str] | None = None, *, recorded: bool = False) -> Response:
    """An answer to `request` that can be stored, with figures that make sense, examined (providers/anatomy.py).

    Raises Rejected for one that cannot be mended, Malformed for pictures that are none.
    """
    wrong = wrong_with_response(response)
    if wrong:
        raise Rejected(f"the provider broke: {wrong}")
    return await examined(mended(response, notes), image_due=request.image_due, recorded=recorded)


def request_of(canonical: str) -> Request:
    """The request whose canonical JSON this is; its images are known by their digests alone."""
    content: dict[str, Any] = orjson.loads(canonical)
    parts = tuple(
        Text(part["text"]) if "text" in part else Image(part["image"], part["type"], b"") for part in content.pop("parts")
    )
    schema = content.pop("schema", None)
    return Request(parts=parts, schema=tuple(schema) if schema else None, **content)
