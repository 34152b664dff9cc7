"""Inputs of models whose vendor hosts those of many makers: pictures go under the name that the model has for them."""

from __future__ import annotations

from unisafe_providers.base import Rejected, Request
from unisafe_providers.hosted.bodies import Json
from unisafe_providers.hosted.openai_wire import build_data_url

LISTS = frozenset({"image_input", "reference_images", "images"})
"""Names that hold a list, beside those in the plural and those that end in `[]`."""


async def add_pictures(body: Json, request: Request, name: str, model: str) -> None:
    """Put the request's pictures into `body` under `name` as data URLs: a list if the name is one of several pictures.

    Raises Rejected if there are several and the model takes one.
    """
    if not request.images:
        return
    addresses = [await build_data_url(image) for image in request.images]
    if name in LISTS or name.endswith(("s", "[]")):
        body[name.removesuffix("[]")] = addresses
    elif len(addresses) == 1:
        body[name] = addresses[0]
    else:
        raise Rejected(
            f"{model} takes one picture under {name}; this request has {len(addresses)}; set picture_as to a list, such as {name}[]"
        )
