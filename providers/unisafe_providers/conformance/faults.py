"""The faults of an endpoint, each with the error that tells the gateway what to do."""

from __future__ import annotations

from unisafe_providers.base import Misconfigured, ProviderError, RateLimited, Rejected, Transient
from unisafe_providers.conformance.server import Play

KEY = "sk-planted-conformance-0123456789"


def _failure(status: int, **headers: str) -> Play:
    """A status with a body as vendors send it; like some vendors, it repeats the key."""
    message = f"This is status {status} for the caller with {KEY}"
    body = f'{{"error": {{"message": "{message}", "type": "played", "code": "played"}}}}'
    return Play(status, body.encode(), {name.replace("_", "-"): value for name, value in headers.items()})


FAULTS: tuple[tuple[str, Play, type[ProviderError]], ...] = (
    ("a 400", _failure(400), Rejected),
    ("a 401", _failure(401), Misconfigured),
    ("a 404", _failure(404), Misconfigured),
    ("a 429 with retry-after", _failure(429, retry_after="7"), RateLimited),
    ("a 500", _failure(500), Transient),
    ("a 503", _failure(503), Transient),
    ("a body that is no JSON", Play(200, b"<html>busy</html>"), Transient),
    ("a body cut in the middle", Play(does="cuts"), Transient),
    ("an empty body", Play(200), Transient),
    ("JSON of another shape", Play(200, b'{"unexpected": [1, null]}'), Transient),
    ("JSON that is a list", Play(200, b"[[]]"), Transient),
    ("a dropped connection", Play(does="drops"), Transient),
    ("no answer in time", Play(does="stalls"), Transient),
)
