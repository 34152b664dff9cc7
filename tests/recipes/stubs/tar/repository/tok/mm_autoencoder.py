import os

import torch
from stub_language import make_noise

from tok.ta_tok import TextAlignedTokenizer


class MMAutoEncoder:
    def __init__(self, ar_path, encoder_path, decoder_path, encoder_args={}, decoder_args={}):
        for path in (ar_path, encoder_path, decoder_path):
            assert os.path.isfile(path), path
        make_noise("the tokenizer of pictures is loaded")
        self.side = int(ar_path.rpartition("_")[2].partition("px")[0])
        self.encoder = TextAlignedTokenizer()

    def decode_from_encoder_indices(self, indices, args={}):
        """Codes [1, 729] as pixels [1, side, side, 3]."""
        assert indices.shape == (1, 729)
        assert args == {"cfg_scale": 4.0}
        return indices.reshape(1, -1, 1, 1).repeat(1, 1, self.side, 3)[:, : self.side].to(torch.uint8)
