"""Amazon Bedrock's models that give images only, by InvokeModel: Nova Canvas, Titan Image and Stability's.

Sources, read in November 2026: Amazon Nova, user guide, "Generating images" and "Image generation errors"; Amazon Bedrock, user
guide, "Stable Image Ultra", "Stable Image Core", "Stable Diffusion 3.5 Large" and "Titan Image Generator"; vercel/ai and litellm,
which ask the same models.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack

from unisafe_providers.anatomy import NO_PICTURE, attach_partial, decode_base64_image
from unisafe_providers.base import Capabilities, Malformed, Misconfigured, Rejected, Request, Response, Transient, Usage
from unisafe_providers.hosted.aws import Signer
from unisafe_providers.hosted.bedrock import BedrockAccess, Guardrail
from unisafe_providers.hosted.bedrock_families import Family, family_of
from unisafe_providers.hosted.bodies import Json, find_usage
from unisafe_providers.hosted.endings import Ending, ending_of_bedrock
from unisafe_providers.hosted.guardrails import find_intervention
from unisafe_providers.hosted.http import HostedOptions
from unisafe_providers.hosted.openai_wire import apply_ending, read_pictures
from unisafe_providers.hosted.usage import usage_of
from unisafe_providers.hosted.withheld import find_withheld_block

RATIOS = ("16:9", "1:1", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21")
"""The ratios that Stability's models draw in."""
TOOLS = re.compile(r"stability\.(?!sd3|stable-image-(core|ultra)|stable-diffusion)")
"""Stability's models that only change a picture: they take no mode and no strength."""
STRENGTH = 0.7
"""How far an edit may leave its picture, from 0 to 1, where `extra_edit` says nothing; Stability demands one."""
LEAST, MOST, STEP, PIXELS = 320, 4096, 16, 4_194_304
"""The edges that Nova Canvas draws, in pixels, and how many pixels a picture has at most."""


class BedrockPictures(BedrockAccess):
    """One model that draws or edits; arguments as in BedrockAccess.

    Args:
        family: what its bodies look like; None takes it from the id.
        mask_prompt: what an edit by Nova Canvas or Titan may change; empty lets it vary the whole picture.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str,
        capabilities: Capabilities,
        *,
        family: Family | None = None,
        mask_prompt: str = "",
        signer: Signer | None = None,
        guardrail: Guardrail | None = None,
        **options: Unpack[HostedOptions],
    ) -> None:
        self._family: Family = family or family_of(model) or "nova-canvas"
        self._mask_prompt = mask_prompt
        asked_by = f"invoke {self._family}" + (f" in {mask_prompt}" if mask_prompt else "")
        headers = guardrail.headers if guardrail is not None else {}
        super().__init__(
            model, base_url, api_key, capabilities,
            signer=signer, guardrail=guardrail, asked_by=asked_by, headers=headers, **options,
        )  # fmt: skip
        if family is None and family_of(model) is None:
            self._tell(f"{model} was asked as Nova Canvas is, since its id tells no family; `image_body` names another one")

    async def _answer(self, request: Request) -> Response:
        if not request.image_due:
            raise Rejected("this model draws and writes no text")
        response = await self._exchange(
            request, f"{self._path}/invoke", self._build_invoke_body, read_invoke_response, wire="bedrock"
        )
        if response.images and response.reason:
            self._tell(f"{self.title} withheld some of the pictures that {self.model} drew: {response.reason}")
        return response

    def _find_error(self, body: Json) -> Json | None:
        """An `error` beside pictures says that other pictures were withheld."""
        return None if body.get("images") else super()._find_error(body)

    async def _build_invoke_body(self, request: Request) -> Json:
        images = [base64.b64encode(await image.read()).decode() for image in request.images]
        match self._family:
            case "nova-canvas":
                return build_canvas_body(request, images, self._mask_prompt)
            case "sdxl":
                return build_sdxl_body(request, images)
            case "stability":
                return self._build_stability_body(request, images)

    def _build_stability_body(self, request: Request, images: Sequence[str]) -> Json:
        body: Json = {"prompt": request.text, "output_format": "png"}
        if request.seed is not None:
            body["seed"] = request.seed
        if images:
            _check_one(images)
            body["image"] = images[0]
            if TOOLS.search(self.model) is None:
                body |= {"mode": "image-to-image", "strength": STRENGTH}
            if request.size:
                self._tell(f"{self.title} takes no size for edits by {self.model}: the size of the picture stays")
        elif request.size:
            body["aspect_ratio"] = ratio = find_nearest_ratio(request.size)
            if not _is_ratio(request.size, ratio):
                self._tell(f"{self.model} draws in ratios: {request.size} was asked for as {ratio}, the nearest")
        return body


# ---------------------------------------------------------------- out


def build_canvas_body(request: Request, images: Sequence[str], mask_prompt: str = "") -> Json:
    """The body for Nova Canvas and Titan Image. An edit changes what `mask_prompt` describes, else it varies the picture.

    Raises Misconfigured for a size that Nova Canvas does not draw.
    """
    config: Json = {"numberOfImages": 1}
    if request.size and not (images and mask_prompt):  # inpainting keeps the picture's size
        width, height = _read_size(request.size)
        _check_canvas_size(width, height)
        config |= {"width": width, "height": height}
    if request.seed is not None:
        config["seed"] = request.seed
    if not images:
        return {"taskType": "TEXT_IMAGE", "textToImageParams": {"text": request.text}, "imageGenerationConfig": config}
    if not mask_prompt:
        varied: Json = {"text": request.text, "images": list(images)}
        return {"taskType": "IMAGE_VARIATION", "imageVariationParams": varied, "imageGenerationConfig": config}
    _check_one(images)
    painted: Json = {"text": request.text, "image": images[0], "maskPrompt": mask_prompt}
    return {"taskType": "INPAINTING", "inPaintingParams": painted, "imageGenerationConfig": config}


def build_sdxl_body(request: Request, images: Sequence[str]) -> Json:
    """The body for Stable Diffusion XL, the oldest of Stability's models here."""
    body: Json = {"text_prompts": [{"text": request.text}]}
    if request.seed is not None:
        body["seed"] = request.seed
    if images:
        _check_one(images)
        body |= {"init_image": images[0], "init_image_mode": "IMAGE_STRENGTH", "image_strength": round(1 - STRENGTH, 2)}
    elif request.size:
        body["width"], body["height"] = _read_size(request.size)
    return body


def find_nearest_ratio(size: str) -> str:
    """The ratio of Stability's that is nearest to `WIDTHxHEIGHT`."""
    width, height = _read_size(size)

    def distance(ratio: str) -> float:
        across, down = map(int, ratio.split(":"))
        return abs(math.log(width / height) - math.log(across / down))

    return min(RATIOS, key=distance)


def _is_ratio(size: str, ratio: str) -> bool:
    """Whether a size has exactly that ratio."""
    (width, height), (across, down) = _read_size(size), map(int, ratio.split(":"))
    return width * down == height * across


def _read_size(size: str) -> tuple[int, int]:
    width, height = (int(side) for side in size.split("x"))
    return width, height


def _check_canvas_size(width: int, height: int) -> None:
    sound = all(LEAST <= side <= MOST and side % STEP == 0 for side in (width, height))
    if not sound or width * height > PIXELS or not 0.25 <= width / height <= 4:
        raise Misconfigured(
            f"Amazon Bedrock draws no image of {width}x{height}: edges are {LEAST} to {MOST} pixels and multiples of {STEP}, with "
            f"{PIXELS:,} pixels and 4:1 at most; change generation.image_size",
            needs="images out",
        )


def _check_one(images: Sequence[str]) -> None:
    if len(images) > 1:
        raise Rejected(f"an edit takes one picture here, found {len(images)}")


# ---------------------------------------------------------------- in


def read_invoke_response(body: Json) -> Response:
    """A Response from InvokeModel's body with images: `images` with `finish_reasons` or `error`, or SDXL's `artifacts`.

    Pictures that a filter withheld, or put a black or blurred one in place of, are left out; if no other is there, the answer is
    blocked. Raises Malformed if there is neither a picture nor a reason, Transient for a failure that the body names.
    """
    done = find_intervention(body)
    if done is not None and done.did != "masked":
        return apply_ending(Response(), ending_of_bedrock(body, "", nothing=True, done=done, said=""))
    pictures, reasons = _list_pictures(body), _list_reasons(body)
    count = max(len(pictures), len(reasons))
    blocks = {index: block for index in range(max(count, 1)) if (block := find_withheld_block(body, index)) is not None}
    kept = [picture for index, picture in enumerate(pictures) if picture and index not in blocks]
    usage = replace(usage_of(find_usage(body), len(kept)), reported=True)  # pictures are paid for one by one
    if kept:
        with attach_partial(Response(usage=usage)):
            images = read_pictures(kept, decode_base64_image, image_due=True)
        return Response(images=images, usage=usage, reason=_describe_withheld(body, blocks))
    if blocks:
        return apply_ending(Response(usage=Usage()), next(iter(blocks.values())))
    words = "; ".join(reason for reason in reasons if reason)
    if words:
        raise Transient(f"the endpoint broke off ({words[:200]})")
    if isinstance(body.get("images"), list | None) and ("images" in body or "artifacts" in body):
        return Response(usage=usage, missing=NO_PICTURE, asks_again=True)
    raise Malformed("the endpoint answered without any image data")


def _list_pictures(body: Json) -> list[object]:
    """The pictures in base64, each at its place; None where one is missing."""
    artifacts = body.get("artifacts")
    if isinstance(artifacts, list):
        return [entry.get("base64") if isinstance(entry, dict) else None for entry in artifacts]
    images = body.get("images")
    return list(images) if isinstance(images, list) else []


def _list_reasons(body: Json) -> list[str]:
    """Why each picture ended as it did; empty for one that is whole."""
    reasons = body.get("finish_reasons")
    if not isinstance(reasons, list):
        artifacts = body.get("artifacts")
        entries = [entry for entry in artifacts if isinstance(entry, dict)] if isinstance(artifacts, list) else []
        reasons = [entry.get("finishReason") for entry in entries]
    return ["" if reason is None or str(reason).upper() == "SUCCESS" else str(reason) for reason in reasons]


def _describe_withheld(body: Json, blocks: dict[int, Ending]) -> str:
    """Which of several pictures were withheld, in the vendor's words; empty if all are here."""
    if body.get("error"):
        return str(body["error"])[:300]
    return "; ".join(dict.fromkeys(block.reason for block in blocks.values()))
