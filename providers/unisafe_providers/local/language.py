"""Language models and vision-language models of transformers: text, or text and images, to text."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import torch
import transformers

from unisafe_providers.base import Image, Rejected, Request, Response, Text, Usage
from unisafe_providers.local.engine import Prepared, seed_of
from unisafe_providers.local.pictures import pictures_of
from unisafe_providers.local.sampling import build_processors, sampling_of
from unisafe_providers.local.settings import LocalSettings

if TYPE_CHECKING:
    from unisafe_providers.local.device import Device

ROOM = 1_024
"""Tokens of an answer if neither the request nor the model sets a number."""
IMAGE_TOKENS = 256
"""The length that an image counts for when requests are sorted by length."""
SIZES_APART = ("emu3",)
"""Model types whose processor pads images of different sizes, so the other images of a batch change what the model sees."""
OPENED = re.compile(r"(<think>|\[THINK\])\s*\Z", re.I)
"""The end of a prompt whose template opens the model's thoughts."""


def build_weights_options(settings: LocalSettings, device: Device) -> dict[str, Any]:
    """Arguments for loading weights: dtype, device, attention and quantization."""
    options: dict[str, Any] = {"dtype": settings.dtype, **device.place_weights()}
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
        first, max_batch: the first size of a batch, and the largest size that it may grow to.
        tokens: the most tokens in a batch; on a CPU, a batch of more than `on_cpu` tokens is slower than two batches.

    Args:
        model, processor, tokenizer: as transformers loaded them; `processor` is None for a model without images.
    """

    first = 16
    max_batch = 64
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
        self._markers = compile_markers(tokenizer)
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
        return Prepared(
            request=request, group=("chat", sampling, bool(request.images), *sizes), length=length, room=room, payload=prompt
        )

    def prompt_of(self, request: Request) -> str:
        """The request in the model's chat template; plain text if the model has none."""
        if getattr(self._template_of, "chat_template", None) is None:
            return "\n\n".join(filter(None, (self.break_markers(request.system), self.break_markers(request.text)))) + "\n\n"
        try:
            return self.apply_template(request.system, request.parts)
        except Exception as error:
            if not request.system or type(error).__module__.partition(".")[0] != "jinja2":
                raise
            return self.apply_template("", (Text(request.system), *request.parts))  # templates that know no system role

    def apply_template(self, system: str, parts: Sequence[Text | Image]) -> str:
        """A turn of the user in the chat template, up to where the model continues."""
        content: Any = [
            {"type": "text", "text": self.break_markers(part.text)} if isinstance(part, Text) else {"type": "image"}
            for part in parts
        ]
        if self.processor is None:
            content = "\n".join(piece["text"] for piece in content)
        lead = self.break_markers(system) if self.processor is None else [{"type": "text", "text": self.break_markers(system)}]
        messages = [*([{"role": "system", "content": lead}] if system else []), {"role": "user", "content": content}]
        return str(
            self._template_of.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **self._template_arguments)
        )

    def break_markers(self, text: str) -> str:
        """`text` with the model's control tokens broken up, so that nobody ends a turn or adds an image by writing them."""
        return self._markers.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text) if self._markers else text

    # -------------------------------------------------------- a batch

    def build_inputs(self, batch: Sequence[Prepared]) -> Any:
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

    def configure_generation(self, room: int) -> Any:
        """The model's generation_config for one batch, set to greedy: a processor does the sampling (sampling.py)."""
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
        inputs = self.build_inputs(batch)
        start = inputs["input_ids"].shape[1]
        sampling = batch[0].group[1]  # type: ignore[index]
        seeds = [seed_of(prepared.request) for prepared in batch]
        processors = build_processors(sampling, seeds, room, self.device) if sampling else None
        with torch.inference_mode():
            ids = self._generate(
                self.model, **inputs, generation_config=self.configure_generation(room), logits_processor=processors, **self._extra
            )[:, start:].cpu()
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        seconds = monotonic() - started
        return [self._response(row, prepared, length, seconds) for row, prepared, length in zip(ids, batch, lengths, strict=True)]

    def _response(self, row: Any, prepared: Prepared, length: int, seconds: float) -> Response:
        """If the template opened the thoughts, put the opening tag before the text, so that the thoughts are recognised."""
        ends = torch.isin(row, torch.tensor(self.ends, dtype=row.dtype)).nonzero() if self.ends else []
        count = int(ends[0]) + 1 if len(ends) else min(len(row), prepared.room)
        text = self.tokenizer.decode(row[:count], skip_special_tokens=True)
        opened = OPENED.search(prepared.payload) if isinstance(prepared.payload, str) else None
        return Response(
            text=opened[1] + text if opened else text,
            finish="stop" if len(ends) else "length",
            usage=Usage(tokens_in=length, tokens_out=count, cost=0.0),
            latency=seconds,
        )


def on_device(inputs: Any, device: Device, dtype: Any) -> dict[str, Any]:
    """The processor's output on the device; images in the model's dtype."""
    tensors = {name: value for name, value in inputs.items() if isinstance(value, torch.Tensor)}
    return {name: value.to(device.torch, dtype=dtype if value.is_floating_point() else None) for name, value in tensors.items()}


def compile_markers(tokenizer: Any) -> re.Pattern[str] | None:
    """A pattern for the tokenizer's added tokens in ordinary text."""
    markers = sorted((token for token in tokenizer.added_tokens_encoder if len(token.strip()) > 2), key=len, reverse=True)
    return re.compile("|".join(re.escape(marker) for marker in markers)) if markers else None
