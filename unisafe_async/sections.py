"""The sections of bench.toml: keys, defaults, ranges, and what goes together within one."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, model_validator

from judger.kinds import BUILT_IN, RUBRIC, plugin_kinds
from providers.base import Capabilities, Kind
from providers.images import ImageLimits
from providers.plugins import Plugin
from providers.presets import Preset, Price, preset_at, presets
from providers.registry import ON_DEVICE, RECORDED, built_in, plugin_of
from providers.registry import names as provider_names
from unisafe_async.taxonomy import CATEGORIES, TASKS, Task, match_category, match_task

Medium = Literal["text", "image"]
Beside = Literal["apart", "both"]
DeviceName = Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]
HOSTED_CONCURRENCY = 32
LOCAL_CONCURRENCY = 512
"""Requests that may wait at once for a model on this machine: enough to form batches of similar lengths."""
LOCAL_CONCURRENCY_IMAGES = 128
"""The same for requests with images."""
MOST_REPEATS = 1_000
"""An item may be asked at most this many times."""


def _known_provider(name: str) -> str:
    if name not in built_in() and plugin_of(name) is None:
        raise ValueError(f"{name!r} is no provider; providers are {', '.join(provider_names())}{meant(name, provider_names())}")
    return name


def _known_kind(name: str) -> str:
    if name not in BUILT_IN and name not in plugin_kinds():
        kinds = [*BUILT_IN, *plugin_kinds()]
        raise ValueError(f"{name!r} is no kind of judge; kinds are {', '.join(kinds)}{meant(name, kinds)}")
    return name


def _one_line(name: str) -> str:
    if len(name.splitlines()) > 1:
        raise ValueError(f"should be one line, found {name!r}")
    return name


def _known_task(name: str) -> str:
    key = match_task(name)
    if key is None:
        raise ValueError(f"{name!r} is no task; tasks are {', '.join(TASKS)}{meant(name, TASKS)}")
    return key


def _known_category(name: str) -> str:
    category = match_category(name)
    if category is None:
        raise ValueError(f"{name!r} is no category; categories are {', '.join(CATEGORIES)}{meant(name, CATEGORIES)}")
    return category


def meant(name: str, among: Sequence[str] | dict[str, Any]) -> str:
    near = difflib.get_close_matches(name, list(among), 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""


KindName = Annotated[str, AfterValidator(_known_kind)]
ProviderName = Annotated[str, AfterValidator(_known_provider)]
TaskName = Annotated[str, AfterValidator(_known_task)]
CategoryName = Annotated[str, AfterValidator(_known_category)]
Rate = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=(), serialize_by_alias=True)


class DatasetSection(Section):
    """`[dataset]`: what is asked."""

    source: str = "sample"
    tasks: list[TaskName] = []
    categories: list[CategoryName] = []
    limit: int | None = Field(None, ge=1, le=2**31 - 1)


class GenerationSection(Section):
    """`[generation]`: how the models under test are asked. An absent key is left to the endpoint."""

    max_tokens: int | None = Field(1024, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = None
    image_size: str | None = Field(None, pattern=r"^\d+x\d+$")
    repeats: int = Field(
        1,
        ge=1,
        le=MOST_REPEATS,
        validation_alias=AliasChoices("repeats", "samples"),
        serialization_alias="samples",  # stored runs have always called it so
    )


class CacheSection(Section):
    """`[cache]`: where every answer is kept."""

    path: str = "unisafe.duckdb"
    patience_s: float = Field(30.0, ge=0)


class RunSection(Section):
    """`[run]`: what a run may cost."""

    budget_usd: float | None = Field(None, gt=0)


class SimulationSection(Section):
    """`simulation = {...}` of a simulated model: what differs from its profile (providers/simulated.py)."""

    unsafe: Rate | None = None
    refusal: Rate | None = None
    blocked: Rate | None = None
    empty: Rate | None = None
    hidden: Rate | None = None
    hostile: Rate | None = None
    garbled: Rate | None = None
    judge_blocked: Rate | None = None
    guess: Rate | None = None
    wrong: Rate | None = None
    thoughts: Rate | None = None
    beside: Rate | None = None
    latency: float | None = Field(None, ge=0)
    seed: int | None = None


class EndpointSection(Section):
    """What `[[models]]` and `[judge]` share: one model behind one endpoint, its limits and its prices."""

    provider: ProviderName
    model: str = Field(min_length=1)
    base_url: str = "https://api.openai.com/v1"
    key_env: str | None = None
    takes: list[Medium] = ["text"]
    image_api: Literal["images", "chat"] = "images"
    api: Literal["chat", "responses"] = "chat"
    api_version: str | None = Field(None, pattern=r"^[\w.-]+$")
    structured: bool = True
    safety: dict[str, str] = {}
    extra: dict[str, Any] = {}
    extra_chat: dict[str, Any] = {}
    extra_image: dict[str, Any] = {}
    extra_edit: dict[str, Any] = {}
    headers: dict[str, str] = {}
    headers_env: dict[str, str] = {}
    options: dict[str, Any] = {}
    rpm: float | None = Field(None, gt=0)
    tpm: float | None = Field(None, gt=0)
    images_per_minute: float | None = Field(None, gt=0)
    max_concurrency: int | None = Field(None, ge=1, le=10_000)
    timeout_s: float = Field(120.0, gt=0)
    max_tries: int = Field(8, ge=1)
    max_wait_s: float = Field(900.0, gt=0)
    price_in: float | None = Field(None, ge=0)
    price_out: float | None = Field(None, ge=0)
    price_image: float | None = Field(None, ge=0)
    simulation: SimulationSection | None = None
    images: str | None = None
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: DeviceName = "auto"
    devices: list[DeviceName] = []
    gguf_file: str | None = None
    quantization: Literal["8bit", "4bit"] | None = None
    attn: str | None = None
    trust_remote_code: bool = False
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    batch_tokens: int | None = Field(None, ge=1)
    memory_gb: float | None = Field(None, gt=0)
    steps: int | None = Field(None, ge=1)
    guidance: float | None = Field(None, ge=0)
    strength: float | None = Field(None, gt=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, given: Any) -> Any:  # noqa: ANN401 whatever stands in the file
        """What the preset says where the file says nothing; its key variable goes with its own address only."""
        if not isinstance(given, dict):
            return given
        preset = presets().get(str(given.get("provider")))
        if preset is None:
            return given if given.get("provider") in built_in() else {"base_url": "", **given}
        known: dict[str, Any] = {"max_concurrency": preset.max_concurrency}
        if preset.image_api != "images":
            known["image_api"] = preset.image_api
        if "base_url" not in given:
            known |= {"base_url": preset.base_url or "", "key_env": preset.key_env}
        return {**{key: value for key, value in known.items() if value is not None}, **given}

    @property
    def preset(self) -> Preset | None:
        """What is known of a hosted model's vendor; None for a model that is not hosted."""
        return presets().get(self.provider)

    @property
    def dialect(self) -> Preset | None:
        """The preset whose vendor's ways are kept: the address's own, whatever `provider` says, else that of `provider`."""
        return preset_at(self.base_url) or self.preset

    @property
    def extras(self) -> dict[Kind, dict[str, Any]]:
        """What goes over `extra` in requests of one kind; kinds without any are left out."""
        found: dict[Kind, dict[str, Any]] = {"chat": self.extra_chat, "image": self.extra_image, "edit": self.extra_edit}
        return {kind: extra for kind, extra in found.items() if extra}

    @property
    def variables(self) -> dict[str, str]:
        """The keys of this section that name a variable with a secret, such as `key_env`, each with the variable."""
        named = {"key_env": self.key_env} if self.key_env is not None else {}
        return named | {f"headers_env.{name}": variable for name, variable in self.headers_env.items()}

    @property
    def plugin(self) -> Plugin | None:
        """The plugin that brings the provider; None for a built-in one."""
        return plugin_of(self.provider)

    @property
    def hosted(self) -> bool:
        """Whether calls go to a vendor or a server, or to a plugin that may do so: such a model has a key and a price."""
        return self.provider not in ("simulated", RECORDED) and not self.local

    @property
    def local(self) -> bool:
        """Whether the model runs on this machine, by one of the built-in providers."""
        return self.provider in ON_DEVICE

    @property
    def trusting(self) -> bool:
        """Whether code that comes with the model is run."""
        return self.local and self.trust_remote_code

    @property
    def at_vendor(self) -> bool:
        """Whether the address is the vendor's own, so that what is known of the vendor holds."""
        return self.preset is not None and self.base_url.rstrip("/") == self.preset.base_url

    @property
    def prices(self) -> Price:
        """Those in the file, else those known of the vendor's model."""
        return self.known_price or Price(self.price_in, self.price_out, self.price_image)

    @property
    def known_price(self) -> Price | None:
        """What the preset knows of the model's price, where the file gives none and the address is the vendor's own."""
        given = self.price_in is not None or self.price_out is not None or self.price_image is not None
        return None if given or self.preset is None or not self.at_vendor else self.preset.prices.get(self.model)

    @property
    def image_limits(self) -> ImageLimits | None:
        """What images may be sent; a server of somebody else's that speaks OpenAI's protocol has limits of its own."""
        if self.preset is None or (self.preset.wire == "openai" and not self.at_vendor):
            return None
        return self.preset.images

    @property
    def priced(self) -> bool:
        return not self.hosted or self.prices.tokens_in is not None or self.prices.image is not None

    @property
    def concurrency(self) -> int:
        """Calls that may be under way at once."""
        if self.local:
            return self.waiting_on_device
        return HOSTED_CONCURRENCY if self.max_concurrency is None else self.max_concurrency

    @property
    def waiting_on_device(self) -> int:
        """Calls that may be under way at once where the model lies on this machine."""
        if self.max_concurrency is not None:
            return self.max_concurrency
        return LOCAL_CONCURRENCY_IMAGES if "image" in self.takes else LOCAL_CONCURRENCY


class ModelSection(EndpointSection):
    """One of `[[models]]`: a model under test."""

    name: Annotated[str, AfterValidator(_one_line)] = Field(min_length=1, max_length=80)
    gives: list[Medium] = ["text"]
    tasks: list[TaskName] = []
    backbone: str | None = None
    utility: float | None = Field(None, ge=0, le=100)
    mode: Literal["online", "batch"] = "online"
    batch_poll_s: float = Field(60.0, gt=0)
    batch_discount: float = Field(0.5, ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _what_goes_without_saying(cls, given: Any) -> Any:  # noqa: ANN401 whatever stands in the file
        if isinstance(given, dict) and given.get("provider") == RECORDED:
            return {"takes": ["text", "image"], "gives": ["text", "image"], **given}
        if isinstance(given, dict) and given.get("provider") == "diffusers" and "gives" not in given:
            return {**given, "gives": ["image"]}
        return given

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            text_out="text" in self.gives,
            image_in="image" in self.takes,
            image_out="image" in self.gives and (not self.tasks or "unsafe_t2i_generation" in self.tasks),
            edit="image" in self.gives and "image" in self.takes and (not self.tasks or "malicious_image_editing" in self.tasks),
        )

    def runs(self, task: Task) -> bool:
        """Whether this model is asked the items of `task`."""
        if self.tasks and task.key not in self.tasks:
            return False
        match task.kind:
            case "chat":
                return self.capabilities.text_out and (self.capabilities.image_in or not task.image_in)
            case "image":
                return self.capabilities.image_out
            case "edit":
                return self.capabilities.edit


class SeatSection(EndpointSection):
    """One of `[[judge.judges]]`: a judge that goes by the rubrics, or a classifier (judger/classifiers.py)."""

    name: str = Field("", max_length=80)
    kind: KindName = RUBRIC
    takes: list[Medium] = ["text", "image"]
    threshold: float | None = Field(None, gt=0, le=1)
    kind_options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _takes_what_its_kind_takes(cls, given: Any) -> Any:  # noqa: ANN401 whatever stands in the file
        known = BUILT_IN.get(str(given.get("kind"))) if isinstance(given, dict) else None
        return {"takes": list(known), **given} if known is not None else given

    @property
    def title(self) -> str:
        """What the tables call it."""
        return self.name or self.model

    @property
    def classifies(self) -> bool:
        """Whether it gives intrinsic verdicts only."""
        return self.kind != RUBRIC

    @property
    def priced(self) -> bool:
        return self.kind == "moderation" or super().priced


class JudgeSection(SeatSection):
    """`[judge]` with one judge: who judges, and by which rubrics."""

    rubrics: str | None = None
    max_tokens: int = Field(512, ge=1)
    temperature: float | None = Field(0.0, ge=0, le=2)
    thoughts: bool = False
    beside: Beside = "apart"
    mode: ClassVar[Literal["fallback", "panel"]] = "fallback"
    tie: ClassVar[Literal["unjudged", "unsafe", "last"]] = "unjudged"

    @property
    def seats(self) -> list[tuple[str, SeatSection]]:
        """Every judge with its place in the file."""
        return [("judge", self)]


class JudgesSection(Section):
    """`[judge]` with several judges: how they judge together, and what they share."""

    judges: list[SeatSection] = Field(min_length=1)
    mode: Literal["fallback", "panel"] = "fallback"
    tie: Literal["unjudged", "unsafe", "last"] = "unjudged"
    rubrics: str | None = None
    max_tokens: int = Field(512, ge=1)
    temperature: float | None = Field(0.0, ge=0, le=2)
    thoughts: bool = False
    beside: Beside = "apart"

    @property
    def seats(self) -> list[tuple[str, SeatSection]]:
        return [(f"judge.judges[{index}]", judge) for index, judge in enumerate(self.judges)]
