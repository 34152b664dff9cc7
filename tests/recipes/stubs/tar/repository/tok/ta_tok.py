import torch


class TextAlignedTokenizer:
    def __call__(self, data, **kwargs):
        return self.forward(data, **kwargs)

    def forward(self, data, **kwargs):
        """Pixels [1, 3, height, width] from 0 to 1 as 729 codes, which are the letters of a description."""
        assert kwargs == {"pool_scale": 1}
        assert data.shape[:2] == (1, 3)
        corner = tuple((data[0, :, 0, 0] * 255).round().int().tolist())
        words = f"[RGB {data.shape[3]}x{data.shape[2]} {corner}]"
        codes = [ord(letter) for letter in words.ljust(729, "\0")]
        return {"bottleneck_rep": torch.tensor([codes])}
