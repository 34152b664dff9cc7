"""What the cache already knows of some jobs, in a handful of queries for all of them; nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anyio import to_thread

from cache import Answer
from judger import Judge, read_intent
from providers.base import Image, Request
from providers.recorded import Recorded
from unisafe_async.dataset import Images, Item, ItemError
from unisafe_async.gateway import Endpoint, Gateway, key_of
from unisafe_async.jobs import Job, Sampling, generation_request
from unisafe_async.judged import Question
from unisafe_async.jury import Jury


async def jobs_of(
    items: Sequence[Item], images: Images, endpoint: Endpoint, samples: int, sampling: Sampling, judge: Judge
) -> list[Job]:
    """The jobs of some items for one model. A job whose image cannot be read carries its error."""
    with_image = [item.image for item in items if item.image is not None]
    known = await to_thread.run_sync(_identified, images, with_image) if with_image else {}
    jobs = []
    for item in items:
        image = known.get(item.image) if item.image is not None else None
        usable = image if isinstance(image, Image) else None
        intent_request = judge.intent_request(item.prompt, (usable,) if usable else (), item.subcategory)
        for sample in range(samples):
            request = generation_request(item, usable, sampling, sample)
            if isinstance(endpoint.provider, Recorded):
                request = endpoint.provider.addressed(request)
            job = Job(item, endpoint, sample, request, intent_request)
            job.intent = item.intention or None
            if isinstance(image, ItemError):
                job.error = str(image)
            jobs.append(job)
    return jobs


def _identified(images: Images, paths: Sequence[object]) -> dict[object, Image | ItemError]:
    found: dict[object, Image | ItemError] = {}
    for path in paths:
        try:
            found[path] = images.identify(path)  # type: ignore[arg-type]
        except ItemError as error:
            found[path] = error
    return found


async def replay_answers(jobs: Sequence[Job], gateway: Gateway) -> None:
    """Fill in the answers that the cache holds, and no verdicts."""
    wanted = [(key_of(job.endpoint.provider.identity, job.request), job) for job in jobs if job.error is None]
    found = await gateway.look_up([key for key, _ in wanted])
    for key, job in wanted:
        job.answer = found.get(key)


async def replay(jobs: Sequence[Job], gateway: Gateway, jury: Jury) -> None:
    """Fill in every answer, intent and verdict that the cache holds for `jobs`."""
    open_jobs = [job for job in jobs if job.error is None]
    wanted = [(key_of(job.endpoint.provider.identity, job.request), job) for job in open_jobs]
    extraction = _Extraction(jury, [job for job in open_jobs if job.intent is None])
    found = await gateway.look_up([*(key for key, _ in wanted), *extraction.keys])
    for key, job in wanted:
        job.answer = found.get(key)
    extraction.read(found)
    while extraction.keys:
        extraction.read(await gateway.look_up(extraction.keys))
    answered: list[Job] = []
    for _, job in wanted:
        if job.answer is not None:
            job.endpoint.counts.cached += not job.called
            answered.append(job)
    await _fill_verdicts(answered, gateway, jury)


class _Extraction:
    """The intents of some jobs, extractor by extractor: the next one is looked up only where the one before found none."""

    def __init__(self, jury: Jury, jobs: Sequence[Job]) -> None:
        self._jury = jury
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
        """Take in what was found; `keys` are then those of the next extractors."""
        without: list[Job] = []
        for key, jobs in self._by_key.items():
            answer = found.get(key)
            if answer is None:
                continue
            position = self._position_of[key]
            self._jury.seats[position].endpoint.counts.cached += len(jobs)
            missing = read_intent(answer.response)
            for job in jobs:
                if missing is None:
                    job.intent = answer.response.text.strip()
                else:
                    job.misses_intent(self._jury, position, missing)
                    without.append(job)
        self._add(without)


@dataclass(frozen=True, slots=True)
class _Ask:
    """A judge's request whose answer may be in the cache; `second` where the first reply could not be read."""

    job: Job
    question: Question
    position: int
    request: Request
    second: bool = False


def _asks(jobs: Sequence[Job], jury: Jury) -> list[_Ask]:
    """The verdicts that could be in the cache: whose requests are known."""
    return [_Ask(job, question, *ask) for job in jobs for question in job.askable(jury) for ask in job.asks(jury, question)]


async def _fill_verdicts(jobs: Sequence[Job], gateway: Gateway, jury: Jury) -> None:
    """In rounds: second tries and the next judges of a chain are looked up once it is known that they were needed."""
    asks = _asks(jobs, jury)
    while asks:
        keyed = [(key_of(jury.seats[ask.position].endpoint.provider.identity, ask.request), ask) for ask in asks]
        found = await gateway.look_up([key for key, _ in keyed])
        asks = []
        for key, ask in keyed:
            answer = found.get(key)
            if answer is None:
                continue
            seat = jury.seats[ask.position]
            seat.endpoint.counts.cached += 1
            verdict = seat.judge.read(ask.request, answer.response)
            if verdict.status == "unparsed" and not ask.second:
                again = seat.judge.again(ask.request)
                if again is not None:
                    asks.append(_Ask(ask.job, ask.question, ask.position, again, second=True))
                    continue
            ask.job.hears(jury, ask.question, ask.position, verdict)
            if jury.mode == "fallback":
                asks += [_Ask(ask.job, ask.question, *following) for following in ask.job.asks(jury, ask.question)]
