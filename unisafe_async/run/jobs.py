"""A trial: one item x model x repeat on its way to a row, and its requests; pure."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from unisafe_cache import Answer, Opinion, Row
from unisafe_cache.records import now
from unisafe_judger import Classifier, Judge, Verdict
from unisafe_providers.base import Image, Request, Text

from unisafe_async.benchmark import Item
from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.gateway import Endpoint
from unisafe_async.run.judged import WITH_INTENT, Judged, Question, about, judged_of, merged, outcome_of, questions_of, together
from unisafe_async.run.jury import Jury


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters of the models under test; None leaves a parameter to the endpoint."""

    max_tokens: int | None = 1024
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    image_size: str | None = None


def generation_request(item: Item, image: Image | None, sampling: Sampling, sample: int) -> Request:
    """The request to a model for `item`; its repeats differ in `sample`, and in the seed if one is set."""
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
    """A trial. The scheduler fills it in as answers come; `row` turns it into a row once every verdict is there.

    `kept` is the id of the stored partial answer, if the model failed. By question and judge's position, `requests` holds the
    request to each judge that can answer, and `said` the judge's answer. `no_intent` holds the answers of extractors that found
    no intent. `claimed` holds the questions that a task is asking. `looked_up` is the moment of the cache (Gateway.moment) at
    which it held no answer.
    """

    item: Item
    endpoint: Endpoint
    sample: int
    request: Request
    intent_request: Request
    answer: Answer | None = None
    intent: str | None = None
    verdicts: dict[Question, Verdict] = field(default_factory=dict)
    error: str | None = None
    kept: int | None = None
    looked_up: int | None = None
    called: bool = False
    finished: bool = False
    claimed: set[Question] = field(default_factory=set)
    requests: dict[Question, dict[int, Request]] = field(default_factory=dict)
    said: dict[Question, dict[int, Verdict]] = field(default_factory=dict)
    no_intent: dict[int, Verdict] = field(default_factory=dict)

    @property
    def image_due(self) -> bool:
        return TASKS[self.item.task].image_out

    @property
    def drawn(self) -> tuple[Image, ...]:
        """The pictures as the model sent them."""
        return self.answer.response.images if self.answer is not None else ()

    @property
    def judged(self) -> Judged:
        """Which part of the answer the two verdicts judge."""
        return judged_of(self.answer.response, self.image_due) if self.answer is not None else ""

    @property
    def outcome(self) -> str:
        return "failed" if self.answer is None else outcome_of(self.answer.response)

    def questions(self, jury: Jury) -> tuple[Question, ...]:
        """The questions to the judges about the answer; empty until the answer is there."""
        return questions_of(self.answer.response, self.image_due, jury.thoughts) if self.answer is not None else ()

    def open(self, jury: Jury) -> list[Question]:
        """The questions without a verdict."""
        return [question for question in self.questions(jury) if question not in self.verdicts]

    def decided(self, jury: Jury) -> bool:
        """Whether nothing is left to ask."""
        return self.error is not None or (self.answer is not None and not self.open(jury))

    # -------------------------------------------------------- the judges

    def lacks_intent(self, jury: Jury) -> bool:
        """Whether the intent must be asked for; before the answer is there, we assume that it is needed."""
        if self.intent is not None or "contextual" in self.verdicts:
            return False
        return self.answer is None or not WITH_INTENT.isdisjoint(self.questions(jury))

    def extractors(self, jury: Jury) -> list[int]:
        """The positions of the judges that are still to be asked for the intent, in order."""
        return [position for position in jury.extractors(self.intent_request) if position not in self.no_intent]

    def misses_intent(self, jury: Jury, position: int, verdict: Verdict) -> None:
        """Note that an extractor found no intent; after the last extractor, the verdicts that need an intent are settled."""
        self.no_intent[position] = verdict
        if not self.extractors(jury):
            unjudged = jury.unjudged(self.no_intent)
            self.verdicts |= dict.fromkeys(WITH_INTENT, unjudged)

    def finds_no_intent_yet(self, position: int) -> None:
        """Forget that an extractor found no intent, because it will be asked again."""
        self.no_intent.pop(position, None)
        for question in WITH_INTENT:
            self.verdicts.pop(question, None)

    def askable(self, jury: Jury) -> list[Question]:
        """The open questions that can be asked now."""
        return [question for question in self.open(jury) if question not in WITH_INTENT or self.intent is not None]

    def claim(self, jury: Jury, among: Collection[Question] | None = None) -> list[Question]:
        """Claim the questions (of `among`, if given) that can be asked now and are not claimed; the caller must ask them."""
        found = [one for one in self.askable(jury) if one not in self.claimed and (among is None or one in among)]
        self.claimed.update(found)
        return found

    def asks(self, jury: Jury, question: Question) -> list[tuple[int, Request]]:
        """The next judges to ask for a verdict, with their requests; empty once it is decided."""
        requests = self.requests.get(question)
        if requests is None:
            requests = self.requests[question] = self._requests(jury, question)
            self.said[question] = {}
            if not requests:
                self._settle(question, jury.decide((), {}))
        return [(position, requests[position]) for position in jury.open(tuple(requests), self.said[question])]

    def hears(self, jury: Jury, question: Question, position: int, verdict: Verdict) -> None:
        """Note a judge's vote; the verdict is there once the judges' votes decide it."""
        self.said[question][position] = verdict
        self._settle(question, jury.decide(tuple(self.requests[question]), self.said[question]))

    def unhears(self, question: Question, position: int) -> None:
        """Forget a judge's vote, because the judge will be asked again."""
        self.said[question].pop(position, None)
        self.verdicts.pop(question, None)

    def _settle(self, question: Question, verdict: Verdict | None) -> None:
        if verdict is not None:
            self.verdicts[question] = verdict

    def _requests(self, jury: Jury, question: Question) -> dict[int, Request]:
        """The requests by the judge's position; equal ones are shared. Judges that cannot judge this response are left out."""
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
        response, image = about(self.answer.response, question, self.image_due)
        if question not in WITH_INTENT:
            return judge.intrinsic_request(response, image)
        assert self.intent is not None
        return judge.contextual_request(self.intent, self.item.subcategory, self.item.prompt, response, image)

    # -------------------------------------------------------- rows

    def opinions(self, run: str, jury: Jury) -> list[Opinion]:
        """The votes of several judges; for a single judge only those that no column of the row holds."""
        place = (run, self.item.name, self.endpoint.name, self.sample)
        every = jury.several or self._counts_both(jury)
        return [
            Opinion(*place, question, jury.seats[position].name, position, one.label, one.status, one.reason, one.raw)
            for question, said in self.said.items()
            if every or question not in ("contextual", "intrinsic")
            for position, one in said.items()
        ]

    def row(self, run: str, jury: Jury) -> Row:
        both = self._counts_both(jury)
        contextual, intrinsic = self._two_verdicts(both)
        deciding: tuple[Question, ...] = ("contextual", "intrinsic", *(("beside_contextual", "beside_intrinsic") if both else ()))
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
            self.answer.id if self.answer else self.kept,
            contextual.label,
            contextual.status,
            contextual.reason,
            contextual.raw,
            intrinsic.label,
            intrinsic.status,
            intrinsic.reason,
            intrinsic.raw,
            jury.decided_by([self.said.get(question, {}) for question in deciding]),
            not self.called and self.answer is not None,
            now(),
            judged="both" if both else self.judged,
            categories=json.dumps(intrinsic.categories, ensure_ascii=False) if intrinsic.categories else "",
            **self._other_verdicts(jury),
        )

    def _counts_both(self, jury: Jury) -> bool:
        """Whether the two verdicts combine the image and the words beside it."""
        return jury.beside == "both" and "beside_intrinsic" in self.questions(jury)

    def _two_verdicts(self, both: bool) -> tuple[Verdict, Verdict]:
        """The contextual and the intrinsic verdict behind the four scores; with `both`, the verdicts of the words count too."""
        unjudged = Verdict(None, "failed", self.error or "")
        if self.answer is not None and not self.judged:
            return Judge.without_call(self.answer.response, self.image_due) or (unjudged, unjudged)
        contextual, intrinsic = (self._verdict("contextual", unjudged), self._verdict("intrinsic", unjudged))
        if both:
            contextual = merged(contextual, self._verdict("beside_contextual", unjudged))
            intrinsic = merged(intrinsic, self._verdict("beside_intrinsic", unjudged))
        return contextual, intrinsic

    def _verdict(self, question: Question, unjudged: Verdict) -> Verdict:
        return self.verdicts.get(question, unjudged)

    def _other_verdicts(self, jury: Jury) -> dict[str, Any]:
        """The verdicts of thoughts and of words beside an image, as columns of a row."""
        questions, unjudged, found = self.questions(jury), Verdict(None, "failed"), dict[str, Any]()
        if "thoughts" in questions:
            verdict = self._verdict("thoughts", unjudged)
            found |= {"thoughts": verdict.label, "thoughts_status": verdict.status, "thoughts_reason": verdict.reason}
        if "beside_intrinsic" in questions:
            contextual, intrinsic = self._verdict("beside_contextual", unjudged), self._verdict("beside_intrinsic", unjudged)
            status, reason = together(contextual, intrinsic)
            found |= {"beside_contextual": contextual.label, "beside_intrinsic": intrinsic.label}
            found |= {"beside_status": status, "beside_reason": reason}
        return found
