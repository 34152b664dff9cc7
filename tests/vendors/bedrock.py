"""Amazon Bedrock (botocore's model of bedrock-runtime): Converse and InvokeModel, by a Bedrock key or a signature that is checked."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

from aiohttp import web
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from vendors.server import Asked, Reply, VendorServer

REGION = "eu-central-1"
KEY_ID, SECRET, TOKEN = "AKIAPLANTED0123456789", "planted-secret-key-0123456789abcdef", "planted-session-token-0123456789"
SIGNED_LATER = frozenset({"authorization", "host"})


def find_fault(request: web.Request, body: bytes, *, secret: str = SECRET, token: str = "", service: str = "bedrock") -> str:
    """What is wrong with a request's signature, worked out anew from what arrived; empty if nothing is."""
    given = request.headers.get("authorization", "")
    if not given.startswith("AWS4-HMAC-SHA256 "):
        return f"no signature: {given[:30]}"
    if request.headers.get("x-amz-security-token", "") != token:
        return "another session"
    parts = dict(part.strip().split("=", 1) for part in given.removeprefix("AWS4-HMAC-SHA256 ").split(","))
    key_id, *scope = parts["Credential"].split("/")
    if scope[1:] != [REGION, service, "aws4_request"]:
        return f"another scope: {scope}"
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    signer = kind(Credentials(key_id, secret), service, REGION)
    names = [name for name in parts["SignedHeaders"].split(";") if name not in SIGNED_LATER]
    known = {name: request.headers[name] for name in names}
    path = re.sub(r"^http://[^/]+", "", request.raw_path)  # a proxy is asked for the whole address
    if service == "s3":  # whose keys are quoted once, by AWS itself
        path = quote(unquote(path), safe="/-_.~")
    again = AWSRequest(request.method, f"http://{request.host}{path}", data=body, headers=known)
    again.context["timestamp"] = request.headers["x-amz-date"]
    right = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    return "" if right == parts["Signature"] else "SignatureDoesNotMatch"


class BedrockServer(VendorServer):
    """Takes POST /model/ID/converse and /invoke with a bearer key, or with a signature of one of `sessions`.

    Args:
        sessions: the tokens of sessions that have not expired; empty takes requests with the key alone.
    """

    ROOT = ""

    def __init__(self, *replies: Any, sessions: tuple[str, ...] = (), **more: Any) -> None:
        super().__init__(*replies, **more)
        self.sessions = list(sessions)
        self.places: list[str] = []
        self.faults: list[str] = []

    async def _answer(self, request: web.Request) -> web.Response:
        self.places.append(request.raw_path)
        wrong = self._check(request, await request.read())
        if wrong is None:
            return await super()._answer(request)
        return web.json_response(wrong.body, status=wrong.status, headers=wrong.headers)

    def refusal(self, asked: Asked) -> Reply | None:
        return None if asked.path.endswith(("/converse", "/invoke")) else error("UnknownOperationException", "", 404)

    def _check(self, request: web.Request, body: bytes) -> Reply | None:
        if not self.sessions:
            if request.headers.get("authorization") == f"Bearer {self.key}":
                return None
            return error("UnrecognizedClientException", "The security token included in the request is invalid.", 403)
        token = request.headers.get("x-amz-security-token", "")
        if token not in self.sessions:
            return error("ExpiredTokenException", f"The security token included in the request is expired {token}", 403)
        self.faults.append(find_fault(request, body, token=token))
        if self.faults[-1]:
            return error("InvalidSignatureException", f"The request signature does not match: {self.faults[-1]}", 403)
        return None


def answer(text: str = "Hello.", stop: str = "end_turn", **more: Any) -> Reply:
    usage = {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12}
    message = {"role": "assistant", "content": [{"text": text}]}
    return Reply({"output": {"message": message}, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 4}, **more})


def error(code: str, words: str, status: int) -> Reply:
    return Reply({"message": words}, status, {"x-amzn-errortype": f"{code}:http://internal.amazon.com/coral/"})
