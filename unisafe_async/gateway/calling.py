"""One call of any provider, even a stranger's: the result is a sound Response or a ProviderError, whatever the provider does."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from unisafe_providers.anatomy import examine_response
from unisafe_providers.base import (
    Image,
    Provider,
    ProviderError,
    Rejected,
    Request,
    Response,
    Text,
    digest_of,
    is_answered_before,
)
from unisafe_providers.soundness import find_response_fault, mend_error, mend_response


async def call_safely(provider: Provider, request: Request, notes: dict[str, str] | None = None) -> Response:
    """The provider's answer. An error that it should not raise, or a wrong type of answer, becomes Rejected: one item fails.

    `notes` receives a sentence for each correction of the answer, by its subject.
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
    return await check_response(response, request, notes, recorded=is_answered_before(provider))


def was_cancelled(error: BaseException) -> bool:
    """Whether this task was cancelled; a cancellation that nobody requested is a fault of the provider and ends no other work."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > 0)


async def check_response(
    response: Response, request: Request, notes: dict[str, str] | None = None, *, recorded: bool = False
) -> Response:
    """The examined answer to `request` (unisafe_providers/anatomy.py), which can be stored and has figures that make sense.

    Raises Rejected for an answer that cannot be corrected, Malformed for pictures that cannot be read.
    """
    wrong = find_response_fault(response)
    if wrong:
        raise Rejected(f"the provider broke: {wrong}")
    return await examine_response(mend_response(response, notes), image_due=request.image_due, recorded=recorded)


def key_of(identity: str, request: Request) -> str:
    """The cache key: a digest of the model's identity and the request, 128 bits in hexadecimal."""
    return digest_of(identity.encode() + b"\0" + request.canonical)


def request_of(canonical: str) -> Request:
    """The request with this canonical JSON; its images have digests only."""
    content: dict[str, Any] = orjson.loads(canonical)
    parts = tuple(
        Text(part["text"]) if "text" in part else Image(part["image"], part["type"], b"") for part in content.pop("parts")
    )
    schema = content.pop("schema", None)
    return Request(parts=parts, schema=tuple(schema) if schema else None, **content)
