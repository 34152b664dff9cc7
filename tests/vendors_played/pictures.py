"""Vendors whose models draw at once. Shapes: Stability, Recraft, BytePlus ModelArk, MiniMax, xAI, Together, Alibaba: API references."""

from __future__ import annotations

import re

from .vendor import Asked, Reply, Vendor, WrongCall, all_text, drawn, is_blocked

DRAWS = ("image",)
EDITS = ("text", "image")


def stability(asked: Asked) -> Reply:
    """Forms, even without a file; a picture that its filter struck comes blurred."""
    if not re.fullmatch(r"/v2beta/stable-image/(generate/(core|ultra|sd3)|control/\w+|edit/[\w-]+)", asked.path) or not asked.form:
        raise WrongCall(f"a form at /v2beta/stable-image/..., not {asked.path}")
    asked.needs("prompt")
    asked.refuses("n", "size", "width", "height")
    reason = "CONTENT_FILTERED" if is_blocked(str(asked.body["prompt"])) else "SUCCESS"
    return Reply({"image": drawn(), "finish_reason": reason, "seed": 1})


def recraft(asked: Asked) -> Reply:
    asked.needs("prompt")
    if asked.path not in ("/images/generations", "/images/imageToImage"):
        raise WrongCall(f"no such path: {asked.path}")
    if is_blocked(str(asked.body["prompt"])):
        return Reply({"code": "bad_request", "message": "The prompt violates our content policy"}, 400)
    return Reply({"created": 1, "credits": 40, "data": [{"image_id": "1", "url": asked.link}]})


def ark(asked: Asked) -> Reply:
    asked.needs("model", "prompt")
    asked.refuses("n")
    if asked.path != "/images/generations" or asked.body.get("watermark") is not False:
        raise WrongCall("POST /images/generations without a watermark")
    if is_blocked(str(asked.body["prompt"])):
        error = {"code": "OutputImageSensitiveContentDetected", "message": "The request failed.", "type": "BadRequest"}
        return Reply({"error": error}, 400)
    return Reply({"data": [{"url": asked.link, "size": "64x64"}], "usage": {"generated_images": 1}})


def minimax(asked: Asked) -> Reply:
    """Failures come with 200."""
    asked.needs("model", "prompt")
    if asked.path != "/image_generation" or asked.body.get("prompt_optimizer", False) is not False:
        raise WrongCall("POST /image_generation without prompt_optimizer")
    code, words = (1026, "input new_sensitive") if is_blocked(str(asked.body["prompt"])) else (0, "success")
    data = {} if code else {"image_urls": [asked.link]}
    return Reply({"id": "1", "data": data, "metadata": {}, "base_resp": {"status_code": code, "status_msg": words}})


def xai(asked: Asked) -> Reply:
    asked.needs("model", "prompt")
    asked.refuses("size", "seed", "style", "mask")
    if asked.path not in ("/images/generations", "/images/edits") or asked.form:
        raise WrongCall("JSON at /images/generations or /images/edits")
    if asked.path.endswith("edits") and not ({"image", "images"} & asked.body.keys()):
        raise WrongCall("an edit without a picture")
    fine = not is_blocked(str(asked.body["prompt"]))
    picture = {"b64_json": drawn() if fine else "", "mime_type": "image/png", "respect_moderation": fine}
    return Reply({"data": [picture], "usage": {"cost_in_usd_ticks": 200000000}})


def together(asked: Asked) -> Reply:
    asked.needs("model", "prompt")
    asked.refuses("size")
    if asked.path != "/images/generations" or asked.body.get("response_format") not in (None, "base64", "url"):
        raise WrongCall("POST /images/generations, response_format base64 or url")
    if is_blocked(str(asked.body["prompt"])):
        return Reply({"error": {"message": "NSFW content detected in the image", "type": "invalid_request_error"}}, 422)
    return Reply({"id": "1", "data": [{"index": 0, "b64_json": drawn()}]})


def dashscope(asked: Asked) -> Reply:
    asked.needs("model", "input")
    if asked.path != "/services/aigc/multimodal-generation/generation":
        raise WrongCall(f"no such path: {asked.path}")
    if "x-dashscope-async" in asked.headers or asked.body.get("parameters", {}).get("prompt_extend") is not False:
        raise WrongCall("a synchronous call with prompt_extend false")
    if is_blocked(all_text(asked.body["input"])):
        return Reply({"code": "DataInspectionFailed", "message": "Output data may contain inappropriate content."}, 400)
    choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": [{"image": asked.link}]}}
    return Reply({"output": {"choices": [choice]}, "usage": {"image_count": 1}, "request_id": "1"})


PICTURES = (
    Vendor(provider="stability", model="core", root="", answer=stability, gives=DRAWS),
    Vendor(provider="recraft", model="recraftv3", root="/v1", answer=recraft, takes=EDITS, gives=DRAWS),
    Vendor(provider="ark", model="seedream-4-5-251128", root="/api/v3", answer=ark, takes=EDITS, gives=DRAWS, wire="ark"),
    Vendor(provider="minimax", model="image-01", root="/v1", answer=minimax, gives=DRAWS, wire="minimax"),
    Vendor(provider="xai", model="grok-imagine", root="/v1", answer=xai, takes=EDITS, gives=DRAWS),
    Vendor(provider="together", model="FLUX.1-schnell", root="/v1", answer=together, gives=DRAWS, wire="together"),
    Vendor(provider="dashscope", model="qwen-image", root="/api/v1", answer=dashscope, gives=DRAWS, wire="dashscope"),
)
