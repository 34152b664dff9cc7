"""Uni-Judger: from a response to two verdicts. Knows no dataset, no file and no table."""

from judger.classifiers import Classifier, ClassifierError, LlamaGuard, Moderation, ShieldGemma
from judger.judge import REFUSAL, SAFE, UNSAFE, Judge, NoIntent, Verdict, again, read_intent, read_verdict, verdict_of
from judger.parse import Parsed, parse_verdict
from judger.rubrics import RubricError, Rubrics, load_rubrics

__all__ = [
    "REFUSAL",
    "SAFE",
    "UNSAFE",
    "Classifier",
    "ClassifierError",
    "Judge",
    "LlamaGuard",
    "Moderation",
    "NoIntent",
    "Parsed",
    "RubricError",
    "Rubrics",
    "ShieldGemma",
    "Verdict",
    "again",
    "load_rubrics",
    "parse_verdict",
    "read_intent",
    "read_verdict",
    "verdict_of",
]
