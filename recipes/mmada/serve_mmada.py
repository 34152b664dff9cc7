"""Serve MMaDA-8B to unisafe-async: answers text, reads pictures, draws at 512 x 512. Options and memory: README.md."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # recipes/, where both files stand

import public_checkout
import unisafe_serve

unisafe_serve.take_stdout()

WEIGHTS, CODEBOOK = "Gen-Verse/MMaDA-8B-MixCoT", "showlab/magvitv2"
"""Hub ids, for places that are not given: they are taken from the hub's cache, or fetched."""
SIDE, PATCHES, CODES, WORDS = 512, 1024, 8192, 512
"""Pixels a side of a picture, its tokens, the codes that a token chooses from, and the tokens of a prompt to draw."""
MARKS = ("<|soi|>", "<|eoi|>", "<|sov|>", "<|eov|>", "<|t2i|>", "<|mmu|>", "<|t2v|>", "<|v2v|>", "<|lvg|>")
DEFAULTS = {
    "dtype": "bfloat16",
    "guidance": 3.5,
    "steps": 15,
    "drawing_temperature": 1.0,
    "schedule": "cosine",
    "block": 128,
    "tokens_a_step": 2,
    "max_tokens": 512,
}


class MMaDA:
    """The diffusion model of words and of codes of pictures, its tokenizer, and the codebook that turns codes into pictures."""

    model, version, kinds, sees = "MMaDA-8B", "1", ["chat", "image"], True

    def __init__(self, places, options, device):
        self.options = public_checkout.merge_options(options, DEFAULTS)
        weights, codebook = places.weights or WEIGHTS, places.codebook or CODEBOOK
        self.parameters = {
            **self.options,
            "weights": weights if places.weights is None else Path(weights).name,
            "code": "Gen-Verse/MMaDA@" + public_checkout.read_commit(places.checkout),
            "revision": public_checkout.read_revision(weights),
            "codebook_revision": public_checkout.read_revision(codebook),
            "size": f"{SIDE}x{SIDE}",
            "sampling": "the likeliest tokens, unless the request has a temperature",
            "remasking": "low_confidence",
        }
        public_checkout.enter(places.checkout)
        self.template = public_checkout.read_string(places.checkout, "generate.py", "chat_template")
        self._load(weights, codebook, device)

    def _load(self, weights, codebook, device):
        import torch
        from models import MAGVITv2, MMadaModelLM
        from training.prompting_utils import UniversalPrompting
        from transformers import AutoTokenizer

        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.dtype = getattr(torch, self.options["dtype"])
        self.tokenizer = AutoTokenizer.from_pretrained(weights, padding_side="left", trust_remote_code=True)
        self.prompting = UniversalPrompting(
            self.tokenizer,
            max_text_len=WORDS,
            special_tokens=MARKS,
            ignore_id=-100,
            cond_dropout_prob=0.1,
            use_reserved_token=True,
        )
        unisafe_serve.progress("loading the codebook")
        self.codebook = MAGVITv2.from_pretrained(codebook).to(self.device).eval()
        unisafe_serve.progress("loading the model")
        mmada = MMadaModelLM.from_pretrained(weights, trust_remote_code=True, torch_dtype=self.dtype)
        self.mmada = mmada.to(self.device).eval()
        self.control = public_checkout.list_marks(self.tokenizer, *MARKS, "<|mdm_mask|>")
        self.ends = {self.tokenizer.eos_token_id, int(self.prompting.sptids_dict["<|eot_id|>"][0])}

    # --- words

    def chat(self, request):
        import torch

        if request.top_p is not None and request.top_p < 1.0:
            raise unisafe_serve.Rejected("MMaDA's code has no top_p: leave it out")
        limit = request.max_tokens or self.options["max_tokens"]
        sampled = self._sampling(limit, request.temperature or 0.0)
        with torch.no_grad(), torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            if request.image_files:
                asked = self._show(
                    request.pictures(), self._encode(request, self.tokenizer.chat_template or self.template, more=False)
                )
                drafted = self.mmada.mmu_generate(asked, max_new_tokens=sampled.pop("length"), **sampled)
            else:
                from generate import generate

                asked = self._encode(request, self.template)
                drafted = generate(self.mmada, asked, gen_length=sampled.pop("length"), remasking="low_confidence", **sampled)
        tokens = drafted[0, asked.shape[1] :].tolist()
        ended = next((place for place, token in enumerate(tokens) if token in self.ends), None)
        cut = ended is None or ended > limit
        kept = tokens[:limit] if cut else tokens[:ended]
        return unisafe_serve.Answer(
            self.tokenizer.decode(kept, skip_special_tokens=True),
            finish="length" if cut else "stop",
            tokens_in=asked.shape[1],
            tokens_out=len(kept),
        )

    def _sampling(self, limit, temperature):
        """The draft is whole blocks long, all of it filled in over the steps; what is beyond the limit is cut off afterwards."""
        length = -(-limit // self.options["block"]) * self.options["block"]
        steps = length // self.options["tokens_a_step"]
        return {"length": length, "steps": steps, "block_length": self.options["block"], "temperature": temperature}

    def _encode(self, request, template, more=True):
        """The turns of a request as tokens [1, length]; `more` are those that the tokenizer puts around a text by itself."""
        import torch

        turns = [{"role": "system", "content": self._clean(request.system)}] if request.system else []
        turns.append({"role": "user", "content": self._clean(request.text)})
        prompt = self.tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False, add_generation_prompt=True)
        return torch.tensor([self.tokenizer(prompt, add_special_tokens=more)["input_ids"]], device=self.device)

    def _show(self, pictures, words):
        """Tokens of pictures before those of words; several pictures one behind the other are this script's own idea."""
        import torch
        from training.utils import image_transform

        marks = {name: self.prompting.sptids_dict[name].to(self.device).view(1, 1) for name in ("<|mmu|>", "<|soi|>", "<|eoi|>")}
        parts = [marks["<|mmu|>"]]
        for picture in pictures:
            pixels = image_transform(picture, resolution=SIDE).to(self.device).unsqueeze(0)
            parts += [marks["<|soi|>"], self.codebook.get_code(pixels) + len(self.tokenizer), marks["<|eoi|>"]]
        return torch.cat([*parts, words], dim=1).long()

    def _clean(self, text):
        return unisafe_serve.break_up(text, self.control)

    # --- pictures

    def draw(self, request):
        import torch
        from models import get_mask_schedule
        from PIL import Image

        if request.size not in (None, f"{SIDE}x{SIDE}"):
            raise unisafe_serve.Rejected(f"MMaDA draws {SIDE}x{SIDE} only, not {request.size}")
        if request.system:
            raise unisafe_serve.Rejected("MMaDA's prompts to draw have no system prompt: leave it out")
        masked = torch.full((1, PATCHES), self.mmada.config.mask_token_id, dtype=torch.long, device=self.device)
        asked, mask = self.prompting(([self._clean(request.text)], masked), "t2i_gen")
        nothing, no_mask = self.prompting(([""], masked), "t2i_gen")
        with torch.no_grad():
            codes = self.mmada.t2i_generate(
                input_ids=asked,
                uncond_input_ids=nothing,
                attention_mask=mask,
                uncond_attention_mask=no_mask,
                guidance_scale=self.options["guidance"],
                temperature=self.options["drawing_temperature"],
                timesteps=self.options["steps"],
                noise_schedule=get_mask_schedule(self.options["schedule"]),
                noise_type="mask",
                seq_len=PATCHES,
                uni_prompting=self.prompting,
            )
            drawn = self.codebook.decode_code(codes.clamp(0, CODES - 1))[0]
        pixels = (drawn.float().clamp(-1.0, 1.0) + 1.0) / 2.0 * 255.0
        return Image.fromarray(pixels.permute(1, 2, 0).to("cpu", torch.uint8).numpy())


if __name__ == "__main__":
    unisafe_serve.run(functools.partial(MMaDA, public_checkout.read_places("weights", "codebook")))
