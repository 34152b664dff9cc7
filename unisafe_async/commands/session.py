"""A run as a user sees it in a terminal: progress, Ctrl-C once and twice, and the report at the end."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import to_thread
from rich.console import Console
from rich.text import Text
from unisafe_cache import CacheError, read_file

from unisafe_async.benchmark import Dataset
from unisafe_async.commands.options import print_json
from unisafe_async.config.bench_toml import Config
from unisafe_async.errors import UsageError
from unisafe_async.interchange.command_json import build_report_json
from unisafe_async.library import Result, evaluate
from unisafe_async.results.bill import source_of
from unisafe_async.results.coverage import describe_coverage
from unisafe_async.results.judged_before import Before, find_judged_before
from unisafe_async.results.report import Report, read_report
from unisafe_async.run.evaluation import Run, unwrap_error
from unisafe_async.screens.commands import describe_commands
from unisafe_async.screens.console import stdout_console
from unisafe_async.screens.progress import Progress
from unisafe_async.screens.report import print_report
from unisafe_async.screens.waiting import show_waiting
from unisafe_async.signals import HANGUP, stop_signals
from unisafe_async.text import count, plain

if TYPE_CHECKING:
    from unisafe_async.run.diagnosis import CheckedEndpoint, Diagnosis
    from unisafe_async.simulate import Simulator

T = TypeVar("T")
log = logging.getLogger(__name__)
DONE, UNJUDGED, INTERRUPTED = 0, 1, 130


def run_loop(main: Callable[[], Awaitable[T]]) -> T:
    """anyio.run on uvloop where it is installed, with rarer garbage collections (15% of the CPU: calls leave few cycles)."""
    options = {"use_uvloop": find_spec("uvloop") is not None}
    before = gc.get_threshold()
    gc.set_threshold(20_000, 20, 50)
    try:
        return anyio.run(main, backend_options=options)
    finally:
        gc.set_threshold(*before)


def run_session(
    config: Config, *, fresh: bool = False, dataset: Dataset | None = None, quiet: bool = False, as_json: bool = False
) -> int:
    """Run, show, report; returns the exit code. `dataset` replaces the one that `config` names.

    `quiet` shows no progress, and of the report only what was not measured; `as_json` prints the report as JSON, and all else on
    standard error.
    """
    console = Console(stderr=True, quiet=quiet) if as_json or quiet else stdout_console()
    before = find_last_judged(config)
    try:
        result = run_loop(partial(_run_watched, console, config, fresh, dataset, before))
    except BaseExceptionGroup as group:
        raise unwrap_error(group) from None
    if result is None:
        console.print(Text("\nStopped at once; all answers are kept: `unisafe run` again continues from here."))
        return INTERRUPTED
    report = read_file(result.cache, lambda connection: read_report(connection, result.run))
    log.info("run %s: %s", result.run, result.status, extra={"event": "run", "run": result.run, "status": result.status})
    if as_json:
        print_json(build_report_json(report))
    elif quiet:
        _say_unmeasured(report)
    else:
        print_report(console, report)
    if result.waiting:
        words = f"{count(result.waiting, 'request')} in batch jobs under way at the vendor: `unisafe run` again collects them."
        console.print(Text(words, style="yellow"))
    if result.status == "interrupted":
        return INTERRUPTED
    return UNJUDGED if report.unjudged or report.bill.problems or result.without_pictures else DONE


def _say_unmeasured(report: Report) -> None:
    """Print what a quiet run may not hide, on standard error; nothing if everything was measured."""
    if report.unjudged or report.told.loud or report.stopped:
        for line in (*report.told.loud, *describe_coverage(report.coverage, report.planned, report.bill)):
            print(line, file=sys.stderr)


def find_last_judged(config: Config) -> Before | None:
    """The run in the cache that the judges of `config` judged last; None if there is no readable cache yet."""
    if not os.path.exists(config.cache_path):
        return None
    stored = config.model_dump_json()
    try:
        return read_file(
            config.cache_path, lambda connection: find_judged_before(connection, stored), timeout=config.cache.patience_s
        )
    except CacheError:
        return None  # the run itself says what is wrong with it


async def _run_watched(
    console: Console, config: Config, fresh: bool, dataset: Dataset | None, before: Before | None
) -> Result | None:
    """The run with its progress; None when it was cancelled by a second Ctrl-C."""
    result: Result | None = None
    async with anyio.create_task_group() as group:

        def note_start(run: Run) -> None:
            trusted = [
                section.model
                for section in [*config.models, *(section for _, section in config.judge.sections)]
                if section.runs_code
            ]
            if trusted:
                words = ", ".join(map(plain, trusted))
                console.print(Text(f"trust_remote_code is on: code that comes with {words} runs on this machine", style="yellow"))
            for line in describe_commands(config):
                console.print(Text(line, style="yellow"))
            if before is not None and (words := before.explain_change(run.panel.rubric.rubrics.digest)):
                console.print(Text(words, style="yellow"))
            if words := run.dataset.part:
                console.print(Text(f"{words}.", style="yellow"))
            problems = run.dataset.problems
            for problem in problems[:5]:
                console.print(Text(f"refused: {plain(str(problem))}", style="yellow"))
            if len(problems) > 5:
                source = source_of(config.dataset.source, ((model.provider, model.model) for model in config.models))
                console.print(Text(f"and {count(len(problems) - 5, 'more line')}: {source.listing} lists them", style="yellow"))
            group.start_soon(Progress(console, run).show)
            group.start_soon(_stop_on_signal, console, run, group.cancel_scope)

        result = await evaluate(config, dataset=dataset, fresh=fresh, on_start=note_start)
        group.cancel_scope.cancel()
    return result


async def _stop_on_signal(console: Console, run: Run, scope: anyio.CancelScope) -> None:
    """The first signal drains, the second stops at once, unless it is SIGHUP: a closing terminal sends several."""
    with anyio.open_signal_receiver(*stop_signals()) as signals:
        async for number in signals:
            if run.gateway.draining:
                if number == HANGUP:
                    continue
                scope.cancel()
                return
            run.drain()
            console.print(Text("stopping: calls under way are finished and kept; Ctrl-C again stops at once", style="yellow"))
            if any(lane.jobs_open for lane in run.lanes):
                console.print(Text("batch jobs go on at the vendor; the next run collects them", style="yellow"))


def simulate_session(simulator: Simulator, host: str, port: int) -> None:
    """Serve until Ctrl-C."""
    from unisafe_async.simulate import open_server

    async def serve() -> None:
        with anyio.open_signal_receiver(*stop_signals()) as signals:
            async with open_server(simulator, host, port) as url:
                root = url.removesuffix("/v1")
                print(f"simulated models at {url}: {', '.join(simulator.models)}; counts at {root}/stats", flush=True)
                print(
                    f"as other vendors serve them: azure {root}/openai/v1, anthropic {root}/anthropic/v1, gemini {root}/v1beta",
                    flush=True,
                )
                async for _ in signals:
                    return

    try:
        run_loop(serve)
    except OSError as error:
        raise UsageError(f"cannot serve on {host}:{port}: {error.strerror or error}; name another --host or --port") from None
    except UnicodeError:
        raise UsageError(f"--host {host}: is no name of a host") from None


def doctor_session(
    config: Config, pays: Callable[[list[CheckedEndpoint]], bool], *, record: bool = False
) -> tuple[Diagnosis, list[CheckedEndpoint]]:
    """Make the free checks and, if `pays` allows it for these, one tiny call of each kind.

    Returns what was found about the dataset and about each endpoint; with `record` also the exchanges with the endpoints.
    """
    from unisafe_async.run.doctor import examine, look_at_dataset
    from unisafe_async.run.evaluation import judges_of
    from unisafe_async.run.probing import try_calls

    async def look() -> tuple[Diagnosis, list[CheckedEndpoint]]:
        dataset = await to_thread.run_sync(look_at_dataset, config)
        async with examine(config, judges_of(config), record=record) as checked_endpoints:
            if pays(checked_endpoints):
                asked = [(one.name, one.endpoint.provider) for one in checked_endpoints if one.endpoint is not None]
                async with show_waiting(stdout_console(), lambda: asked):
                    await try_calls(checked_endpoints)
            return dataset, checked_endpoints

    try:
        return run_loop(look)
    except BaseExceptionGroup as group:
        raise unwrap_error(group) from None
