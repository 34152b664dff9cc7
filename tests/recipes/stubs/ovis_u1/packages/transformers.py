"""The model as the code beside its weights makes it: `<image>` and `<video>` are marks of that code, not of the tokenizer."""

import re
from types import SimpleNamespace

import torch
from PIL import Image
from stub_language import LETTERS, Tokenizer, describe, make_noise, run_out

PICTURE = -300
"""What stands for a picture among the tokens."""


class VisualTokenizer:
    device = torch.device("cpu")

    def smart_resize(self, height, width, factor=28, max_pixels=1024 * 1024):
        sides = [max(factor, round(side / factor) * factor) for side in (height, width)]
        if max(sides) > 300 * factor:
            raise ValueError("a picture of this shape cannot be read")
        return tuple(sides)

    def preprocess_image(self, picture):
        self.smart_resize(picture.height, picture.width)
        words = describe(picture)
        return torch.tensor([[ord(letter) for letter in words.ljust(40)]]).float(), torch.tensor([[1, 2, 2]]), [PICTURE]


class OvisU1:
    def __init__(self):
        self.tokenizer = Tokenizer("<|im_end|>", "<|im_start|>", "<|vision_start|>", "<think>", "</think>", pad="<|endoftext|>")
        self.visual_tokenizer = VisualTokenizer()
        self.device, self.dtype = torch.device("cpu"), torch.bfloat16

    def eval(self):
        return self

    def to(self, where):
        return self

    def get_text_tokenizer(self):
        return self.tokenizer

    def get_visual_tokenizer(self):
        return self.visual_tokenizer

    def preprocess_inputs(
        self,
        text_or_conversations,
        images,
        generation_preface="",
        return_labels=False,
        propagate_exception=True,
        multimodal_type="single_image",
        fix_sample_overall_length_navit=False,
    ):
        turns = text_or_conversations
        if isinstance(turns, str):
            turns = [{"from": "human", "value": turns}]
        prompt = "".join(f"<|im_start|>{turn['from']}\n{turn['value']}<|im_end|>\n" for turn in turns)
        if generation_preface is not None:
            prompt += f"<|im_start|>assistant\n<think>\n\n</think>\n\n{generation_preface}"
        mark = "<video>" if "<video>" in prompt else "<image>"
        first, *rest = prompt.split(mark)
        ids, pixels = self.tokenizer.encode(first), []
        for index, words in enumerate(rest):
            try:
                seen = self.visual_tokenizer.preprocess_image(images[index])
            except Exception:
                if propagate_exception:
                    raise
                seen = self.visual_tokenizer.preprocess_image(Image.new("RGB", (448, 448)))
            pixels.append(seen)
            ids += [*seen[2], *self.tokenizer.encode(words)]
        values, grids = (torch.cat([seen[place] for seen in pixels]) if pixels else None for place in (0, 1))
        return prompt, torch.tensor(ids), values, grids

    def generate(self, inputs, *, attention_mask, pixel_values, grid_thws, max_new_tokens, do_sample, **_):
        make_noise("words are read")
        assert attention_mask.all()
        assert len(pixel_values) == len(grid_thws), "text alone needs a picture too"
        assert pixel_values.dtype == torch.bfloat16
        pictures = ["".join(chr(round(number)) for number in row.tolist()).strip() for row in pixel_values]
        ids = []
        for token in inputs[0].tolist():
            ids += [LETTERS + ord(letter) for letter in pictures.pop(0)] if token == PICTURE else [token]
        return torch.tensor([self.tokenizer.answer(ids, max_new_tokens, sampled=do_sample)])

    def draw(self, prompt, pictures, size, seed, *guidance):
        """A picture of one colour, by the words that were read, the seed, and what is random beside it."""
        make_noise("a picture is drawn")
        _, ids, _, _ = self.preprocess_inputs(prompt, pictures, generation_preface=None, propagate_exception=False)
        read = self.tokenizer.tell(token for token in ids if token != PICTURE)
        run_out(read)
        assert re.findall("⟦(.*?)⟧", read) == ["<|im_start|>", "<|im_end|>"], read
        assert torch.isfinite(torch.tensor(guidance)).all()
        noise = torch.randint(0, 256, (3,), generator=torch.Generator().manual_seed(seed)) + torch.randint(0, 256, (3,))
        return [Image.new("RGB", size, tuple(int(level) for level in (noise + int(ids.sum())) % 256))]


class AutoModelForCausalLM:
    @staticmethod
    def from_pretrained(name, torch_dtype, output_loading_info, trust_remote_code):
        assert output_loading_info
        assert trust_remote_code
        assert torch_dtype == torch.bfloat16
        make_noise("the model is loaded", child=True)
        return OvisU1(), SimpleNamespace(missing_keys=[])
