"""Uni-Judger: from a response to two verdicts. Knows no dataset, no file and no table."""

from judger.judge import REFUSAL, SAFE, UNSAFE, Judge, NoIntent, Verdict, again, read_intent, read_verdict
from judger.parse import Parsed, parse_verdict
from judger.rubrics import RubricError, Rubrics, load_rubrics

__all__ = [
    "REFUSAL",
    "SAFE",
    "UNSAFE",
    "Judge",
    "NoIntent",
    "Parsed",
    "RubricError",
    "Rubrics",
    "Verdict",
    "again",
    "load_rubrics",
    "parse_verdict",
    "read_intent",
    "read_verdict",
]
