"""Google's Imagen at Vertex AI, without a network: the body of `:predict` from a request, a Response from its answer.

Shapes: google-genai 3.6 (GenerateImagesConfig, GeneratedImage), and docs.cloud.google.com, "Configure Responsible AI safety
settings". Google's page of Vertex AI's models names every Imagen endpoint as discontinued from 30 June 2026.
"""

from __future__ import annotations

from typing import Any

from unisafe_providers.base import Misconfigured, Request, Response, Usage
from unisafe_providers.hosted.bodies import Json, find_usage
from unisafe_providers.hosted.gemini import ratio_of
from unisafe_providers.hosted.openai_wire import read_served_name
from unisafe_providers.hosted.withheld import build_pictures_response

ENDED = "Imagen ended on 30 June 2026; name an image model of Gemini's, such as gemini-3.1-flash-image"
RATIOS = ("1:1", "3:4", "4:3", "9:16", "16:9")
"""Aspect ratios that Imagen draws in."""


def build_predict_body(request: Request, settings: Json) -> Json:
    """The body of POST MODEL:predict: one picture, its prompt unchanged, and the filter's reason beside what it withholds.

    Raises Misconfigured for an edit, and for a size that is not told by one of RATIOS.
    """
    if not request.image_due or request.images:
        words = "Imagen draws images from text alone; name an image model of Gemini's for edits and for chats"
        raise Misconfigured(words, needs="images in" if request.images else None)
    parameters: Json = {"sampleCount": 1, "includeRaiReason": True, "enhancePrompt": False, **settings}
    if request.size:
        parameters["aspectRatio"] = ratio_of(request.size, RATIOS, "Imagen")
    if request.seed is not None:
        parameters |= {"seed": request.seed, "addWatermark": False}  # a seed goes with pictures without a watermark only
    return {"instances": [{"prompt": request.text}], "parameters": parameters}


def read_predict_response(body: Json) -> Response:
    """A Response from the answer of `:predict`: the pictures that came, else the filter's block.

    Raises Malformed, so that it is asked for once more, if nothing came and nothing says why.
    """
    entries: list[Any] = body.get("predictions") or []
    places = [entry.get("bytesBase64Encoded") for entry in entries]
    usage = Usage(images=len(places), reported=find_usage(body) is None)
    return build_pictures_response(body, places, usage=usage, model=read_served_name(body), title="Imagen")
