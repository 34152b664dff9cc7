"""Google's Imagen at Vertex AI, without a network: the body of `:predict` from a request, a Response from its answer.

Shapes: google-genai 3.6 (GenerateImagesConfig, GeneratedImage), and docs.cloud.google.com, "Configure Responsible AI safety
settings". Google's page of Vertex AI's models names every Imagen endpoint as discontinued from 30 June 2026.
"""

from __future__ import annotations

from typing import Any

from unisafe_providers.anatomy import attach_partial, decode_base64_image
from unisafe_providers.base import Malformed, Rejected, Request, Response, Usage
from unisafe_providers.hosted.bodies import Json, find_usage
from unisafe_providers.hosted.gemini import ratio_of
from unisafe_providers.hosted.openai_wire import apply_ending, read_pictures, read_served_name
from unisafe_providers.hosted.withheld import find_withheld_block

ENDED = "Imagen ended on 30 June 2026; name an image model of Gemini's, such as gemini-3.1-flash-image"
RATIOS = ("1:1", "3:4", "4:3", "9:16", "16:9")
"""Aspect ratios that Imagen draws in."""


def build_predict_body(request: Request, settings: Json) -> Json:
    """The body of POST MODEL:predict: one picture, its prompt unchanged, and the filter's reason beside what it withholds.

    Raises Rejected for an edit, and for a size that is not told by one of RATIOS.
    """
    if not request.image_due or request.images:
        raise Rejected("Imagen draws images from text alone; name an image model of Gemini's for edits and for chats")
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
    drawn = [data for entry in entries if (data := entry.get("bytesBase64Encoded"))]
    usage = Usage(images=len(drawn), reported=find_usage(body) is None)
    model = read_served_name(body)
    blocks = [block for index in range(len(entries)) if (block := find_withheld_block(body, index)) is not None]
    if not drawn and blocks:
        return apply_ending(Response(usage=usage, model=model), blocks[0])
    if not drawn:
        raise Malformed("no picture in the answer, and nothing says why")
    with attach_partial(Response(usage=usage)):
        images = read_pictures(drawn, decode_base64_image, image_due=True)
    beside = f"{len(blocks)} of {len(entries)} pictures withheld: {blocks[0].reason}" if blocks else ""
    return Response(images=images, reason=beside, usage=usage, model=model)
