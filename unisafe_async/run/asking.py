"""The questions to the judges about one trial: the intent, then the verdicts, as far as the pass under way allows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial

import anyio
from unisafe_judger import NoIntent, Verdict, has_intent, readable, verdict_of
from unisafe_providers.base import Request, Response

from unisafe_async.gateway import Gateway, NotRun
from unisafe_async.run.judged import WITH_INTENT, Asked, Question
from unisafe_async.run.panel import Panel
from unisafe_async.run.remembered import Remembered
from unisafe_async.run.trials import Trial


@dataclass(kw_only=True)
class Asking:
    """Asks the judges, and notes what they say.

    Attributes:
        judges: the positions of the judges that can be asked now. One that is stopped says so at any time, without its device.
        replies: how many replies were noted.
    """

    gateway: Gateway
    panel: Panel
    remembered: Remembered
    judges: Collection[int] = ()
    replies: int = field(default=0, init=False)

    def find_due(self, trial: Trial) -> bool:
        """Whether a judge can be asked now about a trial that is answered."""
        return self.can_extract(trial) or any(self._list_asks(trial, question) for question in trial.find_askable(self.panel))

    def can_extract(self, trial: Trial) -> bool:
        """Whether the intent is needed and the next extractor can be asked now."""
        return trial.needs_intent(self.panel) and self._find_extractor(trial) is not None

    def claim(self, trial: Trial, among: Collection[Question] | None = None) -> list[Question]:
        """Claim the questions (of `among`, if given) that can be asked now; the caller must ask them."""
        return [question for question in trial.claim(self.panel, among) if self._list_asks(trial, question)]

    async def ask(self, trial: Trial, asked: Asked) -> None:
        """Ask for an intent, and then for the verdicts that need it, or for a verdict. Raises NotRun."""
        if trial.error is not None:
            return
        if asked == "intent":
            await self._extract(trial)
            for waiting in self.claim(trial, WITH_INTENT):
                await self._decide(trial, waiting)
        else:
            await self._decide(trial, asked)

    def _can_be_asked(self, position: int, request: Request) -> bool:
        return position in self.judges or self.panel.members[position].endpoint.find_stop(request) is not None

    def _find_extractor(self, trial: Trial) -> int | None:
        """The next extractor, if it can be asked now."""
        following = trial.find_extractors(self.panel)[:1]
        return next((position for position in following if self._can_be_asked(position, trial.intent_request)), None)

    def _list_asks(self, trial: Trial, question: Question) -> list[tuple[int, Request]]:
        """The next judges that can be asked now for a verdict, with their requests."""
        asks = trial.find_requests(self.panel, question)
        return [(position, request) for position, request in asks if self._can_be_asked(position, request)]

    async def _extract(self, trial: Trial) -> None:
        """Get the intent from the first extractor that finds one; without an intent, note the contextual verdict that follows."""
        while trial.intent is None and (position := self._find_extractor(trial)) is not None:
            try:
                ask = partial(self._call, trial, position, lambda _, response: has_intent(response))
                trial.intent = await self.panel.rubric.intent(ask, trial.intent_request)
                self.replies += 1
            except NoIntent as missing:
                self._note(trial, "intent", position, trial.intent_request, missing.verdict)
                trial.note_no_intent(self.panel, position, missing.verdict)

    async def _decide(self, trial: Trial, question: Question) -> None:
        """Ask the judges, one after another in a chain and all at once in a panel, until there is a verdict."""
        while asks := self._list_asks(trial, question):
            if len(asks) == 1:
                await self._hear(trial, question, *asks[0])
                continue
            held: list[NotRun] = []

            async def take_reply(position: int, request: Request, held: list[NotRun] = held) -> None:
                try:
                    await self._hear(trial, question, position, request)
                except NotRun as reason:
                    held.append(reason)

            async with anyio.create_task_group() as panel:
                for ask in asks:
                    panel.start_soon(take_reply, *ask)
            if held:
                raise held[0]

    async def _hear(self, trial: Trial, question: Question, position: int, request: Request) -> None:
        judge = self.panel.members[position].judge
        verdict = await verdict_of(judge, partial(self._call, trial, position, partial(readable, judge)), request)
        self._note(trial, question, position, request, verdict)
        trial.note_reply(self.panel, question, position, verdict)

    def _note(self, trial: Trial, asked: Asked, position: int, request: Request, verdict: Verdict) -> None:
        """Count a reply. A failure is remembered for the passes that follow; a judge that is stopped fails again by itself."""
        self.replies += 1
        if verdict.status == "failed" and self.panel.members[position].endpoint.find_stop(request) is None:
            self.remembered.note_failure(trial, asked, position, verdict)

    async def _call(self, trial: Trial, position: int, usable: Callable[[Request, Response], bool], request: Request) -> Response:
        """A judge's reply; if a reply from an earlier run is not `usable`, the judge is asked again."""
        asked = await self.gateway.ask(self.panel.members[position].endpoint, request, usable=partial(usable, request))
        if not asked.cached:
            self.remembered.note_called(trial)
        return asked.response
