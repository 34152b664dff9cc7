"""Vendors that draw by jobs: submit, poll, fetch. Shapes: docs.bfl.ai, fal.ai/docs, replicate.com/docs, Luma's and Ideogram's references.

A job's name begins with its prompt's fate, so the server remembers nothing: `ok...` is drawn at its second poll, `no...` is blocked.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter

from .pictures import DRAWS, EDITS
from .vendor import Asked, Reply, Vendor, WrongCall, all_text, is_blocked

POLLED: Counter[str] = Counter()


def submit(prompt: str) -> str:
    return f"{'no' if is_blocked(prompt) else 'ok'}-{uuid.uuid4()}"


def is_pending(job: str) -> bool:
    """Whether this is the job's first poll."""
    POLLED[job] += 1
    return POLLED[job] == 1


def bfl(asked: Asked) -> Reply:
    if asked.method == "POST":
        asked.needs("prompt")
        asked.refuses("size", "n")
        job = submit(str(asked.body["prompt"]))
        return Reply({"id": job, "polling_url": f"{asked.home}/get_result?id={job}", "cost": 3})
    job = asked.query.get("id", "")
    if asked.path != "/get_result" or not job:
        raise WrongCall("GET /get_result?id=")
    if is_pending(job):
        return Reply({"id": job, "status": "Reasoning", "result": None})
    if job.startswith("no"):
        return Reply({"id": job, "status": "Content Moderated", "details": {"Moderation Reasons": ["Sexual Content"]}})
    return Reply({"id": job, "status": "Ready", "result": {"sample": asked.link}})


def fal(asked: Asked) -> Reply:
    if asked.method == "POST":
        asked.needs("prompt")
        job = submit(str(asked.body["prompt"]))
        place = f"{asked.home}/fal-ai/flux/requests/{job}"
        return Reply({"request_id": job, "status": "IN_QUEUE", "response_url": place, "status_url": f"{place}/status"})
    found = re.fullmatch(r"/fal-ai/flux/requests/([\w-]+)(/status)?", asked.path)
    if found is None:
        raise WrongCall(f"no such path: {asked.path}")
    if found[2]:
        return Reply({"status": "IN_PROGRESS" if is_pending(found[1]) else "COMPLETED"})
    if found[1].startswith("no"):
        wrong = {"loc": ["body", "prompt"], "msg": "The content was flagged.", "type": "content_policy_violation"}
        return Reply({"detail": [wrong]}, 422)
    return Reply({"images": [{"url": asked.link, "content_type": "image/png"}], "has_nsfw_concepts": [False]})


def replicate(asked: Asked) -> Reply:
    if asked.method == "POST":
        asked.needs("input")
        if not re.fullmatch(r"/models/[\w.-]+/[\w.-]+/predictions|/predictions", asked.path):
            raise WrongCall(f"no such path: {asked.path}")
        job = submit(all_text(asked.body["input"].get("prompt")))
        return Reply({"id": job, "status": "starting", "urls": {"get": f"{asked.home}/predictions/{job}"}, "error": None}, 201)
    job = asked.path.removeprefix("/predictions/")
    if is_pending(job):
        return Reply({"id": job, "status": "processing", "output": None, "error": None})
    if job.startswith("no"):
        return Reply({"id": job, "status": "failed", "output": None, "error": "NSFW content detected. Try another prompt."})
    return Reply({"id": job, "status": "succeeded", "output": [asked.link], "error": None, "metrics": {"predict_time": 1.5}})


def luma(asked: Asked) -> Reply:
    if asked.method == "POST":
        asked.needs("model", "prompt")
        asked.refuses("n", "seed", "size")
        return Reply({"id": submit(str(asked.body["prompt"])), "state": "queued", "output": []}, 201)
    job = asked.path.removeprefix("/generations/")
    if is_pending(job):
        return Reply({"id": job, "state": "processing", "output": []})
    if job.startswith("no"):
        return Reply({"id": job, "state": "failed", "failure_reason": "not allowed", "failure_code": "content_moderated"})
    return Reply({"id": job, "state": "completed", "output": [{"type": "image", "url": asked.link}]})


def ideogram(asked: Asked) -> Reply:
    """Answers at once; a picture that its filter struck has no address."""
    if not re.fullmatch(r"/v1/ideogram-v3/(generate|remix|edit)|/v2/image/(generate|remix|edit)/[\w-]+", asked.path):
        raise WrongCall(f"no such path: {asked.path}")
    prompt = asked.body.get("prompt", asked.body.get("text_prompt"))
    if prompt is None or str(asked.body.get("magic_prompt", "")).upper() != "OFF":
        raise WrongCall("a prompt, and magic_prompt OFF")
    fine = not is_blocked(str(prompt))
    return Reply({"created": "now", "data": [{"url": asked.link if fine else None, "is_image_safe": fine, "prompt": prompt}]})


JOBS = (
    Vendor(
        provider="bfl", model="flux-2-pro", root="/v1", answer=bfl, key_header="x-key", key_form="{key}", takes=EDITS, gives=DRAWS
    ),
    Vendor(provider="fal", model="fal-ai/flux/dev", root="", answer=fal, key_form="Key {key}", gives=DRAWS),
    Vendor(provider="replicate", model="black-forest-labs/flux-schnell", root="/v1", answer=replicate, gives=DRAWS),
    Vendor(provider="luma", model="uni-1", root="/v1", answer=luma, takes=EDITS, gives=DRAWS),
    Vendor(provider="ideogram", model="ideogram-v3", root="", answer=ideogram, key_header="api-key", key_form="{key}", gives=DRAWS),
)
