"""bench.toml as a whole: reads it, checks keys across its sections, and writes the messages about wrong keys."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import BaseModel, Discriminator, Field, SerializeAsAny, Tag, ValidationError, model_validator
from pydantic_core import ErrorDetails
from unisafe_providers.errors import UnisafeError
from unisafe_providers.named_files import expand_path
from unisafe_providers.near_names import suggest
from unisafe_providers.registry import CallableOptions, find_spec, find_takers
from unisafe_providers.spec import ONE, SEVERAL

from unisafe_async.benchmark.taxonomy import TASKS, Task
from unisafe_async.config.default_paths import DEFAULT_FILE
from unisafe_async.config.endpoint_sections import EndpointSection, Section, combine_section, list_keys
from unisafe_async.config.gate_section import GateSection
from unisafe_async.config.judge_checks import mistakes_of_judges
from unisafe_async.config.renamed_keys import new_name, override_keys, warn_of_old_keys
from unisafe_async.config.secret_words import find_secrets, hide_in_text
from unisafe_async.config.section_checks import describe_extra, mistakes_of
from unisafe_async.config.sections import (
    CacheSection,
    ClusterSection,
    DatasetSection,
    GenerationSection,
    JudgeEndpointSection,
    JudgeSection,
    JudgesSection,
    ModelSection,
    RunSection,
)
from unisafe_async.config.toml_values import NotToml, find_mistakes, parse_toml

NO_JUDGE = (
    '; say who judges: [judge] with provider and model, such as provider = "vllm" and model = "Qwen/Qwen3-VL-8B-Instruct", '
    'or provider = "simulated" and model = "judge" to try things out'
)
LARGEST = 16 * 1024 * 1024
"""The most bytes of a configuration."""
MOST_MISTAKES = 100
"""The most mistakes of a configuration that are listed."""
LONGEST_NAME = 200
"""The most characters of a key in a message."""
LONGEST_LINE = 2_000
"""The most characters of one mistake."""


class ConfigError(UnisafeError, ValueError):
    """bench.toml cannot be used; the message has one line for each mistake, with file and key."""


def _tell_form(given: Any) -> str:  # noqa: ANN401 whatever stands in the file
    """Which of the two forms `[judge]` has."""
    return SEVERAL if isinstance(given, JudgesSection) or (isinstance(given, dict) and "judges" in given) else ONE


class Config(Section):
    """The whole bench.toml. Paths in it are relative to the folder `base`; `file` is its name."""

    models: list[SerializeAsAny[ModelSection]] = Field(min_length=1)
    judge: Annotated[
        Annotated[SerializeAsAny[JudgeSection], Tag(ONE)] | Annotated[JudgesSection, Tag(SEVERAL)], Discriminator(_tell_form)
    ]
    dataset: DatasetSection = DatasetSection()
    generation: GenerationSection = GenerationSection()
    cache: CacheSection = CacheSection()
    run: RunSection = RunSection()
    cluster: ClusterSection | None = Field(None, exclude_if=lambda cluster: cluster is None)
    gate: GateSection | None = Field(None, exclude=True)  # says nothing of the run itself
    base: Path = Field(Path(), exclude=True)
    file: str = Field(DEFAULT_FILE.name, exclude=True)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        mistakes: list[str] = []
        names = [model.name for model in self.models]
        for index, name in enumerate(names):
            if name in names[:index]:
                mistakes.append(f"models[{index}].name: models[{names.index(name)}] is named {name!r} too; names tell rows apart")
        for place, endpoint in self.endpoints():
            mistakes += [f"{place}.{mistake}" for mistake in mistakes_of(endpoint)]
            if self.run.budget_usd is not None and not endpoint.priced:
                mistakes.append(
                    f"{place}.price_in: run.budget_usd needs the price of every model; put 0 for one that costs nothing"
                )
        for index, model in enumerate(self.models):
            if not any(model.runs(task) for task in TASKS.values()):
                mistakes.append(
                    f"models[{index}].tasks: the model can do none of them with takes={model.takes} and gives={model.gives}"
                )
        with_images = (model.name for model in self.models for task in self.tasks_of(model) if task.image_in or task.image_out)
        if os.path.expanduser(self.cache.path).startswith("~"):
            mistakes.append(f"cache.path: nobody here has the home folder of {self.cache.path!r}")
        rest = self.model_dump(include={"dataset", "generation", "cache", "run", "cluster"})
        rest |= {"judge": {"rubrics": self.judge.rubrics}} if isinstance(self.judge, JudgesSection) else {}
        mistakes += [f"{name}: looks like a secret, and is stored with each run" for name in self._secret_places(rest)]
        mistakes += mistakes_of_judges(self.judge, next(with_images, None))
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self

    @staticmethod
    def _secret_places(sections: dict[str, Any]) -> Iterator[str]:
        return (place for name, section in sections.items() for place in find_secrets(section, name))

    def endpoints(self) -> list[tuple[str, EndpointSection]]:
        """Every endpoint with its place in the file."""
        return [*((f"models[{index}]", model) for index, model in enumerate(self.models)), *self.judge.sections]

    def tasks_of(self, model: ModelSection) -> list[Task]:
        """The selected tasks that `model` is asked."""
        return [task for task in TASKS.values() if model.runs(task) and (not self.dataset.tasks or task.key in self.dataset.tasks)]

    def keys(self) -> dict[str, str]:
        """The variables with keys and with headers' values, and their content. Raises ConfigError if one is not set."""
        found: dict[str, str] = {}
        for place, endpoint in self.endpoints():
            if endpoint.hosted:
                found |= self.secrets_of(place, endpoint)
        return found

    def secrets_of(self, place: str, endpoint: EndpointSection) -> dict[str, str]:
        """The variables that the section at `place` names, and their content. Raises ConfigError if one is not set."""
        found: dict[str, str] = {}
        for key, variable in endpoint.secret_variables.items():
            value = os.environ.get(variable, "").strip()
            if not value:
                raise ConfigError(
                    f"{self.file}: {place}.{key}: the variable {variable} is not set; run `export {variable}=...` first"
                )
            if not value.isascii() or not value.isprintable():
                raise ConfigError(f"{self.file}: {place}.{key}: {variable} holds a line break or non-ASCII, as no key does")
            found[variable] = value
        return found

    @property
    def cache_path(self) -> Path:
        return expand_path(self.base, self.cache.path)


def load_config(path: Path, overrides: dict[str, dict[str, Any]] | None = None, models: Sequence[str] = ()) -> Config:
    """Read and check `path`; `overrides` replaces keys by section, `models` keeps only those named.

    Raises ConfigError with one line for each mistake, each with the file's name and the key.
    """
    return parse_config(read_table(path), path.name, path.parent, overrides, models)


def read_table(path: Path) -> dict[str, Any]:
    """The unchecked content of `path`. Raises ConfigError if it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        right = "`unisafe init` writes one, or name one with --config"
        raise ConfigError(f"{path}: there is no such file; {right}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise ConfigError(f"{path}: is larger than {LARGEST // 2**20} MiB")
    try:
        return parse_toml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 (byte {error.start})") from None
    except NotToml as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_config(
    table: dict[str, Any],
    name: str = DEFAULT_FILE.name,
    base: Path | None = None,
    overrides: dict[str, dict[str, Any]] | None = None,
    models: Sequence[str] = (),
) -> Config:
    """A Config from a table such as `tomllib` returns. Raises ConfigError."""
    if mistakes := list(islice(chain(find_mistakes(table), find_mistakes(overrides or {})), MOST_MISTAKES)):
        raise ConfigError("\n".join(f"{name}: {_shorten(mistake)}" for mistake in mistakes))
    for key in table.keys() & {"base", "file"}:
        raise ConfigError(f"{name}: {key}: unknown key; keys are {', '.join(_keys_of(Config))}")
    for section, values in (overrides or {}).items():
        given = table.get(section, {})
        if isinstance(given, dict):
            table = {**table, section: override_keys(given, values, section)}
    if models and isinstance(table.get("models"), list):
        named = [str(model.get("name")) for model in table["models"] if isinstance(model, dict)]
        for wanted in models:
            if wanted not in named:
                raise ConfigError(
                    f"{name}: --model: there is no model {wanted!r}; models are {', '.join(named)}{suggest(wanted, named)}"
                )
        table = {
            **table,
            "models": [model for model in table["models"] if isinstance(model, dict) and model.get("name") in models],
        }
    try:
        config = Config.model_validate({**table, "base": base or Path(), "file": name})
    except ValidationError as error:
        raise ConfigError(
            "\n".join(f"{name}: {_shorten(line)}" for line in _describe_errors(error, table)[:MOST_MISTAKES])
        ) from None
    warn_of_old_keys(table, name)
    return config


def _shorten(line: str) -> str:
    line, half = hide_in_text(line), LONGEST_LINE // 2
    return line if len(line) <= LONGEST_LINE else f"{line[:half]}...{line[-half:]}"


def _describe_errors(error: ValidationError, table: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for mistake in error.errors(include_url=False):
        mistake["loc"] = tuple(step for step in mistake["loc"] if step not in (ONE, SEVERAL))
        place = re.sub(r"\.(\d+)", r"[\1]", ".".join(_cut_name(str(step)) for step in mistake["loc"]))
        if mistake["type"] == "value_error" and not place:
            lines += str(mistake["ctx"]["error"]).splitlines()
        else:
            lines.append(f"{place}: {_describe_mistake(mistake, table)}")
    return lines


def _cut_name(name: str) -> str:
    """A key as it is shown in a message: one of thousands of characters would push the message out of it."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME // 2]}...{name[-LONGEST_NAME // 2 :]}"


def _describe_mistake(mistake: ErrorDetails, table: dict[str, Any]) -> str:
    kind, context, value = mistake["type"], mistake.get("ctx", {}), mistake["input"]
    found = f", found {value!r}" if isinstance(value, str | int | float | bool) and len(str(value)) < 60 else ""
    match kind:
        case "extra_forbidden":
            key, section = str(mistake["loc"][-1]), _section_at(mistake["loc"], table)
            if new := new_name(str(mistake["loc"][0]), key):
                return f"this is the old name of {new}, which is given too; keep {new} alone"
            if "key" in key.lower() and "api" in key.lower():
                return "unknown key; a key never stands in this file: put it in a variable and name that with key_env"
            if mistake["loc"][0] == "judge" and key == "mode" and value in ("batch", "online"):
                return "the judge is always asked online, answer by answer; leave the key out"
            if mistake["loc"][0] == "judge" and len(mistake["loc"]) == 2:
                if isinstance(table["judge"], dict) and "judges" in table["judge"] and _is_of_one_judge(key):
                    return "stands beside `judges`; with several judges each [[judge.judges]] has its own"
                if key in JudgesSection.model_fields:
                    return "goes with several judges only, one [[judge.judges]] each"
            keys = _keys_of(section)
            extra = describe_extra(key, keys) if issubclass(section, EndpointSection) else ""
            return f"unknown key{suggest(key, keys) or f'{extra}; keys are ' + ', '.join(keys)}"
        case "missing":
            return "missing" + (NO_JUDGE if mistake["loc"] == ("judge",) else "")
        case "string_type":
            return f"should be a text{found}"
        case "int_type" | "int_from_float":
            return f"should be a whole number{found}"
        case "float_type":
            return f"should be a number{found}"
        case "bool_type":
            return f"should be true or false{found}"
        case "list_type":
            return f"should be a list{found}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"should be a table{found}"
        case "literal_error":
            return f"should be one of {context['expected']}{found}"
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            sign = {"greater_than_equal": ">=", "greater_than": ">", "less_than_equal": "<=", "less_than": "<"}[kind]
            return f"should be {sign} {next(iter(context.values()))}{found}"
        case "too_short":
            return "needs at least one entry"
        case "string_pattern_mismatch":
            return f"should look like {_example_at(mistake['loc'], table)}{found}"
        case "value_error":
            return str(context["error"])
    return str(mistake["msg"]) + found


SECTIONS: dict[str, type[BaseModel]] = {
    "dataset": DatasetSection,
    "generation": GenerationSection,
    "cache": CacheSection,
    "run": RunSection,
    "gate": GateSection,
    "judge": JudgeSection,
    "judges": JudgeEndpointSection,
    "models": ModelSection,
}


def _section_at(place: tuple[int | str, ...], table: dict[str, Any]) -> type[BaseModel]:
    """The model of the table in which something was found at `place`: of a model or judge, with its provider's options."""
    section: type[BaseModel] = Config
    inside: Any = table
    for step in place[:-1]:
        try:
            inside = inside[step]
        except (LookupError, TypeError):  # a step that pydantic takes between the kinds of a union
            break
        if step == "judge" and isinstance(inside, dict) and "judges" in inside:
            section = JudgesSection
        elif isinstance(step, str):
            section = SECTIONS.get(step, section) if section in (Config, JudgesSection) else _table_of(section, step)
        spec = find_spec(inside["provider"]) if isinstance(inside, dict) and isinstance(inside.get("provider"), str) else None
        if spec is not None and issubclass(section, EndpointSection):
            section = combine_section(section, spec.options)
    return section


def _table_of(section: type[BaseModel], key: str) -> type[BaseModel]:
    """The model of a table inside a section, such as `simulation`; the section's own where the table has none."""
    field = section.model_fields.get(key)
    return next(_models_in(field.annotation), section) if field is not None else section


def _models_in(kind: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 an annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind):
        yield from _models_in(part)


def _is_of_one_judge(key: str) -> bool:
    """Whether it is a key of one judge: of every one, or of those with some provider."""
    return key in JudgeEndpointSection.model_fields or key in CallableOptions.model_fields or bool(find_takers(key))


def _keys_of(section: type[BaseModel]) -> list[str]:
    """The keys that may stand in a section; the last two of a Config are ours."""
    return [key for key in list_keys(section) if key not in ("base", "file")]


def _example_at(place: tuple[int | str, ...], table: dict[str, Any]) -> str:
    """What the value at `place` might look like."""
    at = max(index for index, step in enumerate(place) if isinstance(step, str))
    field = _section_at(place[: at + 1], table).model_fields.get(str(place[at]))
    return str(field.examples[0]) if field is not None and field.examples else "another"
