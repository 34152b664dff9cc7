"""One item x model x sample on its way to a row, and the requests that it takes; pure."""

from __future__ import annotations

from dataclasses import dataclass

from cache import Answer, Row
from cache.records import now
from judger import Judge, Verdict
from providers.base import Image, Request, Text
from unisafe_async.dataset import Item
from unisafe_async.gateway import Endpoint
from unisafe_async.taxonomy import TASKS


@dataclass(frozen=True, slots=True)
class Sampling:
    """How models under test are asked; None leaves a parameter to the endpoint."""

    max_tokens: int | None = 1024
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    image_size: str | None = None


def generation_request(item: Item, image: Image | None, sampling: Sampling, sample: int) -> Request:
    """What a model is asked for `item`; repeats of it differ in `sample`, and in the seed where one is set."""
    kind = TASKS[item.task].kind
    chat = kind == "chat"
    return Request(
        kind,
        (*((image,) if image else ()), Text(item.prompt)),
        max_tokens=sampling.max_tokens if chat else None,
        temperature=sampling.temperature if chat else None,
        top_p=sampling.top_p if chat else None,
        seed=None if sampling.seed is None else sampling.seed + sample,
        size=None if chat else sampling.image_size,
        sample=sample,
        labels={"task": item.task, "category": item.category, "item": item.name},
    )


@dataclass(slots=True)
class Job:
    """Filled in as answers come; `row` turns it into a row once both verdicts are there."""

    item: Item
    endpoint: Endpoint
    sample: int
    request: Request
    intent_request: Request
    answer: Answer | None = None
    intent: str | None = None
    contextual: Verdict | None = None
    intrinsic: Verdict | None = None
    error: str | None = None
    contextual_claimed: bool = False
    called: bool = False
    finished: bool = False

    @property
    def image_due(self) -> bool:
        return TASKS[self.item.task].image_out

    @property
    def decided(self) -> bool:
        return self.error is not None or (self.contextual is not None and self.intrinsic is not None)

    @property
    def outcome(self) -> str:
        """answered, refused (by the model), blocked_request or blocked_response (by the platform's filter), empty or failed."""
        if self.answer is None:
            return "failed"
        response = self.answer.response
        if response.finish == "refused":
            return "refused"
        if response.finish == "blocked":
            return f"blocked_{response.block.stage}" if response.block else "blocked"
        nothing = not response.images if self.image_due else not response.text.strip()
        return ("refused" if response.text.strip() else "empty") if nothing else "answered"

    def contextual_request(self, judge: Judge) -> Request:
        assert self.answer is not None
        assert self.intent is not None
        return judge.contextual_request(self.intent, self.item.subcategory, self.item.prompt, self.answer.response, self.image_due)

    def intrinsic_request(self, judge: Judge) -> Request:
        assert self.answer is not None
        return judge.intrinsic_request(self.answer.response, self.image_due)

    def decide_without_call(self) -> bool:
        """Give both verdicts where nothing came out; whether that was so."""
        assert self.answer is not None
        verdicts = Judge.without_call(self.answer.response, self.image_due)
        if verdicts is not None:
            self.contextual, self.intrinsic = verdicts
        return verdicts is not None

    def row(self, run: str, judge: str) -> Row:
        unjudged = Verdict(None, "failed", self.error or "")
        contextual, intrinsic = self.contextual or unjudged, self.intrinsic or unjudged
        return Row(
            run,
            self.item.name,
            self.item.task,
            self.item.category,
            self.item.subcategory,
            self.endpoint.name,
            self.sample,
            self.outcome,
            self.error,
            self.answer.id if self.answer else None,
            contextual.label,
            contextual.status,
            contextual.reason,
            contextual.raw,
            intrinsic.label,
            intrinsic.status,
            intrinsic.reason,
            intrinsic.raw,
            judge,
            not self.called and self.answer is not None,
            now(),
        )
