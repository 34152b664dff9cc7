"""Every provider as a table: its kind, protocol and address, and whether its key is set (never the key)."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from providers.options import parameters_of
from providers.plugins import Plugin, PluginError
from providers.presets import Preset, presets
from providers.registry import ON_DEVICE, SIMULATED, plugins
from unisafe_async.report.text import line, plain

HERE = ("localhost", "127.0.0.1", "::1")
ON_ONE_LINE = 132
"""From this width on, there is room for an address in the line."""


@dataclass(frozen=True, slots=True)
class Known:
    """One provider.

    Args:
        kind: `vendor`, `server` (on this machine), `device` (loaded on this machine), `simulated` or `plugin`.
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


def known_providers() -> list[Known]:
    """All providers; plugins are imported, so that a broken one shows its error."""
    hosted = [_preset(name, preset) for name, preset in presets().items()]
    hosted.sort(key=lambda one: one.kind != "vendor")
    local = [Known(name, "device", "loaded on this machine") for name in ON_DEVICE]
    simulated = Known(SIMULATED, "simulated", "simulated, with a judge", "in process")
    return [*hosted, *local, simulated, *map(_plugin, plugins().values())]


def _preset(name: str, preset: Preset) -> Known:
    here = urlsplit(preset.base_url or "").hostname in HERE
    address = preset.base_url or preset.address or ""
    return Known(name, "server" if here else "vendor", preset.title, preset.wire, address, key_env=preset.key_env)


def _plugin(plugin: Plugin) -> Known:
    known = Known(plugin.name, "plugin", f"plugin {plugin.origin}", target=plugin.target)
    try:
        options, others = parameters_of(plugin.load())
    except PluginError as error:
        return replace(known, note=str(error), broken=True)
    told = [_option(parameter) for parameter in options.values()] + (["any other"] if others else [])
    return replace(known, note=f"options: {', '.join(told)}" if told else "takes no options")


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
