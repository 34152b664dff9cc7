"""Serve Harmon to unisafe-async: answers text, reads pictures, draws at 512 x 512. Options and memory: README.md."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # recipes/, where both files stand

import public_checkout
import unisafe_serve

unisafe_serve.take_stdout()

PATCH, BUFFER = 16, 64
"""Pixels along a side of a patch, and the tokens that stand behind the patches of a picture."""
GREY = (127, 127, 127)
PICTURE = "<image>"
DEFAULTS = {
    "config": "configs/models/qwen2_5_1_5b_kl16_mar_h.py",
    "dtype": "bfloat16",
    "attention": None,
    "guidance": 3.0,
    "guidance_schedule": "constant",
    "steps": 64,
    "drawing_temperature": 1.0,
    "image_size": 512,
    "max_tokens": 1024,
}


class Harmon:
    """The model with its tokenizer; `<image>` is added to it once, as a mark that no embedding stands for."""

    model, version, kinds, sees = "Harmon", "1", ["chat", "image"], True

    def __init__(self, places, options, device):
        self.options = public_checkout.merge_options(options, DEFAULTS)
        if places.weights is None or places.vae is None:
            raise SystemExit("--weights harmon_1.5b.pth and --vae kl16.ckpt are needed: files of wusize/harmon")
        side = self.options["image_size"]
        self.size, self.patches = f"{side}x{side}", side // PATCH
        self.parameters = {
            **self.options,
            "weights": Path(places.weights).name,
            "code": "wusize/Harmon@" + public_checkout.read_commit(places.checkout),
            "revision": public_checkout.read_revision(places.weights),
            "vae_revision": public_checkout.read_revision(places.vae),
            "size": self.size,
            "sampling": "greedy, unless the request has a temperature",
        }
        public_checkout.enter(places.checkout)
        self.request_to_draw = public_checkout.read_string(places.checkout, "scripts/text2image.py", "prompt")
        self._load(places, device)

    def _load(self, places, device):
        import torch

        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # parts of the public code call .cuda() without a number
        harmon = self._build(places.vae).eval().to(self.device)
        self.harmon = harmon.to(getattr(torch, self.options["dtype"]))
        unisafe_serve.progress("loading the weights")
        stored = torch.load(places.weights, map_location="cpu", weights_only=True)
        fitted = self.harmon.load_state_dict(stored, strict=False)
        self._check_fit(len(stored), fitted)
        self.tokenizer = self.harmon.tokenizer
        self.tokenizer.add_special_tokens({"additional_special_tokens": [PICTURE]})
        self.mark = self.tokenizer.encode(PICTURE, add_special_tokens=False)[-1]
        self.control = public_checkout.list_marks(self.tokenizer, PICTURE)

    def _build(self, vae):
        """The model with the language model's own weights, before those of Harmon are loaded."""
        from mmengine.config import Config
        from src.builder import BUILDER

        unisafe_serve.progress("loading the language model and the VAE")
        config = Config.fromfile(self.options["config"])
        config.model.vae.ckpt_path = vae
        if self.options["attention"] is not None:
            config.model.llm.attn_implementation = self.options["attention"]
        return BUILDER.build(config.model)

    def _check_fit(self, stored, fitted):
        """Fail where the file is another model's: the public code would go on with weights of chance."""
        missing = [key for key in fitted.missing_keys if not key.startswith("vae.")]
        if fitted.unexpected_keys or any(key.startswith(("mar.", "proj_")) for key in missing):
            named = [*fitted.unexpected_keys[:3], *missing[:3]]
            raise SystemExit(
                f"the weights do not fit the config: {len(fitted.unexpected_keys)} of {stored} tensors are not in the model, "
                f"{len(missing)} of the model are not in the file, such as {', '.join(named)}"
            )
        self.parameters["tensors_not_in_the_file"] = len(missing)

    # --- words

    def chat(self, request):
        import torch

        pictures = request.pictures()
        prompt = self._prompt(self._clean(request.text), self._clean(request.system), len(pictures))
        ids = self.tokenizer.encode(prompt, add_special_tokens=True, return_tensors="pt").to(self.harmon.device)
        limit, end = request.max_tokens or self.options["max_tokens"], self.tokenizer.eos_token_id
        padding = end if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id
        with torch.no_grad():
            tokens = self.harmon.llm.generate(
                inputs_embeds=self._embed(ids, pictures),
                attention_mask=torch.ones_like(ids),
                use_cache=True,
                max_new_tokens=limit,
                eos_token_id=end,
                pad_token_id=padding,
                **sampling(request),
            )[0].tolist()
        return unisafe_serve.Answer(
            self.tokenizer.decode(tokens, skip_special_tokens=True),
            finish="length" if len(tokens) >= limit and tokens[-1:] != [end] else "stop",
            tokens_in=ids.shape[1],
            tokens_out=len(tokens),
        )

    def _prompt(self, text, system, pictures):
        template = self.harmon.prompt_template
        seen = PICTURE * (self.patches**2 + BUFFER) + "\n"
        before = template["SYSTEM"].format(system=system) if system else ""
        return before + template["INSTRUCTION"].format(input=seen * pictures + text)

    def _embed(self, ids, pictures):
        """Embeddings of the words, and the encoder's tokens in the places of the pictures."""
        import torch

        words, seen = self.harmon.llm.get_input_embeddings(), ids == self.mark
        embeds = words(ids.masked_fill(seen, 0))
        if pictures:
            pixels = torch.stack([self._read_pixels(picture) for picture in pictures])
            _, tokens = self.harmon.extract_visual_feature(self.harmon.encode(pixels))
            embeds[seen] = tokens.flatten(0, 1).to(embeds.dtype)
        return embeds

    def _read_pixels(self, picture):
        """A picture in the middle of a grey square, [3, side, side], from -1 to 1."""
        import numpy
        import torch
        from PIL import Image

        edge, side = max(picture.size), self.options["image_size"]
        square = Image.new("RGB", (edge, edge), GREY)
        square.paste(picture, ((edge - picture.width) // 2, (edge - picture.height) // 2))
        pixels = torch.from_numpy(numpy.array(square.resize((side, side))))
        pixels = pixels.to(device=self.harmon.device, dtype=self.harmon.dtype).permute(2, 0, 1)
        return 2 * (pixels / 255) - 1

    def _clean(self, text):
        return unisafe_serve.break_up(text, self.control)

    # --- pictures

    def draw(self, request):
        import torch
        from PIL import Image

        if request.size not in (None, self.size):
            raise unisafe_serve.Rejected(f"this Harmon draws {self.size}, not {request.size}: set the option image_size")
        options = self.options
        with torch.no_grad():
            # two rows: the prompt, and the public code's own words without a prompt, for guidance
            rows = self.harmon.prepare_text_conditions(self.request_to_draw + self._clean(request.text))
            guided = 2 if options["guidance"] != 1.0 else 1
            drawn = self.harmon.sample(
                input_ids=rows["input_ids"][:guided],
                attention_mask=rows["attention_mask"][:guided],
                num_iter=options["steps"],
                cfg=options["guidance"],
                cfg_schedule=options["guidance_schedule"],
                temperature=options["drawing_temperature"],
                progress=False,
                image_shape=(self.patches, self.patches),
            )[0]
        pixels = (127.5 * drawn.float() + 128.0).clamp(0, 255)
        return Image.fromarray(pixels.permute(1, 2, 0).to("cpu", torch.uint8).numpy())


def sampling(request):
    """Greedy as in the authors' example, unless the request has a temperature above 0."""
    if not request.temperature:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": request.temperature, **({"top_p": request.top_p} if request.top_p else {})}


if __name__ == "__main__":
    unisafe_serve.run(functools.partial(Harmon, public_checkout.read_places("weights", "vae")))
