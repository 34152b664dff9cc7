"""Serve Show-o2 to unisafe-async: answers text, reads pictures, draws at 432 x 432. Options and memory: README.md."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # recipes/, where both files stand

import public_checkout
import unisafe_serve

unisafe_serve.take_stdout()

WEIGHTS = "showlab/show-o2-7B"
"""Hub id, for weights that are not given: they are taken from the hub's cache, or fetched."""
FOLDER = "show-o2"
"""Where Show-o2 stands in its repository, beside the first Show-o."""
TEMPLATE = "inference_mmu.py"
"""The script whose chat template is read, without running it."""
PIXELS_A_LATENT = 8
DEFAULTS = {
    "config": "configs/showo2_7b_demo_432x432.yaml",
    "dtype": "bfloat16",
    "guidance": 7.5,
    "steps": 50,
    "max_tokens": 300,
}


class ShowO2:
    """The model, its tokenizer, the VAE of Wan 2.1, and the numbers of tokens that its sequences are built from."""

    model, version, kinds, sees = "Show-o2", "1", ["chat", "image"], True

    def __init__(self, places, options, device):
        self.options = public_checkout.merge_options(options, DEFAULTS)
        weights = places.weights or WEIGHTS
        if places.vae is None:
            raise SystemExit("--vae is needed: the file Wan2.1_VAE.pth of Wan-AI/Wan2.1-T2V-14B")
        self.parameters = {
            **self.options,
            "weights": weights if places.weights is None else Path(weights).name,
            "code": "showlab/Show-o@" + public_checkout.read_commit(places.checkout),
            "revision": public_checkout.read_revision(weights),
            "vae_revision": public_checkout.read_revision(places.vae),
            "sampling": "greedy, unless the request has a temperature",
            "template": f"that of {TEMPLATE}, for words alone too",
            "safety_checker": "none",
        }
        folder = str(Path(places.checkout, FOLDER))
        public_checkout.enter(folder)
        self._load(folder, weights, places.vae, device)

    def _load(self, folder, weights, vae, device):
        import torch
        from models import Showo2Qwen2_5, WanVAE
        from models.misc import get_text_tokenizer
        from omegaconf import OmegaConf
        from utils import path_to_llm_name

        self.config = config = OmegaConf.load(self.options["config"])
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.dtype = getattr(torch, self.options["dtype"])
        unisafe_serve.progress("loading the VAE")
        self.vae = WanVAE(vae_pth=vae, dtype=self.dtype, device=self.device)
        words = config.model.showo.llm_model_path
        self.tokenizer, self.marks = get_text_tokenizer(
            words, add_showo_tokens=True, return_showo_token_ids=True, llm_name=path_to_llm_name[words]
        )
        unisafe_serve.progress("loading the model")
        loaded = Showo2Qwen2_5.from_pretrained(weights, use_safetensors=False).to(self.device)
        self.showo = loaded.to(self.dtype).eval()
        self.control = public_checkout.list_marks(self.tokenizer)
        self._count_tokens()
        self._read_template(folder)

    def _count_tokens(self):
        """Take the numbers of tokens from the config; the embedding of the time is one more token of every picture."""
        from transport import Sampler, create_transport
        from utils import get_hyper_params

        config, counts = self.config, self.config.dataset.preprocessing
        if config.model.showo.add_time_embeds:
            for kind in ("num_t2i_image_tokens", "num_mmu_image_tokens", "num_video_tokens"):
                counts[kind] += 1
        config.model.showo.llm_vocab_size = len(self.tokenizer)
        numbers = get_hyper_params(config, self.tokenizer, self.marks)
        self.drawn_tokens, self.seen_tokens, _, self.length, self.words, self.channels, patch, width, height, self.pad = numbers[
            :10
        ]
        self.latent = (self.channels, height * patch, width * patch)
        self.size = f"{width * patch * PIXELS_A_LATENT}x{height * patch * PIXELS_A_LATENT}"
        self.parameters["size"] = self.size
        names = ("path_type", "prediction", "loss_weight", "train_eps", "sample_eps", "snr_type", "do_shift")
        self.sampler = Sampler(create_transport(**{name: config.transport[name] for name in names}, seq_len=self.drawn_tokens))

    def _read_template(self, folder):
        self.system, self.asks, self.answers = (
            public_checkout.read_string(folder, TEMPLATE, name) for name in ("sys_prompt_ids", "role_a", "role_b")
        )

    # --- words

    def chat(self, request):
        import torch

        if request.top_p is not None and request.top_p < 1.0:
            raise unisafe_serve.Rejected("Show-o2's code samples with top_k alone: leave top_p out")
        begin = [self.marks["bos_id"], *self._encode(self._system(request.system) + self.asks)]
        end = [*self._encode(self._clean(request.text)), *self._encode(self.answers)]
        limit = request.max_tokens or self.options["max_tokens"]
        with torch.no_grad():
            if request.image_files:
                return self._look(begin, request.pictures(), end, limit, sampling(request))
            return self._say(begin + end, limit, sampling(request))

    def _say(self, tokens, limit, sampled):
        """The answer to words; the public code gives it as text with its closing mark."""
        said = self.showo.lm_generate(
            input_ids=list(tokens),  # the public code appends to it
            tokenizer=self.tokenizer,
            max_new_tokens=limit,
            boi_token=self.marks["boi_id"],
            device=self.device,
            **sampled,
        )
        closing = [self.tokenizer.eos_token, self.tokenizer.decode([self.marks["boi_id"]])]
        ended = next((mark for mark in closing if said.endswith(mark)), None)
        return unisafe_serve.Answer(
            said[: -len(ended)] if ended else said,
            finish="stop" if ended else "length",
            tokens_in=len(tokens),
            tokens_out=min(len(self._encode(said)), limit) if ended else limit,
        )

    def _look(self, begin, pictures, end, limit, sampled):
        """The answer to words that stand behind pictures; several pictures one behind the other are this script's own idea."""
        import torch
        from models import omni_attn_mask_naive

        parts, places, at = [self._embed(begin)], [], len(begin)
        timed = int(self.config.model.showo.add_time_embeds)
        for picture in pictures:
            embedded = self._embed_picture(picture)
            places.append([at + 1 + timed, self.seen_tokens])
            parts += [self._embed([self.marks["boi_id"]]), embedded, self._embed([self.marks["eoi_id"]])]
            at += embedded.shape[1] + 2
        embeds = torch.cat([*parts, self._embed(end)], dim=1).to(self.dtype)
        places = torch.tensor([places], device=self.device)
        mask = omni_attn_mask_naive(B=1, LEN=embeds.shape[1], modalities=places, device=self.device, inverted=True)
        tokens = self.showo.mmu_generate(
            input_embeds=embeds,
            attention_mask=mask.to(embeds.dtype),
            max_new_tokens=limit,
            eos_token=self.tokenizer.eos_token_id,
            **sampled,
        )
        tokens = [int(token) for token in tokens]
        cut = len(tokens) >= limit and tokens[-1:] != [self.tokenizer.eos_token_id]
        return unisafe_serve.Answer(
            self.tokenizer.decode(tokens, skip_special_tokens=True),
            finish="length" if cut else "stop",
            tokens_in=embeds.shape[1],
            tokens_out=len(tokens),
        )

    def _embed_picture(self, picture):
        """The embedding of the time (a finished picture's is 1) and of the picture, [1, 1 + patches, width]."""
        import torch
        from datasets.utils import image_transform

        pixels = image_transform(picture, resolution=self.config.dataset.preprocessing.resolution).to(self.device)
        latents = self.vae.sample(pixels[None, :, None]).squeeze(2).to(self.dtype)
        meaning = self.showo.image_embedder_und(latents) + self.showo.position_embedding(self.showo.image_position_ids)
        meaning = self.showo.und_trans(meaning)["last_hidden_state"]
        looks = self.showo.image_embedder_gen(latents)
        embedded = self.showo.fusion_proj(torch.cat([meaning, looks], dim=-1))
        if not self.config.model.showo.add_time_embeds:
            return embedded
        time = self.showo.time_embed(torch.tensor([[1.0]], device=self.device), self.dtype)
        if hasattr(self.showo, "time_embed_proj"):
            time = self.showo.time_embed_proj(time)
        return torch.cat([time, embedded], dim=1)

    def _embed(self, tokens):
        import torch

        return self.showo.showo.model.embed_tokens(torch.tensor([tokens], device=self.device))

    def _encode(self, text):
        return self.tokenizer(text, add_special_tokens=False).input_ids

    def _clean(self, text):
        return unisafe_serve.break_up(text, self.control)

    def _system(self, asked):
        """The system turn: the public script's, or its role with the words that were asked for."""
        role = self.system.partition("\n")[0]
        return f"{role}\n{self._clean(asked)}{self.tokenizer.eos_token}" if asked else self.system

    # --- pictures

    def draw(self, request):
        import torch
        from PIL import Image
        from utils import denorm

        if request.size not in (None, self.size):
            raise unisafe_serve.Rejected(f"this Show-o2 draws {self.size} only, not {request.size}")
        with torch.no_grad():
            latents = self._flow(self._clean(request.text))
            drawn = self.vae.batch_decode(latents.unsqueeze(2)).squeeze(2)
        return Image.fromarray(denorm(drawn)[0])

    def _flow(self, prompt):
        """The latents of one picture, [1, channels, height, width]."""
        import torch
        from models import omni_attn_mask_naive
        from models.misc import prepare_gen_input

        guidance, marks, transport = self.options["guidance"], self.marks, self.config.transport
        own = [marks[name] for name in ("bos_id", "eos_id", "boi_id", "eoi_id")]
        tokens, no_tokens, places, no_places = prepare_gen_input(
            [prompt], self.tokenizer, self.drawn_tokens, *own, self.pad, marks["img_pad_id"], self.words, self.device
        )
        noise = torch.randn((1, *self.latent)).to(self.dtype).to(self.device)
        if guidance > 0:
            noise, tokens, places = torch.cat([noise, noise]), torch.cat([tokens, no_tokens]), torch.cat([places, no_places])
        flow = self.sampler.sample_ode(
            sampling_method=transport.sampling_method,
            num_steps=self.options["steps"],
            atol=transport.atol,
            rtol=transport.rtol,
            reverse=transport.reverse,
            time_shifting_factor=transport.time_shifting_factor,
        )
        drawn = flow(
            noise,
            self.showo.t2i_generate,
            text_tokens=tokens,
            attention_mask=omni_attn_mask_naive(tokens.shape[0], self.length, places, self.device).to(self.dtype),
            modality_positions=places,
            output_hidden_states=True,
            max_seq_len=self.length,
            guidance_scale=guidance,
        )
        return drawn[-1][:1]


def sampling(request):
    """The one likeliest token as in the authors' example, unless the request has a temperature above 0."""
    return {"temperature": request.temperature} if request.temperature else {"top_k": 1}


if __name__ == "__main__":
    unisafe_serve.run(functools.partial(ShowO2, public_checkout.read_places("weights", "vae")))
