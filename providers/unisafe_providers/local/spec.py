"""The specs of models on this machine: those that transformers loads, and those that diffusers loads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from unisafe_providers.base import Provider
from unisafe_providers.gpus import Machine
from unisafe_providers.local.settings import Library, LocalSettings
from unisafe_providers.named_files import expand_path
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Declared, Options, ProviderSpec
from unisafe_providers.workers.places import EXAMPLES, Place, Places, choose_places, find_mistakes_of_places, list_devices

LIBRARIES = ("torch", "transformers", "diffusers")


class LoadedOptions(Options):
    """The keys of a model that is loaded here."""

    revision: str | None = Field(None, description="branch, tag or commit at the hub; else the newest")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description='`"float32"`, `"bfloat16"`, `"float16"`, or what the weights are in'
    )
    device: Place = Field(
        "auto", examples=[EXAMPLES], description='`"cpu"`, `"cuda:0"`, `"mps"`..., or a list of GPUs that the model is spread over'
    )
    devices: Places = Field(
        [],
        examples=[EXAMPLES],
        description='a list of devices, with a copy of the model on each; `"all"` is one on each GPU; a list inside it holds the '
        "GPUs that one copy is spread over",
    )
    spread: bool = Field(False, description="spread the model over all GPUs, because it fits none of them alone")
    quantization: Literal["8bit", "4bit"] | None = Field(None, description='`"8bit"` or `"4bit"`, by bitsandbytes')
    trust_remote_code: bool = Field(False, description="run the code that comes with the model")
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description='requests in a batch, at most; `"auto"` finds what fits'
    )
    memory_gb: float | None = Field(
        None, gt=0, description="the most memory to use on the device, of several on each; else all there is"
    )
    patience_s: float = Field(
        1_800.0, gt=0, description="seconds without a sign of life (weights loaded, a step of a batch) that end its process"
    )
    cluster: bool = Field(True, description="whether it runs on the cluster, if `[cluster]` names one")
    replicas: int = Field(1, ge=1, le=1_000, description="on the cluster, how many copies of the model")
    extra: dict[str, Any] = Field({}, description="more arguments of `generate` or of the pipeline's call; part of the cache key")

    @property
    def runs_code_of_model(self) -> bool:
        return self.trust_remote_code

    def find_mistakes(self, declared: Declared) -> Iterator[str]:
        if self.replicas > 1 and not self.cluster:
            yield "replicas: goes with a model on the cluster only; here `devices` names a device for each copy"
        yield from find_mistakes_of_places(self.device, self.devices, self.spread, self.model_fields_set)


class TransformersOptions(LoadedOptions):
    """The keys of a model that transformers loads."""

    gguf_file: str | None = Field(None, description="a GGUF file in the folder or repository")
    attn: str | None = Field(None, description='`"sdpa"`, `"flash_attention_2"`, ...; else the model\'s')
    batch_tokens: int | None = Field(
        None,
        ge=1,
        description="tokens in a batch, padding, images and answers included; else 4096 on a CPU, and what fits on a GPU",
    )

    def find_mistakes(self, declared: Declared) -> Iterator[str]:
        yield from super().find_mistakes(declared)
        if (self.gguf_file or declared.model.endswith(".gguf")) and self.quantization:
            yield "quantization: a GGUF file is quantized already; keep one of the two"


class DiffusersOptions(LoadedOptions):
    """The keys of a pipeline that diffusers loads; what is left out is the pipeline's own."""

    steps: int | None = Field(None, ge=1, description="diffusion steps")
    guidance: float | None = Field(None, ge=0, description="guidance scale")
    strength: float | None = Field(None, gt=0, le=1, description="how far an edit may go from its image")
    offload: bool = Field(
        False, description="keep in the GPU's memory only the part of the pipeline that is at work; slower, and for large pipelines"
    )

    def find_mistakes(self, declared: Declared) -> Iterator[str]:
        yield from super().find_mistakes(declared)
        if self.offload:
            yield from self._find_mistakes_of_offload()
        if "text" in declared.gives:
            yield 'gives: a diffusers pipeline gives images only; put gives = ["image"]'

    def _find_mistakes_of_offload(self) -> Iterator[str]:
        places = [self.device] if isinstance(self.devices, str) else self.devices or [self.device]
        if self.spread or any(len(list_devices(place)) > 1 for place in places):
            yield "offload: keeps a pipeline in the memory of one GPU, and this one is spread over several; keep one of the two"
        if {"cpu", "mps"} & {name for place in places for name in list_devices(place)}:
            yield "offload: saves the memory of a GPU, and there is none in `device`; leave offload out"
        if self.quantization:
            yield "offload: stands beside `quantization`; keep one of the two"


def build_transformers(settings: ProviderSettings, options: TransformersOptions) -> Provider:
    """A model that transformers runs, loaded at its first call."""
    own = {"gguf_file": options.gguf_file, "attn": options.attn, "batch_tokens": options.batch_tokens}
    return _build("transformers", settings, options, own)


def build_diffusers(settings: ProviderSettings, options: DiffusersOptions) -> Provider:
    """A pipeline that diffusers runs, loaded at its first call."""
    own = {"steps": options.steps, "guidance": options.guidance, "strength": options.strength, "offload": options.offload}
    return _build("diffusers", settings, options, own)


def _build(library: Library, settings: ProviderSettings, options: LoadedOptions, own: dict[str, Any]) -> Provider:
    from unisafe_providers.local.provider import LocalProvider

    path = expand_path(settings.folder, settings.model)
    capabilities = settings.capabilities
    loaded = LocalSettings(
        library=library,
        model=os.path.abspath(path) if os.path.exists(path) else settings.model,
        revision=options.revision,
        dtype=options.dtype,
        quantization=options.quantization,
        trust_remote_code=options.trust_remote_code,
        batch_size=None if options.batch_size == "auto" else options.batch_size,
        memory_gb=options.memory_gb,
        patience_s=options.patience_s,
        sees=capabilities.image_in,
        draws=capabilities.image_out or capabilities.edit,
        extra=options.extra,
        **own,
    )
    if settings.cluster is None or not options.cluster:
        return LocalProvider(loaded, capabilities, choose_places(options.device, options.devices, options.spread, Machine()))
    from unisafe_providers.cluster.launching import launch_on

    launch, device = launch_on(settings.cluster, "cpu" if options.device == "cpu" else "cuda")
    return LocalProvider(loaded, capabilities, [device] * options.replicas, launch, turns=["cluster"])


TRANSFORMERS = ProviderSpec(
    name="transformers",
    title="transformers on this machine",
    options=TransformersOptions,
    build=build_transformers,
    answers_from="device",
    packages=LIBRARIES,
    services=frozenset({"classification"}),
)
DIFFUSERS = ProviderSpec(
    name="diffusers",
    title="diffusers on this machine",
    options=DiffusersOptions,
    build=build_diffusers,
    answers_from="device",
    packages=LIBRARIES,
    defaults={"gives": ["image"]},
    judges_not='a diffusers pipeline writes no verdicts; judge with "transformers" or "openai"',
)
