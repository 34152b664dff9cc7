"""Commands for exchange with other tools and machines: tables, rows, official files, responses, verdicts, archives."""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from unisafe_async.commands.options import (
    DONE,
    UNJUDGED,
    CacheOption,
    ConfigOption,
    LimitOption,
    RunArgument,
    find_cache_file,
    find_run_file,
    usage_error,
)
from unisafe_async.config.default_paths import DEFAULT_FILE


class TableFormat(StrEnum):
    """The formats of `tables`."""

    csv = "csv"
    json = "json"
    markdown = "markdown"
    latex = "latex"
    parquet = "parquet"


class RowFormat(StrEnum):
    """The formats of `rows`."""

    csv = "csv"
    json = "json"
    parquet = "parquet"


class Dimension(StrEnum):
    """The dimensions by which scores can be broken down."""

    model = "model"
    task = "task"
    category = "category"
    subcategory = "subcategory"


OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; else the terminal.")]


def tables(
    name: RunArgument = None,
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
    form: Annotated[TableFormat, typer.Option("--format", "-f", help="How to write it.")] = TableFormat.csv,
    output: OutputOption = None,
    by: Annotated[
        list[Dimension] | None, typer.Option("--by", help="What to break down by (repeatable); else model, task.")
    ] = None,
    ci: Annotated[bool, typer.Option("--ci", help="With 95% intervals.")] = False,
    overall: Annotated[bool, typer.Option("--overall", help="Markdown, LaTeX: also a table over all tasks, with n.")] = False,
    paper: Annotated[
        bool, typer.Option("--paper", help="Markdown, LaTeX: the published figures below those of models of the same name.")
    ] = False,
    columns: Annotated[
        int, typer.Option("--columns", min=1, max=2, help="Markdown, LaTeX: 1 fits one column of a two-column page.")
    ] = 2,
    caption: Annotated[
        str, typer.Option("--caption", help="Markdown, LaTeX: what each caption begins with; in LaTeX it is LaTeX.")
    ] = "",
    label: Annotated[
        str, typer.Option("--label", help="Markdown, LaTeX: what the text refers to, such as tab:safety; several tables add to it.")
    ] = "",
) -> None:
    """Write a run's scores for a paper, a spreadsheet or a program; with their provenance."""
    from unisafe_cache import read_file

    from unisafe_async.files import write_text
    from unisafe_async.interchange.files import beside
    from unisafe_async.interchange.table_grids import Look
    from unisafe_async.interchange.tables import BY, format_text, read_table, to_csv, to_parquet
    from unisafe_async.results.provenance import to_lines

    if form is TableFormat.parquet and output is None:
        raise usage_error("--format parquet: needs a file; name it with --output FILE")
    dimensions = tuple(dict.fromkeys(one.value for one in by)) if by else BY
    given = {"--overall": overall, "--paper": paper, "--columns": columns != 2, "--caption": caption, "--label": label}
    _check_layout([option for option, value in given.items() if value], form, dimensions, label)
    table = read_file(
        find_run_file(config, cache, name),
        lambda connection: read_table(connection, name, dimensions, intervals=ci, overall=overall, paper=paper),
    )
    look = Look(caption=caption, label=label, columns=1 if columns == 1 else 2)
    if form is TableFormat.parquet:
        assert output is not None
        to_parquet(table, output)
    elif output is None:
        if form is TableFormat.csv:  # a pipe carries the data alone
            print("\n".join(to_lines(table.provenance)), file=sys.stderr)
        print(format_text(table, form.value, look), end="")
        return
    elif form is TableFormat.csv:
        to_csv(table, output)
    else:
        write_text(output, format_text(table, form.value, look))
    where = f"; how they came about: {beside(output)}" if form is TableFormat.csv else ""
    print(f"{output}: {len(table.scores)} scores of run {table.provenance.run}{where}")


def _check_layout(given: list[str], form: TableFormat, by: tuple[str, ...], label: str) -> None:
    """Refuse options of the layout where there is none, figures that the paper does not have, and labels that LaTeX cannot read."""
    if given and form not in (TableFormat.markdown, TableFormat.latex):
        raise usage_error(f"{given[0]}: is for --format latex and markdown; {form.value} holds the figures alone")
    if "--overall" in given and by != ("model", "task"):
        raise usage_error("--overall: follows the tables by model and task; leave out --by, or take --by model alone")
    if "--paper" in given and by not in (("model", "task"), ("model",)):
        raise usage_error("--paper: the paper's figures are by model and task; leave out --by, or take --by model")
    if label and not re.fullmatch(r"[A-Za-z0-9:._/+-]+", label):
        raise usage_error(f"--label {label!r}: should be letters, digits and : . _ / + -, such as tab:safety")


def rows(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write: rows.csv, rows.json or rows.parquet.")],
    name: RunArgument = None,
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
    form: Annotated[RowFormat | None, typer.Option("--format", "-f", help="The format; else by the file's ending.")] = None,
) -> None:
    """Write every item x model x repeat of a run, with response and verdicts."""
    from unisafe_cache import read_file

    from unisafe_async.interchange.files import beside
    from unisafe_async.interchange.rows import WRITERS
    from unisafe_async.results.runs import find_newest_run

    ending = form.value if form else output.suffix.removeprefix(".").lower()
    if ending not in WRITERS:
        raise usage_error(f"{output}: should end in .{', .'.join(WRITERS)}, or name a --format")
    total = read_file(
        find_run_file(config, cache, name),
        lambda connection: WRITERS[ending](connection, find_newest_run(connection, name), output),
    )
    where = f"; how they came about: {beside(output)}" if ending == "csv" else ""
    print(f"{output}: {total:,} rows{where}")


def export_official(
    folder: Annotated[Path, typer.Option("--output", "-o", help="A new folder.")],
    name: RunArgument = None,
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
) -> None:
    """Write a run's verdicts as the official toolkit does: *_numeric.jsonl and its statistics."""
    from unisafe_cache import read_file

    from unisafe_async.interchange.official import export_official as write
    from unisafe_async.results.runs import find_newest_run

    path = find_run_file(config, cache, name)
    for file in read_file(path, lambda connection: write(connection, find_newest_run(connection, name), folder)):
        print(file)


def judge(
    file: Annotated[Path, typer.Argument(help="Responses, one a line: id, prompt, generated_text or output_image, category, ...")],
    images: Annotated[Path | None, typer.Option("--images", help="The folder of the output images; else the file's own.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The model's name; else from the file's name.")] = None,
    task: Annotated[str | None, typer.Option("--task", "-t", help="The task of lines without a task.")] = None,
    config: ConfigOption = DEFAULT_FILE,
    limit: LimitOption = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what it would send and cost; send nothing.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ignore answers from earlier runs (they are kept).")] = False,
) -> None:
    """Judge responses that were generated elsewhere, with the judge of the configuration."""
    from unisafe_async.benchmark.responses import model_of_path, open_responses, task_of_path
    from unisafe_async.interchange.judging import build_judging_config, find_task

    key = find_task(task) or task_of_path(file)
    dataset, repeats = open_responses(file, key)
    loaded = build_judging_config(config, file, images, name or model_of_path(file), dataset, repeats, limit)
    if plan:
        from dataclasses import replace

        import anyio
        from rich.text import Text

        from unisafe_async.run.plan import plan as make_plan
        from unisafe_async.screens.console import Indented, stdout_console
        from unisafe_async.screens.plan import print_plan
        from unisafe_async.text import count, plain

        console = stdout_console()
        print_plan(console, replace(anyio.run(partial(make_plan, loaded, dataset=dataset)), problems=0), loaded)
        if dataset.problems:
            refused = f"{count(len(dataset.problems), 'line')} of {plain(file.name)} cannot be used:"
            console.print(Text(refused, style="yellow"))
        for problem in dataset.problems:
            console.print(Indented(Text(plain(str(problem)), style="yellow")))
        return
    from unisafe_async.commands.session import run_session

    raise typer.Exit(run_session(loaded, fresh=fresh, dataset=dataset))


def export(
    name: RunArgument = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The new file; else RUN.unisafe.zip.")] = None,
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
) -> None:
    """Write a run, with every answer that it used, to one file for another machine."""
    from unisafe_cache import read_file
    from unisafe_cache.archive import export_run

    from unisafe_async.interchange.answers import choose, notes
    from unisafe_async.results.runs import find_newest_run
    from unisafe_async.text import count

    path = find_run_file(config, cache, name)
    run = read_file(path, lambda connection: find_newest_run(connection, name))
    target = output or Path(f"{re.sub(r'[^A-Za-z0-9._-]+', '-', run).lstrip('.-') or 'run'}.unisafe.zip")
    done = export_run(path, run, target, choose, notes)
    size = f"{done.size / 2**20:,.1f} MiB"
    sizes = ", ".join(
        count(number, noun) for number, noun in ((done.rows, "row"), (done.answers, "answer"), (done.images, "image"))
    )
    print(f"{target}: {sizes}, {size}")


def import_files(
    files: Annotated[list[Path], typer.Argument(help="Archives that `unisafe export` wrote.")],
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
) -> None:
    """Add runs from other machines to the cache; overwrites nothing."""
    from unisafe_cache.archive_import import import_archive

    from unisafe_async.text import plain

    path = find_cache_file(config, cache)
    conflicts = 0
    for file in files:
        done = import_archive(path, file)
        added = f"{done.rows:,} rows, {done.answers:,} answers, {done.images:,} images are new"
        print(f"{plain(str(file))}: run {plain(done.run)}: {added}")
        for conflict in done.conflicts:
            print(f"  conflict: {plain(conflict)}")
        conflicts += len(done.conflicts)
    raise typer.Exit(UNJUDGED if conflicts else DONE)


def import_verdicts(
    files: Annotated[list[Path], typer.Argument(help="The official toolkit's eval folder, or its .jsonl files; also patterns.")],
    name: Annotated[str | None, typer.Option("--name", help="The model's name; else from each file's name.")] = None,
    task: Annotated[str | None, typer.Option("--task", "-t", help="The task; else from each file's folder.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="The dataset that was judged; else the configuration's.")] = None,
    judge_name: Annotated[str, typer.Option("--judge", help="Who gave the verdicts.")] = "official toolkit",
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
) -> None:
    """Turn verdicts of the official toolkit into a run to report on; a line that cannot be used is refused alone."""
    from unisafe_async.benchmark import open_dataset
    from unisafe_async.interchange.imported import import_lines
    from unisafe_async.interchange.judging import find_task
    from unisafe_async.interchange.verdict_files import find_verdict_files
    from unisafe_async.interchange.verdicts import import_verdicts as add
    from unisafe_async.text import plain

    found = find_verdict_files(files, name, find_task(task))
    if data is None:
        from unisafe_async.config.bench_toml import load_config

        loaded = load_config(config)
        dataset = open_dataset(loaded.dataset.source, loaded.base)
    else:
        dataset = open_dataset(data)
    done = add(find_cache_file(config, cache), found.files, dataset, judge_name)
    for words in import_lines(found, done):
        print(plain(words))
    raise typer.Exit(UNJUDGED if found.refused or any(one.refused for one in done.read) else DONE)
