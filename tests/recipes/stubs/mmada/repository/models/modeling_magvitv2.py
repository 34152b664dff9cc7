import torch
from stub_language import make_noise


class MAGVITv2:
    @classmethod
    def from_pretrained(cls, name):
        make_noise("the codebook is loaded")
        return cls()

    def to(self, _):
        return self

    def eval(self):
        return self

    def get_code(self, pixel_values):
        assert pixel_values.shape == (1, 3, 512, 512)
        return pixel_values.reshape(1, -1)[:, :1024].round().long()

    def decode_code(self, codebook_indices, shape=None):
        assert 0 <= codebook_indices.min() <= codebook_indices.max() < 8192
        levels = codebook_indices.float().reshape(1, 1, 32, 32) / 4096 - 1
        return torch.nn.functional.interpolate(levels.repeat(1, 3, 1, 1), scale_factor=16)
