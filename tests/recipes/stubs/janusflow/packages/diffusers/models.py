from types import SimpleNamespace

import torch
from stub_language import make_noise


class AutoencoderKL:
    config = SimpleNamespace(scaling_factor=0.13025)

    @classmethod
    def from_pretrained(cls, name):
        make_noise("the VAE is loaded")
        return cls()

    def to(self, *_):
        return self

    def eval(self):
        return self

    def decode(self, latents):
        return SimpleNamespace(sample=torch.nn.functional.interpolate(latents[:, :3], scale_factor=8))
