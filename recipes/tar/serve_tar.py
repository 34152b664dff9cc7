"""Serve Tar-1.5B or Tar-7B to unisafe-async: it answers, reads pictures and draws. Places, options and memory: README.md."""

from __future__ import annotations

import ast
import functools
import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # recipes/, where unisafe_serve.py and public_checkout.py stand
import public_checkout
import unisafe_serve

WEIGHTS = {"1.5B": "csuhan/Tar-1.5B", "7B": "csuhan/Tar-7B-v0.1"}
"""At the Hugging Face hub, where `--weights` is not given. The authors' README calls the second Tar-7B, and links this one."""
TOKENIZERS = {"encoder": ("csuhan/TA-Tok", "ta_tok.pth"), "decoder": ("peizesun/llamagen_t2i", "vq_ds16_t2i.pt")}
"""At the hub, where `--tokenizers` is not given; a third file depends on the size of pictures."""
CODES = {0: 729, 1: 169, 2: 81}
"""How many codes a picture has at each scale."""
CODE = re.compile(r"<I(\d+)>")
CONTROL = [re.compile(r"<[IS]\d+>"), "<im_start>", "<im_end>", "<|im_start|>", "<|im_end|>", "<|endoftext|>"]
DEFAULTS = {
    "size": "1.5B",
    "pixels": 1024,
    "dtype": "bfloat16",
    "scale": 0,
    "temperature": 1.0,
    "top_p": 0.95,
    "top_k": 1200,
    "guidance": 4.0,
    "max_tokens": 512,
    "edits": False,
}


class Tar:
    """The language model and the tokenizer of pictures, as the authors' class for drawing loads them."""

    version, sees = "1", True

    def __init__(self, places, options, device):
        self.options = public_checkout.merge_options(options, DEFAULTS)
        if (
            self.options["size"] not in WEIGHTS
            or self.options["scale"] not in CODES
            or self.options["pixels"] not in (256, 512, 1024)
        ):
            raise ValueError('size is "1.5B" or "7B", scale 0, 1 or 2, pixels 256, 512 or 1024')
        self.model = "Tar-" + self.options["size"]
        self.kinds = ["chat", "image", *(["edit"] if self.options["edits"] else [])]
        weights = places.weights or download_weights(WEIGHTS[self.options["size"]])
        files = find_tokenizers(places.tokenizers, self.options["pixels"])
        self.system = read_system_prompt(places.checkout)
        public_checkout.enter(places.checkout)
        self.tar = self._load(weights, files, device or "cuda:0")
        marks = [mark for mark in public_checkout.list_marks(self.tar.tokenizer) if not CONTROL[0].fullmatch(mark)]
        self.control = [*CONTROL, *marks]
        self.ends = self._list_ends()
        self.parameters = {
            **self.options,
            "sampling": "text: as generation_config.json of the weights says, unless the request has a temperature",
            "template": "the codes of a picture, a line break, the words; the authors' system prompt where none is given",
            "codes": CODES[self.options["scale"]],
            "revision": public_checkout.read_revision(weights),
            "tokenizers_revision": public_checkout.read_revision(files["ar"]),
            "code": "csuhan/Tar@" + public_checkout.read_commit(places.checkout),
        }

    def _load(self, weights, files, device):
        import torch
        from t2i_inference import T2IConfig, TextToImageInference

        unisafe_serve.progress("loading the language model and the tokenizer of pictures")
        config = T2IConfig(
            model_path=weights,
            ar_path=files["ar"],
            encoder_path=files["encoder"],
            decoder_path=files["decoder"],
            device=device,
            dtype=getattr(torch, self.options["dtype"]),
            scale=self.options["scale"],
            seq_len=CODES[self.options["scale"]],
        )
        tar = TextToImageInference(config)
        tar.model.eval()
        return tar

    def _list_ends(self):
        """The tokens that end an answer."""
        ends = self.tar.model.generation_config.eos_token_id
        return {self.tar.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}

    # --- words

    def chat(self, request):
        limit = request.max_tokens or self.options["max_tokens"]
        read, written = self._generate(self._prompt(request), max_new_tokens=limit, **sampling(request))
        cut = len(written) >= limit and written[-1] not in self.ends
        return unisafe_serve.Answer(
            self.tar.tokenizer.decode(written, skip_special_tokens=True),
            finish="length" if cut else "stop",
            tokens_in=read,
            tokens_out=len(written),
        )

    def _prompt(self, request):
        """The turns of a request, in the checkpoint's chat template: each picture stands as its codes."""
        pictures = request.pictures()
        parts = [self._encode(pictures[part["image"]]) if "image" in part else self._clean(part["text"]) for part in request.parts]
        turns = [
            {"role": "system", "content": self._clean(request.system) or self.system},
            {"role": "user", "content": "\n".join(part for part in parts if part)},
        ]
        return self.tar.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)

    def _clean(self, text):
        return unisafe_serve.break_up(text, self.control)

    def _encode(self, picture):
        """A picture as text: the marks of its 729 codes. The tokenizer squeezes it into a square."""
        import torch
        from torchvision.transforms.functional import to_tensor

        pixels = to_tensor(picture).unsqueeze(0).to(self.tar.device).to(self.tar.config.dtype)
        with torch.inference_mode():
            codes = self.tar.visual_tokenizer.encoder(pixels, pool_scale=1)["bottleneck_rep"]
        return "".join(f"<I{code}>" for code in codes[0].tolist())

    def _generate(self, prompt, **named):
        """How many tokens were read, and those that were written."""
        import torch

        ids = self.tar.tokenizer(prompt, return_tensors="pt").input_ids.to(self.tar.device)
        with torch.inference_mode():
            given = self.tar.model.generate(ids, attention_mask=torch.ones_like(ids), **named)
        return ids.shape[1], given[0, ids.shape[1] :].tolist()

    # --- pictures

    def draw(self, request):
        side = self.options["pixels"]
        if request.size not in (None, f"{side}x{side}"):
            raise unisafe_serve.Rejected(f"it draws {side}x{side} only, not {request.size}: see the option pixels")
        codes = CODES[self.options["scale"]]
        prompt = self._prompt(request) + "<im_start><S{}>".format(self.options["scale"])
        values = {key: self.options[key] for key in ("temperature", "top_p", "top_k")}
        _, written = self._generate(prompt, max_new_tokens=codes, do_sample=True, **values)
        said = self.tar.tokenizer.decode(written, skip_special_tokens=False)
        drawn = [int(code) for code in CODE.findall(said)][:codes]
        words = CODE.sub("", self.tar.tokenizer.decode(written, skip_special_tokens=True)).strip()
        if len(drawn) < codes // 2:  # it wrote instead of drawing; the authors' script would fill the rest with code 0
            return unisafe_serve.Answer(words, tokens_out=len(written))
        return unisafe_serve.Answer(words, images=[self._decode(drawn + [0] * (codes - len(drawn)))], tokens_out=len(written))

    edit = draw

    def _decode(self, codes):
        import torch
        from PIL import Image

        given = torch.tensor([codes], device=self.tar.device)
        pixels = self.tar.visual_tokenizer.decode_from_encoder_indices(given, {"cfg_scale": self.options["guidance"]})
        return Image.fromarray(pixels[0].numpy())


def sampling(request):
    """Arguments of `generate` for the text of a request: sampled as the authors do, unless the request says otherwise."""
    if request.temperature is not None and request.temperature <= 0:
        return {"do_sample": False}
    asked = {"temperature": request.temperature, "top_p": request.top_p}
    return {"do_sample": True, **{key: value for key, value in asked.items() if value is not None}}


def read_system_prompt(checkout):
    """The system prompt in the authors' script, read without running it."""
    for node in ast.walk(ast.parse(Path(checkout, "t2i_inference.py").read_text("utf-8"))):
        if isinstance(node, ast.Dict):
            turn = dict(zip(map(value_of, node.keys), map(value_of, node.values), strict=True))
            if turn.get("role") == "system" and turn.get("content"):
                return turn["content"]
    raise LookupError("t2i_inference.py of the checkout has no system prompt")


def value_of(node):
    return node.value if isinstance(node, ast.Constant) else None


def download_weights(name):
    """The folder of the language model in the hub's cache; what is missing there is downloaded."""
    from huggingface_hub import snapshot_download

    unisafe_serve.progress(f"looking for {name}: what is not in the cache is downloaded")
    return snapshot_download(name)


def find_tokenizers(folder, pixels):
    """The files of the tokenizer of pictures, in a folder or in the hub's cache."""
    named = {**TOKENIZERS, "ar": ("csuhan/TA-Tok", f"ar_dtok_lp_{pixels}px.pth")}
    if folder:
        return {key: str(Path(folder, file)) for key, (_, file) in named.items()}
    from huggingface_hub import hf_hub_download

    unisafe_serve.progress("looking for the tokenizer of pictures: what is not in the cache is downloaded")
    return {key: hf_hub_download(name, file) for key, (name, file) in named.items()}


if __name__ == "__main__":
    given = public_checkout.read_places("weights", "tokenizers")
    unisafe_serve.take_stdout()  # the checkout prints while it loads
    unisafe_serve.run(functools.partial(Tar, given))
