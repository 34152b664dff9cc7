"""The JSON in a run's record, as far as the program reads it: configuration, versions and summary.

These are the types that every reader of a stored run gets; what a run of an older version did not write yet has a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from unisafe_providers.errors import UnisafeError

Name = Annotated[str, Field(min_length=1, max_length=4_000)]
Text = Annotated[str, Field(max_length=100_000)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Amount = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


DEEPEST = 50


class Shape(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())


class Asked(Shape):
    """A model or a judge."""

    provider: Name
    model: Name
    name: Text | None = None
    base_url: Text | None = None
    revision: Text | None = None
    simulated: bool = False
    kind: Text | None = None
    threshold: float | None = None

    @property
    def title(self) -> str:
        """What the run calls it."""
        return self.name or self.model

    @property
    def is_simulated(self) -> bool:
        """Whether it is simulated, or was where its verdicts come from."""
        return self.provider == "simulated" or self.simulated


class Model(Asked):
    name: Name
    backbone: Text | None = None
    tasks: list[Text] | None = None
    utility: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None


class Judge(Shape):
    """One judge, or how several judge together."""

    provider: Name | None = None
    model: Name | None = None
    name: Text | None = None
    base_url: Text | None = None
    revision: Text | None = None
    simulated: bool = False
    kind: Text | None = None
    threshold: float | None = None
    mode: Text = ""
    tie: Text = ""
    judges: list[Asked] = []

    @property
    def members(self) -> list[Asked]:
        """All who judge, in order: the section itself where it names a model, then the judges that it lists."""
        alone = [Asked(**{name: getattr(self, name) for name in Asked.model_fields})] if self.provider and self.model else []
        return [*alone, *self.judges]

    @property
    def names(self) -> list[str]:
        """What the run calls them, in the same order."""
        return [member.title for member in self.members]

    @property
    def title(self) -> str:
        """The judge's name, or how several judge together: `panel of A, B, C`, `A, then B`."""
        names = self.names
        return f"panel of {', '.join(names)}" if len(names) > 1 and self.mode == "panel" else ", then ".join(names)


class Dataset(Shape):
    source: Text
    tasks: list[Name] = []
    categories: list[Name] = []
    limit: Count | None = None
    shard: Text | None = None


class Generation(Shape):
    samples: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class Called(Shape):
    """What people call a run."""

    name: Text = ""
    tags: list[Text] = []
    note: Text = ""


class Config(Shape):
    run: Called = Called()
    models: list[Model]
    judge: Judge
    dataset: Dataset
    generation: Generation = Generation()


class Counts(Shape):
    """The counts of one endpoint."""

    unpriced: Count = 0
    estimated: Count = 0
    estimated_cost: Amount = 0.0


class Summary(Shape):
    total: Count = 0
    selected: Count = 0
    problems: Count = 0
    seconds: Amount = 0.0
    cost: Amount = 0.0
    planned: dict[Name, Count] = {}
    endpoints: dict[Text, Counts] = {}
    identities: dict[Text, Text] = {}
    notes: dict[Text, list[Text]] = {}
    stopped: dict[Text, Text] = {}
    unfinished: dict[Text, Text] = {}
    stopped_for: dict[Text, dict[Text, Text]] = {}
    reread: dict[Text, Count] = {}
    mended: Any = None

    @property
    def read_by_older_rules(self) -> bool:
        """Whether the run asked models and does not say by which rules their answers were read; an imported one asked none."""
        return bool(self.endpoints) and "reading" not in (self.model_extra or {})


SHAPES: dict[str, TypeAdapter[Any]] = {
    "config": TypeAdapter(Config),
    "versions": TypeAdapter(dict[Text, Text]),
    "summary": TypeAdapter(Summary),
}


@dataclass(frozen=True, slots=True)
class Shapes:
    """What a run's record says; `settings` is its configuration as it stands in the file, for whoever writes it down again."""

    config: Config
    versions: Mapping[str, str]
    summary: Summary
    settings: Mapping[str, Any]


class WrongShape(UnisafeError, ValueError):
    """What is wrong with the JSON of a run's record, as one line."""


HOLDS = {"config": "models and a judge", "versions": "texts", "summary": "the run's figures"}


def find_wrong_json(config: str | None, versions: str | None, summary: str | None) -> str:
    """What is wrong with the JSON in a run's record; empty if nothing is."""
    try:
        read_shapes(config, versions, summary)
    except WrongShape as error:
        return str(error)
    return ""


def read_shapes(config: str | None, versions: str | None, summary: str | None) -> Shapes:
    """The JSON of a run's record, typed. Raises WrongShape."""
    settings, found = _read("config", config)
    shapes = Shapes(found, _read("versions", versions)[1], _read("summary", summary)[1], settings)
    if wrong := _find_wrong_models(shapes.config):
        raise WrongShape(wrong)
    return shapes


def read_judge(config: str | None) -> Judge | None:
    """Who judged by a stored configuration; None where that cannot be read."""
    try:
        found: Config = _read("config", config)[1]
    except WrongShape:
        return None
    return found.judge


def _read(name: str, text: str | None) -> tuple[Any, Any]:
    """The content of `text` as it stands there, and in its shape."""
    try:
        content = orjson.loads(text or "")
        if not _is_shallow(content):
            raise WrongShape(f"{name} is nested too deeply")
        return content, SHAPES[name].validate_python(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part)[:40] for part in (name, *first["loc"]))
        raise WrongShape(f"{name} should hold {HOLDS[name]} ({place}: {first['msg']})") from None
    except orjson.JSONDecodeError:
        raise WrongShape(f"{name} should be JSON") from None


def _find_wrong_models(config: Config) -> str:
    judge = config.judge
    if not judge.judges and not (judge.provider and judge.model):
        return "config.judge: lacks provider and model"
    if len(judge.judges) > 1 and not (judge.mode and judge.tie):
        return "config.judge: lacks mode and tie"
    names = [model.name for model in config.models]
    return "config.models: a name stands twice" if len(set(names)) < len(names) else ""


def _is_shallow(content: object) -> bool:
    """Whether the content is nested no deeper than runs write it."""
    inside = [content]
    for _ in range(DEEPEST):
        inside = [
            one
            for value in inside
            if isinstance(value, dict | list)
            for one in (value.values() if isinstance(value, dict) else value)
        ]
    return not inside
