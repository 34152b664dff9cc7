"""`check-command`: does a script of the user's keep the protocol?"""

from __future__ import annotations

from typing import Annotated

import typer

from unisafe_async.commands.options import DONE, UNJUDGED, ConfigOption
from unisafe_async.config.default_paths import DEFAULT_FILE


def _split(words: str) -> list[str]:
    return [word.strip() for word in words.split(",")]


def check_command(
    command: Annotated[
        list[str],
        typer.Argument(help="A name in bench.toml; or the command itself, as in `unisafe check-command -- python serve.py`."),
    ],
    config: ConfigOption = DEFAULT_FILE,
    gives: Annotated[str, typer.Option(help="Of a command itself: what it makes: text, image or text,image.")] = "text",
    takes: Annotated[str, typer.Option(help="Of a command itself: what it accepts: text or text,image.")] = "text",
) -> None:
    """Start a model's command, and check that it keeps the protocol: its answers, a crash, and what is left of it."""
    import anyio
    from rich.text import Text
    from unisafe_providers.base import Provider
    from unisafe_providers.conformance import NotConforming, conforms_on_device

    from unisafe_async.run.commands import find_command
    from unisafe_async.run.endpoints import provider_of
    from unisafe_async.screens.commands import list_commands
    from unisafe_async.screens.console import stdout_console
    from unisafe_async.screens.waiting import show_waiting
    from unisafe_async.text import plain

    console = stdout_console()
    section, base = find_command(command, config, _split(gives), _split(takes))
    for line in list_commands(section):
        console.print(Text(f"starts {line}"))

    def tell(check: str, seen: str) -> None:
        console.print(Text.assemble(("ok    ", "green"), (f"{check}: ", "bold"), plain(seen)))

    def warn(check: str, seen: str) -> None:
        console.print(Text.assemble(("look  ", "yellow"), (f"{check}: ", "bold"), plain(seen)))

    made: list[tuple[str, Provider]] = []

    def make() -> Provider:
        made.append((getattr(section, "name", section.model), provider_of(section, base)))
        return made[-1][1]

    async def check() -> str:
        async with show_waiting(console, lambda: made):
            try:
                await conforms_on_device(make, tell, warn=warn)
            except NotConforming as error:
                return str(error)
        return ""

    if wrong := anyio.run(check):
        console.print(Text.assemble(("WRONG ", "bold red"), plain(wrong)))
        raise typer.Exit(UNJUDGED)
    console.print(Text("it keeps the protocol", style="bold green"))
    raise typer.Exit(DONE)
