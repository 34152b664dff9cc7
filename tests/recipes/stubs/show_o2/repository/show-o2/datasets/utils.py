import torch
from stub_language import describe


def image_transform(image, resolution=256, normalize=True, mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5], y0_centercrop=False):
    pixels = torch.full((3, resolution, resolution), float(ord(" ")))
    letters = torch.tensor([ord(letter) for letter in describe(image)])
    pixels[0, 0, : len(letters)] = letters.float()
    return pixels
