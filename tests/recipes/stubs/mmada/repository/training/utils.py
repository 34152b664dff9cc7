import torch
from stub_language import describe


def image_transform(image, resolution=256, normalize=True):
    pixels = torch.full((3, resolution, resolution), float(ord(" ")))
    letters = torch.tensor([ord(letter) for letter in describe(image)])
    pixels.view(-1)[: len(letters)] = letters.float()
    return pixels
