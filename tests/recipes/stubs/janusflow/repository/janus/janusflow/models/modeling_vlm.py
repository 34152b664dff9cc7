from types import SimpleNamespace

import torch
from stub_language import Embedding, make_noise, read_again

from janus.janusflow.models.processing_vlm import VLChatProcessor
from janus.janusflow.models.uvit import ShallowUViTDecoder, ShallowUViTEncoder


class LanguageModel:
    """A Llama of stub: `generate` tells what it read, `model` mixes what it reads into every place."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def get_input_embeddings(self):
        return Embedding(2048)

    def generate(
        self, inputs_embeds, attention_mask, pad_token_id, bos_token_id, eos_token_id, max_new_tokens, use_cache, **sampling
    ):
        ids = read_again(inputs_embeds[0])
        return torch.tensor([self.tokenizer.answer(ids, max_new_tokens, sampled=sampling.pop("do_sample"))])

    def model(self, inputs_embeds, attention_mask, use_cache, past_key_values=None):
        if isinstance(past_key_values, tuple):
            raise AttributeError("'tuple' object has no attribute 'get_seq_length'")
        assert attention_mask.shape == inputs_embeds.shape[:2]
        words = inputs_embeds[:, :-577]
        self.tokenizer.check_prompt(read_again(words[0]))
        read = (words[..., 0] * attention_mask[:, :-577]).sum(dim=1, keepdim=True).unsqueeze(-1)
        return SimpleNamespace(last_hidden_state=inputs_embeds + torch.sin(read * torch.arange(1, 2049)))


class MultiModalityCausalLM:
    def __init__(self, config):
        self.config = config
        self.language_model = LanguageModel(VLChatProcessor.from_pretrained("the same").tokenizer)
        self.vision_gen_enc_model = ShallowUViTEncoder()
        self.vision_gen_enc_aligner = torch.nn.Linear(768, 2048)
        self.vision_gen_dec_model = ShallowUViTDecoder()
        self.vision_gen_dec_aligner_norm = torch.nn.LayerNorm(2048)
        self.vision_gen_dec_aligner = torch.nn.Linear(2048, 768)

    @classmethod
    def from_pretrained(cls, name):
        make_noise("the model is loaded")
        torch.manual_seed(0)  # weights are the same in every process
        return cls(SimpleNamespace())

    def to(self, *_):
        return self

    def eval(self):
        return self

    def prepare_inputs_embeds(self, input_ids, pixel_values, images_seq_mask, images_emb_mask, **kwargs):
        return Embedding(2048)(input_ids)
