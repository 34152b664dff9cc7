"""Uni-Judger: from a response to two verdicts. Knows no dataset, no file and no table."""

from unisafe_judger.classifiers import Classifier, ClassifierError, LlamaGuard, Moderation, ShieldGemma
from unisafe_judger.harms import HARMS, harms_named
from unisafe_judger.judge import (
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
from unisafe_judger.parse import Parsed, parse_verdict
from unisafe_judger.rubrics import RubricError, Rubrics, load_rubrics
from unisafe_judger.scales import REFUSAL, SAFE, SAFETY, SAFETY_OR_REFUSAL, SCALES, UNJUDGED, UNSAFE, Label, Scale

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
