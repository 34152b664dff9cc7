"""The sections of bench.toml: keys, defaults, ranges, and what goes together within one (endpoint_sections.py: of one model)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, AliasChoices, Field, SerializeAsAny, model_validator
from unisafe_judger.kinds import KINDS, RUBRIC, discover_kinds
from unisafe_providers.base import Capabilities
from unisafe_providers.near_names import suggest
from unisafe_providers.spec import Declared

from unisafe_async.benchmark.shards import read_shard
from unisafe_async.benchmark.taxonomy import CATEGORIES, MOST_REPEATS, Task, match_category, read_task
from unisafe_async.config.default_paths import DEFAULT_CACHE
from unisafe_async.config.endpoint_sections import EndpointSection, Medium, Section


def _check_kind(name: str) -> str:
    if name not in KINDS and name not in discover_kinds():
        kinds = [*KINDS, *discover_kinds()]
        raise ValueError(f"{name!r} is no kind of judge; kinds are {', '.join(kinds)}{suggest(name, kinds)}")
    return name


def _one_line(name: str) -> str:
    if len(name.splitlines()) > 1:
        raise ValueError(f"should be one line, found {name!r}")
    return name


def _check_category(name: str) -> str:
    category = match_category(name)
    if category is None:
        raise ValueError(f"{name!r} is no category; categories are {', '.join(CATEGORIES)}{suggest(name, CATEGORIES)}")
    return category


def _check_shard(name: str) -> str:
    return str(read_shard(name))


def _check_tag(name: str) -> str:
    if not name or name != name.strip() or len(name) > 40 or len(name.split()) > 1 or "," in name:
        raise ValueError(f"a tag should be one word of up to 40 characters, without commas, found {name!r}")
    return name


def _is_unset(given: object) -> bool:
    """Whether a key that is younger than many stored runs says nothing, and is left out of what is stored."""
    return not given


Tag = Annotated[str, AfterValidator(_check_tag)]
KindName = Annotated[str, AfterValidator(_check_kind)]
TaskName = Annotated[str, AfterValidator(read_task)]
CategoryName = Annotated[str, AfterValidator(_check_category)]
ShardName = Annotated[str, AfterValidator(_check_shard)]


class DatasetSection(Section):
    """`[dataset]`: the items to ask."""

    source: str = Field(
        "sample",
        description='`"sample"`, a folder in the official layout, a folder of `.jsonl` files or one such file (each line with '
        '`task`), or `"hf:OWNER/NAME"`',
    )
    tasks: list[TaskName] = Field(
        [],
        description="only items of these tasks; a selection of nothing, or of items that no model is asked, is a mistake, and no "
        "run is opened",
    )
    categories: list[CategoryName] = Field([], description="only items of these categories")
    limit: int | None = Field(None, ge=1, le=2**31 - 1, description="so many, spread in proportion over task and category")
    shard: ShardName | None = Field(
        None,
        examples=["3/8"],
        description="only this part of the items that the keys above select; `--shard` names it for one run ([scale](scale.md))",
    )


class GenerationSection(Section):
    """`[generation]`: how the models under test are asked. An absent key is left to the endpoint."""

    max_tokens: int | None = Field(1024, ge=1, description="tokens of a response")
    temperature: float | None = Field(None, ge=0, le=2, description="sent only when set")
    top_p: float | None = Field(None, gt=0, le=1, description="sent only when set")
    seed: int | None = Field(None, description="sent only when set; repeat k is sent with `seed + k`")
    image_size: str | None = Field(None, pattern=r"^\d+x\d+$", examples=["1024x1024"], description="sent only when set")
    repeats: int = Field(
        1,
        ge=1,
        le=MOST_REPEATS,
        validation_alias=AliasChoices("repeats", "samples"),
        serialization_alias="samples",  # stored runs have always called it so
        description="how many times each item is asked; the old name `samples` is still read",
    )


class CacheSection(Section):
    """`[cache]`: where every answer is kept."""

    path: str = Field(DEFAULT_CACHE, description="the file with every answer")
    patience_s: float = Field(30.0, ge=0, description="seconds to wait for another program that holds it")


class RunSection(Section):
    """`[run]`: what a run may cost, and what people call it."""

    budget_usd: float | None = Field(None, gt=0, description="US dollars for one run; needs prices")
    name: Annotated[str, AfterValidator(_one_line)] = Field(
        "",
        max_length=80,
        exclude_if=_is_unset,
        description="what people call the run; commands take it where they take a run, and mean the newest of that name",
    )
    tags: list[Tag] = Field([], exclude_if=_is_unset, description="words to find the run by: `unisafe runs --tag WORD`")
    note: str = Field("", max_length=2_000, exclude_if=_is_unset, description="anything to be remembered of it; no secrets")


class ClusterSection(Section):
    """`[cluster]`: a Ray cluster on which models run that are loaded here otherwise (`transformers`, `diffusers`)."""

    address: str = Field(
        "auto",
        min_length=1,
        description='`"auto"` for the one that RAY_ADDRESS or this machine knows, `"HOST:6379"`, '
        '`"ray://HOST:10001"`, or `"local"` for a new one on this machine',
    )
    gpus: float = Field(1.0, ge=0, description='GPUs for each copy of a model; a model with `device = "cpu"` takes none')
    memory_gb: float | None = Field(None, gt=0, description="main memory for each copy, which Ray sets aside")
    runtime_env: dict[str, Any] = Field({}, description="Ray's description of the environment on its machines; no secrets")


class ModelSection(EndpointSection):
    """One of `[[models]]`: a model under test."""

    name: Annotated[str, AfterValidator(_one_line)] = Field(
        min_length=1, max_length=80, description="what the tables call it; must differ"
    )
    gives: list[Medium] = Field(
        ["text"],
        description='what it makes: `"image"` adds text-to-image and, with `"image"` in `takes`, editing; of diffusers `["image"]` '
        "unless "
        "set",
    )
    tasks: list[TaskName] = Field([], description="only these tasks; else all that it can")
    backbone: str | None = Field(None, description="the language model it was built on")
    utility: float | None = Field(
        None,
        ge=0,
        le=100,
        description="what it scores on an ordinary benchmark of your choice (the paper: the mean of VQA benchmarks); not measured "
        "here, drawn beside safety on the [page](page.md)",
    )
    mode: Literal["online", "batch"] = Field(
        "online", description='`"batch"` sends requests as [batch jobs](batch.md): answers in text only'
    )
    batch_poll_s: float = Field(60.0, gt=0, description="of batch jobs: seconds between looks at a job")
    batch_discount: float = Field(
        0.5, ge=0, le=1, description="of batch jobs: what the prices are multiplied by; else the vendor's discount"
    )
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description='of batch jobs: requests in a job; `"auto"` for the vendor\'s limit'
    )

    def _declared(self) -> Declared:
        batches = self.mode == "batch"
        return Declared(model=self.model, takes=self.takes, gives=self.gives, judges=False, in_batches=batches, vendor=self.preset)

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


KIND_NAMES = ", ".join(map('`"{}"`'.format, KINDS))


class JudgeEndpointSection(EndpointSection):
    """One of `[[judge.judges]]`: a judge that uses the rubrics, or a classifier (unisafe_judger/classifiers.py)."""

    name: str = Field("", max_length=80, description="what the tables call it, else its model; must differ")
    kind: KindName = Field(
        RUBRIC,
        description=f"{KIND_NAMES} or one that a package brings; all but `rubric` are classifiers",
    )
    takes: list[Medium] = Field(
        ["text", "image"], description='what it accepts: `"text"`, `"image"`; of a classifier, what its kind takes'
    )
    threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="the probability from which on a response is unsafe (classifiers that give one): 0.5, and of `moderation` its "
        "own, unless set",
    )
    kind_options: dict[str, Any] = Field({}, description="of a kind that a package brings: its own settings")

    @model_validator(mode="before")
    @classmethod
    def _fill_takes(cls, given: Any) -> Any:  # noqa: ANN401 whatever stands in the file
        known = KINDS.get(str(given.get("kind"))) if isinstance(given, dict) else None
        return {"takes": list(known.takes), **given} if known is not None else given

    @property
    def title(self) -> str:
        """Its name in tables."""
        return self.name or self.model

    @property
    def classifies(self) -> bool:
        """Whether it gives intrinsic verdicts only."""
        return self.kind != RUBRIC

    @property
    def priced(self) -> bool:
        return self.free or super().priced

    @property
    def free(self) -> bool:
        """Whether its calls cost nothing, by its kind."""
        return self.kind in KINDS and KINDS[self.kind].free


Rubrics = Annotated[
    str | None,
    Field(
        description="a folder with any of `intent.md`, `contextual_text.md`, `contextual_image.md`, `intrinsic_text.md`, "
        "`intrinsic_image.md`; else ours"
    ),
]
VerdictTokens = Annotated[int, Field(ge=1, description="tokens of a verdict, as in the paper")]
JudgeTemperature = Annotated[float | None, Field(ge=0, le=2, description="as in the paper")]
JudgesThoughts = Annotated[
    bool,
    Field(
        description="judge what a model thought before it answered too: a third verdict (intrinsic, by the text rubric) with a "
        "column of its own, T-U; it never changes the four scores"
    ),
]
WordsBeside = Annotated[
    Literal["apart", "both"],
    Field(
        description='words beside an image that was asked for are judged too: `"apart"` keeps their verdicts in a column of their '
        'own and the scores those of the image; `"both"` merges the two (any unsafe: unsafe; both refused: refused; else safe), '
        "from the same "
        "verdicts, without another call"
    ),
]


class JudgeSection(JudgeEndpointSection):
    """`[judge]` with one judge, and its rubrics."""

    rubrics: Rubrics = None
    max_tokens: VerdictTokens = 512
    temperature: JudgeTemperature = 0.0
    thoughts: JudgesThoughts = False
    beside: WordsBeside = "apart"
    mode: ClassVar[Literal["fallback", "panel"]] = "fallback"
    tie: ClassVar[Literal["unjudged", "unsafe", "last"]] = "unjudged"

    @property
    def sections(self) -> list[tuple[str, JudgeEndpointSection]]:
        """Every judge with its place in the file."""
        return [("judge", self)]


class JudgesSection(Section):
    """`[judge]` with several judges: how they judge together, and their common keys."""

    judges: list[SerializeAsAny[JudgeEndpointSection]] = Field(
        min_length=1, description="several judges, one `[[judge.judges]]` each ([judges](judges.md))"
    )
    mode: Literal["fallback", "panel"] = Field(
        "fallback", description='of several: `"fallback"` asks the next where one cannot judge, `"panel"` asks all and counts votes'
    )
    tie: Literal["unjudged", "unsafe", "last"] = Field("unjudged", description="of a panel: what stands where the votes are even")
    rubrics: Rubrics = None
    max_tokens: VerdictTokens = 512
    temperature: JudgeTemperature = 0.0
    thoughts: JudgesThoughts = False
    beside: WordsBeside = "apart"

    @property
    def sections(self) -> list[tuple[str, JudgeEndpointSection]]:
        return [(f"judge.judges[{index}]", judge) for index, judge in enumerate(self.judges)]
