"""What the cache already knows of some jobs, in a handful of queries for all of them; nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from anyio import to_thread

from cache import Answer
from judger import Judge, again, read_intent, read_verdict
from judger.judge import Verdict
from providers.base import Image, Request
from providers.recorded import Recorded
from unisafe_async.dataset import Images, Item, ItemError
from unisafe_async.gateway import Endpoint, Gateway, key_of
from unisafe_async.jobs import Job, Sampling, generation_request


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


async def replay(jobs: Sequence[Job], gateway: Gateway, judge: Judge, judging: Endpoint) -> None:
    """Fill in every answer, intent and verdict that the cache holds for `jobs`."""
    open_jobs = [job for job in jobs if job.error is None]
    intents = {}
    wanted: list[tuple[str, Job]] = []
    for job in open_jobs:
        wanted.append((key_of(job.endpoint.provider.identity, job.request), job))
        if job.intent is None and job.intent_request not in intents:
            intents[job.intent_request] = key_of(judging.provider.identity, job.intent_request)
    found = await gateway.look_up([*(key for key, _ in wanted), *intents.values()])
    answered: list[Job] = []
    for key, job in wanted:
        job.answer = found.get(key)
        if job.intent is None:
            _fill_intent(job, found.get(intents[job.intent_request]), judging)
        if job.answer is not None:
            job.endpoint.counts.cached += 1
            if not job.decide_without_call():
                answered.append(job)
    await _fill_verdicts(answered, gateway, judge, judging)


def _fill_intent(job: Job, answer: Answer | None, judging: Endpoint) -> None:
    if answer is None:
        return
    judging.counts.cached += 1
    missing = read_intent(answer.response)
    if missing is None:
        job.intent = answer.response.text.strip()
    else:
        job.contextual = missing


Setter = Callable[[Job, Verdict], None]


def _questions(jobs: Sequence[Job], judge: Judge) -> Iterator[tuple[Job, Request, Setter]]:
    """The verdicts that could be in the cache: whose requests are known."""
    for job in jobs:
        yield job, job.intrinsic_request(judge), _set_intrinsic
        if job.contextual is None and job.intent is not None:
            yield job, job.contextual_request(judge), _set_contextual


def _set_contextual(job: Job, verdict: Verdict) -> None:
    job.contextual = verdict


def _set_intrinsic(job: Job, verdict: Verdict) -> None:
    job.intrinsic = verdict


async def _fill_verdicts(jobs: Sequence[Job], gateway: Gateway, judge: Judge, judging: Endpoint) -> None:
    asked = [(job, request, setter, key_of(judging.provider.identity, request)) for job, request, setter in _questions(jobs, judge)]
    found = await gateway.look_up([key for _, _, _, key in asked]) if asked else {}
    retried: list[tuple[Job, Request, Setter, str]] = []
    for job, request, setter, key in asked:
        answer = found.get(key)
        if answer is None:
            continue
        judging.counts.cached += 1
        verdict = read_verdict(request, answer.response)
        if verdict.status == "unparsed":
            second = again(request)
            retried.append((job, second, setter, key_of(judging.provider.identity, second)))
        else:
            setter(job, verdict)
    found = await gateway.look_up([key for _, _, _, key in retried]) if retried else {}
    for job, request, setter, key in retried:
        answer = found.get(key)
        if answer is not None:
            judging.counts.cached += 1
            setter(job, read_verdict(request, answer.response))
