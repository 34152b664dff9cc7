"""One exchange as a cassette holds it: bodies as JSON, text, fields of a form or a tiny picture."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from email import message_from_bytes
from itertools import groupby
from typing import Any
from urllib.parse import parse_qsl

from unisafe_providers.recording import Exchange

from unisafe_async.run.cassettes import removed_words as words
from unisafe_async.run.cassettes.scrubbing import Scrubber
from unisafe_async.run.cassettes.small_pictures import shrink_picture
from unisafe_async.run.listed_names import find_listed_name

LIST = "list"
"""What a list of models is asked for as."""
LONGEST_TEXT = 4_000
NAMES = ("id", "name", "model")
"""The keys under which a list of models has names."""


def read_json(content: bytes) -> object:
    """A body's table or list; None for anything else."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None


def leave_out_polls(exchanges: Sequence[Exchange]) -> Iterator[tuple[Exchange, int]]:
    """Each exchange, with how many equal ones after it are left out: of many polls in a row the first and the last are kept."""
    for _, alike in groupby(exchanges, key=lambda one: (one.method == "GET", one.asked_for, one.url, one.status)):
        run = list(alike)
        if len(run) <= 2 or run[0].method != "GET":
            yield from ((one, 0) for one in run)
        else:
            yield run[0], len(run) - 2
            yield run[-1], 0


def learn(exchange: Exchange, model: str, scrubber: Scrubber) -> None:
    """Let the scrubber see ids and addresses of an exchange, before any is written."""
    scrubber.learn_headers((name, value) for name, value in exchange.headers if not words.KEPT_HEADERS.search(name))
    if exchange.asked_for != LIST:
        for content in (exchange.received, exchange.sent):
            scrubber.learn_ids(read_json(content), apart=(model,))
    if exchange.method == "GET" and not is_at_home(exchange) and (shrunk := shrink_picture(exchange.received)) is not None:
        scrubber.learn_download(exchange.url, str(shrunk[1]["type"]))


def is_at_home(exchange: Exchange) -> bool:
    """Whether a call went to an address below the endpoint's own."""
    return exchange.url.startswith((exchange.base_url.rstrip("/") + "/", exchange.base_url + "?"))


def describe_exchange(exchange: Exchange, model: str, scrubber: Scrubber) -> dict[str, Any]:
    """An exchange as a cassette holds it. `model` is the only one that a list of models keeps by name."""
    scrubber.pictures = []
    kept = [(name, value) for name, value in exchange.headers if words.KEPT_HEADERS.search(name)]
    dropped = sorted({name for name, _ in exchange.headers} - {name for name, _ in kept})
    scrubber.removed["header"] += len(dropped)
    found: dict[str, Any] = {
        "asked_for": exchange.asked_for,
        "method": exchange.method,
        "path": _describe_path(exchange, scrubber),
        "sent_with": list(exchange.sent_with),
        **_describe_sent(exchange, scrubber),
        "status": exchange.status,
        "failure": exchange.failure,
        "headers": [f"{name}: {scrubber.text(value)}" for name, value in kept],
        "headers_removed": dropped,
        **_describe_received(exchange, model, scrubber),
        "pictures": scrubber.pictures,
    }
    return {name: value for name, value in found.items() if value not in ([], "", None, {}) or name == "status"}


def _describe_path(exchange: Exchange, scrubber: Scrubber) -> str:
    """The path below the endpoint's address; the whole address if it is elsewhere."""
    if not is_at_home(exchange):
        return scrubber.text(exchange.url)
    below = "https://base.example/" + exchange.url[len(exchange.base_url.rstrip("/")) :].lstrip("/")
    return scrubber.text(below).removeprefix("https://base.example/")


def _describe_sent(exchange: Exchange, scrubber: Scrubber) -> dict[str, Any]:
    body = read_json(exchange.sent)
    if body is not None:
        return {"sent": scrubber.body(body, "sent", sent=True)}
    if exchange.sent_type.startswith("multipart/"):
        return {"sent_form": scrubber.body(_read_form(exchange, scrubber), "sent_form", sent=True)}
    if "urlencoded" in exchange.sent_type:
        return {"sent_form": scrubber.body(dict(parse_qsl(exchange.sent.decode("utf-8", "replace"))), "sent_form", sent=True)}
    return {"sent_text": scrubber.text(exchange.sent.decode("utf-8", "replace")[:LONGEST_TEXT])} if exchange.sent else {}


def _read_form(exchange: Exchange, scrubber: Scrubber) -> dict[str, Any]:
    """The fields of a form; for a file, what it is."""
    message = message_from_bytes(b"Content-Type: " + exchange.sent_type.encode() + b"\r\n\r\n" + exchange.sent)
    fields: dict[str, Any] = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            continue
        shrunk = shrink_picture(content)
        if shrunk is not None:
            scrubber.removed["picture"] += 1
            fields[name] = "a file: {type}, {width} x {height}, {bytes} bytes".format(**shrunk[1])
        else:
            fields[name] = content.decode("utf-8", "replace")[:LONGEST_TEXT]
    return fields


def _describe_received(exchange: Exchange, model: str, scrubber: Scrubber) -> dict[str, Any]:
    body = read_json(exchange.received)
    if body is not None:
        body, left_out = _shorten_list(body, model) if exchange.asked_for == LIST and exchange.status == 200 else (body, 0)
        return {"received": scrubber.body(body), "models_left_out": left_out or None}
    shrunk = shrink_picture(exchange.received)
    if shrunk is not None:
        scrubber.removed["picture"] += 1
        scrubber.pictures.append({"at": "", **shrunk[1]})
        return {"received_picture": base64.b64encode(shrunk[0]).decode()}
    text = exchange.received.decode("utf-8", "replace")[:LONGEST_TEXT]
    return {"received_text": scrubber.text(text)} if text else {}


def _shorten_list(body: Any, model: str) -> tuple[Any, int]:  # noqa: ANN401 JSON
    """A page of a list of models with this model and one entry without a name, for other names may be an account's own.

    Also how many entries are left out.
    """
    if isinstance(body, dict):
        key = next((key for key in ("data", "models") if isinstance(body.get(key), list)), None)
        if key is None:
            return body, 0
        short, left_out = _shorten_list(body[key], model)
        rest = {name: "another" if name in ("first_id", "last_id") else value for name, value in body.items()}
        return {**rest, key: short}, left_out
    listed = [entry for entry in body if _is_entry_of(entry, model)]
    others = [entry for entry in body if entry not in listed]
    return [*listed, *map(_without_name, others[:1])], max(len(others) - 1, 0)


def _names_of(entry: object) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    return [str(entry[key]) for key in NAMES if entry.get(key)] if isinstance(entry, dict) else []


def _is_entry_of(entry: object, model: str) -> bool:
    return find_listed_name(model, [name.removeprefix("models/") for name in _names_of(entry)]) is not None


def _without_name(entry: object) -> object:
    """An entry of a list that names no model."""
    if not isinstance(entry, dict):
        return "another-model"
    return {key: "another-model" for key in NAMES if isinstance(entry.get(key), str)}
