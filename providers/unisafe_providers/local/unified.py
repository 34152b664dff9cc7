"""Unified models of transformers: language models that write text and draw images, token by token.

Each family draws in its own way; docs/local-models.md says which model types do what.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from time import monotonic
from typing import Any, Protocol

import torch
import transformers
from PIL import Image as Pictures
from transformers import ClassifierFreeGuidanceLogitsProcessor, LogitsProcessor, LogitsProcessorList

from unisafe_providers.base import Rejected, Request, Response, Text, Usage
from unisafe_providers.local.engine import UNWATCHED, Prepared, Watch, seed_of
from unisafe_providers.local.failures import Unsupported
from unisafe_providers.local.language import LanguageEngine, on_device
from unisafe_providers.local.pictures import png_of, size_of
from unisafe_providers.local.sampling import Told, build_processors

FIRST_DRAWN = 2
"""Images in a first batch: each is hundreds or thousands of tokens, and guidance doubles them."""
SAMPLED = (1.0, None, None)
"""Temperature, top-p and top-k for images if a model's generation_config has none: these models sample their images."""


class Drawer(Protocol):
    """How one family draws."""

    def prompt(self, request: Request) -> str:
        """The text to tokenize. Raises Rejected for a request that the family cannot do."""
        ...

    def count_tokens(self, request: Request) -> int:
        """The tokens of the image that it asks for."""
        ...

    def draw(
        self, prompts: Sequence[str], request: Request, seeds: Sequence[int], watch: Watch
    ) -> tuple[list[Any], list[int], int]:
        """PIL images, each one's prompt tokens, and the image tokens of one; `request` has the parameters of the whole batch."""
        ...


class UnifiedEngine:
    """Answers chats as the language engine does, and draws images as the family does.

    Args:
        language: the loaded model.
        drawer: its family's way to draw.
    """

    def __init__(self, language: LanguageEngine, drawer: Drawer) -> None:
        self._language = language
        self._drawer = drawer
        self.device = language.device
        self.first, self.max_batch = language.first, language.max_batch
        self.first_tokens, self.tokens = language.first_tokens, language.tokens

    def prepare(self, request: Request) -> Prepared:
        if request.kind == "chat":
            return self._language.prepare(request)
        prompt = self._drawer.prompt(request)
        length = len(self._language.tokenizer(prompt, add_special_tokens=False)["input_ids"])
        return Prepared(
            request=request,
            group=(request.kind, request.size),
            length=length,
            room=self._drawer.count_tokens(request),
            payload=prompt,
            first=FIRST_DRAWN,
        )

    def answer(self, batch: Sequence[Prepared], watch: Watch = UNWATCHED) -> list[Response | Prepared]:
        if batch[0].request.kind == "chat":
            return self._language.answer(batch, watch)
        started = monotonic()
        prompts = [prepared.payload for prepared in batch]
        seeds = [seed_of(prepared.request) for prepared in batch]
        with torch.inference_mode():
            pictures, lengths, tokens = self._drawer.draw(prompts, batch[0].request, seeds, watch)
        seconds = monotonic() - started
        return [
            Response(
                images=(png_of(picture),), usage=Usage(tokens_in=length, tokens_out=tokens, images=1, cost=0.0), latency=seconds
            )
            for picture, length in zip(pictures, lengths, strict=True)
        ]


def build_unified_engine(language: LanguageEngine) -> UnifiedEngine:
    """The engine of a model that draws. Raises Unsupported if transformers cannot draw with this model type."""
    family = DRAWERS.get(language.model.config.model_type)
    if family is None:
        raise Unsupported(
            f"model type {language.model.config.model_type!r} draws no images in transformers {transformers.__version__}; "
            f'those that do are {", ".join(DRAWERS)}; for the others put gives = ["text"], or provider = "diffusers" for a pipeline'
        )
    return UnifiedEngine(language, family(language))


def _refuse_edits(request: Request, family: str) -> None:
    if request.kind == "edit":
        raise Rejected(f"{family} edits no images: it draws from text alone; leave image editing out of `tasks`")


class JanusDrawer:
    """Janus and Janus-Pro: 576 tokens of a 384 x 384 image, with classifier-free guidance (arXiv 2410.13848, 2501.17811)."""

    def __init__(self, language: LanguageEngine) -> None:
        self._language = language

    def prompt(self, request: Request) -> str:
        _refuse_edits(request, "Janus")
        return self._language.apply_template(request.system, [Text(request.text)])

    def count_tokens(self, request: Request) -> int:
        return int(self._language.model.model.vision_model.config.num_image_tokens)

    def draw(
        self, prompts: Sequence[str], request: Request, seeds: Sequence[int], watch: Watch
    ) -> tuple[list[Any], list[int], int]:
        language, model = self._language, self._language.model
        inputs = language.processor(text=list(prompts), generation_mode="image", padding=True, return_tensors="pt")
        inputs = on_device(inputs, language.device, model.dtype)
        own = copy.deepcopy(model.generation_config)
        tokens = self.count_tokens(request)
        guidance = language.settings.guidance or own.guidance_scale or 5.0
        processors = LogitsProcessorList([ClassifierFreeGuidanceLogitsProcessor(guidance)] if guidance > 1 else [])
        processors += [*build_processors(_sampling(own), seeds, tokens, language.device), Told(watch, len(prompts))]
        own.generation_kwargs = {"boi_token_id": language.tokenizer.convert_tokens_to_ids(language.processor.image_start_token)}
        own.do_sample, own.guidance_scale = False, 1.0  # both are done by the processors, in this order
        own.temperature = own.top_p = own.top_k = None
        ids = model.generate(
            inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            generation_mode="image",
            generation_config=own,
            logits_processor=processors,
        )
        decoded = model.decode_image_tokens(ids)
        return convert_pictures(decoded, language.processor.image_processor), inputs["attention_mask"].sum(dim=1).tolist(), tokens


class Emu3Drawer:
    """Emu3-Gen: rows of image tokens with an end-of-line token after each (arXiv 2409.18869)."""

    def __init__(self, language: LanguageEngine) -> None:
        self._language = language
        self._tokens: dict[str | None, int] = {}

    def prompt(self, request: Request) -> str:
        _refuse_edits(request, "Emu3")
        return self._language.break_markers("\n".join(filter(None, (request.system, request.text))))

    def count_tokens(self, request: Request) -> int:
        if request.size not in self._tokens:
            height, width = self._language.processor(text=[""], **self._options(request))["image_sizes"][0]
            self._tokens[request.size] = _count_emu3(int(height), int(width))
        return self._tokens[request.size]

    @staticmethod
    def _options(request: Request) -> dict[str, Any]:
        """The processor's arguments for images of the size that is asked for."""
        options: dict[str, Any] = {"return_for_image_generation": True, "padding": True, "return_tensors": "pt"}
        if (size := size_of(request)) is not None:
            options |= {"ratio": f"{size[0]}:{size[1]}", "image_area": size[0] * size[1]}
        return options

    def draw(
        self, prompts: Sequence[str], request: Request, seeds: Sequence[int], watch: Watch
    ) -> tuple[list[Any], list[int], int]:
        language, model, processor = self._language, self._language.model, self._language.processor
        options = self._options(request)
        inputs = processor(text=list(prompts), **options)
        height, width = (int(side) for side in inputs["image_sizes"][0])
        inputs = on_device(inputs, language.device, model.dtype)
        steps = _count_emu3(height, width)
        own = copy.deepcopy(model.generation_config)
        sampling = _sampling(own)
        own.guidance_scale = language.settings.guidance or own.guidance_scale or 3.0
        own.do_sample = False
        own.temperature = own.top_p = own.top_k = own.max_length = None
        own.max_new_tokens, own.eos_token_id, own.pad_token_id = steps, None, language.tokenizer.pad_token_id
        against = on_device(processor(text=[""] * len(prompts), **options), language.device, model.dtype)
        processors = LogitsProcessorList([ImageRows(language, width, height)])
        processors += [*build_processors(sampling, seeds, steps, language.device), Told(watch, len(prompts))]
        ids = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            negative_prompt_ids=against["input_ids"],
            negative_prompt_attention_mask=against["attention_mask"],
            generation_config=own,
            logits_processor=processors,
        )[:, inputs["input_ids"].shape[1] :]
        decoded = model.decode_image_tokens(image_tokens=ids, height=height, width=width)
        return convert_pictures(decoded, processor.image_processor), inputs["attention_mask"].sum(dim=1).tolist(), steps


def _count_emu3(height: int, width: int) -> int:
    """The tokens of an image of `height` rows of `width` tokens: a token ends each row, and three end the image."""
    return height * (width + 1) + 3


def convert_pictures(pixels: Any, processor: Any) -> list[Any]:
    """PIL images from a decoder's output: images x 3 x height x width, or channels last, normalized as the processor does.

    The processors' own `postprocess` does not give PIL images with every backend.
    """
    pixels = pixels.float().cpu().reshape(-1, *pixels.shape[-3:])
    if pixels.shape[-1] != 3:
        pixels = pixels.permute(0, 2, 3, 1)
    scaled = pixels * torch.tensor(processor.image_std) + torch.tensor(processor.image_mean)
    return [Pictures.fromarray(image.numpy()) for image in (scaled * 255).round().clip(0, 255).to(torch.uint8)]


class ImageRows(LogitsProcessor):  # type: ignore[misc]
    """Allows only the tokens of an Emu3 image's grammar: `height` rows of `width` image tokens, then three end tokens.

    Args:
        width, height: of the image, in tokens.
    """

    def __init__(self, language: LanguageEngine, width: int, height: int) -> None:
        tokenizer, processor = language.tokenizer, language.processor
        self._width, self._height, self._step = width, height, 0
        self._line = tokenizer.convert_tokens_to_ids("<|extra_200|>")
        ends = (processor.eof_token, processor.image_end_token, tokenizer.eos_token)
        self._ends = [tokenizer.convert_tokens_to_ids(token) for token in ends]
        self._visual = torch.tensor(language.model.model.vocabulary_mapping.image_tokens, device=language.device.torch)

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        self._step += 1
        rows = self._height * (self._width + 1)
        if self._step > rows:
            allowed: Any = [self._ends[self._step - rows - 1]]
        elif self._step % (self._width + 1) == 0:
            allowed = [self._line]
        else:
            allowed = self._visual
        kept = torch.full_like(scores, float("-inf"))
        kept[:, allowed] = scores[:, allowed]
        return kept


def _sampling(own: Any) -> tuple[float, float | None, int | None]:
    if not own.do_sample:
        return SAMPLED
    return (1.0 if own.temperature is None else own.temperature, own.top_p, own.top_k)


DRAWERS: dict[str, Any] = {"janus": JanusDrawer, "emu3": Emu3Drawer}
