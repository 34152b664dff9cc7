"""The body of an HTTP answer: read up to a limit, parsed as JSON in any encoding; errors for bodies that are no JSON."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import httpx2
import orjson

from unisafe_providers.base import Malformed, Misconfigured

Json = dict[str, Any]
MAX_BYTES = 64 * 1024 * 1024
"""The most bytes of an unpacked body; a stream that is longer is given up."""
ANSWERS = ("choices", "data", "output", "content", "candidates", "promptFeedback", "steps")
"""The keys under which vendors put their answers."""
ERRORS = ("base_resp", "error_code", "error_msg", "errors", "detail")
STREAMED = re.compile(rb"(?:\s*:[^\n]*\n|\s*(?:id|retry):[^\n]*\n)*\s*(?:data|event):", re.I)
"""How a stream of events begins; comments (OpenRouter's), ids and pauses may come before the first event."""
TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.I | re.S)


async def read_whole(answer: httpx2.Response) -> bytes:
    """The unpacked body, read in a stream and closed; raises as `join_chunks`."""
    try:
        return await join_chunks(answer.aiter_bytes())
    finally:
        if not answer.is_closed:  # a body that was read to its end is closed already
            await answer.aclose()


async def join_chunks(chunks: AsyncIterable[bytes]) -> bytes:
    """A body from its chunks. Raises Malformed beyond MAX_BYTES; the rest is not read then."""
    kept: list[bytes] = []
    size = 0
    async for chunk in chunks:
        kept.append(chunk)
        size += len(chunk)
        if size > MAX_BYTES:
            raise Malformed(f"the endpoint's answer unpacks to more than {MAX_BYTES // 2**20} MiB: it was not read to its end")
    return b"".join(kept)


def parse_body(content: bytes) -> Json:
    """The JSON object of a body. Raises Misconfigured for a stream of events, Malformed if the body is no JSON object."""
    body = json_of(content)
    if isinstance(body, dict):
        return body
    if STREAMED.match(content) or (body is None and _is_json_lines(content)):
        raise Misconfigured(
            "the endpoint answers only in streams (`data:` lines, or an object a line); whole answers are asked for"
        )
    raise Malformed("the endpoint's answer is no JSON object" if body is not None else _describe_no_json(content))


def json_of(content: bytes) -> object:
    """A body as JSON; None if it is no JSON. The standard parser gets a second try: it takes escaped lone surrogates and NaN.

    Latin-1 and a byte order mark are read too.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    for encoding in ("utf-8", "latin-1"):
        try:
            return json.loads(content.decode(encoding))
        except (ValueError, RecursionError):
            continue
    return None


def _is_json_lines(content: bytes) -> bool:
    """Whether a body is one object a line, as Ollama streams."""
    lines = content.strip().split(b"\n", 2)[:2]
    return len(lines) == 2 and all(isinstance(json_of(line), dict) for line in lines)


def _describe_no_json(content: bytes) -> str:
    title = TITLE.search(content[:4_000])
    if title is not None:
        words = " ".join(title[1].decode("utf-8", "replace").split())[:120]
        return f"the endpoint answered with a web page ({words}), which is no JSON: a proxy or another server may stand before it"
    return "the endpoint's answer is no JSON"


def parse_error_body(content: bytes) -> object:
    """An error's body as JSON, else its first words."""
    body = json_of(content)
    return content.decode("utf-8", "replace")[:4_000] if body is None else body


def find_usage(body: object) -> object:
    """The keys under which vendors report usage."""
    return body.get("usage") or body.get("usageMetadata") if isinstance(body, dict) else None


@contextmanager
def catch_odd_shapes() -> Iterator[None]:
    """Raises Malformed for an answer that lacks the vendor's shape: it gets one more try."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise Malformed(f"the endpoint's answer has a shape of its own ({type(error).__name__}: {error})"[:300]) from None


def find_error(body: Json) -> Json | None:
    """The error inside a body that came with status 200: the body itself, or its first choice.

    If the body has no answer, an error may be under other keys (MiniMax's `base_resp`, Baidu's `error_code`, a bare `detail`).
    """
    unanswered = not any(body.get(key) for key in ANSWERS)
    told = body.get("base_resp")
    if isinstance(told, dict) and str(told.get("status_code") or 0) != "0":  # MiniMax's says 0 beside an answer
        return body
    if body.get("error") and not _holds_pictures(body):
        return body
    if unanswered and (isinstance(body.get("message"), str) or any(body.get(key) for key in ERRORS)):
        return body
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) and first.get("error") else None


def _holds_pictures(body: Json) -> bool:
    """Whether pictures came beside an error: then it tells of others, which were withheld or failed."""
    entries = body.get("data")
    return isinstance(entries, list) and any(isinstance(one, dict) and (one.get("b64_json") or one.get("url")) for one in entries)


@lru_cache(64)
def schema_of(text: str) -> Json:
    """A request's schema as JSON; all calls of a kind share the object, so do not change it."""
    schema: Json = json.loads(text)
    return schema
