"""Language models and vision-language models of transformers: text, or text and images, to text."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

import torch
import transformers

from unisafe_providers.base import Image, Rejected, Request, Response, Text, Usage
from unisafe_providers.local.engine import UNWATCHED, Prepared, Watch, seed_of
from unisafe_providers.local.image_tokens import ImageTokens
from unisafe_providers.local.pictures import pictures_of, sizes_of
from unisafe_providers.local.rows import RowEnds, StepsTold, append_written, can_go_on, find_placeholders, knows_tokens
from unisafe_providers.local.sampling import build_processors, sampling_of
from unisafe_providers.local.settings import LocalSettings

if TYPE_CHECKING:
    from unisafe_providers.local.device import Device

ROOM = 1_024
"""Tokens of an answer if neither the request nor the model sets a number."""
SIZES_APART = ("emu3",)
"""Model types whose processor pads images of different sizes, so the other images of a batch change what the model sees."""
OPENED = re.compile(r"(<think>|\[THINK\])\s*\Z", re.I)
"""The end of a prompt whose template opens the model's thoughts."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request in the model's template, and its answer as far as it is written.

    Args:
        text: the prompt.
        written: tokens of the answer from earlier batches.
        seconds: the time of these batches.
    """

    text: str
    written: tuple[int, ...] = ()
    seconds: float = 0.0


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
        first_tokens: tokens of the first batch: one that holds large pictures begins small.
        tokens: the most tokens in a batch; on a CPU, a batch of more than `on_cpu` tokens is slower than two batches.

    Args:
        model, processor, tokenizer: as transformers loaded them; `processor` is None for a model without images.
    """

    first = 16
    max_batch = 64
    first_tokens: int | None = 16_384
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
        self._janus = model.config.model_type == "janus"  # its own `generate` drops logits processors when it writes text
        self._generate = transformers.GenerationMixin.generate if self._janus else type(model).generate
        self._markers = compile_markers(tokenizer)
        extra = dict(settings.extra)
        self._template_arguments = extra.pop("chat_template_kwargs", {})
        self._extra = extra
        self._image_tokens = ImageTokens(processor)
        self._placeholders = find_placeholders(model.config, processor) if processor is not None else ()
        self._goes_on = not getattr(model.config, "is_encoder_decoder", False) and can_go_on(self.configure_generation(1), extra)
        text = getattr(model.config, "text_config", None) or model.config
        self._context = getattr(text, "max_position_embeddings", None)

    # -------------------------------------------------------- one request

    def prepare(self, request: Request) -> Prepared:
        if request.kind != "chat":
            raise Rejected("this model draws no images")
        if request.images and self.processor is None:
            raise Rejected(f"model type {self.model.config.model_type!r} takes no images")
        prompt = self.prompt_of(request)
        sizes = sizes_of(request)
        length = len(self.tokenizer(prompt, add_special_tokens=False)["input_ids"])
        if sizes:
            length += self._image_tokens.count(prompt, length, sizes)
        room = request.max_tokens or self.model.generation_config.max_new_tokens or ROOM
        if self._context is not None:
            if length >= self._context:
                raise Rejected(f"the prompt is {length:,} tokens long, and the model takes {self._context:,}")
            room = min(room, self._context - length)
        sampling = sampling_of(request, self.model.generation_config)
        apart = sizes if self.model.config.model_type in SIZES_APART else ()
        group = ("chat", sampling, bool(sizes), *apart)
        return Prepared(request=request, group=group, length=length, room=room, payload=Prompt(prompt))

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
        """Token ids and images of a batch, with the answers so far, left-padded, on the device."""
        prompts = [prepared.payload.text for prepared in batch]
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
        found = on_device(inputs, self.device, self.model.dtype)
        return append_written(found, [prepared.payload.written for prepared in batch], self.tokenizer.pad_token_id)

    def configure_generation(self, room: int) -> Any:
        """The model's generation_config for one batch, set to greedy: a processor does the sampling (sampling.py)."""
        config = copy.deepcopy(self.model.generation_config)
        config.do_sample = False
        config.temperature = config.top_p = config.top_k = config.max_length = None
        if self._janus:
            config.guidance_scale = (
                1.0  # it is for images: Janus' own `generate` does without it for text, and None means the model's
            )
        config.max_new_tokens = room
        config.pad_token_id = self.tokenizer.pad_token_id
        config.eos_token_id = list(self.ends) or None
        return config

    def answer(self, batch: Sequence[Prepared], watch: Watch = UNWATCHED) -> list[Response | Prepared]:
        started = monotonic()
        rooms = [prepared.room for prepared in batch]
        inputs = self.build_inputs(batch)
        start = inputs["input_ids"].shape[1]
        ends: Any = StepsTold(watch)
        if self._goes_on and knows_tokens(inputs):
            ends = RowEnds(rooms, start, self.ends, self._placeholders, watch, self.device.torch)
        with torch.inference_mode():
            ids = self._generate(
                self.model,
                **inputs,
                generation_config=self.configure_generation(max(rooms)),
                logits_processor=self._choose_by(batch),
                stopping_criteria=transformers.StoppingCriteriaList([ends]),
                **self._extra,
            )[:, start:].cpu()
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        seconds = monotonic() - started
        stopped = isinstance(ends, RowEnds) and ends.stopped
        return [
            self._conclude(row, prepared, length, seconds, stopped)
            for row, prepared, length in zip(ids, batch, lengths, strict=True)
        ]

    def _choose_by(self, batch: Sequence[Prepared]) -> Any:
        """The processors that choose tokens; None for greedy."""
        sampling = batch[0].group[1]  # type: ignore[index]
        if not sampling:
            return None
        seeds = [seed_of(prepared.request) for prepared in batch]
        written = [len(prepared.payload.written) for prepared in batch]
        return build_processors(sampling, seeds, max(prepared.room for prepared in batch), self.device, written)

    def _conclude(self, row: Any, prepared: Prepared, length: int, seconds: float, stopped: bool) -> Response | Prepared:
        """The response; or if the batch was stopped before the row ended or filled its room, what is left to do.

        If the template opened the thoughts, the opening tag is put before the text, so that the thoughts are recognised.
        """
        prompt: Prompt = prepared.payload
        row = row[: prepared.room]
        ends = torch.isin(row, torch.tensor(self.ends, dtype=row.dtype)).nonzero() if self.ends else []
        count = int(ends[0]) + 1 if len(ends) else len(row)
        written = (*prompt.written, *row[:count].tolist())
        seconds += prompt.seconds
        if stopped and not len(ends) and count < prepared.room:
            rest = Prompt(prompt.text, written, seconds)
            return replace(prepared, length=prepared.length + count, room=prepared.room - count, payload=rest)
        text = self.tokenizer.decode(written, skip_special_tokens=True)
        opened = OPENED.search(prompt.text)
        return Response(
            text=opened[1] + text if opened else text,
            finish="stop" if len(ends) else "length",
            usage=Usage(tokens_in=length - len(prompt.written), tokens_out=len(written), cost=0.0),
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
