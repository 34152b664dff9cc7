"""OpenAI's background mode: POST /responses takes a request at once, GET /responses/{id} shows how far its answer is.

Shapes: developers.openai.com/docs/guides/background, read in November 2026, and a recorded body of a queued response.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from aiohttp import web

from vendors.openai import OpenAIServer, responses, said, text
from vendors.server import Asked, Reply


def unfinished(name: str, status: str = "queued") -> Reply:
    return responses(status=status, id=name, usage=None, background=True, incomplete_details=None, model="m")


def finished(name: str, words: str = "A friendly sentence.") -> Reply:
    return responses(said(text(words)), id=name, background=True, model="m")


@dataclass
class BackgroundServer(OpenAIServer):
    """A vendor whose jobs are under way until it `finishes`.

    Attributes:
        poll: what a poll shows, from the job's name and the number of its polls; overrides `finishes`.
        silent: whether a submission is taken, and never confirmed.
        submitted: how often each prompt was submitted.
        bodies: what was submitted.
    """

    finishes: bool = False
    poll: Callable[[str, int], Reply | None] = lambda name, number: None
    silent: bool = False
    submitted: Counter[str] = field(default_factory=Counter)
    polls: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self._play)

    def refusal(self, asked: Asked) -> Reply | None:
        name = asked.path.removeprefix(f"{self.ROOT}/responses").strip("/")
        return super().refusal(Asked(asked.path.removesuffix(f"/{name}") if name else asked.path, asked.query, asked.headers, {}))

    def _play(self, asked: Asked) -> Reply:
        if asked.body:
            self.bodies.append(asked.body)
            self.submitted[asked.body["input"][0]["content"][-1]["text"]] += 1
            return unfinished(f"resp_{self.submitted.total():04}")
        name = asked.path.rpartition("/")[2]
        self.polls[name] += 1
        shown = self.poll(name, self.polls[name] - 1)
        return shown or (finished(name) if self.finishes else unfinished(name, "in_progress"))

    async def _answer(self, request: web.Request) -> web.Response:
        if self.silent and request.method == "POST":
            await super()._answer(request)
            await anyio.sleep_forever()
        return await super()._answer(request)
