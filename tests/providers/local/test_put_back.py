"""Requests whose batch was stopped for others: they go on, and are not lost with what runs meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import forked_worker
import pytest
from unisafe_providers.base import Capabilities, Request, Response, Text, Transient, Withdrawn
from unisafe_providers.local import LocalProvider, LocalSettings, process

LONG, SHORT = "WRITES 300 steps", "WRITES 4 steps"


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalProvider:
    monkeypatch.setattr(process, "COMMAND", forked_worker.standing_in("failing_worker"))
    (tmp_path / "config.json").write_text("{}")
    return LocalProvider(LocalSettings(library="transformers", model=str(tmp_path)), Capabilities(), ["cpu"])


async def ask_all(
    provider: LocalProvider, texts: list[str], on_event: Callable[[str], None] = lambda kind: None
) -> list[Response | Exception]:
    """What each text got at its first call."""
    answers: list[Response | Exception] = [Response()] * len(texts)
    told = provider.note_event

    def tell(worker: Any, head: dict[str, Any]) -> None:
        told(worker, head)
        on_event(head["type"])

    provider.note_event = tell  # type: ignore[method-assign]

    async def one(place: int, text: str) -> None:
        try:
            answers[place] = await provider.call(Request(kind="chat", parts=(Text(text),), sample=place))
        except Exception as error:
            answers[place] = error

    with anyio.fail_after(60):
        async with provider, anyio.create_task_group() as group:
            for place, text in enumerate(texts):
                group.start_soon(one, place, text)
    return answers


async def test_long_answers_leave_their_places_to_others_and_are_finished(provider: LocalProvider) -> None:
    seen: Counter[str] = Counter()
    texts = [LONG, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT] * 5
    answers = await ask_all(provider, texts, lambda kind: seen.update([kind]))
    assert all(isinstance(answer, Response) for answer in answers), answers
    assert [answer.usage.tokens_out for answer in answers if isinstance(answer, Response)] == [
        int(text.split()[1]) for text in texts
    ]
    assert seen["back"] >= 1
    assert provider.status.tokens == 5 * 300 + 35 * 4


async def test_a_crash_costs_nothing_to_those_that_wait_for_their_next_batch(provider: LocalProvider) -> None:
    answers = await ask_all(provider, [LONG, *[SHORT] * 12, "LATER KILL"])
    assert [type(answer) for answer in answers[:-1]] == [Response] * 13, "asked again in the next process, and not suspected"
    assert isinstance(answers[-1], Transient)


async def test_those_that_wait_for_their_next_batch_are_given_up_when_the_run_stops(provider: LocalProvider) -> None:
    def stop_at_once(kind: str) -> None:
        if kind == "back":
            provider.withdraw()

    waiting = ["WRITES 40 steps"] * 200  # the long one's turn comes again after seconds
    answers = await ask_all(provider, [LONG, *waiting], stop_at_once)
    assert {type(answer) for answer in answers} <= {Response, Withdrawn}
    assert isinstance(answers[0], Withdrawn)
    assert sum(isinstance(answer, Response) for answer in answers) >= 7, "what was finished is kept"
