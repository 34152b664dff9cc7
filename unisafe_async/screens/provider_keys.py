"""One provider: what is known of its vendor, and the keys that it adds to bench.toml, from the model that checks them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from unisafe_providers.endpoint_options import VendorOptions
from unisafe_providers.options import parameters_of
from unisafe_providers.plugins import Plugin
from unisafe_providers.registry import CallableOptions, describe_unknown, find_spec
from unisafe_providers.spec import ProviderSpec

from unisafe_async.config.bench_toml import ConfigError
from unisafe_async.config.endpoint_sections import find_defaults
from unisafe_async.config.section_keys import Key, read_keys
from unisafe_async.config.sections import ModelSection
from unisafe_async.screens.provider_facts import describe_block, list_facts, write_example
from unisafe_async.screens.providers import Known, describe_provider
from unisafe_async.text import plain

ROOMY = 132
"""From this width on, a row has room for all of a key beside each other."""
LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
"""A link of the docs; on a screen its words alone are shown."""


def find_provider(name: str) -> ProviderSpec[Any]:
    """What a provider says of itself. Raises ConfigError for a name that nobody has."""
    spec = find_spec(name)
    if spec is None:
        raise ConfigError(describe_unknown(name))
    return spec


def read_provider(name: str) -> tuple[Known, list[Key]]:
    """A provider and the keys that it adds. Raises ConfigError for a name that nobody has, PluginError for a broken plugin."""
    spec = find_provider(name)
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
    """What it is in one line, then what is known of its vendor, and a row a key."""
    facts = [known.what, known.wire and f"wire {known.wire}", known.address or known.target, known.key]
    console.print(Text(f"{plain(known.name)}: ", style="bold") + Text(", ".join(plain(fact) for fact in facts if fact)))
    if known.kind != "plugin":
        _print_vendor(console, find_provider(known.name))
    common = [key for key in keys if key.name in VendorOptions.model_fields and known.kind != "plugin"]
    own = [key for key in keys if key not in common]
    if common and own:
        console.print(Text("\nIts own keys", style="bold"))
    if own:
        console.print(_table(own, console.width))
    if common:
        console.print(Text("Keys of every model behind an address", style="bold"))
        console.print(_table(common, console.width))
    if not keys:
        console.print("It adds no keys to its section.")
    others = [name for name in ModelSection.model_fields if name not in {key.name for key in keys}]
    console.print(Text(f"Every model may also say: {', '.join(others)} (docs/bench.md).", style="dim"))


def _print_vendor(console: Console, spec: ProviderSpec[Any]) -> None:
    """What is known of a vendor: facts, how its blocks look, and a section to begin with."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for heading, words in list_facts(spec, datetime.now(UTC).date()):
        facts.add_row(Text(heading, style="dim"), Text(plain(words)))
    if facts.row_count:
        console.print(facts)
    if spec.vendor is not None and spec.vendor.blocks:
        blocks = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        for heading in ("A block that looks like", "counts as", "known from"):
            blocks.add_column(heading, overflow="fold")
        for block in spec.vendor.blocks:
            outcome, looks, source = describe_block(block)
            blocks.add_row(Text(plain(looks)), Text(outcome), Text(plain(source), style="dim"))
        console.print(blocks)
    for words in write_example(spec):
        console.print(Text(f"    {words}"), soft_wrap=True)


def _table(keys: list[Key], width: int) -> Table:
    """A row a key; on a narrow screen the meaning has a line of its own, below the values."""
    narrow = width < ROOMY and any(key.meaning for key in keys)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Key", no_wrap=True)
    if narrow:
        table.add_column("may be, and meaning", overflow="fold")
    else:
        table.add_column("may be", max_width=34)
        table.add_column("default", overflow="fold")
        table.add_column("meaning")
    for key in keys:
        meaning = LINK.sub(r"\1", key.meaning).replace("`", "")
        if narrow:
            default = {"none": "", "needed": "needed"}.get(key.default, f"{key.default} unless set")
            values = "; ".join(filter(None, (key.values, default)))
            table.add_row(Text(plain(key.name)), Text.assemble((plain(values), "dim"), "\n", plain(meaning)))
        else:
            table.add_row(*(Text(plain(words)) for words in (key.name, key.values, key.default, meaning)))
    return table
