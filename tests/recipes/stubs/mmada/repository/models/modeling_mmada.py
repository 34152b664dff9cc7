from types import SimpleNamespace

import torch
from stub_language import LETTERS, make_noise
from transformers import tokenizer

MASK, cosine_schedule = 126336, None


def draft(prompt, length, steps, block_length, temperature):
    """An answer in a draft of whole blocks, filled up with ends."""
    make_noise("a draft is filled in")
    assert length % block_length == 0
    assert steps % (length // block_length) == 0
    words = [LETTERS + token - len(tokenizer) if token >= len(tokenizer) else token for token in prompt[0].tolist()]
    answer = tokenizer.answer(words, length, sampled=temperature > 0)
    return torch.tensor([answer + [tokenizer.eos_token_id] * (length - len(answer))])


class MMadaModelLM:
    config = SimpleNamespace(mask_token_id=MASK)

    @classmethod
    def from_pretrained(cls, name, trust_remote_code, torch_dtype):
        make_noise("the model is loaded")
        return cls()

    def to(self, _):
        return self

    def eval(self):
        return self

    def t2i_generate(
        self,
        input_ids=None,
        uncond_input_ids=None,
        attention_mask=None,
        uncond_attention_mask=None,
        temperature=1.0,
        timesteps=18,
        guidance_scale=0,
        noise_schedule=cosine_schedule,
        generator=None,
        config=None,
        seq_len=1024,
        mask_token_id=126336,
        resolution=512,
        codebook_size=8192,
        **kwargs,
    ):
        assert input_ids.shape == uncond_input_ids.shape == attention_mask.shape == uncond_attention_mask.shape
        assert (input_ids[0, 1:-1] == mask_token_id).sum() == seq_len
        return (torch.randint(0, codebook_size, (1, seq_len), generator=generator) + int(input_ids.sum())) % codebook_size

    def mmu_generate(
        self,
        idx=None,
        input_embeddings=None,
        max_new_tokens=128,
        steps=128,
        block_length=128,
        temperature=0.0,
        top_k=None,
        eot_token=None,
        cfg_scale=0.0,
        remasking="low_confidence",
        mask_id=126336,
        attention_mask=None,
    ):
        return torch.cat([idx, draft(idx, max_new_tokens, steps, block_length, temperature)], dim=1)
