"""`doctor`: would a run work?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unisafe_async.commands.options import (
    DONE,
    UNJUDGED,
    ConfigOption,
    JsonOption,
    JudgeOption,
    ModelOption,
    SpecOption,
    load,
    print_json,
)
from unisafe_async.config.default_paths import DEFAULT_FILE


def doctor(
    config: ConfigOption = DEFAULT_FILE,
    spec: SpecOption = None,
    judge: JudgeOption = None,
    model: ModelOption = None,
    free: Annotated[bool, typer.Option("--free", help="Only free checks: keys, addresses, lists of models.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Make the tiny calls without asking.")] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record", metavar="FILE", help="Keep these calls and answers as a new file, without keys, accounts and pictures."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check keys, addresses, models, images and limits by a few tiny calls each; says what to change."""
    from rich.console import Console

    from unisafe_async.commands.session import doctor_session
    from unisafe_async.interchange.command_json import build_doctor_json
    from unisafe_async.run.cassettes.cassette import build_cassette, check_free, write_cassette
    from unisafe_async.screens.commands import describe_cluster
    from unisafe_async.screens.console import stdout_console
    from unisafe_async.screens.doctor import ask_to_pay, print_cassette, print_diagnoses

    console = Console(stderr=True) if as_json else stdout_console()
    loaded = load(config, model, None, None, None, None, specs=spec, judge=judge)
    if record is not None:
        check_free(record)
    dataset, checked = doctor_session(
        loaded,
        lambda found: not free and ask_to_pay(console, found, describe_cluster(loaded), yes=yes),
        record=record is not None,
    )
    diagnoses = [dataset, *checked]
    if as_json:
        print_json(build_doctor_json(diagnoses))
    else:
        print_diagnoses(console, diagnoses)
    if record is not None:
        cassette = build_cassette(loaded, checked)
        if cassette.exchanges:
            write_cassette(record, cassette, checked)
        print_cassette(console, record, cassette)
    raise typer.Exit(UNJUDGED if any(one.wrong for one in diagnoses) else DONE)
