"""Serve OmniGen2 to unisafe-async: answers text, reads pictures, draws and edits. Options and memory: README.md."""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # recipes/, where both files stand

import public_checkout
import unisafe_serve

unisafe_serve.take_stdout()

WEIGHTS = "OmniGen2/OmniGen2"
"""Hub id, for weights that are not given: they are taken from the hub's cache, or fetched."""
STRIDE, MOST_PIXELS, LEAST_SIDE = 16, 1024 * 1024, 32
"""Sides are multiples of STRIDE pixels; a picture to edit whose side is shorter than LEAST_SIDE would have none left."""
DRAWS = "<|img|>"
ENDS = ["<|im_end|>", DRAWS, "<|endoftext|>"]
"""What ends an answer; the second one says that the model would go on with a picture."""
NUMBERED = re.compile(r"<img\d+>")
SYSTEM = re.compile(r"(<\|im_start\|>system\n).*?(<\|im_end\|>)", re.S)
DEFAULTS = {
    "dtype": "bfloat16",
    "offload": None,
    "steps": 50,
    "guidance": 4.0,
    "edit_guidance": 5.0,
    "edit_image_guidance": 2.0,
    "negative_prompt": "",
    "max_tokens": 256,
}


class OmniGen2:
    """The pipeline that draws, and the one that talks, of the same five parts."""

    model, version, kinds, sees = "OmniGen2", "1", ["chat", "image", "edit"], True

    def __init__(self, places, options, device):
        self.options = public_checkout.merge_options(options, DEFAULTS)
        if self.options["offload"] not in (None, "model", "sequential"):
            raise SystemExit('the option offload is "model" or "sequential"')
        weights = places.weights or WEIGHTS
        self.parameters = {
            **{name: value for name, value in self.options.items() if name != "offload"},
            "code": "VectorSpaceLab/OmniGen2@" + public_checkout.read_commit(places.checkout),
            "revision": public_checkout.read_revision(weights),
            "scheduler": "euler",
            "sampling": "greedy, unless the request has a temperature",
        }
        public_checkout.enter(places.checkout)
        self._load(weights, device)

    def _load(self, weights, device):
        import torch
        from omnigen2.models.transformers.transformer_omnigen2 import OmniGen2Transformer2DModel
        from omnigen2.pipelines.omnigen2.pipeline_omnigen2 import OmniGen2Pipeline
        from omnigen2.pipelines.omnigen2.pipeline_omnigen2_chat import OmniGen2ChatPipeline

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = getattr(torch, self.options["dtype"])
        unisafe_serve.progress("loading the pipeline")
        self.pipe = OmniGen2Pipeline.from_pretrained(weights, torch_dtype=dtype, trust_remote_code=True)
        unisafe_serve.progress("loading the transformer")
        self.pipe.transformer = OmniGen2Transformer2DModel.from_pretrained(weights, subfolder="transformer", torch_dtype=dtype)
        if self.options["offload"] == "model":
            self.pipe.enable_model_cpu_offload(device=self.device)
        elif self.options["offload"] == "sequential":
            self.pipe.enable_sequential_cpu_offload(device=self.device)
        else:
            self.pipe.to(self.device)
        parts = ("transformer", "vae", "scheduler", "mllm", "processor")
        self.talk = OmniGen2ChatPipeline(**{part: getattr(self.pipe, part) for part in parts})
        self.tokenizer = self.pipe.processor.tokenizer
        self.control = [*public_checkout.list_marks(self.tokenizer, *ENDS), NUMBERED]

    # --- words

    def chat(self, request):
        import torch

        pictures = request.pictures() or None
        prompt = self.talk._apply_chat_template(self._clean(request.text), pictures)
        if request.system:
            prompt = SYSTEM.sub(lambda turn: turn[1] + self._clean(request.system) + turn[2], prompt, count=1)
        inputs = self.talk.prepare_inputs_for_text_generation(prompt, pictures, self.device)
        read, limit = inputs.input_ids.shape[1], request.max_tokens or self.options["max_tokens"]
        with torch.inference_mode():
            tokens = self.pipe.mllm.generate(
                **inputs, tokenizer=self.tokenizer, max_new_tokens=limit, stop_strings=ENDS, **sampling(request)
            )[0][read:].tolist()
        said = self.tokenizer.decode(tokens, skip_special_tokens=False)
        ended = next((end for end in ENDS if said.endswith(end)), None)
        return unisafe_serve.Answer(
            said[: -len(ended)] if ended else said,
            finish="length" if ended is None and len(tokens) >= limit else "stop",
            tokens_in=read,
            tokens_out=len(tokens),
        )

    def _clean(self, text):
        return unisafe_serve.break_up(text, self.control)

    # --- pictures

    def draw(self, request):
        width, height = request.width_and_height()
        if width % STRIDE or height % STRIDE or width * height > MOST_PIXELS:
            raise unisafe_serve.Rejected(
                f"OmniGen2 draws sides of multiples of {STRIDE} pixels, 1024x1024 pixels in all at most, not {request.size}"
            )
        return self._ask(request, width=width, height=height, text_guidance_scale=self.options["guidance"])

    def edit(self, request):
        """The edited picture; it has the size of the first picture of the request, within 1024 x 1024 pixels."""
        return self._ask(
            request,
            input_images=[enlarge(picture) for picture in request.pictures()],
            text_guidance_scale=self.options["edit_guidance"],
            image_guidance_scale=self.options["edit_image_guidance"],
        )

    def _ask(self, request, **given):
        import torch

        if request.system:
            raise unisafe_serve.Rejected("OmniGen2's pipeline has a system prompt of its own for pictures: leave yours out")
        generator = None if request.seed is None else torch.Generator(self.device).manual_seed(request.seed)
        return self.pipe(
            prompt=self._clean(request.text),
            negative_prompt=self.options["negative_prompt"],
            num_inference_steps=self.options["steps"],
            max_sequence_length=1024,
            cfg_range=(0.0, 1.0),
            num_images_per_prompt=1,
            generator=generator,
            output_type="pil",
            **given,
        ).images


def enlarge(picture):
    """The picture, or one with its short side stretched where nothing of it would be left on the pipeline's grid."""
    width, height = picture.size
    return picture if min(width, height) >= LEAST_SIDE else picture.resize((max(width, LEAST_SIDE), max(height, LEAST_SIDE)))


def sampling(request):
    """Greedy, unless the request has a temperature above 0."""
    if not request.temperature:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": request.temperature, **({"top_p": request.top_p} if request.top_p else {})}


if __name__ == "__main__":
    unisafe_serve.run(functools.partial(OmniGen2, public_checkout.read_places("weights")))
