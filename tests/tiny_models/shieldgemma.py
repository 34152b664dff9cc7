"""A tiny ShieldGemma 2: SigLIP's eyes, a Gemma 3 of two layers, and the processor that writes a prompt for each policy."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers

from tiny_models.language import SHAPE, save, tokenizer_of

TEMPLATE = (
    "{{ bos_token }}<start_of_turn>user\n{% for content in messages[0]['content'] %}"
    "{% if content['type'] == 'image' %}<start_of_image>{% else %}Does the image violate this policy? {{ content['text'] }}{% endif %}"
    "{% endfor %} Answer Yes or No.<end_of_turn>\n<start_of_turn>model\n"
)
SPECIAL = [
    "<pad>",
    "<eos>",
    "<bos>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_of_image>",
    "<end_of_image>",
    "<image_soft_token>",
]


def build_shieldgemma(folder: Path) -> Path:
    """Random weights; its `Yes` and `No` are two tokens of its own vocabulary."""
    tokenizer = tokenizer_of(
        SPECIAL,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        extra_special_tokens={
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": "<image_soft_token>",
        },
    )
    torch.manual_seed(0)
    config = transformers.ShieldGemma2Config(
        text_config={
            "model_type": "gemma3_text",
            **SHAPE,
            "head_dim": 8,
            "vocab_size": len(tokenizer),
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 56,
            "patch_size": 14,
        },
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.convert_tokens_to_ids("<start_of_image>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<end_of_image>"),
        image_token_index=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
        yes_token_index=100,
        no_token_index=200,
    )
    model = transformers.ShieldGemma2ForImageClassification(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("mm_input_projection_weight"):  # zeros in a new model, which would see nothing
                parameter.normal_()
            parameter.mul_(4)  # far enough from zero that images and policies differ in their probabilities
    images = transformers.Gemma3ImageProcessor(size={"height": 56, "width": 56}, do_pan_and_scan=False)
    processor = transformers.ShieldGemma2Processor(images, tokenizer, chat_template=TEMPLATE, image_seq_length=4)
    return save(folder, model, processor)
