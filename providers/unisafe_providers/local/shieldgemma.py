"""ShieldGemma 2, the image classifier: for one image the probability that it violates each of the model's policies.

The prompts and policies are the processor's own. Source: transformers' ShieldGemma2Processor and
ShieldGemma2ForImageClassification, whose first column of `probabilities` is that of `Yes`, "violates".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import torch
import transformers

from unisafe_providers.base import Rejected, Request, Response, Usage
from unisafe_providers.local.engine import UNWATCHED, Prepared, Watch
from unisafe_providers.local.language import build_weights_options, on_device
from unisafe_providers.local.pictures import pictures_of
from unisafe_providers.local.settings import LocalSettings

if TYPE_CHECKING:
    from unisafe_providers.local.device import Device

PROMPT_TOKENS = 600
"""Tokens of an image with a policy's prompt, for batches that are limited by tokens."""


class ShieldGemmaEngine:
    """A loaded classifier: chat requests of one image each, answered with `{"scores": {policy: probability}}` as text."""

    first, max_batch = 4, 64
    first_tokens: int | None = None

    def __init__(self, settings: LocalSettings, device: Device) -> None:
        source: dict[str, Any] = {"revision": settings.revision}
        self.device = device
        self.tokens = settings.batch_tokens
        self.processor = transformers.AutoProcessor.from_pretrained(settings.model, **source)
        loader = transformers.ShieldGemma2ForImageClassification
        self.model = loader.from_pretrained(settings.model, **source, **build_weights_options(settings, device)).eval()
        self.policies = tuple(self.processor.policy_definitions)

    def prepare(self, request: Request) -> Prepared:
        if request.kind != "chat" or len(request.images) != 1:
            raise Rejected(f"ShieldGemma judges one image at a time, and {len(request.images)} came")
        length = PROMPT_TOKENS * len(self.policies)
        return Prepared(request=request, group="shieldgemma", length=length, room=1)

    def answer(self, batch: Sequence[Prepared], watch: Watch = UNWATCHED) -> list[Response | Prepared]:
        started = monotonic()
        images = [pictures_of(prepared.request) for prepared in batch]
        inputs = self.processor(images=images, return_tensors="pt")
        with torch.inference_mode():
            found = self.model(**on_device(inputs, self.device, self.model.dtype)).probabilities
        yes = found[:, 0].float().cpu().reshape(len(batch), -1).tolist()
        tokens = inputs["input_ids"].shape[1] * len(self.policies)
        seconds = monotonic() - started
        return [
            Response(
                text=json.dumps({"scores": {name: round(score, 6) for name, score in zip(self.policies, row, strict=True)}}),
                usage=Usage(tokens_in=tokens, tokens_out=1, cost=0.0),
                latency=seconds,
            )
            for row in yes
        ]
