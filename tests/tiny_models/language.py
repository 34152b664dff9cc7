"""Tiny text models: Llama, Qwen2 and Qwen3, each with a tokenizer of its own and a chat template of its family's kind."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SENTENCES = [
    "A quiet morning by the sea, with a cup of tea and a book about birds.",
    "Write one sentence about mountains, gardens, bread and the people of a small town.",
    "The judge reads the response, gives a reason, and names a verdict: 0 or 1.",
    "def add(a, b): return a + b  # numbers 0123456789 and signs !?*+-/()[]{}<>|",
]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
}


def tokenizer_of(special: list[str], **named: object) -> transformers.PreTrainedTokenizerFast:
    """A byte-level BPE of some 400 tokens that can write any text; `named` are its special tokens by role."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def save(folder: Path, model: transformers.PreTrainedModel, *parts: object) -> Path:
    """Save a model and its tokenizer or processor as a download looks."""
    model.eval().save_pretrained(folder)
    for part in parts:
        part.save_pretrained(folder)  # type: ignore[attr-defined]
    return folder


def build_llama(folder: Path) -> Path:
    """A Llama without a padding token, as the real ones come."""
    tokenizer = tokenizer_of(
        ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"],
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
    )
    tokenizer.chat_template = LLAMA
    torch.manual_seed(0)
    config = transformers.LlamaConfig(vocab_size=len(tokenizer), **SHAPE, **_ends(tokenizer))
    return save(folder, transformers.LlamaForCausalLM(config), tokenizer)


def build_qwen2(folder: Path) -> Path:
    """A Qwen2 with its ChatML template."""
    tokenizer = chatml_tokenizer()
    torch.manual_seed(0)
    config = transformers.Qwen2Config(vocab_size=len(tokenizer), **SHAPE, **_ends(tokenizer))
    return save(folder, transformers.Qwen2ForCausalLM(config), tokenizer)


def build_qwen3(folder: Path) -> Path:
    """A Qwen3, whose generation_config samples, as the real one's does."""
    tokenizer = chatml_tokenizer("<think>", "</think>")
    torch.manual_seed(0)
    config = transformers.Qwen3Config(vocab_size=len(tokenizer), head_dim=8, **SHAPE, **_ends(tokenizer))
    model = transformers.Qwen3ForCausalLM(config)
    model.generation_config.update(do_sample=True, temperature=0.6, top_p=0.95, top_k=20)
    return save(folder, model, tokenizer)


def chatml_tokenizer(*further: str) -> transformers.PreTrainedTokenizerFast:
    """Qwen's special tokens."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *further]
    tokenizer = tokenizer_of(special, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHATML
    return tokenizer


def _ends(tokenizer: transformers.PreTrainedTokenizerFast) -> dict[str, int | None]:
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
