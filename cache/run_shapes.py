"""The JSON in a run's record, as far as the program reads it: configuration, versions and summary."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

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


class Model(Asked):
    name: Name
    backbone: Text | None = None
    utility: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None


class Judge(Shape):
    """One judge, or how several judge together."""

    provider: Name | None = None
    model: Name | None = None
    name: Text | None = None
    base_url: Text | None = None
    revision: Text | None = None
    simulated: bool = False
    mode: Text = ""
    tie: Text = ""
    judges: list[Asked] = []


class Dataset(Shape):
    source: Text
    tasks: list[Name] = []
    categories: list[Name] = []
    limit: Count | None = None


class Generation(Shape):
    samples: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class Config(Shape):
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
    problems: Count = 0
    seconds: Amount = 0.0
    cost: Amount = 0.0
    planned: dict[Name, Count] = {}
    endpoints: dict[Text, Counts] = {}
    identities: dict[Text, Text] = {}
    notes: dict[Text, list[Text]] = {}
    stopped: dict[Text, Text] = {}
    stopped_for: dict[Text, dict[Text, Text]] = {}
    reread: dict[Text, Count] = {}


SHAPES: dict[str, TypeAdapter[Any]] = {
    "config": TypeAdapter(Config),
    "versions": TypeAdapter(dict[Text, Text]),
    "summary": TypeAdapter(Summary),
}


HOLDS = {"config": "models and a judge", "versions": "texts", "summary": "the run's figures"}


def wrong_json(config: str | None, versions: str | None, summary: str | None) -> str:
    """What is wrong with the JSON in a run's record; empty if nothing is."""
    found: dict[str, Any] = {}
    for name, text in (("config", config), ("versions", versions), ("summary", summary)):
        try:
            content = orjson.loads(text or "")
            if not _shallow(content):
                return f"{name} is nested too deeply"
            found[name] = SHAPES[name].validate_python(content)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part)[:40] for part in (name, *first["loc"]))
            return f"{name} should hold {HOLDS[name]} ({place}: {first['msg']})"
        except ValueError:
            return f"{name} should be JSON"
    return _wrong_models(found["config"])


def _wrong_models(config: Config) -> str:
    judge = config.judge
    if not judge.judges and not (judge.provider and judge.model):
        return "config.judge: lacks provider and model"
    if len(judge.judges) > 1 and not (judge.mode and judge.tie):
        return "config.judge: lacks mode and tie"
    names = [model.name for model in config.models]
    return "config.models: a name stands twice" if len(set(names)) < len(names) else ""


def _shallow(content: object) -> bool:
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
