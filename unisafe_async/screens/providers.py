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
from unisafe_async.screens.provider_facts import usual_variable
from unisafe_async.text import plain

HERE = ("localhost", "127.0.0.1", "::1")
GROUPS = {
    "chat": "Vendors of chats",
    "image": "Vendors of images alone",
    "gateway": "Gateways",
    "server": "Servers on this machine",
    "device": "Models on this machine",
    "none": "Without a model",
    "plugin": "Plugins",
}
"""The groups of the list in their order, each with its heading."""
ON_ONE_LINE = 132
"""From this width on, a line has room for a title and a variable beside the address."""
NAME = 18
"""The width of a name in a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One provider.

    Args:
        kind: `vendor`, `server` (on this machine), `device` (loaded or started on this machine), `simulated`, `other` or `plugin`.
        group: one of GROUPS.
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
    group: str = "none"
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
    known.sort(key=lambda one: list(GROUPS).index(one.group))
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
            group="gateway" if vendor.gateway else "server" if here else "image" if spec.judges_not else "chat",
            what=vendor.title,
            wire=vendor.wire,
            address=address,
            key_env=usual_variable(spec),
        )
    match spec.answers_from:
        case "device":
            return Known(
                name=spec.name, kind="device", group="device", what=spec.title if spec.model_is_name else "loaded on this machine"
            )
        case "simulation":
            return Known(name=spec.name, kind="simulated", what=spec.title, wire="in process")
        case _:
            return Known(name=spec.name, kind="other", what=spec.title)


def _plugin(plugin: Plugin) -> Known:
    known = Known(name=plugin.name, kind="plugin", group="plugin", what=f"plugin {plugin.origin}", target=plugin.target)
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
    """Print a line for each with all that is known; in a terminal in groups, and what has no room there is cut off."""
    if not console.is_terminal:
        _print_whole_lines(console, known)
        return
    headings = (
        ("provider", "who it is", "its key", "address") if console.width >= ON_ONE_LINE else ("provider", "address", "its key")
    )
    _print_cells(console, [(words, "dim") for words in headings])
    for group, heading in GROUPS.items():
        of_group = [one for one in known if one.group == group]
        if of_group:
            console.print(Text(heading, style="bold underline"))
        for one in of_group:
            _print_line(console, one)
        if of_group:
            console.print()
    told = "`unisafe providers NAME`: what one takes and gives, how its blocks look, its keys in bench.toml."
    console.print(Text(told, style="dim"))


def _print_whole_lines(console: Console, known: list[Known]) -> None:
    """A line for each, in columns."""
    widths = [max(len(plain(getattr(one, column))) for one in known) for column in ("name", "what", "wire", "key")]
    for one in known:
        cells = [line(text, "") for text in (one.name, one.what, one.wire, one.key)]
        for cell, width in zip(cells, widths, strict=True):
            cell.truncate(width, overflow="ellipsis", pad=True)
        row = Text("  ").join([*cells, *(Text(" ".join(plain(text).split())) for text, _ in _notes(one))])
        row.rstrip()
        console.print(row, soft_wrap=True)


def _print_line(console: Console, one: Known) -> None:
    """A line for the terminal: the name, where there is room for it the title, the address, the key; a plugin's note below."""
    style, place = "dim" if one.key.endswith("not set") else "green", (one.address or one.target or one.what, "dim")
    state = ("" if not one.key_env else "not set" if style == "dim" else "set", style)
    wide = console.width >= ON_ONE_LINE
    beside = (one.what if one.address or one.target else "", "")
    texts = [(one.name, "bold"), *([beside, (one.key, style), place] if wide else [place, state])]
    _print_cells(console, texts)
    note = Text(" ".join(plain(one.note).split()), style="yellow" if one.broken else "dim")
    for part in note.wrap(console, max(console.width - NAME - 2, 20)) if one.note else ():
        console.print(Text(" " * (NAME + 2)) + part, soft_wrap=True)


def _print_cells(console: Console, texts: list[tuple[str, str]]) -> None:
    """Words with their styles in the columns of the list: name, title, key and address, or name, address and key."""
    wide = console.width >= ON_ONE_LINE
    widths = (NAME, 27, 33, console.width - NAME - 27 - 33 - 6) if wide else (NAME, console.width - NAME - 7 - 4, 7)
    cells = [line(text, look) for text, look in texts]
    for cell, width in zip(cells, widths, strict=True):
        cell.truncate(width, overflow="ellipsis", pad=True)
    row = Text("  ").join(cells)
    row.rstrip()
    console.print(row, soft_wrap=True)


def _notes(one: Known) -> list[tuple[str, str]]:
    """Address or entry point, and the note about it, each with its style."""
    place = one.address or one.target
    return [(text, style) for text, style in ((place, "dim"), (one.note, "yellow" if one.broken else "dim")) if text]
