"""The server: every vendor at a path of its own, with a key that nobody else may see; pictures lie where no key may come."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email import message_from_bytes
from typing import Any

from aiohttp import web

from .vendor import Asked, Vendor, WrongCall, draw


class PlayedVendors:
    """Answers for all vendors; `calls` counts what each was asked by POST, `faults` says which calls broke a protocol."""

    def __init__(self, vendors: Sequence[Vendor]) -> None:
        self.url = ""
        self.calls: Counter[str] = Counter()
        self.faults: list[str] = []
        self._vendors = {vendor.place: vendor for vendor in vendors}

    async def answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        place, _, rest = request.path.removeprefix("/").partition("/")
        headers = {name.lower(): value for name, value in request.headers.items()}
        held = [vendor.name for vendor in self._vendors.values() if vendor.key in " ".join(headers.values())]
        if place == "pictures":
            return self._show_picture(held)
        vendor = self._vendors.get(place)
        if vendor is None or not f"/{rest}".startswith(vendor.root):
            return self._refuse(f"nobody is at {request.path}", 404)
        if headers.get(vendor.key_header) != vendor.key_form.format(key=vendor.key) or held != [vendor.name]:
            return self._refuse(f"{vendor.name}: {request.method} {request.path} came with the key of {held or 'nobody'}", 401)
        if request.method == "GET" and rest.endswith("models"):
            return web.json_response({"error": {"message": "models are not listed here"}}, status=404)
        try:
            asked = self._read(vendor, request, rest, headers, raw)
            reply = vendor.answer(asked)
        except (WrongCall, KeyError, TypeError) as error:
            return self._refuse(f"{vendor.name}: {request.method} {request.path}: {error!r}", 400)
        self.calls[vendor.name] += request.method == "POST"
        return web.json_response(reply.body, status=reply.status, headers=reply.headers)

    def _read(self, vendor: Vendor, request: web.Request, rest: str, headers: dict[str, str], raw: bytes) -> Asked:
        form = request.content_type == "multipart/form-data"
        body = read_form(request.headers["content-type"], raw) if form else json.loads(raw) if raw else {}
        return Asked(
            request.method,
            f"/{rest}".removeprefix(vendor.root),
            dict(request.query),
            headers,
            body,
            form,
            f"{self.url}/{vendor.place}{vendor.root}",
            f"{self.url}/pictures/{vendor.place}.png?signature=played",
        )

    def _show_picture(self, held: list[str]) -> web.Response:
        if held:
            return self._refuse(f"a key of {held} came to where pictures lie", 400)
        return web.Response(body=draw(), content_type="image/png")

    def _refuse(self, fault: str, status: int) -> web.Response:
        self.faults.append(fault)
        return web.json_response({"error": {"message": fault}}, status=status)


def read_form(content_type: str, raw: bytes) -> dict[str, Any]:
    """The fields of a form: text as text, files as bytes."""
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + raw)
    fields: dict[str, Any] = {}
    for part in message.walk():
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = content if part.get_filename() else content.decode()
    return fields


@asynccontextmanager
async def playing(vendors: Sequence[Vendor], port: int = 0) -> AsyncIterator[PlayedVendors]:
    """All vendors on loopback; port 0 takes a free one."""
    server = PlayedVendors(vendors)
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
