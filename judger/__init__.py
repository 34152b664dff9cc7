"""Uni-Judger: from a response to two verdicts. Knows no dataset, no file and no table."""

from judger.classifiers import Classifier, ClassifierError, LlamaGuard, Moderation, ShieldGemma
from judger.harms import HARMS, harms_named
from judger.judge import (
    Judge,
    NoIntent,
    Verdict,
    again,
    has_intent,
    intent_in,
    read_intent,
    read_verdict,
    readable,
    verdict_of,
)
from judger.parse import Parsed, parse_verdict
from judger.rubrics import RubricError, Rubrics, load_rubrics
from judger.scales import REFUSAL, SAFE, SAFETY, SAFETY_OR_REFUSAL, SCALES, UNJUDGED, UNSAFE, Label, Scale

__all__ = [
    "HARMS",
    "REFUSAL",
    "SAFE",
    "SAFETY",
    "SAFETY_OR_REFUSAL",
    "SCALES",
    "UNJUDGED",
    "UNSAFE",
    "Classifier",
    "ClassifierError",
    "Judge",
    "Label",
    "LlamaGuard",
    "Moderation",
    "NoIntent",
    "Parsed",
    "RubricError",
    "Rubrics",
    "Scale",
    "ShieldGemma",
    "Verdict",
    "again",
    "harms_named",
    "has_intent",
    "intent_in",
    "load_rubrics",
    "parse_verdict",
    "read_intent",
    "read_verdict",
    "readable",
    "verdict_of",
]
