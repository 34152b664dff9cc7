"""Who may read the page: whoever has the token, from this machine's own address, and no other site in the same browser."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

HOST = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?")
"""The names under which a browser reaches the page. Any other is a site whose name was pointed at this machine (DNS rebinding)."""
ASKED = "X-Unisafe-View"
"""The header of a request that changes something: another site cannot set it without being asked first, which is refused."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every answer; a page replaces the policy by its own."""
REFUSED = "Open the address that `unisafe view` printed: this page needs its token."


@dataclass(frozen=True)
class Guard:
    """Lets a request through, or answers it. After the first load a cookie stands for the token, so that it leaves the address."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        return self._refuse(request) or self._admit(request) or await _answer(handler, request)

    def _refuse(self, request: web.Request) -> web.Response | None:
        """An answer to a request that another site sent, or that came under another name."""
        if not HOST.fullmatch(request.host):
            return web.Response(status=421, text="This page is served as http://127.0.0.1 and http://localhost only.")
        if (
            request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
            and request.headers.get("Sec-Fetch-Mode") != "navigate"
        ):
            return web.Response(status=403, text="Another site asked for this.")
        if request.method in ("GET", "HEAD"):
            return None
        origin = request.headers.get("Origin")
        if request.headers.get(ASKED) != "1" or (origin is not None and origin != f"http://{request.host}"):
            return web.Response(status=403, text="Another site sent this.")
        return None

    def _admit(self, request: web.Request) -> web.Response | None:
        """None for who has the cookie; an answer that sets it for who has the token; else a refusal."""
        name = f"unisafe-view-{request.url.port}"
        given = request.query.get("token")
        if given is not None and self._is_token(given):
            place = str(request.rel_url.without_query_params("token"))
            moved = web.Response(status=303, headers={"Location": f"/{place.lstrip('/')}"})
            moved.set_cookie(name, self.token, httponly=True, samesite="Strict", path="/")
            return moved
        if self._is_token(request.cookies.get(name, "")):
            return None
        return web.Response(status=403, text=REFUSED)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())


async def _answer(handler: Handler, request: web.Request) -> web.StreamResponse:
    """The handler's answer, also one that it raises."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.json_response({"error": error.text or error.reason}, status=error.status)


async def add_headers(_: web.Request, answer: web.StreamResponse) -> None:
    """For `Application.on_response_prepare`."""
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)


def build_middleware(guard: Guard) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await guard.check(request, handler)

    return middleware
