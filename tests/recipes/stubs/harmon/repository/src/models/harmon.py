from types import SimpleNamespace

import numpy as np
import torch
from stub_language import LETTERS, Embedding, Tokenizer, make_noise, read_again

PATCHES, BUFFER = 1024, 64


class LanguageModel:
    def __init__(self, tokenizer):
        self.tokenizer, self.device, self.dtype = tokenizer, torch.device("cpu"), torch.float32
        self.config = SimpleNamespace(hidden_size=4)

    def get_input_embeddings(self):
        return Embedding()

    def generate(self, inputs_embeds, attention_mask, use_cache, max_new_tokens, eos_token_id, pad_token_id, **sampling):
        make_noise("words are read")
        ids = read_again(inputs_embeds[0])
        return torch.tensor([self.tokenizer.answer(ids, max_new_tokens, sampled=sampling["do_sample"])])


class Harmon(torch.nn.Module):
    def __init__(self, vae, vae_scale, llm, mar, tokenizer, prompt_template):
        super().__init__()
        open(vae.ckpt_path, "rb").close()
        make_noise("the model is built, missing keys: []")
        assert llm.attn_implementation == "sdpa", "the option is handed on"
        self.prompt_template = prompt_template
        self.tokenizer = Tokenizer("<|im_end|>", "<|im_start|>", "<|vision_start|>", pad="<|endoftext|>")
        self.llm = LanguageModel(self.tokenizer)
        self.proj_in, self.vae = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)

    @property
    def device(self):
        return self.llm.device

    @property
    def dtype(self):
        return self.llm.dtype

    def encode(self, x):
        assert x.shape[1:] == (3, 512, 512)
        assert -1 <= x.min() <= x.max() <= 1
        return x

    def extract_visual_feature(self, x, mask=None, detach=False):
        top = ((x[:, :, 0, 256] + 1) * 127.5).round().int().tolist()
        rows = [f"[RGB {tuple(pixel)}]".ljust(PATCHES + BUFFER) for pixel in top]
        return None, Embedding()(torch.tensor([[LETTERS + ord(letter) for letter in row] for row in rows]))

    def prepare_text_conditions(self, prompt, cfg_prompt="Generate an image."):
        assert prompt.startswith("words of the stub: ")
        words = self.tokenizer.encode(prompt)
        self.tokenizer.check_prompt(words)
        rows = [torch.tensor(words), torch.tensor(self.tokenizer.encode(cfg_prompt))]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return {"input_ids": ids, "attention_mask": ids != 0}

    def sample(
        self,
        input_ids=None,
        inputs_embeds=None,
        attention_mask=None,
        num_iter=64,
        cfg=1.0,
        cfg_schedule="constant",
        temperature=1.0,
        progress=False,
        mask=None,
        past_key_values=None,
        image_shape=None,
        x_con=None,
        **kwargs,
    ):
        make_noise("a picture is drawn")
        assert input_ids.shape[0] == 2
        order = np.arange(16)
        np.random.shuffle(order)
        colours = torch.sin(input_ids[0].sum() + torch.arange(16.0))[torch.from_numpy(order)]
        pixels = colours.reshape(1, 1, 4, 4) * torch.tensor([1.0, 0.5, 0.2]).reshape(1, 3, 1, 1)
        return torch.nn.functional.interpolate(pixels, size=[16 * side for side in image_shape])
