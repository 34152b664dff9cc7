import torch


def get_mask_schedule(method, **schedule_kwargs):
    assert method == "cosine"
    return torch.cos
