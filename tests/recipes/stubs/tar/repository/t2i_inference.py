import re
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from stub_language import Tokenizer, make_noise
from tok.mm_autoencoder import MMAutoEncoder

make_noise("t2i_inference is imported", child=True)


class ChatTokenizer(Tokenizer):
    def apply_chat_template(self, turns, tokenize, add_generation_prompt):
        said = "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in turns)
        return said + "<|im_start|>assistant\n"

    def get_added_vocab(self):
        return self.vocab

    def decode(self, ids, skip_special_tokens=False):
        """Codes are no special tokens: they are kept."""
        shown = (self.control[token] if token < len(self.control) else chr(token - 1000) for token in ids)
        return "".join(one for one in shown if not (skip_special_tokens and one in ("<|im_end|>", "<|im_start|>")))


class Qwen2:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.generation_config = SimpleNamespace(eos_token_id=[tokenizer.eos_token_id])

    def eval(self):
        return self

    def generate(self, ids, attention_mask, max_new_tokens, do_sample, temperature=None, top_p=None, top_k=None):
        assert attention_mask.shape == ids.shape
        make_noise("asked")
        answer = self.tokenizer.answer(ids[0], max_new_tokens, sampled=do_sample)
        if ids[0, -1] == self.tokenizer.vocab["<S0>"] and "WORDS ONLY" not in self.tokenizer.tell(ids[0]):
            assert (temperature, top_p, top_k, max_new_tokens) == (1.0, 0.95, 1200, 729)
            first = self.tokenizer.vocab["<I0>"]
            answer = (first + (torch.randint(256, (max_new_tokens,)) + ids.sum()) % 256).tolist()
        return torch.cat([ids, torch.tensor([answer])], dim=1)


@dataclass
class T2IConfig:
    model_path: str = "csuhan/Tar-1.5B"
    ar_path: str = "ar_dtok_lp_256px.pth"
    encoder_path: str = "ta_tok.pth"
    decoder_path: str = "vq_ds16_t2i.pt"
    device: str = "cuda:0"
    dtype: torch.dtype = torch.bfloat16
    scale: int = 0
    seq_len: int = 729
    temperature: float = 1.0
    top_p: float = 0.95
    top_k: int = 1200
    cfg_scale: float = 4.0


class TextToImageInference:
    def __init__(self, config):
        self.config = config
        self.device = torch.device(config.device)
        codes = [f"<I{number}>" for number in range(256)]
        self.tokenizer = ChatTokenizer("<|im_end|>", "<|im_start|>", "<|endoftext|>", "<im_start>", "<im_end>", "<S0>", *codes)
        self.model = Qwen2(self.tokenizer)
        self.tokenizer.tell = self.tell
        self.visual_tokenizer = MMAutoEncoder(config.ar_path, config.encoder_path, config.decoder_path)

    def tell(self, ids):
        """What was read: a whole picture, which is 729 codes in a row, as the words that they stand for."""
        said = Tokenizer.tell(self.tokenizer, ids)
        return re.sub(
            r"(?:⟦<I\d+>⟧){729}", lambda found: "".join(map(chr, map(int, re.findall(r"\d+", found[0])))).strip("\0"), said
        )

    def generate_image(self, prompt):
        return [{"role": "system", "content": "system words of the script"}, {"role": "user", "content": prompt}]
