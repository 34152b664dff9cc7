"""A trial: one item x model x repeat on its way to a row, and its requests; pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from unisafe_cache import Answer, Row, Vote
from unisafe_cache.records import now
from unisafe_judger import Classifier, Judge, Verdict
from unisafe_providers.base import Image, Request, Text

from unisafe_async.benchmark import Item
from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.gateway import Endpoint
from unisafe_async.run.judged import (
    WITH_INTENT,
    Asked,
    Judged,
    Question,
    join_statuses,
    judged_of,
    merge_verdicts,
    outcome_of,
    questions_of,
    select_judged,
)
from unisafe_async.run.panel import Panel


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling parameters of the models under test; None leaves a parameter to the endpoint."""

    max_tokens: int | None = 1024
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    image_size: str | None = None


def build_generation_request(item: Item, image: Image | None, sampling: Sampling, repeat: int) -> Request:
    """The request to a model for `item`; its repeats differ in `repeat`, and in the seed if one is set."""
    kind = TASKS[item.task].kind
    chat = kind == "chat"
    return Request(
        kind=kind,
        parts=(*((image,) if image else ()), Text(item.prompt)),
        max_tokens=sampling.max_tokens if chat else None,
        temperature=sampling.temperature if chat else None,
        top_p=sampling.top_p if chat else None,
        seed=None if sampling.seed is None else sampling.seed + repeat,
        size=None if chat else sampling.image_size,
        sample=repeat,
        labels={"task": item.task, "category": item.category, "item": item.name},
    )


@dataclass(slots=True, kw_only=True)
class Trial:
    """A trial. The scheduler fills it in as answers come; `build_row` turns it into a row once every verdict is there.

    `kept` is the id of the stored partial answer, if the model failed. By question and judge's position, `requests` holds the
    request to each judge that can answer, and `said` the judge's answer. `no_intent` holds the answers of extractors that found
    no intent. `claimed` holds the questions that a task is asking. `looked_up` is the moment of the cache (Gateway.moment) at
    which it held no answer. `place` is the item's place in the dataset. `seen` says that an earlier pass
    looked it up, and `missed` holds the failures of judges in those passes.
    """

    item: Item
    endpoint: Endpoint
    repeat: int
    request: Request
    intent_request: Request
    place: int = 0
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
    seen: bool = False
    missed: Mapping[Asked, Mapping[int, Verdict]] = field(default_factory=dict)

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

    def questions(self, panel: Panel) -> tuple[Question, ...]:
        """The questions to the judges about the answer; empty until the answer is there."""
        return questions_of(self.answer.response, self.image_due, panel.thoughts) if self.answer is not None else ()

    def find_open(self, panel: Panel) -> list[Question]:
        """The questions without a verdict."""
        return [question for question in self.questions(panel) if question not in self.verdicts]

    def is_decided(self, panel: Panel) -> bool:
        """Whether nothing is left to ask."""
        return self.error is not None or (self.answer is not None and not self.find_open(panel))

    # -------------------------------------------------------- the judges

    def needs_intent(self, panel: Panel) -> bool:
        """Whether the intent must be asked for; before the answer is there, we assume that it is needed."""
        if self.intent is not None or "contextual" in self.verdicts:
            return False
        return self.answer is None or not WITH_INTENT.isdisjoint(self.questions(panel))

    def find_extractors(self, panel: Panel) -> list[int]:
        """The positions of the judges that are still to be asked for the intent, in order."""
        return [position for position in panel.find_extractors(self.intent_request) if position not in self.no_intent]

    def note_no_intent(self, panel: Panel, position: int, verdict: Verdict) -> None:
        """Note that an extractor found no intent; after the last extractor, the verdicts that need an intent are settled."""
        self.no_intent[position] = verdict
        if not self.find_extractors(panel):
            unjudged = panel.build_unjudged(self.no_intent)
            self.verdicts |= dict.fromkeys(WITH_INTENT, unjudged)

    def forget_no_intent(self, position: int) -> None:
        """Forget that an extractor found no intent, because it will be asked again."""
        self.no_intent.pop(position, None)
        for question in WITH_INTENT:
            self.verdicts.pop(question, None)

    def find_askable(self, panel: Panel) -> list[Question]:
        """The open questions that can be asked now."""
        return [question for question in self.find_open(panel) if question not in WITH_INTENT or self.intent is not None]

    def claim(self, panel: Panel, among: Collection[Question] | None = None) -> list[Question]:
        """Claim the questions (of `among`, if given) that can be asked now and are not claimed; the caller must ask them."""
        found = [one for one in self.find_askable(panel) if one not in self.claimed and (among is None or one in among)]
        self.claimed.update(found)
        return found

    def find_requests(self, panel: Panel, question: Question) -> list[tuple[int, Request]]:
        """The next judges to ask for a verdict, with their requests; empty once it is decided."""
        requests = self.requests.get(question)
        if requests is None:
            requests = self.requests[question] = self._build_requests(panel, question)
            said = {position: verdict for position, verdict in self.missed.get(question, {}).items() if position in requests}
            self.said[question] = said
            if said or not requests:
                self._settle(question, panel.decide(tuple(requests), said))
        return [(position, requests[position]) for position in panel.open(tuple(requests), self.said[question])]

    def note_reply(self, panel: Panel, question: Question, position: int, verdict: Verdict) -> None:
        """Note a judge's vote; the verdict is there once the judges' votes decide it."""
        self.said[question][position] = verdict
        self._settle(question, panel.decide(tuple(self.requests[question]), self.said[question]))

    def forget_reply(self, question: Question, position: int) -> None:
        """Forget a judge's vote, because the judge will be asked again."""
        self.said[question].pop(position, None)
        self.verdicts.pop(question, None)

    def _settle(self, question: Question, verdict: Verdict | None) -> None:
        if verdict is not None:
            self.verdicts[question] = verdict

    def _build_requests(self, panel: Panel, question: Question) -> dict[int, Request]:
        """The requests by the judge's position; equal ones are shared. Judges that cannot judge this response are left out."""
        found: dict[int, Request] = {}
        made: dict[int, Request | None] = {}
        for position, member in enumerate(panel.members):
            if id(member.judge) not in made:
                made[id(member.judge)] = self._build_request(member.judge, question)
            request = made[id(member.judge)]
            if request is not None and (not panel.several or member.endpoint.provider.capabilities.can(request)):
                found[position] = request
        return found

    def _build_request(self, judge: Judge | Classifier, question: Question) -> Request | None:
        assert self.answer is not None
        response, image = select_judged(self.answer.response, question, self.image_due)
        if question not in WITH_INTENT:
            return judge.intrinsic_request(response, image)
        assert self.intent is not None
        return judge.contextual_request(self.intent, self.item.subcategory, self.item.prompt, response, image)

    # -------------------------------------------------------- rows

    def build_votes(self, run: str, panel: Panel) -> list[Vote]:
        """The votes of several judges; for a single judge only those that no column of the row holds."""
        item, model = self.item.name, self.endpoint.name
        every = panel.several or self._counts_both(panel)
        return [
            Vote(
                run=run,
                item=item,
                model=model,
                sample=self.repeat,
                question=question,
                judge=panel.members[position].name,
                position=position,
                label=one.label,
                status=one.status,
                reason=one.reason,
                raw=one.raw,
            )
            for question, said in self.said.items()
            if every or question not in ("contextual", "intrinsic")
            for position, one in said.items()
        ]

    def build_row(self, run: str, panel: Panel) -> Row:
        both = self._counts_both(panel)
        contextual, intrinsic = self._two_verdicts(both)
        deciding: tuple[Question, ...] = ("contextual", "intrinsic", *(("beside_contextual", "beside_intrinsic") if both else ()))
        return Row(
            run=run,
            item=self.item.name,
            task=self.item.task,
            category=self.item.category,
            subcategory=self.item.subcategory,
            model=self.endpoint.name,
            sample=self.repeat,
            outcome=self.outcome,
            error=self.error,
            response=self.answer.id if self.answer else self.kept,
            contextual=contextual.label,
            contextual_status=contextual.status,
            contextual_reason=contextual.reason,
            contextual_raw=contextual.raw,
            intrinsic=intrinsic.label,
            intrinsic_status=intrinsic.status,
            intrinsic_reason=intrinsic.reason,
            intrinsic_raw=intrinsic.raw,
            judge=panel.name_deciders([self.said.get(question, {}) for question in deciding]),
            cached=not self.called and self.answer is not None,
            created=now(),
            judged="both" if both else self.judged,
            categories=json.dumps(intrinsic.categories, ensure_ascii=False) if intrinsic.categories else "",
            **self._build_other_verdicts(panel),
        )

    def _counts_both(self, panel: Panel) -> bool:
        """Whether the two verdicts combine the image and the words beside it."""
        return panel.beside == "both" and "beside_intrinsic" in self.questions(panel)

    def _two_verdicts(self, both: bool) -> tuple[Verdict, Verdict]:
        """The contextual and the intrinsic verdict behind the four scores; with `both`, the verdicts of the words count too."""
        unjudged = Verdict(label=None, status="failed", reason=self.error or "")
        if self.answer is not None and not self.judged:
            return Judge.without_call(self.answer.response, self.image_due) or (unjudged, unjudged)
        contextual, intrinsic = (self._verdict("contextual", unjudged), self._verdict("intrinsic", unjudged))
        if both:
            contextual = merge_verdicts(contextual, self._verdict("beside_contextual", unjudged))
            intrinsic = merge_verdicts(intrinsic, self._verdict("beside_intrinsic", unjudged))
        return contextual, intrinsic

    def _verdict(self, question: Question, unjudged: Verdict) -> Verdict:
        return self.verdicts.get(question, unjudged)

    def _build_other_verdicts(self, panel: Panel) -> dict[str, Any]:
        """The verdicts of thoughts and of words beside an image, as columns of a row."""
        questions, unjudged, found = self.questions(panel), Verdict(label=None, status="failed"), dict[str, Any]()
        if "thoughts" in questions:
            verdict = self._verdict("thoughts", unjudged)
            found |= {"thoughts": verdict.label, "thoughts_status": verdict.status, "thoughts_reason": verdict.reason}
        if "beside_intrinsic" in questions:
            contextual, intrinsic = self._verdict("beside_contextual", unjudged), self._verdict("beside_intrinsic", unjudged)
            status, reason = join_statuses(contextual, intrinsic)
            found |= {"beside_contextual": contextual.label, "beside_intrinsic": intrinsic.label}
            found |= {"beside_status": status, "beside_reason": reason}
        return found
