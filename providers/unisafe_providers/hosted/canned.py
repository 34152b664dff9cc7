"""Answers whose words are those of a gateway or its operator, in place of the model's: a block that looks like an answer.

Sources: Snowflake, "Cortex REST API" (guardrails, response_when_unsafe); Portkey's gateway (soft deny: status 200 and
`hook_results`); LiteLLM's proxy 1.110 (ModifyResponseException: a guardrail's message, `content_filter`, a usage of zeros).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unisafe_providers.base import Block, Stage
from unisafe_providers.hosted.blocks import describe_block, read_hooks
from unisafe_providers.hosted.endings import Ending

SENTENCES: dict[str, Stage] = {"response filtered by cortex guard": "response"}
"""Sentences, in lower case and without the full stop, that stand where the answer would; with the stage of the block."""
FAILED_CHECKS = "the guardrail checks defined in the config failed"
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def find_canned(body: Mapping[str, Any], text: str, ending: Ending) -> Ending | None:
    """The block that stands in for an answer; None where the words are the model's own."""
    words = " ".join(text.split()).lower().removesuffix(".")
    if words in SENTENCES:
        return _build_block(text, SENTENCES[words])
    if words.startswith(FAILED_CHECKS) and (stage := read_hooks(body.get("hook_results"))):
        return _build_block(text, stage)
    usage = body.get("usage")
    counted = [usage.get(name) for name in COUNTS] if isinstance(usage, Mapping) else []
    if words and ending.finish == "blocked" and counted == [0, 0, 0]:  # no model was asked
        return _build_block(text, "request")
    return None


def _build_block(text: str, stage: Stage) -> Ending:
    return Ending("blocked", describe_block("guardrail", (), text[:500]), Block(stage))
