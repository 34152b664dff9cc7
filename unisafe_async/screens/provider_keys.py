"""One provider as a table: the keys that it adds to its section of bench.toml, from the model that checks them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import replace

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from unisafe_providers.near_names import suggest
from unisafe_providers.options import parameters_of
from unisafe_providers.plugins import Plugin
from unisafe_providers.registry import CallableOptions, find_spec, list_names

from unisafe_async.config.bench_toml import ConfigError
from unisafe_async.config.endpoint_sections import find_defaults
from unisafe_async.config.section_keys import Key, read_keys
from unisafe_async.config.sections import ModelSection
from unisafe_async.screens.providers import Known, describe_provider
from unisafe_async.text import plain

LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
"""A link of the docs; on a screen its words alone are shown."""


def read_provider(name: str) -> tuple[Known, list[Key]]:
    """A provider and the keys that it adds. Raises ConfigError for a name that nobody has, PluginError for a broken plugin."""
    spec = find_spec(name)
    if spec is None:
        raise ConfigError(f"{name!r} is no provider; providers are {', '.join(list_names())}{suggest(name, list_names())}")
    keys = read_keys(spec.options, defaults=find_defaults(spec, {}))
    built = getattr(spec.options, "BUILDS_ADDRESS", False)
    if spec.vendor is not None and spec.vendor.base_url is None and not built:
        keys = [replace(key, default="needed") if key.name == "base_url" else key for key in keys]
    if spec.plugin is not None and spec.options is CallableOptions:
        keys = [*(key for key in keys if key.name != "options"), *_keys_of_callable(spec.plugin)]
    return describe_provider(spec), keys


def _keys_of_callable(plugin: Plugin) -> Iterator[Key]:
    """The keys of the table `options`: the parameters of a plain callable."""
    options, others = parameters_of(plugin.load())
    for parameter in options.values():
        needed = parameter.default is inspect.Parameter.empty
        kind = "" if parameter.annotation is inspect.Parameter.empty else inspect.formatannotation(parameter.annotation)
        yield Key(f"options.{parameter.name}", kind, "needed" if needed else repr(parameter.default), "")
    if others:
        yield Key("options.*", "", "none", "any other key")


def print_provider(console: Console, known: Known, keys: list[Key]) -> None:
    """What it is in one line, then a row a key."""
    facts = [known.what, known.wire and f"wire {known.wire}", known.address or known.target, known.key]
    console.print(Text(f"{plain(known.name)}: ", style="bold") + Text(", ".join(plain(fact) for fact in facts if fact)))
    if keys:
        console.print(_table(keys))
    else:
        console.print("It adds no keys to its section.")
    others = [name for name in ModelSection.model_fields if name not in {key.name for key in keys}]
    console.print(Text(f"Every model may also say: {', '.join(others)} (docs/bench.md).", style="dim"))


def _table(keys: list[Key]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Key", no_wrap=True)
    table.add_column("may be", max_width=34)
    table.add_column("default", overflow="fold")
    if any(key.meaning for key in keys):
        table.add_column("meaning")
    for key in keys:
        meaning = LINK.sub(r"\1", key.meaning).replace("`", "")
        cells = [Text(plain(words)) for words in (key.name, key.values, key.default, meaning)]
        table.add_row(*cells[: len(table.columns)])
    return table
