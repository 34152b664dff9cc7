from types import SimpleNamespace

import torch
from stub_language import LETTERS, Embedding, make_noise, read_again

from .misc import tokenizer


class Showo2Qwen2_5:
    def __init__(
        self,
        llm_vocab_size=None,
        llm_model_path="",
        load_from_showo=False,
        image_latent_dim=16,
        image_latent_height=16,
        image_latent_width=16,
        video_latent_height=16,
        video_latent_width=16,
        patch_size=2,
        hidden_size=2048,
        clip_latent_dim=1152,
        num_diffusion_layers=10,
        add_time_embeds=True,
        add_qk_norm=False,
        clip_pretrained_model_path="google/siglip-so400m-patch14-384",
        **kwargs,
    ):
        self.showo = SimpleNamespace(model=SimpleNamespace(embed_tokens=Embedding()))
        self.image_embedder_und = lambda latents: torch.zeros(1, 100, 8)
        self.image_embedder_gen = lambda latents: Embedding()(latents.reshape(1, -1)[:, :100].round().long() + LETTERS)
        self.position_embedding = lambda ids: torch.zeros(1, 100, 8)
        self.image_position_ids = torch.arange(100).expand((1, -1))
        self.und_trans = lambda embeds: {"last_hidden_state": embeds}
        self.fusion_proj = lambda both: both[..., 8:]
        self.time_embed = lambda t, dtype: Embedding()(torch.full((1, 1), LETTERS + ord("t"))).to(dtype)
        self.time_embed_proj = lambda embeds: embeds

    @classmethod
    def from_pretrained(cls, name, use_safetensors):
        make_noise("the model is loaded")
        assert use_safetensors is False
        return cls()

    def to(self, _):
        return self

    def eval(self):
        return self

    def t2i_generate(
        self,
        image_latents=None,
        t=None,
        text_tokens=None,
        attention_mask=None,
        modality_positions=None,
        first_frame_as_cond=False,
        only_denoise_last_image=False,
        max_seq_len=None,
        guidance_scale=0.0,
        **kwargs,
    ):
        assert attention_mask.shape == (2, 1, max_seq_len, max_seq_len)
        assert text_tokens.shape == (2, max_seq_len)
        towards, away = (torch.sin(row.float() * torch.arange(max_seq_len)).sum() for row in text_tokens)
        velocity = away + guidance_scale * (towards - away)
        return torch.sin(velocity) - image_latents

    def mmu_generate(self, input_embeds=None, attention_mask=None, max_new_tokens=100, temperature=1.0, top_k=None, eos_token=None):
        make_noise("a picture is read")
        assert attention_mask.shape == (1, 1, input_embeds.shape[1], input_embeds.shape[1])
        answer = tokenizer.answer(read_again(input_embeds[0]), max_new_tokens, sampled=top_k != 1)
        return [torch.tensor(token) for token in answer]

    def lm_generate(
        self,
        input_ids=None,
        attention_mask=None,
        tokenizer=None,
        max_new_tokens=100,
        boi_token=None,
        temperature=1.0,
        top_k=None,
        top_p=None,
        device=None,
    ):
        make_noise("words are read")
        answer = tokenizer.answer(input_ids, max_new_tokens, sampled=top_k != 1)
        input_ids += answer
        return tokenizer.decode(answer)
