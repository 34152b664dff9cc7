"""What a model thought is taken off its answer, and an answer that only speaks of such tags stays whole."""

from __future__ import annotations

import time

import pytest
from unisafe_providers.thoughts import Thoughts, split_thoughts

ANSWER = "I cannot help with that."


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nhm\n</think>\n\nI cannot help with that.",
        "\ufeff \n<think>hm</think>I cannot help with that.",
        "<Think>hm</THINK>\nI cannot help with that.",
        '<think time="3s">hm</think>I cannot help with that.',
        '<details type="reasoning" done="true">\nhm\n</details>\nI cannot help with that.',
        "<|im_start|>assistant\n<think>\nhm\n</think>\nI cannot help with that.",
        "<thinking>hm</thinking>\nI cannot help with that.",
        "<thought>\nhm\n</thought>\n\nI cannot help with that.",
        "<reasoning>hm</reasoning>\nI cannot help with that.",
        "<seed:think>hm</seed:think>I cannot help with that.",
        "[THINK]hm[/THINK]I cannot help with that.",
        "◁think▷hm◁/think▷I cannot help with that.",
        "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>I cannot help with that.<|END_RESPONSE|>",
        "<|begin_of_thought|>\nhm\n<|end_of_thought|>\n\n<|begin_of_solution|>\nI cannot help with that.\n<|end_of_solution|>",
        "<|channel>thought\nhm\n<channel|>I cannot help with that.",
        "hm\n</think>\n\nI cannot help with that.",
        "hm</think>I cannot help with that.",
        "hm </think>\n\nI cannot help with that.",
        "</think>\n\nI cannot help with that.",
        "hm\n[/THINK]\nI cannot help with that.",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>I cannot help with that.<|return|>",
        "<|start|>assistant<|channel|>analysis<|message|>hm<|end|>"
        "<|start|>assistant<|channel|>final <|constrain|>JSON<|message|>I cannot help with that.",
        "hm<|end|><|start|>assistant<|channel|>final<|message|>I cannot help with that.",
        "<|channel|>final<|message|>I cannot help with that.",
        "analysis.hmassistantfinalI cannot help with that.",
        "<think></think>I cannot help with that.",
        "<think>\n\n</think>\n\nI cannot help with that.",
    ],
)
def test_thoughts_before_an_answer_are_no_part_of_it(text: str) -> None:
    split = split_thoughts(text)
    assert (split.answer, split.unclosed) == (ANSWER, False)
    assert split.thoughts in ("hm", "", ".hm")


@pytest.mark.parametrize(
    ("text", "thoughts"),
    [
        ("<think>one</think>\n<think>two</think>\nI cannot help with that.", "one\n\ntwo"),
        ("<think>a <think> b\n</think>\nc\n</think>\nI cannot help with that.", "a <think> b\n</think>\nc"),
        (
            "<|channel|>analysis<|message|>one<|end|><|start|>assistant<|channel|>commentary<|message|>two<|end|>"
            "<|start|>assistant<|channel|>final<|message|>I cannot help with that.",
            "one\n\ntwo",
        ),
        ("The end tag is `</think>`, I must not write it.\n</think>\nI cannot help with that.", None),
        ("The user wants X.\n\nSo I decline.\n</think>\n\nI cannot help with that.", "The user wants X.\n\nSo I decline."),
        ("analysisThe user wants X.assistantfinalI cannot help with that.", "The user wants X."),
    ],
)
def test_several_stretches_and_nested_tags_are_thoughts(text: str, thoughts: str | None) -> None:
    split = split_thoughts(text)
    assert split.answer == ANSWER
    assert split.thoughts == (thoughts or text.partition("\n")[0])


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nThe user wants",
        "<think>",
        "[THINK]The user wants",
        "<|channel|>analysis<|message|>The user wants",
        "<|channel|>analysis<|message|>done<|end|><|start|>assistant<|channel|>commentary<|message|>and",
        "<|channel>thought\nThe user wants",
        "analysisWe need to answer",
        "<think>one</think><think>two",
    ],
)
def test_what_ends_within_its_thoughts_has_no_answer(text: str) -> None:
    split = split_thoughts(text)
    assert (split.answer, split.unclosed) == ("", True)


def test_thoughts_that_were_closed_and_followed_by_nothing_leave_an_empty_answer() -> None:
    assert split_thoughts("<think>hm</think>\n") == Thoughts("hm", "", unclosed=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  Plain words, with blanks round them. \n",
        "A reasoning model writes </think> before it answers.",
        "Such models end their thoughts with `</think>` and then answer.",
        'They write "</think>" and answer.',
        "The tags (</think>) are left out.",
        "In the template:\n```\n<think>\n...\n</think>\n```\nThat is all.",
        "In the template:\n```\n</think>\n```\nThat is all.",
        "First words.\n<think>hm</think>\nMore words.",
        "I think <think> opens and </think>\ncloses it.",
        "The channel <|channel|>analysis<|message|> holds thoughts.",
        "analysis of the assistantfinal state",
        "Analysis: the poem speaks of loss.",
        "analysis\nof a poem",
        "analysis",
        "I thought </ think> was a tag.",
        "<thinker>He sits.</thinker>",
    ],
)
def test_an_ordinary_answer_stays_as_it_is(text: str) -> None:
    assert split_thoughts(text) == Thoughts("", text, unclosed=False)


@pytest.mark.parametrize(
    "piece", ["<think>", "</think>", "a </think> b ", "<think>a</think>", "<|channel|>final", "`", "<channel|>"]
)
def test_hostile_lengths_take_no_time(piece: str) -> None:
    began = time.perf_counter()
    split_thoughts(piece * (1_000_000 // len(piece)))
    assert time.perf_counter() - began < 5
