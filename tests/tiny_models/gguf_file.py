"""A tiny Llama with random weights in a GGUF file, quantized to eight bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WIDTH, INNER, HEADS, LAYERS = 64, 128, 4, 2


def build_gguf(path: Path, seed: int = 0) -> int:
    """Write the file, and return how many numbers its weights are."""
    import gguf

    tokens = ["<|begin|>", "<|end|>", "Ġ", *map(chr, range(33, 127)), "ab", "cd"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, *[1] * (len(tokens) - 2)])
    writer.add_token_merges(["a b", "c d"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    elements = 0
    for name, shape in _list_tensors(len(tokens)):
        values = np.random.default_rng([seed, elements]).normal(0, 0.5, shape).astype(np.float32)
        elements += values.size
        kind = gguf.GGMLQuantizationType.Q8_0
        if len(shape) == 1:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return elements


def _list_tensors(vocabulary: int) -> list[tuple[str, tuple[int, ...]]]:
    found: list[tuple[str, tuple[int, ...]]] = [
        ("token_embd.weight", (vocabulary, WIDTH)),
        ("output.weight", (vocabulary, WIDTH)),
        ("output_norm.weight", (WIDTH,)),
    ]
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            found.append((f"blk.{layer}.{name}.weight", (WIDTH,)))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            found.append((f"blk.{layer}.{name}.weight", (WIDTH, WIDTH)))
        for name, shape in (("ffn_gate", (INNER, WIDTH)), ("ffn_up", (INNER, WIDTH)), ("ffn_down", (WIDTH, INNER))):
            found.append((f"blk.{layer}.{name}.weight", shape))
    return found
