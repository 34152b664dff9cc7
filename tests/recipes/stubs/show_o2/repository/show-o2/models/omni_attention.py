import torch


def omni_attn_mask_naive(B, LEN, modalities, device, inverted=True):
    assert modalities.shape[0] == B
    assert modalities.shape[2] == 2
    return torch.zeros(B, 1, LEN, LEN)
