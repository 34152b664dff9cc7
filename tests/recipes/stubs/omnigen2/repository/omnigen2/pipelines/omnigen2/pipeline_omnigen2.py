from types import SimpleNamespace

import torch
from PIL import Image
from stub_language import LETTERS, Encoding, Tokenizer, describe, make_noise


class Processor:
    def __init__(self):
        self.tokenizer = Tokenizer("<|im_end|>", "<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|img|>")

    def read(self, prompt, pictures):
        ids = self.tokenizer.encode(prompt)
        mark = self.tokenizer.vocab["<|image_pad|>"]
        assert ids.count(mark) == len(pictures), "each mark needs its picture"
        for picture in pictures:
            at = ids.index(mark)
            ids[at : at + 1] = [LETTERS + ord(letter) for letter in describe(picture)]
        return Encoding(input_ids=torch.tensor([ids]))


class LanguageModel:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def generate(self, input_ids, tokenizer, max_new_tokens, stop_strings, **sampling):
        assert "<|im_end|>" in stop_strings
        answer = self.tokenizer.answer(input_ids[0], max_new_tokens, sampled=sampling["do_sample"])
        return torch.tensor([input_ids[0].tolist() + answer])


class OmniGen2Pipeline:
    def __init__(self, transformer, vae, scheduler, mllm, processor):
        self.transformer, self.vae, self.scheduler, self.mllm, self.processor = transformer, vae, scheduler, mllm, processor

    @classmethod
    def from_pretrained(cls, name, torch_dtype, trust_remote_code):
        make_noise("the pipeline is loaded")
        processor = Processor()
        return cls(None, "vae", "scheduler", LanguageModel(processor.tokenizer), processor)

    def to(self, device):
        assert self.transformer is not None
        return self

    def __call__(
        self,
        prompt=None,
        negative_prompt=None,
        prompt_embeds=None,
        negative_prompt_embeds=None,
        prompt_attention_mask=None,
        negative_prompt_attention_mask=None,
        max_sequence_length=None,
        callback_on_step_end_tensor_inputs=None,
        input_images=None,
        num_images_per_prompt=1,
        height=None,
        width=None,
        max_pixels=1024 * 1024,
        max_input_image_side_length=1024,
        align_res=True,
        num_inference_steps=28,
        text_guidance_scale=4.0,
        image_guidance_scale=1.0,
        cfg_range=(0.0, 1.0),
        attention_kwargs=None,
        timesteps=None,
        generator=None,
        latents=None,
        output_type="pil",
        return_dict=True,
        verbose=False,
        step_func=None,
    ):
        make_noise("a picture is drawn")
        ids = self.processor.tokenizer.encode(prompt)
        self.processor.tokenizer.check_prompt(ids)
        for picture in input_images or []:
            assert picture.mode == "RGB"
            width, height = (side // 16 * 16 for side in picture.size)
            assert min(width, height) > 0
            assert image_guidance_scale > 1
        noise = torch.randint(0, 256, (3,), generator=generator)
        colour = tuple(int(level) for level in (noise + sum(ids) + int(text_guidance_scale)) % 256)
        return SimpleNamespace(images=[Image.new("RGB", (width, height), colour)])
