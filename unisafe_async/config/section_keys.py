"""The keys of bench.toml as their models have them: what each may be, its default, what it means. For screens and for the docs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from unisafe_providers.registry import built_in_spec, list_built_in
from unisafe_providers.spec import Options

SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
WORDS: Mapping[type, str] = {str: "text", int: "whole number", float: "number", bool: "true or false", dict: "table", list: "list"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `values` says what it may be, `default` what stands there unless the file says otherwise; `meaning` is Markdown."""

    name: str
    values: str
    default: str
    meaning: str


def read_keys(model: type[BaseModel], *, own: bool = False, defaults: Mapping[str, Any] | None = None) -> list[Key]:
    """The keys of a section, or with `own` those that it does not have from another one; `defaults` replaces the model's."""
    names = [name for name in model.model_fields if not own or name in model.__annotations__]
    if issubclass(model, Options):
        names = [name for name in names if name not in model.FROM_SECTION]
    return [_read_key(name, model.model_fields[name], defaults or {}) for name in names]


def option_models() -> dict[type[Options], list[str]]:
    """The models of options of our own providers, the common ones first, each with the providers whose keys it holds."""
    found: dict[type[Options], list[str]] = {}
    for name in list_built_in():
        for model in reversed(built_in_spec(name).options.__mro__):
            if issubclass(model, Options) and model is not Options:
                found.setdefault(model, []).append(name)
    return found


def _read_key(name: str, field: FieldInfo, defaults: Mapping[str, Any]) -> Key:
    default = defaults.get(name, field.get_default(call_default_factory=False))
    needed = field.is_required() and name not in defaults
    return Key(name, _values_of(field), "needed" if needed else _shown(default), field.description or "")


def _shown(default: object) -> str:
    """A default or a limit as the file would say it; what is empty is none."""
    if default is None or default in ("", [], {}):
        return "none"
    if isinstance(default, float) and default.is_integer():
        return str(int(default))
    return json.dumps(default, ensure_ascii=False)


def _values_of(field: FieldInfo) -> str:
    """What may stand there, in words: `whole number >= 1`."""
    bounds = " and ".join(
        f"{sign} {_shown(getattr(part, limit))}"
        for part in field.metadata
        for limit, sign in SIGNS.items()
        if getattr(part, limit, None) is not None
    )
    words = _words_of(field.annotation)
    if field.examples:
        words = f"such as {field.examples[0]}"
    return f"{words} {bounds}" if bounds else words


def _words_of(kind: Any) -> str:  # noqa: ANN401 an annotation
    if get_origin(kind) is Literal:
        return " or ".join(json.dumps(value) for value in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "table"
    if get_origin(kind) is None and isinstance(kind, type):
        return WORDS.get(kind, kind.__name__)
    if get_origin(kind) in (list, dict):
        return _of_many(kind)
    parts = [_words_of(part) for part in _parts_of(kind)]
    return " or ".join(dict.fromkeys(parts))


def _of_many(kind: Any) -> str:  # noqa: ANN401 an annotation
    if get_origin(kind) is dict:
        return "table"
    (inner,) = get_args(kind)
    return f"list of {_words_of(inner)}"


def _parts_of(kind: Any) -> Iterator[Any]:  # noqa: ANN401 an annotation
    """The kinds that a union or an annotated kind is made of, without None."""
    if hasattr(kind, "__metadata__"):
        yield get_args(kind)[0]
        return
    yield from (part for part in get_args(kind) if part is not NoneType)
