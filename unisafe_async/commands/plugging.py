"""`providers` and `new-provider`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unisafe_async.commands.options import JsonOption, print_json


def providers(
    name: Annotated[str | None, typer.Argument(help="Show the keys that this one adds to its section of bench.toml.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List every provider that bench.toml can name (vendors, servers, models on this machine, plugins), and which keys are set."""
    from unisafe_async.screens.console import stdout_console
    from unisafe_async.screens.providers import list_providers, print_providers

    if name is None:
        known = list_providers()
        if as_json:
            from unisafe_async.screens.provider_json import build_providers_json

            print_json(build_providers_json(known))
        else:
            print_providers(stdout_console(), known)
        return
    from unisafe_async.screens.provider_keys import print_provider, read_provider

    found = read_provider(name)
    if as_json:
        from unisafe_async.screens.provider_json import build_provider_json

        print_json(build_provider_json(*found))
    else:
        print_provider(stdout_console(), *found)


def new_provider(
    name: Annotated[str, typer.Argument(help="Its name in bench.toml, such as my-api.")],
    folder: Annotated[
        Path | None, typer.Option("--folder", help="A new or empty folder; else unisafe-NAME here (with --command, NAME).")
    ] = None,
    command: Annotated[
        bool, typer.Option("--command", help="Write a script for a model in its own environment: no package is needed.")
    ] = False,
) -> None:
    """Write the package of a new provider, or with --command the script of a model: it works at once."""
    from unisafe_async.commands.skeleton import describe_script, write_script, write_skeleton

    if command:
        script, helper = write_script(name, folder)
        print(f"{script}\n{helper}\n\n{describe_script(name, script)}")
        return
    written = write_skeleton(name, folder)
    for path in written:
        print(path)
    root = written[0].parent
    print(f"Now `pip install -e {root}`, then `pytest {root}`, then `unisafe providers` lists it.")
