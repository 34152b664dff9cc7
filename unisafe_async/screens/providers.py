"""Every provider as a table: its kind, protocol and address, and whether its key is set (never the key)."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text
from unisafe_providers.endpoint_options import EndpointOptions
from unisafe_providers.options import parameters_of
from unisafe_providers.plugins import Plugin, PluginError
from unisafe_providers.registry import built_in_spec, list_built_in, list_plugins
from unisafe_providers.spec import ProviderSpec

from unisafe_async.config.section_keys import read_keys
from unisafe_async.screens.console import line
from unisafe_async.text import plain

HERE = ("localhost", "127.0.0.1", "::1")
ORDER = ("vendor", "server", "device", "simulated", "other")
ON_ONE_LINE = 132
"""From this width on, there is room for an address in the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One provider.

    Args:
        kind: `vendor`, `server` (on this machine), `device` (loaded or started on this machine), `simulated`, `other` or `plugin`.
        what: a vendor's or server's name, or the package and version that bring it.
        wire: the protocol.
        address: its default address; empty if that is not known.
        target: a plugin's entry point.
        key_env: the variable that usually holds its key.
        note: a plugin's options, or why it cannot be used.
        broken: whether it cannot be used.
    """

    name: str
    kind: str
    what: str
    wire: str = ""
    address: str = ""
    target: str = ""
    key_env: str | None = None
    note: str = ""
    broken: bool = False

    @property
    def key(self) -> str:
        if self.key_env is None:
            return ""
        return f"{self.key_env} {'set' if os.environ.get(self.key_env, '').strip() else 'not set'}"


def list_providers() -> list[Known]:
    """All providers; plugins are imported, so that a broken one shows its error."""
    known = [describe_provider(built_in_spec(name)) for name in list_built_in()]
    known.sort(key=lambda one: ORDER.index(one.kind))
    return [*known, *map(_plugin, list_plugins().values())]


def describe_provider(spec: ProviderSpec[Any]) -> Known:
    """One of ours, or a plugin's."""
    if spec.plugin is not None:
        return _plugin(spec.plugin)
    vendor = spec.vendor
    if vendor is not None:
        here = urlsplit(vendor.base_url or "").hostname in HERE
        address = vendor.base_url or vendor.address or ""
        return Known(
            name=spec.name,
            kind="server" if here else "vendor",
            what=vendor.title,
            wire=vendor.wire,
            address=address,
            key_env=vendor.key_env,
        )
    match spec.answers_from:
        case "device":
            return Known(name=spec.name, kind="device", what=spec.title if spec.model_is_name else "loaded on this machine")
        case "simulation":
            return Known(name=spec.name, kind="simulated", what=spec.title, wire="in process")
        case _:
            return Known(name=spec.name, kind="other", what=spec.title)


def _plugin(plugin: Plugin) -> Known:
    known = Known(name=plugin.name, kind="plugin", what=f"plugin {plugin.origin}", target=plugin.target)
    try:
        loaded = plugin.load()
        told = _options_of(loaded)
    except PluginError as error:
        return replace(known, note=str(error), broken=True)
    return replace(known, note=f"options: {', '.join(told)}" if told else "takes no options")


def _options_of(loaded: Any) -> list[str]:  # noqa: ANN401 what a plugin's entry point names
    """The options of a plugin with their defaults. Raises PluginError for what is no provider."""
    if isinstance(loaded, ProviderSpec):
        own = loaded.options.model_fields.keys() - EndpointOptions.model_fields.keys()
        keys = [key for key in read_keys(loaded.options) if key.name in own]
        return [f"{key.name} (needed)" if key.default == "needed" else f"{key.name} = {key.default}" for key in keys]
    options, others = parameters_of(loaded)
    return [_option(parameter) for parameter in options.values()] + (["any other"] if others else [])


def _option(parameter: inspect.Parameter) -> str:
    needed = parameter.default is inspect.Parameter.empty
    return f"{parameter.name} (needed)" if needed else f"{parameter.name} = {parameter.default!r}"


def print_providers(console: Console, known: list[Known]) -> None:
    """Print a line for each; in a terminal, text without room goes to the next line."""
    widths = [max(len(plain(getattr(one, column))) for one in known) for column in ("name", "what", "wire", "key")]
    narrow = console.is_terminal and console.width < ON_ONE_LINE
    if narrow:
        widths = [min(width, most) for width, most in zip(widths, (14, 25, 10, 28), strict=True)]
    gap = " " if narrow else "  "
    indent = widths[0] + len(gap)
    for one in known:
        styles = ("bold", "", "dim", "dim" if one.key.endswith("not set") else "green")
        cells = [line(text, style) for text, style in zip((one.name, one.what, one.wire, one.key), styles, strict=True)]
        for cell, width in zip(cells, widths, strict=True):
            cell.truncate(width, overflow="ellipsis", pad=True)
        row = Text(gap).join(cells)
        notes = [Text(" ".join(plain(text).split()), style) for text, style in _notes(one)]
        beside = Text("  ").join([row, *notes])
        if not console.is_terminal or (not narrow and len(beside) <= console.width):
            row, notes = beside, []
        row.rstrip()
        console.print(row, soft_wrap=True)
        for note in notes:
            for part in note.wrap(console, max(console.width - indent, 20)):
                console.print(Text(" " * indent) + part, soft_wrap=True)


def _notes(one: Known) -> list[tuple[str, str]]:
    """Address or entry point, and the note about it, each with its style."""
    place = one.address or one.target
    return [(text, style) for text, style in ((place, "dim"), (one.note, "yellow" if one.broken else "dim")) if text]
