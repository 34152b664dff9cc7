"""The family of a model by its name, as vendors, gateways, hubs and people write it."""

from __future__ import annotations

import pytest

from unisafe_async.results.families import family_of


@pytest.mark.parametrize(
    ("family", "names"),
    [
        (
            "Qwen",
            "Qwen/Qwen3-VL-8B-Instruct qwen2.5-vl:7b qwen-max qwen/qwq-32b models--Qwen--Qwen3-8B/snapshots/0a1b2c Qwen3-8B-GPTQ",
        ),
        ("GPT", "gpt-5-mini chatgpt-4o-latest o3 o4-mini openai/o3-pro gpt4o gpt-35-turbo openai/gpt-oss-120b my-gpt-4o GPT-4.1"),
        ("GPT", "ft:gpt-4o-mini-2024-07-18:acme::abc gpt-image-1 dall-e-3 gpt-6.1-sol"),
        ("Claude", "claude-opus-5-5 us.anthropic.claude-sonnet-4-5-20250929-v1:0 anthropic/claude-3.5-sonnet:beta"),
        ("Gemini", "gemini-2.5-flash-image models/gemini-3-pro google/gemini-2.5-pro"),
        (
            "Gemma",
            "google/gemma-3-27b-it gemma3:4b google/shieldgemma-2-4b-it gemini/gemma-3-27b-it google/paligemma2-3b medgemma-4b",
        ),
        ("Llama", "meta-llama/Llama-Guard-3-8B my-gptq-llama llama3.1:8b TheBloke/CodeLlama-7B-GPTQ meta.llama3-70b-instruct-v1:0"),
        ("Llama", "Meta-Llama-3.1-8B-Instruct nvidia/Llama-3.1-Nemotron-70B lmsys/vicuna-7b /srv/llama-3-8b.gguf"),
        ("Mistral", "mistral-large-3 pixtral-12b mistralai/Mixtral-8x7B ministral-8b codestral-2508 magistral-small devstral"),
        ("DeepSeek", "deepseek-chat deepseek-ai/DeepSeek-R1-Distill-Qwen-32B deepseek-ai/Janus-Pro-7B deepseek.r1-v1:0"),
        ("GLM", "zai-org/GLM-4.6V glm-4.5-air THUDM/chatglm3-6b"),
        ("Kimi", "accounts/fireworks/models/kimi-k2p5 moonshotai/Kimi-K2-Instruct moonshot-v1-8k"),
        ("Grok", "grok-4 x-ai/grok-4-fast"),
        ("Phi", "microsoft/Phi-4-multimodal-instruct phi3:mini"),
        ("SmolLM", "HuggingFaceTB/SmolLM2-135M-Instruct HuggingFaceTB/SmolVLM-256M-Instruct"),
        ("InternVL", "OpenGVLab/InternVL3-8B internlm/internlm2-chat-7b"),
        ("Command", "command-r-plus CohereLabs/aya-vision-8b"),
    ],
)
def test_a_name_tells_its_family(family: str, names: str) -> None:
    assert {name: family_of(name) for name in names.split()} == dict.fromkeys(names.split(), family)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "judge",
            "cautious",
            "my-model",
            "model.gguf",
            "ByteDance-Seed/BAGEL-7B-MoT",
            "ollama/mine",
            "/home/me/llama.cpp/models/mine",
        ),
        *(
            "EleutherAI/gpt-neox-20b",
            "EleutherAI/gpt-j-6b",
            "gpt4all-falconry",
            "MiniGPT-4",
            "marco-o1",
            "foo1",
            "proto3",
            "dolphin-2",
        ),
        *("run-7/step-1000", "command", "nova", "wordphi-2", "claudette", "grokking", "stabilityai/stable-diffusion-xl-base-1.0"),
    ],
)
def test_no_family_is_made_up(name: str) -> None:
    assert family_of(name) is None
