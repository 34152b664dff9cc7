"""The protocols of batch jobs at vendors whose chats speak OpenAI's, by the names that a vendor's file gives them."""

from __future__ import annotations

from unisafe_providers.hosted.fireworks_batch import FireworksBatches
from unisafe_providers.hosted.mistral_batch import MistralBatches
from unisafe_providers.hosted.openai_batch import OpenAIBatches
from unisafe_providers.hosted.openrouter_batch import OpenRouterBatches
from unisafe_providers.hosted.xai_batch import XAIBatches

WIRES: dict[str, type[OpenAIBatches]] = {
    "openai": OpenAIBatches,
    "mistral": MistralBatches,
    "xai": XAIBatches,
    "fireworks": FireworksBatches,
    "openrouter": OpenRouterBatches,
}
