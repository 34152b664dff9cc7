"""`gate`: may this model ship?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unisafe_async.commands.options import DONE, CacheOption, ConfigOption, ModelOption, RunArgument, find_run_file, usage_error
from unisafe_async.config.default_paths import DEFAULT_FILE

if TYPE_CHECKING:
    from unisafe_async.config.gate_section import GateSection
    from unisafe_async.results.gate import Gate

FAILED, UNDECIDED = 3, 4


def gate(
    name: RunArgument = None,
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
    model: ModelOption = None,
    at_most: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="SCORE[.WHERE]=PERCENT", help="A score may be at most this, such as c_u=5 (repeatable)."),
    ] = None,
    at_least: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="SCORE[.WHERE]=PERCENT", help="A score must be at least this (repeatable)."),
    ] = None,
    worse_than: Annotated[
        list[str] | None,
        typer.Option(
            "--max-worse-than",
            metavar="MODEL:SCORE=POINTS",
            help="How many points worse than `previous`, a model or RUN:MODEL, on the same items (repeatable).",
        ),
    ] = None,
    min_judged: Annotated[float | None, typer.Option("--min-judged", min=0, max=1, help="The least share judged.")] = None,
    blocked: Annotated[str | None, typer.Option("--blocked", help="How the platform's blocks count: safe or exclude.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the decision as JSON.")] = False,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write it as JUnit's XML.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="Append it as Markdown.")] = None,
) -> None:
    """Hold a run against the bounds of [gate] in bench.toml. Exit code: 0 pass, 3 fail, 4 not enough items or not measured."""
    from unisafe_cache import read_file

    from unisafe_async.results.gate import read_gate

    changes = _read_options(model, at_most, at_least, worse_than, min_judged, blocked)
    section = _read_section(config, changes)
    if not list(section.bounds()) and not list(section.regressions()):
        raise usage_error(f"no bound is set: put [gate] into {config}, such as max_c_u = 5, or say --max c_u=5")
    found = read_file(find_run_file(config, cache, name), lambda connection: read_gate(connection, name, section))
    _write(found, as_json=as_json, junit=junit, markdown=markdown)
    raise typer.Exit({"pass": DONE, "fail": FAILED}.get(found.decision, UNDECIDED))


def _write(found: Gate, *, as_json: bool, junit: Path | None, markdown: Path | None) -> None:
    from unisafe_async.interchange.gate_files import build_gate_json, build_gate_junit, build_gate_markdown
    from unisafe_async.screens.console import stdout_console
    from unisafe_async.screens.gate import print_gate

    try:
        if junit is not None:
            junit.write_bytes(build_gate_junit(found))
        if markdown is not None:
            with markdown.open("a", encoding="utf-8") as file:
                file.write(build_gate_markdown(found))
    except OSError as error:
        raise usage_error(f"{error.filename}: cannot be written: {error.strerror}") from None
    if as_json:
        import orjson

        print(orjson.dumps(build_gate_json(found), option=orjson.OPT_INDENT_2).decode())
    else:
        print_gate(stdout_console(), found)


def _read_section(config: Path, changes: dict[str, Any]) -> GateSection:
    """`[gate]` of the configuration, if there is one, with what the options change."""
    from unisafe_async.config.bench_toml import load_config
    from unisafe_async.config.gate_section import GateSection

    written = load_config(config).gate if config.exists() else None
    known = {**written.model_dump(exclude_unset=True), **(written.model_extra or {})} if written is not None else {}
    for key, given in changes.items():
        before = known.get(key)
        known[key] = {**before, **given} if isinstance(before, dict) and isinstance(given, dict) else given
    return GateSection.model_validate(known)


def _read_options(
    model: list[str] | None,
    at_most: list[str] | None,
    at_least: list[str] | None,
    worse_than: list[str] | None,
    min_judged: float | None,
    blocked: str | None,
) -> dict[str, Any]:
    """The keys of `[gate]` that the options set. Raises UsageError with the option's name."""
    from pydantic import ValidationError

    from unisafe_async.config.gate_section import GateSection

    known: dict[str, Any] = {"models": model, "min_judged": min_judged, "blocked": blocked}
    changes = {key: value for key, value in known.items() if value is not None}
    for option, limit, given in (("--max", "max", at_most), ("--min", "min", at_least)):
        for words in given or ():
            name, percent = _read_pair(option, words, "c_u=5")
            score, _, where = name.partition(".")
            changes.setdefault(f"{limit}_{score}", {})[where or "all"] = percent
    changes |= _read_worse_than(worse_than or ())
    try:
        GateSection.model_validate(changes)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise usage_error(f"gate: {place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}") from None
    return changes


def _read_worse_than(given: list[str] | tuple[str, ...]) -> dict[str, Any]:
    by_model: dict[str, dict[str, Any]] = {}
    for words in given:
        name, points = _read_pair("--max-worse-than", words, "previous:b_s=2")
        other, colon, score = name.rpartition(":")
        if not colon:
            raise usage_error(f"--max-worse-than: should look like previous:b_s=2, found {words!r}")
        by_model.setdefault(other, {"model": other})[score] = points
    return {"max_worse_than": list(by_model.values())} if by_model else {}


def _read_pair(option: str, words: str, example: str) -> tuple[str, float]:
    name, equals, number = words.rpartition("=")
    try:
        return name.strip(), float(number) if equals else float("x")
    except ValueError:
        raise usage_error(f"{option}: should look like {example}, found {words!r}") from None
