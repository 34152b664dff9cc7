import os
from types import SimpleNamespace

from stub_language import make_noise


class AutoEncoder:
    def encode(self, x):
        return x

    def decode(self, z):
        return z


def load_ae(local_path):
    assert os.path.isfile(local_path), local_path
    assert os.path.isfile("inferencer.py"), "the checkout's relative paths are found only in it"
    make_noise("the VAE is loaded")
    return AutoEncoder(), SimpleNamespace(downsample=8, z_channels=16)
