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
