import torch
from models.modeling_mmada import draft


def generate(
    model,
    prompt,
    steps=128,
    gen_length=128,
    block_length=128,
    temperature=0.0,
    cfg_scale=0.0,
    remasking="low_confidence",
    mask_id=126336,
    attention_mask=None,
):
    return torch.cat([prompt, draft(prompt, gen_length, steps, block_length, temperature)], dim=1)


def main():
    tokenizer.chat_template = "words of the stub"  # noqa: F821
