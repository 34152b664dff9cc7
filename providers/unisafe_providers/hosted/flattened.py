"""An error's body, flattened: one message in the vendor's words, every code, the parameters it names, the status inside.

Vendors put an error anywhere: a string, a list of one (Google), `detail` as text or as FastAPI's list, `message` as an object,
the vendor behind a router as JSON within JSON (OpenRouter's `metadata.raw`), Azure's `innererror`, google.rpc's `details`, a
proxy's web page. Echoes of the user's request do not belong to it: FastAPI's `input` is never read, and pieces of the sent texts
are removed from the message.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import orjson

from unisafe_providers.base import clean

Json = dict[str, Any]

LONGEST = 500
"""The most characters of a message that are kept."""
READ = 2_000
"""The most characters of a message that patterns and the search for echoes read."""
LONGEST_TEXT = 20_000
"""The most characters of a page, or of any text, that are read."""
DEEPEST = 6
WHOLE = 8
"""A whole sent text of this many characters or more counts as an echo."""
PIECE = 24
"""A piece of a sent text of this many characters or more counts as an echo."""

CODE_KEYS = (
    "code",
    "type",
    "status",
    "reason",
    "error_code",
    "error_type",
    "name",
    "http_code",
    "reject_reason",
    "Code",
    "status_code",
    "finishReason",
)
MESSAGE_KEYS = (
    "message",
    "msg",
    "detail",
    "error",
    "error_message",
    "error_description",
    "Message",
    "errors",
    "title",
    "error_msg",
)
INNER_KEYS = (
    "innererror",
    "inner_error",
    "details",
    "violations",
    "metadata",
    "raw",
    "base_resp",
    "status_msg",
    "provider_specific_fields",
    "input_guardrail",
    "output_guardrail",
)
STATUS = re.compile(r"[1-5]\d\d")
GENERIC = re.compile(r"(upstream )?provider returned error|error|unknown error|none|null", re.I)
"""Messages that say nothing if there are other words."""
PAGE = re.compile(r"<!doctype html|<html\b|<head\b|<title\b|<body\b", re.I)
TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.I)
CODE_IN_WORDS = re.compile(r"\((1002|1004|1008|1026|1027|1039|1041|2013|2045|2049|2056)\)\W*\Z")
"""MiniMax's codes, where they come as the end of a message (`input new_sensitive (1026)`)."""
XML = re.compile(r"<(Code|Message)>(.*?)</\1>", re.I | re.S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """The content of an error's body.

    Args:
        message: the vendor's words in one line, joined from several places; empty if there are none.
        codes: every code, type, status and reason as the vendor spells it, outermost first.
        parameters: the parameters that it names, such as `temperature` or `messages.0.content`.
        status: the innermost HTTP status in the body; None if it has none.
        page: whether the body is a web page, as proxies and firewalls send; then `message` is its title.
        objects: every object in the body, for fields that only some vendors send (categories, RetryInfo).
    """

    message: str = ""
    codes: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    status: int | None = None
    page: bool = False
    objects: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @property
    def short(self) -> str:
        """The message for people: shortened, without the full stop at its end; the codes if there is no message."""
        return (self.message[:LONGEST].removesuffix(".") or ", ".join(self.codes) or "no words").strip()

    @property
    def lowered(self) -> tuple[str, ...]:
        """The codes in lower case."""
        return tuple(code.lower() for code in self.codes)

    def entries(self, key: str) -> Iterator[Any]:
        """The values under `key` in the objects, outermost first."""
        return (place[key] for place in self.objects if place.get(key))


def flatten(body: object, sent: Sequence[str] = ()) -> Flat:
    """`body` (parsed JSON, or text) flattened, without its echoes of the texts in `sent`."""
    found = _Found()
    found.read(body, 0)
    message = "; ".join(words for words in found.messages if not GENERIC.fullmatch(words)) or "; ".join(found.messages)
    message = clean(" ".join(message.replace("\\n", " ").split()))[:READ]
    return Flat(
        message=remove_echo(message, sent) if sent else message,
        codes=tuple(dict.fromkeys(found.codes)),
        parameters=tuple(dict.fromkeys(found.parameters)),
        status=found.status,
        page=found.page,
        objects=tuple(found.objects),
    )


def flat_of(body: object, sent: Sequence[str] = ()) -> Flat:
    """`body`, flattened if it is not flattened yet."""
    if not isinstance(body, Flat):
        return flatten(body, sent)
    return replace(body, message=remove_echo(body.message, sent)) if sent else body


def read_error_message(body: object) -> str:
    """An error's message in one line, wherever its vendor puts it; without a message, the codes or the kind of body."""
    flat = flat_of(body)
    return flat.message[:LONGEST] or " ".join(str(body).split())[:LONGEST]


class _Found:
    """What was collected so far."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.codes: list[str] = []
        self.parameters: list[str] = []
        self.status: int | None = None
        self.page = False
        self.objects: list[Json] = []

    def read(self, value: object, depth: int) -> None:
        if depth > DEEPEST:
            return
        if isinstance(value, str):
            self._text(value, depth)
        elif isinstance(value, list):
            for entry in value[:16]:
                self.read(entry, depth + 1)
        elif isinstance(value, dict):
            self._object(value, depth)

    def _text(self, text: str, depth: int) -> None:
        """Words, or JSON, XML or a page within them."""
        text = text.strip()
        inside = _parse_json(text)
        if inside is not None:
            self.read(inside, depth + 1)
            return
        text = text[:LONGEST_TEXT]
        if text[:1] == "<" and PAGE.search(text[:2000]):
            self.page = self.page or depth == 0
            title = TITLE.search(text)
            text = html.unescape(title[1]) if title else ""
        elif text[:1] == "<" and (parts := XML.findall(text[:READ])):
            self.codes += [words for name, words in parts if name.lower() == "code"]
            text = ": ".join(html.unescape(words) for _, words in parts)
        text = " ".join(text.split())
        if code := CODE_IN_WORDS.search(text):
            self.codes.append(code[1])
        if text and not any(text in said for said in self.messages):
            self.messages.append(text)

    def _object(self, value: Json, depth: int) -> None:
        self.objects.append(value)
        for key in CODE_KEYS:
            self._code(value.get(key))
        if isinstance(value.get("param"), str):
            self.parameters.append(value["param"])
        if isinstance(value.get("loc"), list):
            self.parameters.append(".".join(str(step) for step in value["loc"] if step != "body"))
        for key in (*MESSAGE_KEYS, *INNER_KEYS):
            self.read(value.get(key), depth + 1)

    def _code(self, code: object) -> None:
        if isinstance(code, bool):
            return
        if isinstance(code, int | str) and STATUS.fullmatch(str(code)):
            self.status = int(code)
        elif isinstance(code, int | str) and code != "":
            self.codes.append(str(code))


def _parse_json(text: str) -> object:
    """The list or object that `text` is; None for anything else."""
    if text[:1] not in ("{", "["):
        return None
    try:
        return cast(object, orjson.loads(text))
    except orjson.JSONDecodeError:
        return None


def remove_echo(message: str, sent: Sequence[str]) -> str:
    """`message` with `…` for each echo of a text in `sent`: a whole text of 8 characters or more, a piece of 24 or more."""
    texts = [" ".join(text.split()).casefold()[:LONGEST_TEXT] for text in sent if text]
    for text in texts:
        if len(text) >= WHOLE:
            message = re.sub(re.escape(text), "…", message, flags=re.I)
    joined = "\n".join(text for text in texts if len(text) >= PIECE)
    kept: list[str] = []
    at = 0
    for start in re.finditer(r"\b\w", message) if joined else ():
        begin = start.start()
        if begin < at or message[begin : begin + PIECE].casefold() not in joined or begin + PIECE > len(message):
            continue
        end = begin + PIECE
        while end < len(message) and message[begin : end + 1].casefold() in joined:
            end += 1
        kept += [message[at:begin], "…"]
        at = end
    return "".join([*kept, message[at:]])
