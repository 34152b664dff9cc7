"""Options of a provider: the parameters of its callable are the options, their annotations are the types."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from unisafe_providers.near_names import suggest
from unisafe_providers.plugins import PluginError

OPTION = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def parameters_of(make: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """The options that `make` takes after its first argument, and whether it takes others (`**options`).

    Raises PluginError if `make` is no callable, or its annotations use names that its module does not have.
    """
    try:
        parameters = list(inspect.signature(make, eval_str=True).parameters.values())
    except (TypeError, ValueError, NameError, AttributeError, SyntaxError) as error:
        raise PluginError(f"its entry point is no callable whose parameters can be read: {error}") from None
    first = parameters[0] if parameters else None
    if first is None or first.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        raise PluginError("its entry point takes no settings as its first argument")
    options = {parameter.name: parameter for parameter in parameters[1:] if parameter.kind in OPTION}
    return options, any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def check_options(make: Callable[..., Any], given: Mapping[str, object]) -> dict[str, Any]:
    """`given` as the arguments of `make`, each with its parameter's type.

    TOML's types are taken strictly, as JSON's would be: no text for a number, but a list for a tuple, a text for a path or an enum.
    Raises PluginError with the key of bench.toml, such as `options.depth`.
    """
    from pydantic import TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError

    known, others = parameters_of(make)
    checked: dict[str, Any] = {}
    for key, value in given.items():
        parameter = known.get(key)
        if parameter is None and not others:
            takes = f"; options are {', '.join(known)}" if known else "; it takes no options"
            raise PluginError(f"unknown option{suggest(key, known) or takes}", f"options.{key}")
        if parameter is None or parameter.annotation is inspect.Parameter.empty:
            checked[key] = value
            continue
        try:
            checked[key] = TypeAdapter(parameter.annotation).validate_json(json.dumps(value, default=str), strict=True)
        except ValidationError as error:
            raise PluginError(*_find_first_mistake(error, key)) from None
        except PydanticUserError as error:
            raise PluginError(f"its parameter {key} has a type that cannot be read from a file: {error.message}") from None
    for name, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and name not in checked:
            raise PluginError("missing; the provider needs it", f"options.{name}")
    return checked


def _find_first_mistake(error: Any, key: str) -> tuple[str, str]:  # noqa: ANN401 a ValidationError; pydantic is imported late
    mistake = error.errors(include_url=False)[0]
    place = ".".join([key, *(str(step) for step in mistake["loc"])])
    value = mistake["input"]
    found = f", found {value!r}" if isinstance(value, str | int | float | bool) and len(str(value)) < 60 else ""
    return f"{mistake['msg'].replace('Input should', 'should')}{found}", f"options.{place}"
