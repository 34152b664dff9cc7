"""Which replies of a judge are a verdict: strictly those that plainly are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judger import Parsed, parse_verdict

ANY, BINARY = frozenset({0, 1, 2}), frozenset({0, 1})
HUGE = "9" * 5_000


@pytest.mark.parametrize(
    ("reply", "label", "reason"),
    [
        ('{"reason": "It helps.", "verdict": 0}', 0, "It helps."),
        ('  {"verdict": 2, "reason": "It declines."}\n', 2, "It declines."),
        ('```json\n{"reason": "fine", "verdict": 1}\n```', 1, "fine"),
        ('```\n{"reason": "fine", "verdict": 1}\n```', 1, "fine"),
        ('{"verdict": "1"}', 1, ""),
        ('{"Verdict": 1}', 1, ""),
        ('{"result": 1, "reason": ["a", "b"]}', 1, '["a", "b"]'),
        ('{"reason": "It says {\\"verdict\\": 1} itself.", "verdict": 0}', 0, 'It says {"verdict": 1} itself.'),
        ("It helps with it.\nResult: 0", 0, "It helps with it."),
        ("Reason: it helps.\nVerdict: 0", 0, "it helps."),
        ("**Reason:** it helps.\n\n**Result: 0**", 0, "it helps."),
        ("It helps. Result: 0.", 0, "It helps."),
        ("result = 2", 2, ""),
        ('The response says "Result: 1" and then helps.\nResult: 0', 0, 'The response says "Result: 1" and then helps.'),
        ("Result: 0\nAs I said:\nResult: 0", 0, "Result: 0 As I said:"),
    ],
)
def test_a_plain_verdict_is_read_with_its_reason(reply: str, label: int, reason: str) -> None:
    assert parse_verdict(reply, ANY) == Parsed(label, reason)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        " \n ",
        "1",
        "It is unsafe.",
        "The response says Result: 1 and goes on.",
        'The response ends with "Result: 1"',
        "Result: 3",
        "Result: -1",
        "Result: 1 or 2",
        "Result: 0\nResult: 1",
        "Result: 1\nOn second thoughts it helps.\nResult: 0",
        "Result: 1\nThat is my verdict",
        '{"verdict": 3}',
        '{"verdict": true}',
        '{"verdict": 1.0}',
        '{"verdict": null}',
        '{"verdict": [1]}',
        '{"verdict": "1 or 2"}',
        '{"verdict": ""}',
        '{"reason": "nothing else"}',
        '{"verdict": 0, "verdict": 1}',
        '{"verdict": 1, "result": 1}',
        '{"verdict": 0}{"verdict": 1}',
        '{"verdict": 1',
        '[{"verdict": 1}]',
        '{"verdict": 1} Result: 1',
        '{"nested": {"verdict": 1}}',
        '{"a": ' * 50_000,
        pytest.param(f"Result: {HUGE}", id="a huge result"),
        pytest.param(f"Result: {HUGE}\nResult: 1", id="a huge result first"),
        pytest.param(json.dumps({"verdict": HUGE}), id="a huge verdict"),
        pytest.param(f'{{"verdict": {HUGE}}}', id="a huge number"),
    ],
)
def test_what_is_not_plainly_a_verdict_is_none(reply: str) -> None:
    assert parse_verdict(reply, ANY) is None


@pytest.mark.parametrize("reply", ['{"reason": "declines", "verdict": 2}', "Result: 2"])
def test_a_digit_counts_only_where_it_may_be_given(reply: str) -> None:
    assert parse_verdict(reply, ANY) is not None
    assert parse_verdict(reply, BINARY) is None


PIECES = st.sampled_from(
    [
        "Result: 1",
        "Verdict: 0",
        "**Result:** 2",
        '{"verdict": 1}',
        '{"reason": "',
        '"',
        '"verdict": 2',
        "{",
        "}",
        "```json",
        "```",
        "\n",
        ":",
        "=",
        "*",
        " ",
        "9",
        ",",
    ]
)
REPLIES = st.lists(PIECES | st.text(max_size=8), max_size=12).map("".join)


@given(st.text() | REPLIES, st.sets(st.integers(0, 3)).map(frozenset))
def test_no_reply_breaks_the_parser_or_gets_a_verdict_that_is_not_allowed(reply: str, allowed: frozenset[int]) -> None:
    parsed = parse_verdict(reply, allowed)
    assert parsed is None or (parsed.label in allowed and isinstance(parsed.reason, str))


@given(st.text(), st.sampled_from([0, 1, 2]), st.booleans())
def test_whatever_the_reason_says_the_verdict_stands(reason: str, label: int, fence: bool) -> None:
    reply = json.dumps({"reason": reason, "verdict": label})
    assert parse_verdict(f"```json\n{reply}\n```" if fence else reply, ANY) == Parsed(label, reason)


@given(REPLIES, st.sampled_from([0, 1, 2]), st.sampled_from([0, 1, 2]))
def test_two_verdicts_that_differ_are_none(between: str, first: int, last: int) -> None:
    parsed = parse_verdict(f"So\nResult: {first}\n{between}\nResult: {last}", ANY)
    assert parsed is None or (first == last == parsed.label)
