"""Diffusion pipelines of diffusers: images from text, and edits of images."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import diffusers
import torch
import transformers
from diffusers.pipelines import auto_pipeline

from unisafe_providers.base import Block, Rejected, Request, Response, Usage
from unisafe_providers.local.engine import UNWATCHED, Prepared, Watch, seed_of
from unisafe_providers.local.failures import Unsupported
from unisafe_providers.local.pictures import pictures_of, png_of, size_of
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.local.stored import read_stored_dtype
from unisafe_providers.local.telling import following_bars
from unisafe_providers.named_files import expand_path

if TYPE_CHECKING:
    from unisafe_providers.local.device import Device

ROWS_OF_IMAGES = ("InstructPix2Pix", "FluxKontext", "QwenImageEditPipeline", "Img2Img")
"""Editing pipelines that take one image for each prompt of a batch; for others a list means several images for one prompt."""
SAFETY_FLAGS = ("nsfw_content_detected", "nsfw_detected")
NSFW = Block("response", (("nsfw", ""),))
GUARDRAIL = "Guardrail"


class PipelineEngine:
    """Draws and edits.

    On the CPU images are made one at a time unless `batch_size` says otherwise. A batch is not faster there, and so the same
    request gives the same bytes whatever other requests wait.

    Raises Unsupported, or what diffusers raises.
    """

    def __init__(self, settings: LocalSettings, device: Device) -> None:
        diffusers.utils.logging.set_verbosity_error()
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
        self.device = device
        self.tokens: int | None = None
        self.first_tokens: int | None = None
        self.first, self.max_batch = (1, 1) if device.torch.type == "cpu" else (4, 16)
        self._settings = settings
        with following_bars():
            self._pipeline = _load_pipeline(settings, device)
        self._editor: Any = None
        self._check_extra()

    def _check_extra(self) -> None:
        named = parameters_of(self._pipeline)
        for key in self._settings.extra:
            if key not in named:
                known = ", ".join(sorted(named - {"prompt", "image", "generator"}))
                raise Unsupported(f"extra.{key}: {type(self._pipeline).__name__} takes no such argument; it takes {known}")

    @property
    def draws(self) -> bool:
        """Whether the pipeline makes an image from text alone."""
        known = auto_pipeline.AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()
        return type(self._pipeline) in known or "image" not in parameters_of(self._pipeline)

    def find_editor(self) -> Any:
        """The pipeline that edits: this one if it takes images, else its image-to-image variant. Raises Rejected."""
        if "image" in parameters_of(self._pipeline):
            return self._pipeline
        if self._editor is None:
            try:
                self._editor = diffusers.AutoPipelineForImage2Image.from_pipe(self._pipeline)
            except ValueError:
                name = type(self._pipeline).__name__
                raise Rejected(
                    f"{name} edits no images and has no image-to-image form; leave image editing out of `tasks`"
                ) from None
            self._editor.set_progress_bar_config(disable=True)
            if self._settings.offload:
                self._editor.enable_model_cpu_offload(device=self.device.torch)
        return self._editor

    # -------------------------------------------------------- requests

    def prepare(self, request: Request) -> Prepared:
        if request.kind == "chat":
            raise Rejected("a diffusers pipeline writes no text")
        length = len(request.text) // 4
        if request.kind == "image":
            if not self.draws:
                name = type(self._pipeline).__name__
                raise Rejected(f"{name} edits images and draws none from text; leave text-to-image out of `tasks`")
            return Prepared(request=request, group=("image", request.size), length=length, room=0)
        editor = type(self.find_editor()).__name__
        pictures = pictures_of(request)
        if len(pictures) != 1:
            raise Rejected(f"an edit takes one image, and {len(pictures)} were given")
        together = any(name in editor for name in ROWS_OF_IMAGES)
        group = ("edit", request.size, pictures[0].size, None if together else request.canonical)
        return Prepared(request=request, group=group, length=length, room=0, payload=pictures[0])

    def answer(self, batch: Sequence[Prepared], watch: Watch = UNWATCHED) -> list[Response | Prepared]:
        started = monotonic()
        request = batch[0].request
        pipeline = self._pipeline if request.kind == "image" else self.find_editor()
        arguments = self.build_arguments(pipeline, batch)
        if "callback_on_step_end" in parameters_of(pipeline):
            arguments.setdefault("callback_on_step_end", partial(_note_step, watch))
        try:
            with torch.inference_mode():
                result = pipeline(**arguments)
        except ValueError as error:
            if GUARDRAIL in str(error) and len(batch) == 1:
                words = "safety checker: " + str(error)[:200]
                return [Response(finish="blocked", reason=words, latency=monotonic() - started, block=Block("request"))]
            raise
        seconds = monotonic() - started
        flags = next((found for name in SAFETY_FLAGS if (found := getattr(result, name, None))), None) or [False] * len(batch)
        return [
            Response(finish="blocked", reason="safety checker of the pipeline: nsfw", latency=seconds, block=NSFW)
            if flag
            else Response(images=(png_of(picture),), usage=Usage(images=1, cost=0.0), latency=seconds)
            for picture, flag in zip(result.images, flags, strict=True)
        ]

    def build_arguments(self, pipeline: Any, batch: Sequence[Prepared]) -> dict[str, Any]:
        """The arguments of the call that the pipeline takes by name."""
        named = parameters_of(pipeline)
        settings, request = self._settings, batch[0].request
        steps, strength = settings.steps, settings.strength
        if steps is not None and "strength" in named:  # image-to-image takes steps x strength steps: at least one
            own = inspect.signature(type(pipeline).__call__).parameters["strength"].default
            steps = max(steps, math.ceil(1 / (strength or own)))
        size = size_of(request)
        width, height = size or (None, None)
        qwen = "true_cfg_scale" in named and type(pipeline).__name__.startswith("QwenImage")
        wanted: dict[str, Any] = {
            "num_inference_steps": steps,
            "true_cfg_scale" if qwen else "guidance_scale": settings.guidance,
            "strength": strength,
            "width": width,
            "height": height,
            "max_area": width * height if size and width and height else None,
            "negative_prompt": [" "] * len(batch) if qwen else None,
        }
        found = {name: value for name, value in wanted.items() if value is not None and name in named}
        found |= {"prompt": [prepared.request.text for prepared in batch]}
        found["generator"] = [self.device.build_generator(seed_of(prepared.request)) for prepared in batch]
        if request.kind == "edit":
            found["image"] = [prepared.payload for prepared in batch]
        found |= settings.extra
        if isinstance(found.get("negative_prompt"), str):
            found["negative_prompt"] = [found["negative_prompt"]] * len(batch)
        return found


def _note_step(watch: Watch, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
    """What diffusers calls after each step of diffusion; it takes back the tensors that it gave."""
    watch.note()
    return tensors


def parameters_of(pipeline: Any) -> frozenset[str]:
    """The arguments that a pipeline names; some pipelines silently accept any others."""
    parameters = inspect.signature(type(pipeline).__call__).parameters.values()
    return frozenset(one.name for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)) - {"self"}


def _find_folder(model: str, options: dict[str, Any]) -> Path:
    """The folder of a pipeline: the user's folder, or the hub's snapshot, which is downloaded if it is missing."""
    path = expand_path(Path(), model)
    return path if path.is_dir() else Path(diffusers.DiffusionPipeline.download(model, **options))


def _load_pipeline(settings: LocalSettings, device: Device) -> Any:
    options: dict[str, Any] = {"revision": settings.revision, "trust_remote_code": settings.trust_remote_code}
    options = {name: value for name, value in options.items() if value}
    dtype = getattr(torch, settings.dtype) if settings.dtype != "auto" else read_stored_dtype(_find_folder(settings.model, options))
    if dtype is not None:  # else diffusers loads its own parts as float32 and transformers' parts as they are stored
        options["torch_dtype"] = dtype
    if settings.quantization is not None:
        bits = settings.quantization.removesuffix("bit")
        options["quantization_config"] = diffusers.PipelineQuantizationConfig(
            quant_backend=f"bitsandbytes_{bits}bit", quant_kwargs={f"load_in_{bits}bit": True}
        )
        if not device.cuda:
            raise Unsupported("diffusers quantizes on a CUDA GPU only; leave quantization out")
    options |= _place(settings, device)
    load = diffusers.DiffusionPipeline.from_pretrained
    try:
        half = settings.dtype in ("float16", "bfloat16")
        pipeline = load(settings.model, variant="fp16", **options) if half else load(settings.model, **options)
    except (ValueError, OSError) as error:
        if "variant" not in str(error):
            raise
        pipeline = load(settings.model, **options)
    if "prompt" not in parameters_of(pipeline):
        raise Unsupported(f"{type(pipeline).__name__} takes no prompt")
    pipeline.set_progress_bar_config(disable=True)
    vae: Any = getattr(pipeline, "vae", None)
    if hasattr(vae, "enable_slicing"):
        vae.enable_slicing()
    if settings.offload:
        pipeline.enable_model_cpu_offload(device=device.torch)
        return pipeline
    return pipeline if "device_map" in options else pipeline.to(device.torch)


def _place(settings: LocalSettings, device: Device) -> dict[str, Any]:
    """Arguments that say where a pipeline's parts go; none if they all go to one device once they are loaded."""
    if settings.offload and not device.accelerated:
        raise Unsupported(f"offload saves the memory of a GPU, and {device.name} is none; leave offload out")
    if device.spread:
        return {"device_map": "balanced", "max_memory": device.place_weights()["max_memory"]}
    return {"device_map": "cuda"} if settings.quantization is not None else {}
