"""Serve BAGEL-7B-MoT to unisafe-async: it answers, reads pictures, draws and edits. Places, options and memory: README.md."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # recipes/, where unisafe_serve.py and public_checkout.py stand
import public_checkout
import unisafe_serve

WEIGHTS = "ByteDance-Seed/BAGEL-7B-MoT"
"""At the Hugging Face hub, where `--weights` is not given."""
CONTROL = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|endoftext|>"]
STRIDE, LONGEST = 16, 1024
"""A picture's sides are multiples of STRIDE pixels, LONGEST at most: it has 64 patches of latents a side."""
GUIDANCE = {
    "draw": {
        "cfg_text_scale": 4.0,
        "cfg_img_scale": 1.0,
        "cfg_interval": [0.4, 1.0],
        "cfg_renorm_min": 0.0,
        "cfg_renorm_type": "global",
        "timestep_shift": 3.0,
        "num_timesteps": 50,
    },
    "edit": {
        "cfg_text_scale": 4.0,
        "cfg_img_scale": 2.0,
        "cfg_interval": [0.0, 1.0],
        "cfg_renorm_min": 0.0,
        "cfg_renorm_type": "text_channel",
        "timestep_shift": 3.0,
        "num_timesteps": 50,
    },
}
"""The values of the authors' notebook."""
DEFAULTS = {
    "quantization": "none",
    "think": False,
    "think_tokens": 1000,
    "max_tokens": 1000,
    "draw": {},
    "edit": {},
    "vae_device": "cpu",
    "memory_per_gpu": "80GiB",
    "spread": False,
}


class Bagel:
    """The model with its tokenizer, its VAE and the authors' inferencer."""

    model, version, kinds, sees = "BAGEL-7B-MoT", "1", ["chat", "image", "edit"], True

    def __init__(self, places, options, device):
        self.options = public_checkout.merge_options(options, DEFAULTS)
        if self.options["quantization"] not in ("none", "nf4"):
            raise ValueError('quantization is "none" or "nf4", not {!r}'.format(self.options["quantization"]))
        self.guidance = {name: public_checkout.merge_options(self.options[name], GUIDANCE[name]) for name in GUIDANCE}
        weights = places.weights or download()
        public_checkout.enter(places.checkout)
        self.inferencer = self._load(weights, device or "cuda:0")
        self.control = sorted({*CONTROL, *self.inferencer.tokenizer.get_added_vocab()})
        self.written = 0
        self.parameters = {
            **{key: self.options[key] for key in ("quantization", "think", "think_tokens", "max_tokens", "vae_device")},
            **self.guidance,
            "dtype": "bfloat16",
            "template": "the text alone between <|im_start|> and <|im_end|>; a system prompt as a text of its own before it",
            "sampling": "greedy, unless the request has a temperature above 0",
            "revision": public_checkout.read_revision(weights),
            "code": "ByteDance-Seed/Bagel@" + public_checkout.read_commit(places.checkout),
        }

    # --- loading, in the order of the authors' app.py

    def _load(self, weights, device):
        import torch
        from accelerate import init_empty_weights
        from data.data_utils import add_special_tokens
        from data.transforms import ImageTransform
        from inferencer import InterleaveInferencer
        from modeling.autoencoder import load_ae
        from modeling.qwen2 import Qwen2Tokenizer

        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        unisafe_serve.progress("loading the VAE")
        vae, vae_config = load_ae(local_path=str(Path(weights, "ae.safetensors")))
        tokenizer, marks, _ = add_special_tokens(Qwen2Tokenizer.from_pretrained(weights))
        unisafe_serve.progress("loading 14 billion parameters")
        with init_empty_weights():
            model = outline(Path(weights), vae_config, meta=True)
        model = self._fill(model, Path(weights, "ema.safetensors"), device)
        self._count_tokens(model)
        return InterleaveInferencer(
            model=model,
            vae_model=vae if self.options["vae_device"] == "cpu" else MovedVae(vae, self.options["vae_device"]),
            tokenizer=tokenizer,
            vae_transform=ImageTransform(1024, 512, STRIDE),
            vit_transform=ImageTransform(980, 224, 14),
            new_token_ids=marks,
        )

    def _fill(self, model, weights, device):
        """The model with its weights, on one GPU, or over all that this process sees."""
        import torch
        from accelerate import infer_auto_device_map, load_checkpoint_and_dispatch
        from accelerate.utils import BnbQuantizationConfig, load_and_quantize_model

        one = torch.device(device)
        gpus = range(torch.cuda.device_count()) if self.options["spread"] else [one.type if one.type == "cpu" else one.index or 0]
        room = dict.fromkeys(gpus, self.options["memory_per_gpu"])
        place = infer_auto_device_map(model, max_memory=room, no_split_module_classes=["Bagel", "Qwen2MoTDecoderLayer"])
        first = place.get("language_model.model.embed_tokens", gpus[0])
        others = ("time_embedder", "latent_pos_embed", "vae2llm", "llm2vae", "connector", "vit_pos_embed")
        for part in ("language_model.model.embed_tokens", *others):  # these exchange tensors without a hook between them
            if part in place or len(gpus) == 1:
                place[part] = first
        if self.options["quantization"] == "nf4":
            quantized = BnbQuantizationConfig(
                load_in_4bit=True,
                bnb_4bit_compute_dtype=torch.bfloat16,
                bnb_4bit_use_double_quant=False,
                bnb_4bit_quant_type="nf4",
            )
            return load_and_quantize_model(
                model,
                weights_location=str(weights),
                bnb_quantization_config=quantized,
                device_map=place,
                offload_folder="offload",
            ).eval()
        return load_checkpoint_and_dispatch(
            model,
            checkpoint=str(weights),
            device_map=place,
            offload_buffers=True,
            offload_folder="offload",
            dtype=torch.bfloat16,
            force_hooks=True,
        ).eval()

    def _count_tokens(self, model):
        """Note how many tokens each text has: the inferencer gives back words alone."""
        generate = model.generate_text

        @functools.wraps(generate)
        def counted(*given, **named):
            tokens = generate(*given, **named)
            self.written = len(tokens) - 1  # the first is the mark that starts the text
            return tokens

        model.generate_text = counted

    # --- answers

    def chat(self, request):
        limit = request.max_tokens or self.options["max_tokens"]
        text, _ = self._infer(request, understanding_output=True, max_think_token_n=limit + 1, **self._sampling(request))
        cut = self.written >= limit
        return unisafe_serve.Answer(text or "", finish="length" if cut else "stop", tokens_out=self.written)

    def draw(self, request):
        width, height = request.width_and_height((LONGEST, LONGEST))
        if width % STRIDE or height % STRIDE or max(width, height) > LONGEST:
            raise unisafe_serve.Rejected(
                f"it draws sides that are multiples of {STRIDE} up to {LONGEST} pixels, not {width}x{height}"
            )
        return self._paint(request, self.guidance["draw"], image_shapes=(height, width))

    def edit(self, request):
        return self._paint(request, self.guidance["edit"])  # the size follows the picture

    def _paint(self, request, guidance, **more):
        thinking = {"max_think_token_n": self.options["think_tokens"], **self._sampling(request)}
        plan, picture = self._infer(request, **guidance, **thinking, **more)
        return unisafe_serve.Answer(plan or "", images=[] if picture is None else [picture])

    def _infer(self, request, **named):
        """The text and the picture of one call, None where there is none."""
        inputs = self._inputs(request)
        given = self.inferencer.interleave_inference(inputs, think=self.options["think"], **named)
        text = [one for one in given if isinstance(one, str)]
        pictures = [one for one in given if not isinstance(one, str)]
        return (text[-1] if text else None), (pictures[-1] if pictures else None)

    def _inputs(self, request):
        """System prompt, texts and pictures in their order; an empty text is left out beside a picture."""
        pictures = request.pictures()
        parts = [pictures[part["image"]] if "image" in part else self._clean(part["text"]) for part in request.parts]
        said = [self._clean(request.system), *parts]
        return [part for part in said if part != ""] or [""]

    def _clean(self, text):
        return unisafe_serve.break_up(text, self.control)

    def _sampling(self, request):
        if request.top_p not in (None, 1, 1.0):
            raise unisafe_serve.Rejected("it samples by temperature alone: leave top_p out")
        warm = bool(request.temperature)
        return {"do_sample": True, "text_temperature": request.temperature} if warm else {"do_sample": False}


def outline(weights, vae_config, meta=False):
    """The model as the configurations in `weights` describe it; `meta` where its parameters have no values yet."""
    from modeling.bagel import Bagel as Model
    from modeling.bagel import BagelConfig, Qwen2Config, Qwen2ForCausalLM, SiglipVisionConfig, SiglipVisionModel

    language = Qwen2Config.from_json_file(str(weights / "llm_config.json"))
    language.qk_norm, language.tie_word_embeddings, language.layer_module = True, False, "Qwen2MoTDecoderLayer"
    vision = SiglipVisionConfig.from_json_file(str(weights / "vit_config.json"))
    vision.rope = False
    vision.num_hidden_layers -= 1
    config = BagelConfig(
        visual_gen=True,
        visual_und=True,
        llm_config=language,
        vit_config=vision,
        vae_config=vae_config,
        vit_max_num_patch_per_side=70,
        connector_act="gelu_pytorch_tanh",
        latent_patch_size=2,
        max_latent_size=LONGEST // STRIDE,
    )
    model = Model(Qwen2ForCausalLM(language), SiglipVisionModel(vision), config)
    model.vit_model.vision_model.embeddings.convert_conv2d_to_linear(vision, meta=meta)
    return model


def download():
    """The folder of the weights in the hub's cache; what is missing there is downloaded."""
    from huggingface_hub import snapshot_download

    unisafe_serve.progress("looking for the weights: 30 GB are downloaded where they are not in the cache")
    return snapshot_download(WEIGHTS, allow_patterns=["*.json", "*.safetensors", "*.txt"])


class MovedVae:
    """The VAE on a device of its own: tensors come from another one and go back to it."""

    def __init__(self, vae, device):
        self.vae, self.device = vae.to(device), device

    def encode(self, pixels):
        return self._compute(self.vae.encode, pixels)

    def decode(self, latents):
        return self._compute(self.vae.decode, latents)

    def _compute(self, method, tensor):
        import torch

        with torch.autocast("cuda", enabled=False):  # float32, as on the CPU
            return method(tensor.to(self.device)).to(tensor.device)


if __name__ == "__main__":
    given = public_checkout.read_places("weights")
    unisafe_serve.take_stdout()  # the checkout prints while it loads
    unisafe_serve.run(functools.partial(Bagel, given))
