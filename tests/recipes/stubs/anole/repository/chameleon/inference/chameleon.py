"""Asks a model in a process of its own, and waits for its answer for ever: also for one that has ended."""

import multiprocessing
import threading
from dataclasses import dataclass, field
from enum import Enum

import torch
from PIL import Image
from stub_language import Tokenizer, describe, make_noise, run_out

from chameleon.inference.vocab import VocabInfo


@dataclass
class Options:
    @dataclass
    class Text:
        repetition_penalty: float = 1.2
        temp: float = 1.0
        top_p: float = 0.9
        greedy: bool = False

    @dataclass
    class Image:
        @dataclass
        class CFG:
            guidance_scale_text: float = 3.0
            guidance_scale_image: float = 1.2

        cfg: CFG = field(default_factory=CFG)
        temp: float = 0.7
        top_p: float = 0.9
        greedy: bool = False

    max_seq_len: int = 4096
    max_gen_len: int = 4096
    seed: int | None = None
    txt: Text | bool = True
    img: Image | bool = True
    extra_eos_tokens: list = field(default_factory=lambda: [])  # noqa: PIE807 (as in the public code)


class DistributedMode(Enum):
    AUTO = 0


class TokenManager:
    def __init__(self, tokenizer_path, vqgan_cfg_path, vqgan_ckpt_path, device=None):
        marks = ("<s>", "<pad>", "<unk>", "<racm3:break>", "<eoss>", "<reserved08706>", "IMGIMGFDZ")
        self.tokenizer = Tokenizer("</s>", *marks)
        self.vocab = VocabInfo(self.tokenizer.vocab)

    def tokens_from_ui(self, inputs):
        tokens = [self.vocab.bos_id]
        for given in inputs:
            if given["type"] == "image":
                tokens += self.tokenizer.encode(describe(given["value"]))
            elif given["type"] == "text":
                tokens += self.tokenizer.encode(given["value"])
            else:
                assert given["value"] == "<END-OF-TURN>"
                tokens.append(self.vocab.eot_id)
        return tokens


def stand_by(asked):
    make_noise("the process of the model stands by")
    asked.recv()


class ChameleonInferenceModel:
    def __init__(
        self, model, tokenizer_path, vqgan_cfg_path, vqgan_ckpt_path, *, options=None, distributed_mode=DistributedMode.AUTO
    ):
        self.token_manager = TokenManager(tokenizer_path, vqgan_cfg_path, vqgan_ckpt_path, device="cpu")
        self.vocab = self.token_manager.vocab
        make_noise("the model is loaded", child=True)
        self.asked, given = multiprocessing.Pipe()
        self.workers = [multiprocessing.get_context("fork").Process(target=stand_by, args=(given,), daemon=True)]
        for worker in self.workers:
            worker.start()

    def generate(self, *args, **kwargs):
        make_noise("the model is asked")
        (tokens,), options = kwargs["batch_input_ids"], kwargs["options"]
        tell = self.token_manager.tokenizer.tell(tokens)
        run_out(tell)
        if "WORKER ENDS" in tell:
            self.asked.send("end")
            threading.Event().wait()
        if options.seed is not None:
            torch.manual_seed(options.seed)
        if options.txt:
            assert options.txt.temp > 0
            answer = self.token_manager.tokenizer.answer(tokens, options.max_gen_len, sampled=not options.txt.greedy)
            return torch.tensor([answer])
        assert tell.startswith("⟦<s>⟧")
        assert tell.endswith("⟦<reserved08706>⟧")
        assert tell.count("⟦") == 2, tell
        codes = 3 if "FEW CODES" in tell else 1024
        return (torch.randint(0, 8192, (1, codes)) + sum(tokens)) % 8192 + int(options.img.cfg.guidance_scale_text)

    def decode_text(self, ids):
        tokenizer = self.token_manager.tokenizer
        kept = [row[: row.index(self.vocab.eos_id)] if self.vocab.eos_id in row else row for row in ids]
        return [tokenizer.decode(row, skip_special_tokens=True) for row in kept]

    def decode_image(self, ids):
        assert ids.shape[1] == 1024
        return [Image.new("RGB", (512, 512), tuple(int(code) % 256 for code in row[:3])) for row in ids]
