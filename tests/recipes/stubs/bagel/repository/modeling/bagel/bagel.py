import torch
from stub_language import Tokenizer


class BagelConfig:
    def __init__(
        self,
        visual_gen=True,
        visual_und=True,
        llm_config=None,
        vit_config=None,
        vae_config=None,
        latent_patch_size=2,
        max_latent_size=32,
        vit_max_num_patch_per_side=70,
        connector_act="gelu_pytorch_tanh",
        interpolate_pos=False,
        timestep_shift=1.0,
        **kwargs,
    ):
        assert max_latent_size == 64
        assert vae_config.downsample == 8


class Bagel:
    def __init__(self, language_model, vit_model, config):
        self.vit_model = vit_model

    def eval(self):
        return self

    def generate_text(
        self,
        past_key_values,
        packed_key_value_indexes,
        key_values_lens,
        packed_start_tokens,
        packed_query_position_ids,
        max_length,
        do_sample=False,
        temperature=1.0,
        end_token_id=None,
    ):
        """The mark that starts a text and its tokens, without the mark that ends it: [tokens, 1]."""
        reader = Tokenizer("<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|object_ref_start|>")
        reader.add("<|vision_start|>", "<|vision_end|>")
        answer = reader.answer(past_key_values, None, sampled=do_sample)[:-1]
        return torch.tensor([packed_start_tokens, *answer])[:max_length].unsqueeze(1)
