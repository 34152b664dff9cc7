"""AWS credentials as AWS's own tools find them, and requests signed with them (Signature Version 4); both are botocore's.

botocore comes with the extra `aws`. The credentials stay in memory: they are never stored, shown or part of an identity.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import anyio
from anyio import to_thread

from unisafe_providers.base import Misconfigured, ProviderError, Transient

NO_BOTOCORE = "AWS credentials need the extra `aws`: pip install 'unisafe-async[aws]'"
LARGE = 1_000_000
"""Bytes of a body that is hashed in a thread."""
PAUSE = 30.0
"""Seconds in which credentials are not renewed twice: some live so briefly that they always count as about to expire."""


def has_botocore() -> bool:
    """Whether the extra is installed; nothing is imported."""
    return find_spec("botocore") is not None


class Signer:
    """Signs requests for one region with the credentials of one profile; they are renewed before they expire.

    Args:
        region: such as `us-east-1`.
        profile: a profile of ~/.aws/config; empty for the usual chain (variables, the default profile, SSO, a role).
        instead: what a user may set instead of such credentials, for messages.
    """

    def __init__(self, region: str, profile: str = "", instead: str = "") -> None:
        self.region = region
        self.described = f"the AWS credentials of profile {profile!r}" if profile else "the AWS credentials"
        self._profile = profile
        self._instead = instead
        self._source: Any = None
        self._frozen: Any = None
        self._found_at = self._renewed_at = -PAUSE
        self._turn: anyio.Lock | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The key's id, the key and the session's token, which no message may hold; empty before `open`."""
        return tuple(word for word in self._frozen[:3] if word) if self._frozen is not None else ()

    async def open(self) -> None:
        """Find the credentials. Raises Misconfigured if there are none, or botocore is not installed."""
        self._turn = anyio.Lock()
        self._renewed_at = -PAUSE
        await to_thread.run_sync(self._find)

    async def renew(self, used: tuple[str, ...]) -> bool:
        """Find the credentials again after an endpoint called those `used` expired; whether there are other ones now.

        Calls that fail at the same time look once for all of them.
        """
        assert self._turn is not None
        async with self._turn:
            if self.secrets == used and time.monotonic() - self._renewed_at > PAUSE:
                self._renewed_at = time.monotonic()
                await to_thread.run_sync(self._find)
            return self.secrets != used

    async def sign(self, method: str, url: str, body: bytes, service: str = "bedrock") -> dict[str, str]:
        """The headers, in small letters, that make this very request one of the credentials' owner."""
        assert self._turn is not None
        if self._is_due():
            async with self._turn:
                if self._is_due():
                    await to_thread.run_sync(self._refresh)
        if len(body) > LARGE:
            return await to_thread.run_sync(self._sign, method, url, body, service)
        return self._sign(method, url, body, service)

    def _sign(self, method: str, url: str, body: bytes, service: str) -> dict[str, str]:
        from botocore.auth import S3SigV4Auth, SigV4Auth
        from botocore.awsrequest import AWSRequest

        kind = S3SigV4Auth if service == "s3" else SigV4Auth
        request = AWSRequest(method, _write_canonical(url, path=service == "s3"), data=body)
        kind(self._frozen, service, self.region).add_auth(request)
        return {name.lower(): value for name, value in request.headers.items()}

    def _is_due(self) -> bool:
        """Whether the credentials are about to expire."""
        return time.monotonic() - self._found_at > PAUSE and bool(getattr(self._source, "refresh_needed", bool)())

    def _refresh(self) -> None:
        """Renew what is about to expire."""
        try:
            self._frozen = self._source.get_frozen_credentials()
        except Exception as error:  # what botocore and its ways to credentials raise has no common root below this
            raise self._explain(error) from None
        self._found_at = time.monotonic()

    def _find(self) -> None:
        try:
            from botocore.session import Session
        except ModuleNotFoundError:
            raise Misconfigured(NO_BOTOCORE) from None
        try:
            self._source = Session(profile=self._profile or None).get_credentials()
        except Exception as error:
            raise self._explain(error) from None
        if self._source is None:
            raise Misconfigured(
                f"no AWS credentials were found: {self._instead}set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or name a `profile`"
            )
        self._refresh()

    def _explain(self, error: Exception) -> ProviderError:
        from botocore.exceptions import HTTPClientError

        words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        if isinstance(error, HTTPClientError):  # whoever gives credentials cannot be reached just now
            return Transient(f"{self.described} cannot be renewed: {words}")
        return Misconfigured(
            f"{self.described} cannot be used: {words}; renew them (such as by `aws sso login`), or check `profile`"
        )


def _write_canonical(url: str, *, path: bool) -> str:
    """An address as AWS writes it before it checks a signature: every value of the query quoted, and of S3 the path too."""
    parts = urlsplit(url)
    query = urlencode(parse_qsl(parts.query, keep_blank_values=True), quote_via=quote, safe="-_.~")
    return urlunsplit(parts._replace(path=quote(unquote(parts.path), safe="/-_.~") if path else parts.path, query=query))


def is_expired(status: int, headers: Mapping[str, str], content: bytes) -> bool:
    """Whether an answer says that the credentials have expired, in its header or its words alone."""
    if status not in (400, 403):
        return False
    low = {str(name).lower(): value for name, value in headers.items()}
    code = low.get("x-amzn-errortype", "")
    words = content[:2_000].lower()
    return code.startswith("ExpiredToken") or b"expiredtoken" in words or (b"security token" in words and b"expired" in words)
