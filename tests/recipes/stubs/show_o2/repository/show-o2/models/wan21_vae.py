import torch
from stub_language import make_noise


class WanVAE:
    def __init__(self, z_dim=16, vae_pth="", dtype=torch.float, device="cuda"):
        make_noise("the VAE is loaded")
        open(vae_pth, "rb").close()
        self.dtype = dtype

    def sample(self, videos, deterministic=False, return_features=False):
        assert videos.shape == (1, 3, 1, 160, 160)
        latents = torch.zeros(1, 16, 1, 20, 20)
        latents.view(-1)[:100] = videos.reshape(-1)[:100]
        return latents

    def batch_decode(self, zs):
        assert zs.shape == (1, 16, 1, 20, 20)
        return torch.nn.functional.interpolate(zs[:, :3, 0], scale_factor=8).unsqueeze(2).clamp(-1, 1)
