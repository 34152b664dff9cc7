from dataclasses import dataclass

import torch
from stub_language import LETTERS, Tokenizer, describe, make_noise

PAD = "<｜▁pad▁｜>"


@dataclass
class BatchedVLChatProcessorOutput:
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    pixel_values: torch.Tensor
    images_seq_mask: torch.Tensor
    images_emb_mask: torch.Tensor

    def to(self, device, dtype=torch.bfloat16):
        self.pixel_values = self.pixel_values.to(device, dtype)
        return self

    def keys(self):
        return self.__dict__.keys()

    def __getitem__(self, key):
        return self.__dict__[key]


class VLChatProcessor:
    system_prompt = "system words of the processor"

    def __init__(
        self,
        image_processor,
        tokenizer,
        image_tag="<image_placeholder>",
        image_start_tag="<begin_of_image>",
        image_end_tag="<end_of_image>",
        image_gen_tag="<｜begin▁of▁generation｜>",
        num_image_tokens=576,
        add_special_token=False,
        sft_format="deepseek",
        mask_prompt=True,
        ignore_id=-100,
        **kwargs,
    ):
        self.tokenizer = tokenizer
        self.image_tag, self.image_start_tag, self.image_end_tag = image_tag, image_start_tag, image_end_tag
        self.image_gen_tag, self.sft_format = image_gen_tag, sft_format
        tokenizer.add(image_tag, image_gen_tag, image_start_tag, image_end_tag)
        make_noise("tags are added")

    @classmethod
    def from_pretrained(cls, name):
        end, begin = "<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>"
        return cls(None, Tokenizer(end, bos=begin, pad=PAD))

    def apply_sft_template_for_multi_turn_prompts(self, conversations, sft_format="deepseek", system_prompt=""):
        turns = [f"{turn['role']}: {turn['content'].strip()}" if turn["content"] else f"{turn['role']}:" for turn in conversations]
        return "\n\n".join([system_prompt, *turns] if system_prompt else turns)

    @property
    def pad_id(self):
        return self.tokenizer.pad_token_id

    def __call__(self, *, prompt=None, conversations=None, images=None, force_batchify=True, **kwargs):
        make_noise("a prompt is processed")
        ids = self.tokenizer.encode(prompt)
        mark = self.tokenizer.vocab[self.image_tag]
        assert ids.count(mark) == len(images), "each mark needs its picture"
        for picture in images:
            at = ids.index(mark)
            ids[at : at + 1] = [LETTERS + ord(letter) for letter in describe(picture)]
        row = torch.tensor([ids])
        assert self.tokenizer.vocab[self.image_start_tag] not in ids, "would be taken for a part of a picture"
        nothing = torch.zeros(1, 1, 1)
        return BatchedVLChatProcessorOutput(row, torch.ones_like(row), nothing, nothing.bool(), nothing.bool())
