"""Write tiny random weights in the layout of BAGEL's files: the script can then be tried with the public code, without a GPU.

    /envs/bagel/bin/python recipes/bagel/random_weights.py --checkout /src/Bagel FOLDER

Then `PYTHONPATH=FOLDER/cpu serve_bagel.py --checkout /src/Bagel --weights FOLDER/weights`, with the device `cpu` and few steps
(`draw = { num_timesteps = 3 }`). What it says and draws is noise. FOLDER/cpu holds a stand-in for flash_attn, which runs on GPUs
alone; it also turns autocast for CUDA into that for the CPU. The VAE has its real size (0.3 GB): ask for small pictures.
"""

import argparse
import json
import sys
from pathlib import Path

LANGUAGE = {
    "vocab_size": 261,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "patch_size": 14,
    "image_size": 980,
}
FLASH_ATTN = '''\
"""Stands in for flash_attn on a CPU: packed sequences are attended to one after the other."""

import torch


class CpuAutocast(torch.autocast):
    def __init__(self, device_type, **named):
        super().__init__("cpu", **named)


torch.autocast = CpuAutocast


def flash_attn_varlen_func(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, causal=False):
    """q, k, v: [tokens of all sequences, heads, size of a head]; a sequence's last query sees its last key."""
    answers, shared = [], q.shape[1] // k.shape[1]
    for place in range(len(cu_seqlens_q) - 1):
        asked = q[cu_seqlens_q[place] : cu_seqlens_q[place + 1]].transpose(0, 1).float()
        span = slice(cu_seqlens_k[place], cu_seqlens_k[place + 1])
        keys, values = (one[span].transpose(0, 1).repeat_interleave(shared, 0).float() for one in (k, v))
        seen = torch.ones(asked.shape[1], keys.shape[1], dtype=torch.bool)
        mask = seen.tril(keys.shape[1] - asked.shape[1]) if causal else None
        answers.append(torch.nn.functional.scaled_dot_product_attention(asked, keys, values, attn_mask=mask).transpose(0, 1))
    return torch.cat(answers).to(q.dtype)
'''


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", required=True)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    shim, weights = given.folder / "cpu", given.folder / "weights"
    (shim / "flash_attn").mkdir(parents=True, exist_ok=True)
    (shim / "flash_attn" / "__init__.py").write_text(FLASH_ATTN)
    weights.mkdir(exist_ok=True)
    write_settings(weights)
    sys.path[:0] = [given.checkout, str(shim)]
    write_tensors(weights)


def write_settings(folder):
    """Configurations, and a tokenizer whose tokens are bytes."""
    from tokenizers import pre_tokenizers

    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    marks = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]}
    files = {"vocab.json": letters, "tokenizer_config.json": marks, "llm_config.json": LANGUAGE, "vit_config.json": VISION}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "merges.txt").write_text("#version: 0.2\n")


def write_tensors(folder):
    import torch
    from modeling.autoencoder import load_ae
    from safetensors.torch import save_file
    from serve_bagel import outline

    torch.manual_seed(0)
    vae, vae_config = load_ae(local_path=None)
    save_file(vae.state_dict(), folder / "ae.safetensors")
    model = outline(folder, vae_config)
    for name, parameter in model.named_parameters():
        if "vae" in name or "latent" in name:
            parameter.data.normal_(0, 0.05)  # the public code starts them at 0, and nothing would be drawn
    save_file({name: tensor.bfloat16().contiguous() for name, tensor in model.state_dict().items()}, folder / "ema.safetensors")


if __name__ == "__main__":
    main()
