"""What a guardrail of Amazon Bedrock did to a call: it blocked the request or the response, or masked words of them.

Its trace alone tells these apart: `stopReason: guardrail_intervened` stands for all of them. Shapes: GuardrailTraceAssessment in
the model of AWS's SDK (botocore, bedrock-runtime 2023-09-30), and `amazon-bedrock-trace` in bodies of InvokeModel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from unisafe_providers.base import Stage

Json = dict[str, Any]
Categories = tuple[tuple[str, str], ...]

BLOCKED, MASKED = "BLOCKED", "ANONYMIZED"
"""The actions that change something; `NONE` only detects."""
SAID_BLOCKED, SAID_MASKED = re.compile(r"\bblocked\b", re.I), re.compile(r"\b(mask|anonymi[sz])ed\b", re.I)
"""What `actionReason` says of the whole call."""
WRITTEN = ("outputTokens", "completion_tokens", "output_tokens")
"""The count of a model's own tokens on the wires of Amazon Bedrock."""


class Intervention(NamedTuple):
    """What a guardrail did.

    Args:
        did: `blocked`, `masked`, or `untold` if it intervened and nothing says how.
        stage: what it blocked; None if that is not told.
        categories: the policies that were hit, by their names at the vendor, each with the filter's confidence if it has one.
        traced: whether there is a trace.
    """

    did: str
    stage: Stage | None = None
    categories: Categories = ()
    traced: bool = False

    def replaced_words(self, usage: object) -> bool:
        """Whether the text is the operator's sentence: it blocked, or it intervened before the model wrote a token (`usage`)."""
        if self.did != "untold":
            return self.did == "blocked"
        counts = usage if isinstance(usage, dict) else {}
        return any(name in counts for name in WRITTEN) and not any(counts.get(name) for name in WRITTEN)


def find_intervention(body: Json) -> Intervention | None:
    """What a guardrail did, from a body of Converse or InvokeModel; None if it did not intervene."""
    stopped = body.get("stopReason") == "guardrail_intervened"
    if not stopped and str(body.get("amazon-bedrock-guardrailAction") or "").upper() not in ("INTERVENED", "GUARDRAIL_INTERVENED"):
        return None
    trace = _find_trace(body)
    if trace is None:
        return Intervention("untold")
    asked = list(_list_actions(trace.get("inputAssessment") or trace.get("input")))
    answered = list(_list_actions(trace.get("outputAssessments") or trace.get("outputs")))
    stages: tuple[tuple[Stage, list[tuple[str, str, str]]], ...] = (("request", asked), ("response", answered))
    for stage, actions in stages:
        if hits := _pick(actions, BLOCKED):
            return Intervention("blocked", stage, hits, traced=True)
    if hits := _pick([*asked, *answered], MASKED):
        return Intervention("masked", None, hits, traced=True)
    said = str(trace.get("actionReason") or "")
    did = "blocked" if SAID_BLOCKED.search(said) else "masked" if SAID_MASKED.search(said) else "untold"
    return Intervention(did, None, (), traced=True)


def _find_trace(body: Json) -> Json | None:
    """The guardrail's trace; None if it is off."""
    for place in (body.get("trace"), body.get("amazon-bedrock-trace")):
        trace = (place.get("guardrail") or place.get("guardrails")) if isinstance(place, dict) else None
        if isinstance(trace, dict) and trace:
            return trace
    return None


def _list_actions(place: object) -> Iterator[tuple[str, str, str]]:
    """Action, name and confidence of every entry of every policy, however the assessments are nested."""
    if isinstance(place, list):
        for entry in place:
            yield from _list_actions(entry)
    elif isinstance(place, dict):
        action = place.get("action")
        if isinstance(action, str):
            yield action.upper(), _name_of(place), str(place.get("confidence") or "")
        for key, entry in place.items():
            if isinstance(entry, dict | list):
                yield from ((done, name or key, sure) for done, name, sure in _list_actions(entry))


def _name_of(entry: Json) -> str:
    """The name of a topic or a regular expression, else the type of a filter; a word that was matched is not repeated."""
    return str(entry.get("name") or entry.get("type") or "")


def _pick(actions: list[tuple[str, str, str]], wanted: str) -> Categories:
    return tuple(dict.fromkeys((name, sure) for action, name, sure in actions if action == wanted))
