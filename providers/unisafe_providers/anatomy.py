"""The one place that takes an answer apart, whoever gave it: into text, thoughts, images, ending, filter and usage.

The modules for wire formats know where a vendor puts these parts. This module alone decides what they mean, before anything is
stored or judged. It serves hosted and local models, plugins, batch results, recorded answers and answers that an older version
stored.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from anyio import to_thread

from unisafe_providers.base import Image, Malformed, ProviderError, Response
from unisafe_providers.pictures import NotAPicture, decode_picture
from unisafe_providers.thoughts import split_thoughts

FEW_TOKENS = 8
"""If the vendor counted more tokens than this for an empty answer, the words were lost on the way."""
CUT_OFF = "cut off at max_tokens before the first word, as reasoning models are; raise generation.max_tokens"
UNFINISHED = "cut off in its thoughts, before the first word"
ONLY_THOUGHTS = (
    "the answer holds thoughts and no words (reasoning_content, or a <think> block); where the model is not to blame, start its "
    "server with the reasoning parser of this model"
)
TOOL_CALL = "the answer is a tool call and holds no words"
AUDIO = "the answer is audio and holds no words"
EMPTY = "empty answer"
NO_PICTURE = "no picture in the answer (an empty list)"
BASE64 = r"[a-z0-9+/]++={0,2}"
LINE = rf"(?<!=)[ \t\r]*+\n[ \t]*+{BASE64}(?:(?<==)|(?=[ \t]*(?:[\r\n)\"'\]>]|\Z)))"
DATA_URL = re.compile(rf"data:image/[a-z0-9.+-]+;base64,\s*({BASE64}(?:{LINE})*+)", re.I)
"""A picture in base64, possibly over several lines; a line of words after it does not belong to it."""
FRAME = re.compile(r"!\[[^\]\n]{0,200}\]\(\s*\)")
"""The rest of Markdown's image syntax after the data URL was removed."""
URL_SAFE = str.maketrans("-_", "+/")
DATA_PREFIX = re.compile(r"\A\s*data:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*,", re.I)


async def examine_response(response: Response, *, image_due: bool, recorded: bool = False) -> Response:
    """`response` as it is stored and judged: text without thoughts, decoded pictures, and the reason if nothing came.

    Args:
        image_due: whether an image was asked for; only then is an image looked for in the text.
        recorded: whether it was given before, elsewhere; an empty one is then what the model gave, and no failure.

    Raises Malformed if a picture was due and something else came; the error carries the usage and the rest of the answer.
    """
    response = _split_off_thoughts(response)
    if image_due and "data:image/" in response.text.lower():
        with attach_partial(response):
            response = _extract_pictures(response)
    if response.images:
        response = await _check_pictures(response, image_due=image_due)
    return _add_cause(response, recorded=recorded)


@contextmanager
def attach_partial(response: Response) -> Iterator[None]:
    """Errors raised inside carry the answer so far (`partial`) and its usage, because it was paid for.

    If nothing came and the endpoint reports no usage, nothing was used.
    """
    came = bool(response.text or response.thoughts or response.images)
    try:
        yield
    except ProviderError as error:
        if came or response.usage.reported or response.usage.images:
            error.usage = error.usage or response.usage
        if error.partial is None and came:
            error.partial = response
        raise


# ---------------------------------------------------------------- thoughts


def _split_off_thoughts(response: Response) -> Response:
    """The text without the thoughts before it; empty if the text ends within the thoughts."""
    found = split_thoughts(response.text)
    if not found.thoughts and not found.unclosed and found.answer == response.text:
        return response
    thoughts = "\n\n".join(filter(None, (response.thoughts, found.thoughts)))
    missing = response.missing or (UNFINISHED if found.unclosed and response.finish != "blocked" else "")
    return replace(response, text=found.answer, thoughts=thoughts, missing=missing)


# ---------------------------------------------------------------- pictures


def _extract_pictures(response: Response) -> Response:
    """Turns data URLs in the text into images: image models that answer in chats write them."""
    images = [*response.images]
    for data in DATA_URL.findall(response.text):
        images.append(decode_base64_image(data))
    text = FRAME.sub("", DATA_URL.sub("", response.text))
    return replace(response, text=text, images=tuple(images))


def decode_base64_image(data: object) -> Image:
    """The image in a base64 text; it may have line breaks, be a data URL, or use the URL-safe alphabet without padding.

    Raises Malformed if the text is no base64.
    """
    text = "".join(DATA_PREFIX.sub("", data).split()) if isinstance(data, str) else ""
    try:
        if not text:
            raise ValueError("nothing")
        text = text.translate(URL_SAFE) + "=" * (-len(text) % 4)
        return Image.from_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise Malformed("the endpoint answered with an image that is not base64") from None


def is_data_url(url: object) -> bool:
    """Whether an address holds the picture itself."""
    return isinstance(url, str) and url.lstrip()[:5].lower() == "data:"


async def _check_pictures(response: Response, *, image_due: bool) -> Response:
    """The pictures that can be decoded, each once, with the media type of its bytes; others are left out if no picture was due."""
    images: list[Image] = []
    for image in response.images:
        try:
            images.append(await _check_picture(image))
        except (NotAPicture, OSError) as error:
            if image_due:
                with attach_partial(replace(response, images=())):
                    raise Malformed(f"the endpoint answered with {error} instead of a picture") from None
    return replace(response, images=tuple(images))


async def _check_picture(image: Image) -> Image:
    if image.mended is not None:
        return image
    data = await image.read()
    picture = await to_thread.run_sync(decode_picture, data)
    if picture.data is data:
        return replace(image, media_type=picture.media_type, mended=picture.mended)
    return replace(Image.from_bytes(picture.data, picture.media_type), mended=picture.mended)


# ---------------------------------------------------------------- nothing


def _add_cause(response: Response, *, recorded: bool) -> Response:
    """Why nothing came although nobody refused or blocked; a reason from the wire format goes first."""
    if not response.empty or response.finish in ("refused", "blocked"):
        return replace(response, missing="", asks_again=False) if response.missing else response
    if response.finish == "length":
        return replace(response, missing=response.missing or CUT_OFF, asks_again=False)
    if response.missing:
        return response
    if response.thoughts:
        return replace(response, missing=ONLY_THOUGHTS)
    if recorded:
        return response
    if response.usage.tokens_out > FEW_TOKENS:
        words = f"no words came, though the endpoint counted {response.usage.tokens_out:,} tokens of them"
        return replace(response, missing=words)
    return replace(response, missing=EMPTY, asks_again=True)
