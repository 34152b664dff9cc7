"""Tiny unified models: Janus and Emu3, which draw, and Chameleon, which in transformers only writes."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers

from tiny_models.language import SHAPE, save, tokenizer_of

JANUS_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] | capitalize }}|>: {% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<image_placeholder>\n{% else %}{{ content['text'] }}{% endif %}{% endfor %}\n\n{% endfor %}"
    "{% if add_generation_prompt %}<|Assistant|>:{% endif %}"
)
PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: {% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<image>{% else %}{{ content['text'] }}{% endif %}{% endfor %} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def build_janus(folder: Path) -> Path:
    """A Janus that draws 8 x 8 tokens."""
    tokenizer = tokenizer_of(
        ["<s>", "</s>", "<pad>", "<image_placeholder>", "<begin_of_image>", "<end_of_image>", "<|User|>", "<|Assistant|>"],
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={
            "boi_token": "<begin_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": "<image_placeholder>",
        },
    )
    torch.manual_seed(0)
    config = transformers.JanusConfig(
        text_config={"model_type": "llama", **SHAPE, "vocab_size": len(tokenizer), **_ends(tokenizer)},
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 4,
            "projection_dim": 32,
            "num_image_tokens": 64,
            "depth": 2,
        },
        vq_config={
            "embed_dim": 8,
            "num_embeddings": 64,
            "latent_channels": 32,
            "num_patches": 8,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 2],
            "num_res_blocks": 1,
            "num_hidden_layers": 2,
            "projection_dim": 32,
            "image_token_embed_dim": 32,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image_placeholder>"),
    )
    model = transformers.JanusForConditionalGeneration(config)
    model.generation_config.update(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        guidance_scale=5,
        do_sample=True,
    )
    model.generation_config.generation_kwargs = {"boi_token_id": tokenizer.convert_tokens_to_ids("<begin_of_image>")}
    images = transformers.JanusImageProcessor(image_size=32, size={"height": 32, "width": 32}, min_size=8)
    processor = transformers.JanusProcessor(images, tokenizer, chat_template=JANUS_TEMPLATE, num_image_tokens=64)
    return save(folder, model, processor)


def build_emu3(folder: Path) -> Path:
    """An Emu3 with 64 visual tokens of 8 x 8 pixels."""
    visual = [f"<|visual token {number:06d}|>" for number in range(64)]
    named = {
        "image_token": "<image>",
        "boi_token": "<|image start|>",
        "eoi_token": "<|image end|>",
        "image_wrapper_token": "<|image token|>",
        "eof_token": "<|extra_201|>",
    }
    tokenizer = tokenizer_of(
        ["<|extra_203|>", "<|extra_204|>", "<|endoftext|>", "<|extra_200|>", *named.values(), *visual],
        bos_token="<|extra_203|>",
        eos_token="<|extra_204|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=named,
    )
    torch.manual_seed(0)
    config = transformers.Emu3Config(
        text_config={**SHAPE, "vocab_size": len(tokenizer), **_ends(tokenizer)},
        vq_config={
            "codebook_size": 64,
            "embed_dim": 4,
            "latent_channels": 4,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1],
            "num_res_blocks": 1,
            "attn_resolutions": [3],
            "hidden_size": 32,
        },
        vocabulary_map=tokenizer.get_vocab(),
    )
    model = transformers.Emu3ForConditionalGeneration(config)
    model.generation_config.update(do_sample=True, top_k=48, **_ends(tokenizer))
    images = transformers.Emu3ImageProcessor(min_pixels=32 * 32, max_pixels=64 * 64)
    return save(folder, model, transformers.Emu3Processor(images, tokenizer, chat_template=PLAIN_TEMPLATE))


def build_chameleon(folder: Path) -> Path:
    """A Chameleon: it reads images as tokens; transformers has no decoder for those it would write."""
    tokenizer = tokenizer_of(
        ["<s>", "</s>", "<pad>", "<image>", "<racm3:break>", "<eoss>", *(f"IMGIMG{_letters(number)}Z" for number in range(64))],
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )
    torch.manual_seed(0)
    config = transformers.ChameleonConfig(
        **SHAPE,
        vocab_size=len(tokenizer),
        vq_config={
            "embed_dim": 16,
            "num_embeddings": 64,
            "latent_channels": 16,
            "resolution": 32,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 2],
            "num_res_blocks": 1,
        },
        vocabulary_map=tokenizer.get_vocab(),
        **_ends(tokenizer),
    )
    model = transformers.ChameleonForConditionalGeneration(config)
    images = transformers.ChameleonImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = transformers.ChameleonProcessor(images, tokenizer, image_seq_length=64)
    processor.chat_template = PLAIN_TEMPLATE
    return save(folder, model, processor)


def _letters(number: int) -> str:
    """Chameleon spells the numbers of its image tokens with the letters A to J."""
    return "".join(chr(ord("A") + int(digit)) for digit in str(number))


def _ends(tokenizer: transformers.PreTrainedTokenizerFast) -> dict[str, int | None]:
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
