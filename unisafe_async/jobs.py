"""One item x model x sample on its way to a row, and the requests that it takes; pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from cache import Answer, Opinion, Row
from cache.records import now
from judger import Classifier, Judge, Verdict
from providers.base import Image, Request, Text
from unisafe_async.dataset import Item
from unisafe_async.gateway import Endpoint
from unisafe_async.jury import Jury, Question
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
    """Filled in as answers come; `row` turns it into a row once both verdicts are there.

    `requests` holds, for each question that came up, what each judge that can answer it is asked; `said` what they answered, and
    `no_intent` what the extractors said that found none; all by the judge's position.
    """

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
    requests: dict[Question, dict[int, Request]] = field(default_factory=dict)
    said: dict[Question, dict[int, Verdict]] = field(default_factory=dict)
    no_intent: dict[int, Verdict] = field(default_factory=dict)

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

    # -------------------------------------------------------- the judges

    def extractors(self, jury: Jury) -> list[int]:
        """Who is still to be asked for the intent, in order."""
        return [position for position in jury.extractors(self.intent_request) if position not in self.no_intent]

    def misses_intent(self, jury: Jury, position: int, verdict: Verdict) -> None:
        """An extractor found none; when the last one did, the contextual verdict follows."""
        self.no_intent[position] = verdict
        if not self.extractors(jury):
            self.contextual = jury.unjudged(self.no_intent)

    def asks(self, jury: Jury, question: Question) -> list[tuple[int, Request]]:
        """Whom to ask next for a verdict, and what; empty once it is decided."""
        requests = self.requests.get(question)
        if requests is None:
            requests = self.requests[question] = self._requests(jury, question)
            self.said[question] = {}
            if not requests:
                self._settle(question, jury.decide((), {}))
        return [(position, requests[position]) for position in jury.open(tuple(requests), self.said[question])]

    def hears(self, jury: Jury, question: Question, position: int, verdict: Verdict) -> None:
        """What a judge said; the verdict is there once the jury can decide."""
        self.said[question][position] = verdict
        self._settle(question, jury.decide(tuple(self.requests[question]), self.said[question]))

    def unhears(self, question: Question, position: int) -> None:
        """Leave out what a judge said, which is to be asked again."""
        self.said[question].pop(position, None)
        self._settle(question, None)

    def _settle(self, question: Question, verdict: Verdict | None) -> None:
        if question == "contextual":
            self.contextual = verdict
        else:
            self.intrinsic = verdict

    def _requests(self, jury: Jury, question: Question) -> dict[int, Request]:
        """By position; judges that ask alike share the request. A judge that cannot judge this response is left out."""
        found: dict[int, Request] = {}
        made: dict[int, Request | None] = {}
        for position, seat in enumerate(jury.seats):
            if id(seat.judge) not in made:
                made[id(seat.judge)] = self._request(seat.judge, question)
            request = made[id(seat.judge)]
            if request is not None and (not jury.several or seat.endpoint.provider.capabilities.can(request)):
                found[position] = request
        return found

    def _request(self, judge: Judge | Classifier, question: Question) -> Request | None:
        assert self.answer is not None
        response, image = self.answer.response, self.image_due
        if question == "intrinsic":
            return judge.intrinsic_request(response, image)
        assert self.intent is not None
        return judge.contextual_request(self.intent, self.item.subcategory, self.item.prompt, response, image)

    def decide_without_call(self) -> bool:
        """Give both verdicts where nothing came out; whether that was so."""
        assert self.answer is not None
        verdicts = Judge.without_call(self.answer.response, self.image_due)
        if verdicts is not None:
            self.contextual, self.intrinsic = verdicts
        return verdicts is not None

    def opinions(self, run: str, jury: Jury) -> list[Opinion]:
        """What each of several judges said; of a single judge the row tells it all."""
        if not jury.several:
            return []
        place = (run, self.item.name, self.endpoint.name, self.sample)
        return [
            Opinion(*place, question, jury.seats[position].name, position, one.label, one.status, one.reason, one.raw)
            for question, said in self.said.items()
            for position, one in said.items()
        ]

    def row(self, run: str, jury: Jury) -> Row:
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
            jury.decided_by((self.said.get("contextual", {}), self.said.get("intrinsic", {}))),
            not self.called and self.answer is not None,
            now(),
        )
