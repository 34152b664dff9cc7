"""Serve JanusFlow-1.3B to unisafe-async: answers text, reads pictures, draws at 384 x 384. Options and memory: README.md."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # recipes/, where both files stand

import public_checkout
import unisafe_serve

unisafe_serve.take_stdout()  # janus prints when it is imported

SIDE, PATCHES, LATENT = 384, 24, (4, 48, 48)
"""A picture's side in pixels, its side in patches, and the shape of its latents."""
SENTENCE_MARKS = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
WEIGHTS, VAE = "deepseek-ai/JanusFlow-1.3B", "stabilityai/sdxl-vae"
"""Hub ids, for places that are not given: they are taken from the hub's cache, or fetched."""
DEFAULTS = {"dtype": "bfloat16", "guidance": 2.0, "steps": 30, "tag": "image_gen_tag", "max_tokens": 512}


class JanusFlow:
    """The model, its processor and the VAE that turns its latents into pictures."""

    model, version, kinds, sees = "JanusFlow-1.3B", "1", ["chat", "image"], True

    def __init__(self, places, options, device):
        weights, vae = places.weights or WEIGHTS, places.vae or VAE
        self.options = public_checkout.merge_options(options, DEFAULTS)
        self.parameters = {
            **self.options,
            "code": "deepseek-ai/Janus@" + public_checkout.read_commit(places.checkout),
            "revision": public_checkout.read_revision(weights),
            "vae_revision": public_checkout.read_revision(vae),
            "size": f"{SIDE}x{SIDE}",
            "sampling": "greedy, unless the request has a temperature",
        }
        public_checkout.enter(places.checkout)
        self._load(weights, vae, device)

    def _load(self, weights, vae, device):
        import torch
        from diffusers.models import AutoencoderKL
        from janus.janusflow.models import MultiModalityCausalLM, VLChatProcessor

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = getattr(torch, self.options["dtype"])
        unisafe_serve.progress("loading the model")
        self.processor = VLChatProcessor.from_pretrained(weights)
        janus = MultiModalityCausalLM.from_pretrained(weights)
        self.janus = janus.to(self.dtype).to(self.device).eval()
        unisafe_serve.progress("loading the VAE")
        self.vae = AutoencoderKL.from_pretrained(vae).to(self.dtype).to(self.device).eval()
        tags = ("image_tag", "image_start_tag", "image_end_tag", "image_gen_tag")
        self.control = [getattr(self.processor, tag) for tag in tags] + SENTENCE_MARKS

    # --- words

    def chat(self, request):
        import torch

        pictures = request.pictures()
        content, order = self._content(request)
        prompt = self._prompt(content, self._clean(request.system) or self.processor.system_prompt)
        inputs = self.processor(prompt=prompt, images=[pictures[index] for index in order], force_batchify=True)
        inputs = inputs.to(self.device, dtype=self.dtype)
        limit = request.max_tokens or self.options["max_tokens"]
        with torch.inference_mode():
            tokens = self.janus.language_model.generate(
                inputs_embeds=self.janus.prepare_inputs_embeds(**inputs),
                attention_mask=inputs.attention_mask,
                pad_token_id=self.processor.tokenizer.eos_token_id,
                bos_token_id=self.processor.tokenizer.bos_token_id,
                eos_token_id=self.processor.tokenizer.eos_token_id,
                max_new_tokens=limit,
                use_cache=True,
                **sampling(request),
            )[0].tolist()
        cut = len(tokens) >= limit and tokens[-1:] != [self.processor.tokenizer.eos_token_id]
        return unisafe_serve.Answer(
            self.processor.tokenizer.decode(tokens, skip_special_tokens=True),
            finish="length" if cut else "stop",
            tokens_in=int(inputs.attention_mask.sum()),
            tokens_out=len(tokens),
        )

    def _content(self, request):
        """The user's turn with a mark for each picture, and the numbers of the pictures in the order of the marks."""
        order = [part["image"] for part in request.parts if "image" in part]
        lines = [self.processor.image_tag if "image" in part else self._clean(part["text"]) for part in request.parts]
        return "\n".join(line for line in lines if line), order

    def _clean(self, text):
        return unisafe_serve.break_up(text, self.control)

    def _prompt(self, content, system):
        turns = [{"role": "User", "content": content}, {"role": "Assistant", "content": ""}]
        return self.processor.apply_sft_template_for_multi_turn_prompts(
            conversations=turns, sft_format=self.processor.sft_format, system_prompt=system
        )

    # --- pictures

    def draw(self, request):
        import torch
        from PIL import Image

        if request.size not in (None, f"{SIDE}x{SIDE}"):
            raise unisafe_serve.Rejected(f"JanusFlow draws {SIDE}x{SIDE} only, not {request.size}")
        prompt = self._prompt(self._clean(request.text), self._clean(request.system))
        prompt += getattr(self.processor, self.options["tag"])
        with torch.inference_mode():
            latents = self._follow_flow(torch.LongTensor(self.processor.tokenizer.encode(prompt)))
            decoded = self.vae.decode(latents / self.vae.config.scaling_factor).sample[0]
        pixels = (decoded.float().clamp(-1.0, 1.0) + 1.0) / 2.0 * 255.0
        return Image.fromarray(pixels.permute(1, 2, 0).to("cpu", torch.uint8).numpy())

    def _follow_flow(self, prompt):
        """Latents [1, 4, 48, 48] after Euler steps along the velocity that the language model predicts.

        Row 0 reads the prompt, row 1 its first token alone: guidance goes from the second towards the first. Each step reads the
        whole sequence again, without a cache of keys and values: so does the published code, whose cache stays empty.
        """
        import torch

        steps, guidance = self.options["steps"], self.options["guidance"]
        tokens = prompt.repeat(2, 1)
        tokens[1, 1:] = self.processor.pad_id
        words = self.janus.language_model.get_input_embeddings()(tokens.to(self.device))[:, :-1]  # the time stands for the tag
        mask = torch.ones((2, words.shape[1] + 1 + PATCHES**2), dtype=torch.int, device=self.device)
        mask[1, 1 : words.shape[1]] = 0
        latents = torch.randn((1, *LATENT), dtype=self.dtype).to(self.device)
        length = torch.full_like(latents, 1.0 / steps)  # rounded to the dtype, as published
        for step in range(steps):
            time = torch.full((2,), 1000.0 * step / steps, dtype=self.dtype, device=self.device)
            towards, away = self._predict_velocity(words, mask, latents, time).chunk(2)
            latents = latents + length * (guidance * towards - (guidance - 1.0) * away)
        return latents

    def _predict_velocity(self, words, mask, latents, time):
        import torch

        janus = self.janus
        encoded, when, skipped = janus.vision_gen_enc_model(torch.cat([latents, latents]), time)
        patches = janus.vision_gen_enc_aligner(encoded.flatten(2).transpose(1, 2))
        read = torch.cat([words, when.unsqueeze(1), patches], dim=1)
        hidden = janus.language_model.model(inputs_embeds=read, attention_mask=mask, use_cache=False).last_hidden_state
        drawn = janus.vision_gen_dec_aligner(janus.vision_gen_dec_aligner_norm(hidden[:, -(PATCHES**2) :]))
        grid = drawn.transpose(1, 2).unflatten(2, (PATCHES, PATCHES))
        return janus.vision_gen_dec_model(grid, skipped, when)


def sampling(request):
    """Greedy as in the authors' example, unless the request has a temperature above 0."""
    if not request.temperature:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": request.temperature, **({"top_p": request.top_p} if request.top_p else {})}


if __name__ == "__main__":
    unisafe_serve.run(functools.partial(JanusFlow, public_checkout.read_places("weights", "vae")))
