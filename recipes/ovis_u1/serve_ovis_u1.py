"""Serve Ovis-U1-3B to unisafe-async: answers text, reads pictures, draws and edits. Options and memory: README.md."""

from __future__ import annotations

import functools
import random
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # recipes/, where both files stand

import public_checkout
import unisafe_serve

unisafe_serve.take_stdout()

WEIGHTS = "AIDC-AI/Ovis-U1-3B"
"""Hub id, for weights that are not given: they are taken from the hub's cache, or fetched."""
DTYPE = "bfloat16"
"""No option: the authors' functions make their inputs of it."""
PICTURE, VIDEO = "<image>", "<video>"
"""What the model's code replaces in a prompt before the tokenizer reads it; beside the second one, the first one is mere words."""
STRIDE = 16
"""Sides are multiples of STRIDE pixels: the model's code shrinks others in silence."""
UNSEEN = (448, 448)
"""The size in pixels of the picture that the model's code wants beside a prompt without one."""
DEFAULTS = {
    "steps": 50,
    "guidance": 5.0,
    "edit_guidance": 6.0,
    "edit_image_guidance": 1.5,
    "max_tokens": 4096,
}


class OvisU1:
    """The model, and the functions of the authors' scripts that ask it."""

    model, version, kinds, sees = "Ovis-U1-3B", "1", ["chat", "image", "edit"], True

    def __init__(self, places, options, device):
        self.options = public_checkout.merge_options(options, DEFAULTS)
        weights = places.weights or WEIGHTS
        self.parameters = {
            **self.options,
            "code": "AIDC-AI/Ovis-U1@" + public_checkout.read_commit(places.checkout),
            "revision": public_checkout.read_revision(weights),
            "dtype": DTYPE,
            "text_alone": "with a black picture that the model's code leaves out of the prompt",
            "sampling": "greedy, unless the request has a temperature",
        }
        public_checkout.enter(places.checkout)
        self._load(weights, device)

    def _load(self, weights, device):
        import torch
        from transformers import AutoModelForCausalLM

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        unisafe_serve.progress("loading the model")
        self.ovis, _ = AutoModelForCausalLM.from_pretrained(
            weights, torch_dtype=getattr(torch, DTYPE), output_loading_info=True, trust_remote_code=True
        )
        self.ovis = self.ovis.eval().to(self.device).to(getattr(torch, DTYPE))
        # the authors' scripts ask for a black picture in the place of one that cannot be read: then it would be judged
        self.ovis.preprocess_inputs = fail_openly(self.ovis.preprocess_inputs)
        self.tokenizer, self.eye = self.ovis.get_text_tokenizer(), self.ovis.get_visual_tokenizer()
        self.control = public_checkout.list_marks(self.tokenizer, PICTURE, VIDEO)

    # --- words

    def chat(self, request):
        import torch

        tokens, pixels, mask, grid = self._read(request)
        limit = request.max_tokens or self.options["max_tokens"]
        with torch.inference_mode():
            written = self.ovis.generate(
                tokens,
                pixel_values=pixels,
                attention_mask=mask,
                grid_thws=grid,
                max_new_tokens=limit,
                eos_token_id=self.tokenizer.eos_token_id,
                pad_token_id=self.tokenizer.pad_token_id,
                use_cache=True,
                **sampling(request),
            )[0].tolist()
        return unisafe_serve.Answer(
            self.tokenizer.decode(written, skip_special_tokens=True),
            finish="length" if len(written) >= limit and written[-1] != self.tokenizer.eos_token_id else "stop",
            tokens_in=None if request.image_files else tokens.shape[1],  # a picture is one token here, and many in the model
            tokens_out=len(written),
        )

    def _read(self, request):
        """A request as the model takes it: tokens [1, T], pixels, attention mask [1, T], grid of patches."""
        import test_img_to_txt
        import test_multi_img_to_txt
        from PIL import Image

        pictures, order = request.pictures(), [part["image"] for part in request.parts if "image" in part]
        system = [{"from": "system", "value": self._clean(request.system)}] if request.system else []
        asked = (self.ovis, self.tokenizer, self.eye, [*system, {"from": "human", "value": self._content(request)}])
        if len(order) == 1:
            return test_img_to_txt.build_inputs(*asked, pictures[order[0]])
        tokens, pixels, mask, grid = test_multi_img_to_txt.build_inputs(*asked, [pictures[index] for index in order])
        if pixels is None:
            pixels, grid, _ = self.eye.preprocess_image(Image.new("RGB", UNSEEN))
            pixels, grid = pixels.to(self.device, dtype=self.ovis.dtype), grid.to(self.device)
        return tokens, pixels, mask, grid

    def _content(self, request):
        """The user's turn; pictures stand in it as in the authors' scripts, with a number where there are several."""
        several = sum("image" in part for part in request.parts) > 1
        lines = []
        for part in request.parts:
            seen = sum(PICTURE in line for line in lines) + 1
            lines.append((f"Image {seen}: {PICTURE}" if several else PICTURE) if "image" in part else self._clean(part["text"]))
        return "\n".join(lines)

    def _clean(self, text):
        return unisafe_serve.break_up(text, self.control)

    # --- pictures

    def draw(self, request):
        import test_txt_to_img

        refuse_system(request)
        width, height = request.width_and_height()
        if width % STRIDE or height % STRIDE:
            raise unisafe_serve.Rejected(f"Ovis-U1 draws sides of multiples of {STRIDE} pixels, not {request.size}")
        return test_txt_to_img.pipe_t2i(
            self.ovis,
            self._clean(request.text),
            height,
            width,
            self.options["steps"],
            self.options["guidance"],
            seed=choose_seed(request),
        )

    def edit(self, request):
        """The edited picture; its sides are those of the given one, in multiples of 32 pixels, about a megapixel at most."""
        import test_img_edit

        refuse_system(request)
        pictures = request.pictures()
        if len(pictures) > 1:
            raise unisafe_serve.Rejected(f"Ovis-U1 edits one picture, not {len(pictures)}")
        return test_img_edit.pipe_img_edit(
            self.ovis,
            pictures[0],
            self._clean(request.text),
            self.options["steps"],
            self.options["edit_guidance"],
            self.options["edit_image_guidance"],
            seed=choose_seed(request),
        )


def fail_openly(preprocess):
    """The model's function that reads a prompt and its pictures, which now raises for a picture that it cannot read."""

    def preprocess_or_raise(*given, **named):
        return preprocess(*given, **{**named, "propagate_exception": True})

    return preprocess_or_raise


def refuse_system(request):
    """Raises Rejected where a picture is asked for with a system prompt."""
    if request.system:
        raise unisafe_serve.Rejected("the authors' functions for pictures have no place for a system prompt: leave yours out")


def choose_seed(request):
    """The request's seed, or one by chance: the authors' functions always take one."""
    return random.randrange(2**32) if request.seed is None else request.seed % 2**63


def sampling(request):
    """Greedy as in the authors' scripts, unless the request has a temperature above 0; what is None is off, as in theirs."""
    plain = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "repetition_penalty": None}
    if not request.temperature:
        return plain
    return {**plain, "do_sample": True, "temperature": request.temperature, "top_p": request.top_p}


if __name__ == "__main__":
    unisafe_serve.run(functools.partial(OvisU1, public_checkout.read_places("weights")))
