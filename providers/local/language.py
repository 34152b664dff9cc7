"""Language models and vision-language models of transformers: text, or text and images, to text."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from contextlib import nullcontext
from time import monotonic
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers.models.auto import modeling_auto

from providers.base import Image, Rejected, Request, Response, Text, Usage
from providers.local.engine import Engine, Prepared, seed_of
from providers.local.failures import Unsupported
from providers.local.gguf_reading import gguf_read_once
from providers.local.pictures import pictures_of
from providers.local.sampling import choosing, sampling_of
from providers.local.settings import LocalSettings

if TYPE_CHECKING:
    from providers.local.device import Device

ROOM = 1_024
"""Tokens of an answer where neither the request nor the model says."""
IMAGE_TOKENS = 256
"""What an image counts for when requests are put in order of length."""
SIZES_APART = ("emu3",)
"""Model types whose processor pads images of different sizes, so that what one image is seen as depends on the others."""
OPENED = re.compile(r"(<think>|\[THINK\])\s*\Z", re.I)
"""The end of a prompt whose template has begun the model's thoughts."""


def load_language(settings: LocalSettings, device: Device) -> Engine:
    """Load a model of transformers and its processor. Raises Unsupported, or what transformers raises."""
    with gguf_read_once() if settings.gguf_file else nullcontext():
        return _load(settings, device)


def _load(settings: LocalSettings, device: Device) -> Engine:
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    source: dict[str, Any] = {"revision": settings.revision, "trust_remote_code": settings.trust_remote_code}
    if settings.gguf_file:
        source["gguf_file"] = settings.gguf_file
    config = transformers.AutoConfig.from_pretrained(settings.model, **source)
    if config.model_type == "shieldgemma2":
        from providers.local.shieldgemma import ShieldGemmaEngine

        return ShieldGemmaEngine(settings, device)
    loader = loader_of(config)
    if loader is transformers.AutoModelForCausalLM:
        if settings.sees:
            raise Unsupported(f'model type {config.model_type!r} takes no images; put takes = ["text"]')
        processor, tokenizer = None, transformers.AutoTokenizer.from_pretrained(settings.model, **source)
    else:
        processor = transformers.AutoProcessor.from_pretrained(settings.model, **source)
        tokenizer = getattr(processor, "tokenizer", processor)
    model = loader.from_pretrained(settings.model, config=config, **source, **weights_options(settings, device)).eval()
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    language = LanguageEngine(settings, device, model, processor, tokenizer)
    if not settings.draws:
        return language
    from providers.local.unified import unified_engine

    return unified_engine(language)


def loader_of(config: Any) -> Any:
    """The Auto class for a model's configuration. Raises Unsupported."""
    remote = getattr(config, "auto_map", None) or {}
    for loader, known in (
        (transformers.AutoModelForImageTextToText, modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING),
        (transformers.AutoModelForMultimodalLM, modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING),
        (transformers.AutoModelForCausalLM, modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING),
    ):
        if type(config) in known or loader.__name__ in remote:
            return loader
    raise Unsupported(
        f"model type {config.model_type!r} generates no text in transformers {transformers.__version__}; "
        'for a text-to-image pipeline put provider = "diffusers"'
    )


def weights_options(settings: LocalSettings, device: Device) -> dict[str, Any]:
    """How weights are loaded: dtype, device, attention and quantization."""
    options: dict[str, Any] = {"dtype": settings.dtype, "device_map": {"": device.name}}
    if settings.attn:
        options["attn_implementation"] = settings.attn
    if settings.gguf_file:
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    elif settings.quantization:
        options["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_8bit=settings.quantization == "8bit",
            load_in_4bit=settings.quantization == "4bit",
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    return options


class LanguageEngine:
    """Answers chats.

    Attributes:
        first, most: how many requests a batch begins with, and how large it may become by itself.
        tokens: how many tokens a batch may hold; on a CPU more than `on_cpu` are slower than two batches.

    Args:
        model, processor, tokenizer: as transformers loaded them; `processor` is None for a model without images.
    """

    first = 16
    most = 64
    on_cpu = 4_096

    def __init__(self, settings: LocalSettings, device: Device, model: Any, processor: Any, tokenizer: Any) -> None:
        self.settings = settings
        self.tokens = settings.batch_tokens or (self.on_cpu if device.torch.type == "cpu" else None)
        self.device = device
        self.model = model
        self.processor = processor
        self.tokenizer = tokenizer
        own = model.generation_config
        ends = own.eos_token_id if own.eos_token_id is not None else tokenizer.eos_token_id
        self.ends = tuple(ends) if isinstance(ends, list | tuple) else (ends,) if ends is not None else ()
        self._template_of = processor if processor is not None and getattr(processor, "chat_template", None) else tokenizer
        janus = model.config.model_type == "janus"  # whose own `generate` drops logits processors when it writes text
        self._generate = transformers.GenerationMixin.generate if janus else type(model).generate
        self._markers = marker_pattern(tokenizer)
        extra = dict(settings.extra)
        self._template_arguments = extra.pop("chat_template_kwargs", {})
        self._extra = extra
        text = getattr(model.config, "text_config", None) or model.config
        self._context = getattr(text, "max_position_embeddings", None)

    # -------------------------------------------------------- one request

    def prepare(self, request: Request) -> Prepared:
        if request.kind != "chat":
            raise Rejected("this model draws no images")
        if request.images and self.processor is None:
            raise Rejected(f"model type {self.model.config.model_type!r} takes no images")
        prompt = self.prompt_of(request)
        length = len(self.tokenizer(prompt, add_special_tokens=False)["input_ids"]) + IMAGE_TOKENS * len(request.images)
        room = request.max_tokens or self.model.generation_config.max_new_tokens or ROOM
        if self._context is not None:
            if length >= self._context:
                raise Rejected(f"the prompt is {length:,} tokens long, and the model takes {self._context:,}")
            room = min(room, self._context - length)
        sampling = sampling_of(request, self.model.generation_config)
        sizes = [picture.size for picture in pictures_of(request)] if self.model.config.model_type in SIZES_APART else []
        return Prepared(request, ("chat", sampling, bool(request.images), *sizes), length, room, prompt)

    def prompt_of(self, request: Request) -> str:
        """The request in the model's chat template; plain text where it has none."""
        if getattr(self._template_of, "chat_template", None) is None:
            return "\n\n".join(filter(None, (self.plain(request.system), self.plain(request.text)))) + "\n\n"
        try:
            return self.templated(request.system, request.parts)
        except Exception as error:
            if not request.system or type(error).__module__.partition(".")[0] != "jinja2":
                raise
            return self.templated("", (Text(request.system), *request.parts))  # templates that know no system role

    def templated(self, system: str, parts: Sequence[Text | Image]) -> str:
        """A turn of the user's in the chat template, ready for the model to go on."""
        content: Any = [
            {"type": "text", "text": self.plain(part.text)} if isinstance(part, Text) else {"type": "image"} for part in parts
        ]
        if self.processor is None:
            content = "\n".join(piece["text"] for piece in content)
        lead = self.plain(system) if self.processor is None else [{"type": "text", "text": self.plain(system)}]
        messages = [*([{"role": "system", "content": lead}] if system else []), {"role": "user", "content": content}]
        return str(
            self._template_of.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **self._template_arguments)
        )

    def plain(self, text: str) -> str:
        """`text` with the model's control tokens broken up, so that nobody ends a turn or adds an image by writing them."""
        return self._markers.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text) if self._markers else text

    # -------------------------------------------------------- a batch

    def inputs(self, batch: Sequence[Prepared]) -> Any:
        """Token ids and images of a batch, left-padded, on the device."""
        prompts = [prepared.payload for prepared in batch]
        if self.processor is None:
            inputs = self.tokenizer(
                prompts, padding=True, return_tensors="pt", add_special_tokens=not self._template_of.chat_template
            )
        else:
            start = self.tokenizer.bos_token
            images = [pictures_of(prepared.request) for prepared in batch]
            inputs = self.processor(
                text=prompts,
                images=images if any(images) else None,
                padding=True,
                return_tensors="pt",
                add_special_tokens=not (start and prompts[0].startswith(start)),
            )
        return on_device(inputs, self.device, self.model.dtype)

    def configured(self, room: int) -> Any:
        """The model's generation_config for one batch, greedy: what samples is a processor (sampling.py)."""
        config = copy.deepcopy(self.model.generation_config)
        config.do_sample = False
        config.temperature = config.top_p = config.top_k = config.max_length = None
        config.max_new_tokens = room
        config.pad_token_id = self.tokenizer.pad_token_id
        config.eos_token_id = list(self.ends) or None
        return config

    def answer(self, batch: Sequence[Prepared]) -> list[Response]:
        started = monotonic()
        room = max(prepared.room for prepared in batch)
        inputs = self.inputs(batch)
        start = inputs["input_ids"].shape[1]
        sampling = batch[0].group[1]  # type: ignore[index]
        seeds = [seed_of(prepared.request) for prepared in batch]
        processors = choosing(sampling, seeds, room, self.device) if sampling else None
        with torch.inference_mode():
            ids = self._generate(
                self.model, **inputs, generation_config=self.configured(room), logits_processor=processors, **self._extra
            )[:, start:].cpu()
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        seconds = monotonic() - started
        return [self._response(row, prepared, length, seconds) for row, prepared, length in zip(ids, batch, lengths, strict=True)]

    def _response(self, row: Any, prepared: Prepared, length: int, seconds: float) -> Response:
        """Thoughts that the template has begun are begun in the text too, so that they are known for what they are."""
        ends = torch.isin(row, torch.tensor(self.ends, dtype=row.dtype)).nonzero() if self.ends else []
        count = int(ends[0]) + 1 if len(ends) else min(len(row), prepared.room)
        text = self.tokenizer.decode(row[:count], skip_special_tokens=True)
        opened = OPENED.search(prepared.payload) if isinstance(prepared.payload, str) else None
        return Response(
            opened[1] + text if opened else text,
            finish="stop" if len(ends) else "length",
            usage=Usage(length, count, cost=0.0),
            latency=seconds,
        )


def on_device(inputs: Any, device: Device, dtype: Any) -> dict[str, Any]:
    """What a processor made, on the device; images in the model's dtype."""
    tensors = {name: value for name, value in inputs.items() if isinstance(value, torch.Tensor)}
    return {name: value.to(device.torch, dtype=dtype if value.is_floating_point() else None) for name, value in tensors.items()}


def marker_pattern(tokenizer: Any) -> re.Pattern[str] | None:
    """What matches the tokenizer's added tokens in ordinary text."""
    markers = sorted((token for token in tokenizer.added_tokens_encoder if len(token.strip()) > 2), key=len, reverse=True)
    return re.compile("|".join(re.escape(marker) for marker in markers)) if markers else None
