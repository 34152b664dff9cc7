"""Cache lookup: fills trials in from the cache, with a few queries for all of them; sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anyio import to_thread
from unisafe_cache import Answer
from unisafe_judger import Judge, Verdict, has_intent, intent_in, read_intent
from unisafe_providers.base import Image, Request, is_answered_before

from unisafe_async.benchmark import Item, ItemError, ItemImages
from unisafe_async.gateway import Endpoint, Gateway, key_of
from unisafe_async.run.judged import Question
from unisafe_async.run.panel import Panel
from unisafe_async.run.trials import Sampling, Trial, build_generation_request


async def trials_of(
    items: Sequence[Item], images: ItemImages, endpoint: Endpoint, repeats: int, sampling: Sampling, judge: Judge
) -> list[Trial]:
    """The trials of some items for one model. A trial whose image cannot be read carries the error."""
    with_image = [item.image for item in items if item.image is not None]
    known = await to_thread.run_sync(images.identify_all, with_image) if with_image else {}
    trials = []
    for item in items:
        image = known.get(item.image) if item.image is not None else None
        usable = image if isinstance(image, Image) else None
        intent_request = judge.intent_request(item.prompt, (usable,) if usable else (), item.subcategory)
        for repeat in range(repeats):
            request = build_generation_request(item, usable, sampling, repeat)
            if is_answered_before(endpoint.provider):
                request = endpoint.provider.addressed(request)
            trial = Trial(item=item, endpoint=endpoint, repeat=repeat, request=request, intent_request=intent_request)
            trial.intent = item.intention or None
            if isinstance(image, ItemError):
                trial.error = str(image)
            trials.append(trial)
    return trials


async def judge_from_cache(trials: Sequence[Trial], gateway: Gateway, panel: Panel) -> None:
    """Fill in every answer, intent and verdict that the cache holds for the trials `trials`."""
    open_jobs = [trial for trial in trials if trial.error is None]
    wanted = [(key_of(trial.endpoint.provider.identity, trial.request), trial) for trial in open_jobs]
    extraction = _Extraction(gateway, panel, [trial for trial in open_jobs if trial.intent is None])
    moment = gateway.moment
    found = await gateway.look_up([*(key for key, _ in wanted), *extraction.keys])
    for key, trial in wanted:
        trial.answer, trial.looked_up = found.get(key), moment
    extraction.read(found)
    while extraction.keys:
        extraction.read(await gateway.look_up(extraction.keys))
    extraction.close()
    answered: list[Trial] = []
    for _, trial in wanted:
        if trial.answer is not None:
            trial.endpoint.counts.cached += not (trial.called or trial.seen)
            answered.append(trial)
    await _fill_verdicts(answered, gateway, panel)


class _Extraction:
    """Look up the intents of some trials, extractor by extractor: the next one only if the one before found no intent."""

    def __init__(self, gateway: Gateway, panel: Panel, trials: Sequence[Trial]) -> None:
        self._gateway = gateway
        self._jury = panel
        self._doubtful: list[tuple[Trial, int]] = []
        self._by_key: dict[str, list[Trial]] = {}
        self._position_of: dict[str, int] = {}
        self._keys: dict[tuple[int, Request], str] = {}
        self._add(trials)

    @property
    def keys(self) -> list[str]:
        return list(self._by_key)

    def _add(self, trials: Sequence[Trial]) -> None:
        self._by_key, self._position_of = {}, {}
        for trial in trials:
            for position in trial.find_extractors(self._jury)[:1]:
                place = (position, trial.intent_request)
                key = self._keys.get(place)
                if key is None:
                    identity = self._jury.members[position].endpoint.provider.identity
                    key = self._keys[place] = key_of(identity, trial.intent_request)
                self._by_key.setdefault(key, []).append(trial)
                self._position_of[key] = position

    def read(self, found: dict[str, Answer]) -> None:
        """Fill in the found intents; `keys` then holds the keys of the next extractors."""
        without: list[Trial] = []
        for key, trials in self._by_key.items():
            answer = found.get(key)
            if answer is None:
                continue
            position = self._position_of[key]
            missing = read_intent(answer.response)
            passed_over = self._gateway.is_earlier(answer) and not has_intent(answer.response)
            self._jury.members[position].endpoint.counts.cached += 0 if passed_over else sum(not trial.seen for trial in trials)
            for trial in trials:
                if missing is None:
                    trial.intent = intent_in(answer.response)
                else:
                    trial.note_no_intent(self._jury, position, missing)
                    without.append(trial)
                    self._doubtful += [(trial, position)] if passed_over else []
        self._add(without)

    def close(self) -> None:
        """If no extractor found an intent, ask those again whose reply in an earlier run could not be read."""
        for trial, position in self._doubtful:
            if trial.intent is None:
                trial.forget_no_intent(position)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    """A judge's request whose answer may be in the cache.

    For a second try, `first` is the reply that could not be read, and `stale` says that it comes from an earlier run.
    """

    trial: Trial
    question: Question
    position: int
    request: Request
    first: Verdict | None = None
    stale: bool = False


def _list_asks(trials: Sequence[Trial], panel: Panel) -> list[_Ask]:
    """The verdicts that may be in the cache, because their requests are known."""
    return [
        _Ask(trial=trial, question=question, position=position, request=request)
        for trial in trials
        for question in trial.find_askable(panel)
        for position, request in trial.find_requests(panel, question)
    ]


async def _fill_verdicts(trials: Sequence[Trial], gateway: Gateway, panel: Panel) -> None:
    """Look verdicts up in rounds: second tries and the next judges of a chain are looked up once it is clear that they are needed.

    An unreadable reply from an earlier run does not count: that judge is asked again, unless a later judge of its chain has
    judged.
    """
    asks, passed_over = _list_asks(trials, panel), list[_Ask]()
    while asks:
        keyed = [(key_of(panel.members[ask.position].endpoint.provider.identity, ask.request), ask) for ask in asks]
        found = await gateway.look_up([key for key, _ in keyed])
        asks = []
        for key, ask in keyed:
            asks += _advance(ask, found.get(key), gateway, panel, passed_over)
    for ask in passed_over:
        decided = ask.trial.verdicts.get(ask.question)
        if decided is None or decided.label is None:
            ask.trial.forget_reply(ask.question, ask.position)


def _advance(ask: _Ask, answer: Answer | None, gateway: Gateway, panel: Panel, passed_over: list[_Ask]) -> list[_Ask]:
    """Fill in the cache's answer to `ask`; returns the lookups that follow from it."""
    member = panel.members[ask.position]
    if answer is None:
        if ask.first is None or not ask.stale:
            return []
        verdict, stale = ask.first, True
    else:
        verdict = member.judge.read(ask.request, answer.response)
        stale = verdict.status == "unparsed" and gateway.is_earlier(answer)
        if verdict.status == "unparsed" and ask.first is None:
            again = member.judge.again(ask.request, answer.response)
            if again is not None:
                member.endpoint.counts.cached += not (stale or ask.trial.seen)
                return [
                    _Ask(trial=ask.trial, question=ask.question, position=ask.position, request=again, first=verdict, stale=stale)
                ]
    member.endpoint.counts.cached += not (stale or ask.trial.seen)
    if stale:
        passed_over.append(ask)
        if panel.mode == "panel":
            return []
    ask.trial.note_reply(panel, ask.question, ask.position, verdict)
    if panel.mode == "panel":
        return []
    asks = ask.trial.find_requests(panel, ask.question)
    return [_Ask(trial=ask.trial, question=ask.question, position=position, request=request) for position, request in asks]
