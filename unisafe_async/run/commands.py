"""Finds the model that `check-command` is to look at: a section of bench.toml, or a command as it would stand there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from unisafe_providers.endpoint_options import EndpointOptions
from unisafe_providers.near_names import suggest
from unisafe_providers.spec import Options

from unisafe_async.config.bench_toml import Config, load_config, parse_config, read_table
from unisafe_async.config.endpoint_sections import EndpointSection
from unisafe_async.config.sections import JudgeEndpointSection, ModelSection
from unisafe_async.errors import UsageError

STAND_IN = {"provider": "simulated", "model": "balanced"}
"""A section in the place of one that is not looked at."""


def find_command(words: Sequence[str], file: Path, gives: Sequence[str], takes: Sequence[str]) -> tuple[EndpointSection, Path]:
    """The section, and the folder that its paths are relative to.

    Args:
        words: a name in `file`, or a program and its arguments.
        file: bench.toml; it is not read for a program.
        gives, takes: of a program, what it makes and accepts.

    Raises UsageError, and ConfigError for a file that cannot be used.
    """
    is_path = words[0].startswith((".", "/", "~")) or Path(words[0]).is_file()  # a folder may have the model's name
    if len(words) == 1 and not is_path:
        return _find_by_name(words[0], file)
    given = {"name": Path(words[0]).name, "provider": "command", "command": [*words], "gives": [*gives], "takes": [*takes]}
    try:
        return ModelSection.model_validate(given), Path.cwd()
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        key = str(mistake["loc"][0]) if mistake["loc"] else "command"
        raise UsageError(f"--{key}: {mistake['msg']}, found {mistake['input']!r}") from None


def _find_by_name(name: str, file: Path) -> tuple[EndpointSection, Path]:
    if not file.exists():
        raise UsageError(f"there is no {file} that names {name}; for a command itself: unisafe check-command -- python serve.py")
    config = _load_alone(name, file)
    sections = {
        section.title if isinstance(section, JudgeEndpointSection) else getattr(section, "name", section.model): section
        for _, section in config.endpoints()
        if isinstance(section, Options) and section.list_commands(section.model)
    }
    if isinstance(sections.get(name), EndpointOptions):
        raise UsageError(f"{name} is a server, which speaks no protocol of lines; `unisafe doctor` starts it and asks it")
    if name not in sections:
        known = ", ".join(one for one, section in sections.items() if not isinstance(section, EndpointOptions)) or "none"
        hint = suggest(name, sections)
        raise UsageError(f"{name}: no model of that name in {file} starts a command; those that do: {known}{hint}")
    return sections[name], config.base


def _load_alone(name: str, file: Path) -> Config:
    """The configuration; of a model that [[models]] names, its section alone in its place, since nothing else has to be right."""
    table = read_table(file)
    models = table.get("models")
    named = [isinstance(model, dict) and model.get("name") == name for model in models] if isinstance(models, list) else []
    if sum(named) != 1:
        return load_config(file)
    place = named.index(True)
    others = [{**STAND_IN, "name": f"{name} {number}"} for number in range(place)]
    alone = {"models": [*others, table["models"][place]], "judge": {**STAND_IN, "model": "judge"}}
    return parse_config(alone, file.name, file.parent)
