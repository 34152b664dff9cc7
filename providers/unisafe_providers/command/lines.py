"""The lines between the program and a command (docs/command-protocol.md): what is asked, and what an answer means; pure but for
the files of pictures.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import orjson
from anyio import to_thread

from unisafe_providers.base import Finish, Image, Malformed, Rejected, Request, Response, Text, Transient, Usage, clean
from unisafe_providers.named_files import Folder, NoSuchFile, show_value

PROTOCOL = 1
SENT = ("max_tokens", "temperature", "top_p", "seed", "size", "system")
"""Parameters of a request that are sent where they are set."""
FINISHES = frozenset(get_args(Finish))
MAX_PICTURE = 50 * 1024 * 1024
"""The most bytes of a picture file that is read."""
GIVEN = "in-"
"""How the name of a picture of a request begins, in the folder for pictures."""
SPACE = re.compile(rb"\s+")
ImagesAs = Literal["paths", "inline"]

HELLO = 0
"""The number of the first line; requests count from 1."""
EMPTY: Mapping[str, Any] = {"id": HELLO, "kind": "chat", "text": "", "images": [], "parts": [], "max_tokens": 1, "batch": []}


class MemoryRanOut(Exception):
    """The command says that memory ran out: fewer requests at a time may fit."""


# ---------------------------------------------------------------- what is asked


def build_hello(options: Mapping[str, Any], device: str, images: ImagesAs, folder: Path) -> dict[str, Any]:
    """The first line that a command reads. To one that knows no hello it is an empty request, whose answer is ignored."""
    return {
        **EMPTY,
        "hello": {"protocol": PROTOCOL, "options": dict(options), "device": device, "images": images, "folder": str(folder)},
    }


async def build_request(identifier: int, request: Request, images: ImagesAs, folder: Path) -> dict[str, Any]:
    """A request as a line; an image that is in no file goes into `folder`. Raises OSError if an image cannot be read."""
    parts: list[dict[str, Any]] = []
    pictures: list[dict[str, str]] = []
    for part in request.parts:
        if isinstance(part, Text):
            parts.append({"text": part.text})
        else:
            parts.append({"image": len(pictures)})
            pictures.append(await _build_picture(part, images, folder))
    given: dict[str, Any] = {name: value for name in SENT if (value := getattr(request, name)) not in (None, "")}
    if request.schema is not None:
        given["schema"] = orjson.loads(request.schema[1])
    return {"id": identifier, "kind": request.kind, "text": request.text, "images": pictures, "parts": parts, **given}


async def _build_picture(image: Image, images: ImagesAs, folder: Path) -> dict[str, str]:
    if images == "inline":
        return {"data": base64.b64encode(await image.read()).decode(), "type": image.media_type}
    if isinstance(image.source, Path):
        return {"path": str(image.source.absolute()), "type": image.media_type}
    path = folder / f"{GIVEN}{image.digest}.{image.media_type.rsplit('/', 1)[-1]}"
    if not path.exists():
        data = await image.read()
        await to_thread.run_sync(path.write_bytes, data)
    return {"path": str(path), "type": image.media_type}


# ---------------------------------------------------------------- what comes back


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What a command says of itself when it is ready.

    Args:
        model, version: which weights and which code; empty where it does not say.
        kinds: what it can do: `chat`, `image`, `edit`; empty where it does not say.
        sees: whether its chats take images; None where it does not say.
        batches: whether it takes several requests in a line.
        parameters: the sampling parameters that it chose.
    """

    model: str
    version: str
    kinds: frozenset[str]
    sees: bool | None
    batches: bool
    parameters: Mapping[str, Any]

    @property
    def described(self) -> str:
        """What may not change under the answers in a cache, as canonical JSON."""
        known = {
            "kinds": sorted(self.kinds),
            "model": self.model,
            "parameters": dict(self.parameters),
            "sees": self.sees,
            "version": self.version,
        }
        return orjson.dumps(known, option=orjson.OPT_SORT_KEYS).decode()


def read_line(line: bytes) -> dict[str, Any] | None:
    """The JSON object in a line; None for a line that holds none, which libraries print.

    Python's own json writes NaN and halves of characters, which are no JSON, and some programs write a mark of UTF-8 first.
    """
    line = line.strip().removeprefix(codecs.BOM_UTF8)
    if not line.startswith(b"{"):
        return None
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            found = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None


def read_id(said: Mapping[str, Any]) -> int | None:
    """The number of the request that a line answers, also where it was written as a text or as 7.0; None for none."""
    given = said.get("id")
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        number = int(given)
    except (ValueError, OverflowError):
        return None
    return number if str(number) == str(given) or number == given else None


def read_ready(said: Mapping[str, Any]) -> Ready:
    """Raises ValueError with what is wrong, for a line whose `ready` is true."""
    said = _drop_nulls(said)
    protocol = said.get("protocol", PROTOCOL)
    if protocol != PROTOCOL:
        raise ValueError(f"it speaks protocol {show_value(protocol)}, and this program speaks {PROTOCOL}")
    kinds, parameters = said.get("kinds", []), said.get("parameters", {})
    if not isinstance(kinds, list) or not all(kind in ("chat", "image", "edit") for kind in kinds):
        raise ValueError(f'its `kinds` should be a list of "chat", "image" and "edit", and is {show_value(kinds)}')
    if not isinstance(parameters, dict):
        raise ValueError(f"its `parameters` should be an object, and is {show_value(parameters)}")
    try:
        orjson.dumps(parameters)
    except TypeError as error:
        raise ValueError(f"its `parameters` cannot be kept: {error}") from None
    sees = said.get("sees")
    return Ready(
        model=_text(said, "model"),
        version=_text(said, "version"),
        kinds=frozenset(kinds),
        sees=sees if isinstance(sees, bool) else None,
        batches=said.get("batches") is True,
        parameters=parameters,
    )


async def read_answer(said: Mapping[str, Any], folder: Path) -> Response:
    """The answer in a line; pictures in files are read, and removed.

    Raises Malformed for a line of another shape, Transient, Rejected or MemoryRanOut for an error that the command reports.
    """
    said = _drop_nulls(said)
    if "error" in said:
        words = " ".join(str(said["error"]).split())[:500] or "an error without words"
        if said.get("memory") is True:
            raise MemoryRanOut(clean(words))
        raise (Transient if said.get("retry") is True else Rejected)(clean(words))
    if not said.keys() & {"text", "images", "finish"}:
        raise Malformed(f"an answer should have `text`, `images` or `error`, and has {show_value(sorted(said))}")
    finish: Any = said.get("finish", "stop")
    if not isinstance(finish, str) or finish not in FINISHES:
        raise Malformed(f"its `finish` should be one of {', '.join(sorted(FINISHES))}, and is {show_value(finish)}")
    try:
        text, thoughts, reason = _text(said, "text"), _text(said, "thoughts"), _text(said, "reason")
        usage = said.get("usage", {})
        images = said.get("images", [])
        if not isinstance(images, list):
            raise ValueError(f"its `images` should be a list, and is {show_value(images)}")
        pictures = tuple([await to_thread.run_sync(_read_picture, one, folder) for one in images])
        return Response(
            text=text,
            images=pictures,
            finish=cast("Finish", finish),
            thoughts=thoughts,
            reason=reason,
            usage=Usage(
                tokens_in=_number(usage, "tokens_in"), tokens_out=_number(usage, "tokens_out"), images=len(pictures), cost=0.0
            ),
        )
    except ValueError as error:
        raise Malformed(f"an answer that cannot be read: {error}") from None


def _read_picture(one: object, folder: Path) -> Image:
    """A picture from its file in `folder`, or from base64. Raises ValueError."""
    if isinstance(one, str):
        one = {"path": one}
    one = _drop_nulls(one) if isinstance(one, dict) else one
    if not isinstance(one, dict) or not isinstance(one.get("path", one.get("data")), str):
        raise ValueError(f"a picture should have a `path` or `data`, and is {show_value(one)}")
    if "path" not in one:
        try:
            return Image.from_bytes(base64.b64decode(SPACE.sub(b"", one["data"].encode()), validate=True))
        except (binascii.Error, UnicodeEncodeError) as error:
            raise ValueError(f"a picture's `data` is no base64: {error}") from None
    try:
        path = Folder(folder, "the folder for pictures", repository=folder, absolute=True).file(one["path"])
        if path.stat().st_size > MAX_PICTURE:
            raise ValueError(f"a picture of more than {MAX_PICTURE // 2**20} MiB")
        image = Image.from_bytes(path.read_bytes())
        if not path.name.startswith(GIVEN):  # which other requests may need
            path.unlink()
    except (NoSuchFile, OSError) as error:
        raise ValueError(f"a picture cannot be read: {error}") from None
    return image


def _drop_nulls(said: Mapping[str, Any]) -> dict[str, Any]:
    """Without the keys that are null: a script may write all keys in each line."""
    return {name: value for name, value in said.items() if value is not None}


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"its `{name}` should be a text, and is {show_value(value)}")
    return clean(value)


def _number(usage: object, name: str) -> int:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else 0
