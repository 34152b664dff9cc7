"""Google's cloud: Vertex AI, and the server that gives out access tokens for a service account.

Shapes: docs.cloud.google.com, "Generate content with the Gemini API"; developers.google.com, "Using OAuth 2.0 for server to server
applications".
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from vendors.gemini import error
from vendors.server import Asked, Reply, VendorServer

MODEL = re.compile(
    r"/v1/(projects/[\w-]+/locations/[\w-]+/)?publishers/"
    r"(google/models/[\w.-]+:(generateContent|predict)|anthropic/models/[\w.@-]+:rawPredict)"
)


class VertexServer(VendorServer):
    """Takes a publisher's model with a token of `accepts`, or with the API key."""

    def __init__(self, *replies: Any, accepts: set[str] | None = None) -> None:
        super().__init__(*replies)
        self.accepts = accepts or set()
        self.refused = 0

    def refusal(self, asked: Asked) -> Reply | None:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if asked.headers.get("x-goog-api-key") != self.key and token not in self.accepts:
            self.refused += 1
            return error("UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token.", 401)
        if not MODEL.fullmatch(asked.path):
            return error("NOT_FOUND", "", 404)
        return None


class TokenServer(VendorServer):
    """Gives `tokens` in turn to whoever signs a request for one, the last one over and over."""

    ROOT = "/token"

    def __init__(self, *tokens: str) -> None:
        super().__init__(*(Reply({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}) for token in tokens))

    def refusal(self, asked: Asked) -> Reply | None:
        return None if asked.path == "/token" else Reply({"error": "not_found"}, 404)

    async def _answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" or not form.get("assertion"):
            return web.json_response({"error": "invalid_request"}, status=400)
        return await super()._answer(request)


def write_credentials(folder: Path, token_uri: str) -> Path:
    """A file of credentials of a service account that was made up here; its tokens come from `token_uri`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "credentials.json"
    account = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "bench@p.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
    file.write_text(json.dumps(account))
    return file
