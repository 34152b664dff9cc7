"""The variables of a model's process: what a machine needs, and nothing that is named like a secret."""

from __future__ import annotations

import pytest
from unisafe_providers.workers.environment import pick_environment


@pytest.mark.parametrize(
    "name", ["HF_KEY2", "VLLM_AUTH", "SLURM_JWT", "UNISAFE_PAT", "VLLM_APIKEYS", "LLAMA_BEARER_2", "HF_API_TOKEN"]
)
def test_a_secret_of_a_family_is_passed_on_only_if_it_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "a secret")
    assert name not in pick_environment()
    assert pick_environment([name])[name] == "a secret"


@pytest.mark.parametrize(
    "name",
    ["SSH_AUTH_SOCK", "VLLM_MAX_TOKENS_PER_EXPERT_FUSED_MOE", "TOKENIZERS_PARALLELISM", "PYTHONPATH", "HF_TOKEN", "http_proxy"],
)
def test_what_a_process_needs_is_passed_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "a value")
    assert pick_environment()[name] == "a value"
