"""Tiny vision-language models: Qwen2.5-VL, Qwen3-VL and LLaVA, with their processors."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers

from tiny_models.language import SHAPE, chatml_tokenizer, save, tokenizer_of

QWEN_VISION = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAVA_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}<image>\n{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
ROPE = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [1, 1, 2]}
PIXELS = {"shortest_edge": 28 * 28, "longest_edge": 56 * 56}


def build_qwen2_5_vl(folder: Path) -> Path:
    """A Qwen2.5-VL of two layers each for eyes and language."""
    tokenizer, ids = _qwen_tokenizer()
    torch.manual_seed(0)
    config = transformers.Qwen2_5_VLConfig(
        text_config={**SHAPE, "vocab_size": len(tokenizer), "rope_parameters": ROPE, **_ends(tokenizer)},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 4,
            "out_hidden_size": 32,
            "patch_size": 14,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        **ids,
    )
    model = transformers.Qwen2_5_VLForConditionalGeneration(config)
    images = transformers.Qwen2VLImageProcessor(size=PIXELS)
    videos = transformers.Qwen2VLVideoProcessor()
    return save(folder, model, transformers.Qwen2_5_VLProcessor(images, tokenizer, videos, chat_template=QWEN_TEMPLATE))


def build_qwen3_vl(folder: Path) -> Path:
    """A Qwen3-VL, which feeds what its eyes see into several layers."""
    tokenizer, ids = _qwen_tokenizer()
    torch.manual_seed(0)
    config = transformers.Qwen3VLConfig(
        text_config={**SHAPE, "head_dim": 8, "vocab_size": len(tokenizer), "rope_parameters": ROPE, **_ends(tokenizer)},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 4,
            "out_hidden_size": 32,
            "patch_size": 16,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
        },
        **ids,
    )
    model = transformers.Qwen3VLForConditionalGeneration(config)
    images = transformers.Qwen2VLImageProcessor(size={"shortest_edge": 32 * 32, "longest_edge": 64 * 64}, patch_size=16)
    videos = transformers.Qwen3VLVideoProcessor()
    return save(folder, model, transformers.Qwen3VLProcessor(images, tokenizer, videos, chat_template=QWEN_TEMPLATE))


def build_llava(folder: Path) -> Path:
    """A LLaVA 1.5: CLIP's eyes, a projector, and a Llama."""
    tokenizer = tokenizer_of(["<s>", "</s>", "<pad>", "<image>"], bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    torch.manual_seed(0)
    config = transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(vocab_size=len(tokenizer), **SHAPE, **_ends(tokenizer)),
        vision_config=transformers.CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=28,
            patch_size=14,
            projection_dim=32,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=4,
    )
    model = transformers.LlavaForConditionalGeneration(config)
    images = transformers.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    processor = transformers.LlavaProcessor(
        images,
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    return save(folder, model, processor)


def _qwen_tokenizer() -> tuple[transformers.PreTrainedTokenizerFast, dict[str, int]]:
    tokenizer = chatml_tokenizer(*QWEN_VISION)
    start, end, image, video = (tokenizer.convert_tokens_to_ids(token) for token in QWEN_VISION)
    ids = {"vision_start_token_id": start, "vision_end_token_id": end, "image_token_id": image, "video_token_id": video}
    return tokenizer, ids


def _ends(tokenizer: transformers.PreTrainedTokenizerFast) -> dict[str, int | None]:
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
