"""Failures on the way to an endpoint, as errors of the contract: who cannot be reached, what was dropped, what took too long."""

from __future__ import annotations

import os
from collections.abc import Callable

import aiohttp
import httpx2

from unisafe_providers.base import ProviderError, Rejected, Timeout, Transient
from unisafe_providers.environment import explain_network_error

FAILURES = (aiohttp.ClientError, httpx2.RequestError, httpx2.InvalidURL, OSError)
"""What may be raised while a request is sent; a TimeoutError is an OSError."""
LONGEST_WORDS = 300


def explain_failure(error: Exception, url: str, timeout: float, *, hide: Callable[[bytes], bytes], answered: bool) -> ProviderError:
    """The error of the contract for one of FAILURES.

    Args:
        url: the endpoint's address.
        timeout: seconds for one call.
        hide: removes the key; a message may repeat bytes that are no HTTP.
        answered: whether the endpoint was reached before.
    """
    cause = (
        error.__cause__ if isinstance(error, httpx2.RequestError) and isinstance(error.__cause__, aiohttp.ClientError) else error
    )
    fault = explain_network_error(cause, url, answered=answered)
    if fault is not None:
        return fault
    words = hide(" ".join(str(error).split()).encode("utf-8", "replace")).decode()[:LONGEST_WORDS] or type(error).__name__
    if isinstance(cause, aiohttp.ClientConnectorError):
        return Transient(f"cannot connect to {url}: {_describe_refusal(cause) or words}", unreachable=True)
    if _is_too_slow(cause):
        return Timeout(f"no answer within {timeout:g} s")
    if isinstance(cause, aiohttp.ClientConnectionError):
        return Transient(f"the connection was dropped: {words}")
    if isinstance(cause, OSError):
        return Rejected(f"an image of the request cannot be read: {words}")
    return Transient(f"connection failed: {words}")


def _describe_refusal(error: aiohttp.ClientConnectorError) -> str:
    """What the system says of a connection that was not made, such as `Connection refused`; empty where more than that is known."""
    number = error.os_error.errno
    if isinstance(error, aiohttp.ClientSSLError) or number is None:
        return ""
    return os.strerror(number) if number > 0 else error.os_error.strerror or ""


def _is_too_slow(error: BaseException) -> bool:
    """Whether no answer came in time; a connection that was not made in time is one that was dropped."""
    return isinstance(error, TimeoutError | httpx2.TimeoutException) and not isinstance(error, aiohttp.ConnectionTimeoutError)
