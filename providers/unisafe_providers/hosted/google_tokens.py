"""Access tokens of Google's Application Default Credentials: found once, renewed before they expire, off the event loop.

google-auth 2.63 has asynchronous sessions, but its credentials are still the blocking ones: its own adapter refreshes them in a
thread (google.auth.aio.transport.sessions), and so does this module.
Sources: google-auth 2.63; cloud.google.com/docs/authentication/application-default-credentials.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import anyio

from unisafe_providers.base import Misconfigured, Transient, clean

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
SIGNING = frozenset({"authorization", "x-goog-api-key"})
"""Headers that sign a call, in small letters."""
TOKEN_SECONDS = 30.0
"""The most seconds for one call to the token server; google-auth calls again by itself."""
LONGEST_WORDS = 300
NO_EXTRA = (
    "Vertex AI reads Application Default Credentials through google-auth, which is not installed: `pip install "
    "'unisafe-async[google]'`, or name the variable of an access token or an API key in key_env"
)
HOW_TO = (
    "set GOOGLE_APPLICATION_CREDENTIALS to a file of credentials, run `gcloud auth application-default login`, or name the "
    "variable of an access token or an API key in key_env"
)


class GoogleTokens:
    """The access token of this machine's Application Default Credentials.

    Attributes:
        token: the newest one; None before the first.
    """

    def __init__(self) -> None:
        self.token: str | None = None
        self._credentials: Any = None
        self._renewing = anyio.Lock()

    async def build_headers(self) -> dict[str, str]:
        """The headers of one call, with a token that is good for some minutes at least; raises as `renew`."""
        if not self._is_fresh():
            await self.renew(self.token)
        headers: dict[str, str] = {}
        self._credentials.apply(headers)
        return headers

    async def renew(self, old: str | None) -> None:
        """Get another token than `old`, unless another call has got one meanwhile.

        Raises Misconfigured without google-auth and for credentials that are missing or refused, Transient if the token server
        fails.
        """
        async with self._renewing:
            if self.token == old or not self._is_fresh():
                self._credentials = await anyio.to_thread.run_sync(_refresh, self._credentials, abandon_on_cancel=True)
                self.token = self._credentials.token

    def _is_fresh(self) -> bool:
        """Whether the token is not about to expire: google-auth calls one stale 3:45 minutes before it ends."""
        return self._credentials is not None and self._credentials.token_state.name == "FRESH"


def _refresh(credentials: Any) -> Any:  # noqa: ANN401 one of google-auth's kinds
    """Refreshed credentials; they are looked for on this machine if there are none yet."""
    try:
        import google.auth
        from google.auth import exceptions
        from google.auth.transport.requests import Request
    except ImportError:
        raise Misconfigured(NO_EXTRA) from None
    try:
        if credentials is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that a person's own credentials have no quota project
                credentials, _ = google.auth.default(scopes=[SCOPE])
        credentials.refresh(partial(Request(), timeout=TOKEN_SECONDS))
    except exceptions.DefaultCredentialsError as error:
        raise Misconfigured(f"no Google credentials are found ({_shorten(error)}); {HOW_TO}") from None
    except exceptions.TransportError as error:
        raise Transient(f"Google's token server cannot be reached: {_shorten(error)}", unreachable=True) from None
    except exceptions.GoogleAuthError as error:
        if error.retryable:
            raise Transient(f"Google's token server failed: {_shorten(error)}") from None
        raise Misconfigured(f"Google refused the credentials of this machine ({_shorten(error)}); {HOW_TO}") from None
    except (OSError, ValueError) as error:
        raise Misconfigured(f"the Google credentials cannot be read ({_shorten(error)}); {HOW_TO}") from None
    return credentials


def _shorten(error: Exception) -> str:
    """google-auth's own words, without the answer of the token server that follows them."""
    words = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return clean(" ".join(words.split()))[:LONGEST_WORDS].rstrip(".") or type(error).__name__
