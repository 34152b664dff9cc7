"""Results of `doctor`: findings about one place in bench.toml, and the calls that would show more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from unisafe_judger import Classifier, Judge
from unisafe_providers.base import Request
from unisafe_providers.recording import Tape

from unisafe_async.config.endpoint_sections import EndpointSection
from unisafe_async.gateway import Endpoint

Mark = Literal["ok", "wrong", "warning", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked thing.

    Args:
        check: its name: `key`, `address`, `model`, `text`, `image in`, `image out`, `edit`, `limits`, `intent`, a verdict.
        mark: the result; `skipped` if it was not checked, and then `words` says why.
        words: what was found and, if it is wrong, what to change.
    """

    check: str
    mark: Mark
    words: str = ""


@dataclass
class Diagnosis:
    """The findings about one place in bench.toml, in the order of the checks."""

    place: str
    name: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        return sum(finding.mark == "wrong" for finding in self.findings)

    def settle(self, check: str, words: str) -> None:
        """Replace an earlier warning that turned out to be wrong."""
        settled = Finding(check, "ok", words)
        self.findings = [settled if one.check == check and one.mark == "warning" else one for one in self.findings]

    def say(self, check: str, mark: Mark, words: str = "") -> None:
        self.findings.append(Finding(check, mark, words))


@dataclass(kw_only=True)
class CheckedEndpoint(Diagnosis):
    """One model or judge, and the calls that would show whether it does what bench.toml says.

    `room` is the most tokens of a model's answer in a run; None if the endpoint decides. `tape` has its exchanges if they are to be
    kept, and `outcomes` says what became of each probe (run/cassettes/outcomes.py).
    """

    section: EndpointSection = field(kw_only=True)
    judge: Judge | Classifier | None = field(default=None, kw_only=True)
    room: int | None = field(default=None, kw_only=True)
    endpoint: Endpoint | None = None
    probes: list[tuple[str, Request]] = field(default_factory=list)
    tape: Tape | None = None
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def ask_for(self, what: str) -> None:
        """Write on the tape what the next calls are made for."""
        if self.tape is not None:
            self.tape.asked_for = what

    @property
    def max_cost(self) -> float | None:
        """The most US dollars that its calls can cost; None if a price is missing."""
        if self.wrong or self.endpoint is None:
            return 0.0
        return sum(self.endpoint.max_cost(request) for _, request in self.probes) if self.section.priced else None
