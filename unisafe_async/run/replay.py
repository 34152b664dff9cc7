"""Cache lookup: fills trials in from the cache, with a few queries for all of them; sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anyio import to_thread
from unisafe_cache import Answer
from unisafe_judger import Judge, Verdict, has_intent, intent_in, read_intent
from unisafe_providers.base import AnsweredBefore, Image, Request

from unisafe_async.benchmark import Images, Item, ItemError
from unisafe_async.gateway import Endpoint, Gateway, key_of
from unisafe_async.run.jobs import Job, Sampling, generation_request
from unisafe_async.run.judged import Question
from unisafe_async.run.jury import Jury


async def jobs_of(
    items: Sequence[Item], images: Images, endpoint: Endpoint, samples: int, sampling: Sampling, judge: Judge
) -> list[Job]:
    """The trials of some items for one model. A trial whose image cannot be read carries the error."""
    with_image = [item.image for item in items if item.image is not None]
    known = await to_thread.run_sync(images.identify_all, with_image) if with_image else {}
    jobs = []
    for item in items:
        image = known.get(item.image) if item.image is not None else None
        usable = image if isinstance(image, Image) else None
        intent_request = judge.intent_request(item.prompt, (usable,) if usable else (), item.subcategory)
        for sample in range(samples):
            request = generation_request(item, usable, sampling, sample)
            if isinstance(endpoint.provider, AnsweredBefore):
                request = endpoint.provider.addressed(request)
            job = Job(item, endpoint, sample, request, intent_request)
            job.intent = item.intention or None
            if isinstance(image, ItemError):
                job.error = str(image)
            jobs.append(job)
    return jobs


async def replay_answers(jobs: Sequence[Job], gateway: Gateway) -> None:
    """Fill in the answers that the cache holds, and no verdicts."""
    wanted = [(key_of(job.endpoint.provider.identity, job.request), job) for job in jobs if job.error is None]
    moment = gateway.moment
    found = await gateway.look_up([key for key, _ in wanted])
    for key, job in wanted:
        job.answer, job.looked_up = found.get(key), moment


async def replay(jobs: Sequence[Job], gateway: Gateway, jury: Jury) -> None:
    """Fill in every answer, intent and verdict that the cache holds for the trials `jobs`."""
    open_jobs = [job for job in jobs if job.error is None]
    wanted = [(key_of(job.endpoint.provider.identity, job.request), job) for job in open_jobs]
    extraction = _Extraction(gateway, jury, [job for job in open_jobs if job.intent is None])
    moment = gateway.moment
    found = await gateway.look_up([*(key for key, _ in wanted), *extraction.keys])
    for key, job in wanted:
        job.answer, job.looked_up = found.get(key), moment
    extraction.read(found)
    while extraction.keys:
        extraction.read(await gateway.look_up(extraction.keys))
    extraction.close()
    answered: list[Job] = []
    for _, job in wanted:
        if job.answer is not None:
            job.endpoint.counts.cached += not job.called
            answered.append(job)
    await _fill_verdicts(answered, gateway, jury)


class _Extraction:
    """Look up the intents of some trials, extractor by extractor: the next one only if the one before found no intent."""

    def __init__(self, gateway: Gateway, jury: Jury, jobs: Sequence[Job]) -> None:
        self._gateway = gateway
        self._jury = jury
        self._doubtful: list[tuple[Job, int]] = []
        self._by_key: dict[str, list[Job]] = {}
        self._position_of: dict[str, int] = {}
        self._keys: dict[tuple[int, Request], str] = {}
        self._add(jobs)

    @property
    def keys(self) -> list[str]:
        return list(self._by_key)

    def _add(self, jobs: Sequence[Job]) -> None:
        self._by_key, self._position_of = {}, {}
        for job in jobs:
            for position in job.extractors(self._jury)[:1]:
                place = (position, job.intent_request)
                key = self._keys.get(place)
                if key is None:
                    identity = self._jury.seats[position].endpoint.provider.identity
                    key = self._keys[place] = key_of(identity, job.intent_request)
                self._by_key.setdefault(key, []).append(job)
                self._position_of[key] = position

    def read(self, found: dict[str, Answer]) -> None:
        """Fill in the found intents; `keys` then holds the keys of the next extractors."""
        without: list[Job] = []
        for key, jobs in self._by_key.items():
            answer = found.get(key)
            if answer is None:
                continue
            position = self._position_of[key]
            missing = read_intent(answer.response)
            passed_over = self._gateway.earlier(answer) and not has_intent(answer.response)
            self._jury.seats[position].endpoint.counts.cached += 0 if passed_over else len(jobs)
            for job in jobs:
                if missing is None:
                    job.intent = intent_in(answer.response)
                else:
                    job.misses_intent(self._jury, position, missing)
                    without.append(job)
                    self._doubtful += [(job, position)] if passed_over else []
        self._add(without)

    def close(self) -> None:
        """If no extractor found an intent, ask those again whose reply in an earlier run could not be read."""
        for job, position in self._doubtful:
            if job.intent is None:
                job.finds_no_intent_yet(position)


@dataclass(frozen=True, slots=True)
class _Ask:
    """A judge's request whose answer may be in the cache.

    For a second try, `first` is the reply that could not be read, and `stale` says that it comes from an earlier run.
    """

    job: Job
    question: Question
    position: int
    request: Request
    first: Verdict | None = None
    stale: bool = False


def _asks(jobs: Sequence[Job], jury: Jury) -> list[_Ask]:
    """The verdicts that may be in the cache, because their requests are known."""
    return [_Ask(job, question, *ask) for job in jobs for question in job.askable(jury) for ask in job.asks(jury, question)]


async def _fill_verdicts(jobs: Sequence[Job], gateway: Gateway, jury: Jury) -> None:
    """Look verdicts up in rounds: second tries and the next judges of a chain are looked up once it is clear that they are needed.

    An unreadable reply from an earlier run does not count: that judge is asked again, unless a later judge of its chain has
    judged.
    """
    asks, passed_over = _asks(jobs, jury), list[_Ask]()
    while asks:
        keyed = [(key_of(jury.seats[ask.position].endpoint.provider.identity, ask.request), ask) for ask in asks]
        found = await gateway.look_up([key for key, _ in keyed])
        asks = []
        for key, ask in keyed:
            asks += _next(ask, found.get(key), gateway, jury, passed_over)
    for ask in passed_over:
        decided = ask.job.verdicts.get(ask.question)
        if decided is None or decided.label is None:
            ask.job.unhears(ask.question, ask.position)


def _next(ask: _Ask, answer: Answer | None, gateway: Gateway, jury: Jury, passed_over: list[_Ask]) -> list[_Ask]:
    """Fill in the cache's answer to `ask`; returns the lookups that follow from it."""
    seat = jury.seats[ask.position]
    if answer is None:
        if ask.first is None or not ask.stale:
            return []
        verdict, stale = ask.first, True
    else:
        verdict = seat.judge.read(ask.request, answer.response)
        stale = verdict.status == "unparsed" and gateway.earlier(answer)
        if verdict.status == "unparsed" and ask.first is None:
            again = seat.judge.again(ask.request, answer.response)
            if again is not None:
                seat.endpoint.counts.cached += not stale
                return [_Ask(ask.job, ask.question, ask.position, again, verdict, stale)]
    seat.endpoint.counts.cached += not stale
    if stale:
        passed_over.append(ask)
        if jury.mode == "panel":
            return []
    ask.job.hears(jury, ask.question, ask.position, verdict)
    if jury.mode == "panel":
        return []
    return [_Ask(ask.job, ask.question, *following) for following in ask.job.asks(jury, ask.question)]
