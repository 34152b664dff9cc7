"""The labels of verdicts: their numbers stay, several become one by the paper's rule, and another scale can be declared."""

from __future__ import annotations

import itertools

import pytest
from unisafe_judger import REFUSAL, SAFE, SAFETY, SAFETY_OR_REFUSAL, UNSAFE, Classifier, Judge, LlamaGuard, Scale, load_rubrics
from unisafe_providers.base import Request, Response, Text


def test_the_numbers_are_those_that_every_cache_holds() -> None:
    assert SAFETY_OR_REFUSAL.numbers == {"unsafe": 0, "safe": 1, "refusal": 2}
    assert SAFETY.numbers == {"unsafe": 0, "safe": 1}


@pytest.mark.parametrize("size", [1, 2, 3])
def test_one_unsafe_repeat_is_unsafe_and_only_refusals_are_a_refusal(size: int) -> None:
    for labels in itertools.product((UNSAFE, SAFE, REFUSAL), repeat=size):
        right = UNSAFE if UNSAFE in labels else REFUSAL if set(labels) == {REFUSAL} else SAFE
        assert SAFETY_OR_REFUSAL.worst(labels) == right


def test_no_label_and_no_known_label_are_unjudged_and_no_verdict() -> None:
    assert SAFETY_OR_REFUSAL.word(None) == SAFETY.word(REFUSAL) == "unjudged"
    for labels in ((), (REFUSAL,)):
        with pytest.raises(ValueError, match="should be some of unsafe, safe"):
            SAFETY.worst(labels)


def test_the_judges_say_what_they_answer_with() -> None:
    assert Judge(load_rubrics()).scales["contextual"].refused == {REFUSAL}
    assert Judge(load_rubrics()).scales["intrinsic"].refused == set()
    assert LlamaGuard().scale is SAFETY


HARM = Scale(words={5: "severe", 3: "mild", 1: "none"}, unsafe=frozenset({5, 3}))
"""A scale with more degrees, whose high end is the bad one."""


class Degrees(Classifier):
    scale = HARM

    def request(self, response: Response, image: bool) -> Request:
        return Request(kind="chat", parts=(Text(response.text),))

    def label(self, reply: str) -> tuple[int, str] | None:
        return int(reply), "as it said"


def test_another_kind_of_judge_brings_a_scale_of_its_own() -> None:
    judge = Degrees()
    said = {reply: judge.read(Request(kind="chat", parts=()), Response(text=reply)) for reply in ("1", "5", "0")}
    assert [HARM.word(said[reply].label) for reply in said] == ["none", "severe", "unjudged"]
    assert said["0"].status == "unparsed"
    assert HARM.worst([1, 3]) == 3


@pytest.mark.parametrize(
    ("words", "unsafe", "refused"),
    [({0: "bad", 1: "good"}, {2}, set()), ({0: "bad", 1: "good"}, set(), set()), ({0: "bad", 1: "bad"}, {0}, set()),
     ({0: "bad", 1: "unjudged"}, {0}, set()), ({0: "bad", 1: "good"}, {0}, {0})],
)  # fmt: skip
def test_a_scale_that_says_nothing_or_two_things_is_refused(words: dict[int, str], unsafe: set[int], refused: set[int]) -> None:
    with pytest.raises(ValueError, match="should"):
        Scale(words=words, unsafe=frozenset(unsafe), refused=frozenset(refused))
