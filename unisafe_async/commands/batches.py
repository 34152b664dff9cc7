"""`batches`: the batch jobs and the submitted jobs at vendors that a cache knows."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unisafe_async.commands.options import (
    BAD,
    DONE,
    INTERRUPTED,
    UNJUDGED,
    CacheOption,
    ConfigOption,
    JsonOption,
    ask_user,
    find_cache_file,
    print_json,
    usage_error,
)
from unisafe_async.config.default_paths import DEFAULT_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unisafe_cache.batches import BatchRecord
    from unisafe_cache.submitted_jobs import JobRecord

    from unisafe_async.run.batches.vendor_jobs import Look


def batches(
    config: ConfigOption = DEFAULT_FILE,
    cache: CacheOption = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask the vendors about the jobs under way.")] = False,
    cancel: Annotated[
        str | None, typer.Option("--cancel", metavar="ID", help="Cancel this job; `lost`: free all lost jobs.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the batch jobs and the submitted jobs in the cache; nothing is sent without --refresh or --cancel."""
    from unisafe_cache import read_file
    from unisafe_cache.batches import list_batches as all_batches
    from unisafe_cache.submitted_jobs import list_jobs

    if refresh and cancel is not None:
        raise usage_error("say either --refresh or --cancel ID")
    if as_json and cancel is not None:
        raise usage_error("--json goes with the list of jobs, not with --cancel")
    path = find_cache_file(config, cache)
    jobs, submitted = read_file(path, lambda connection: (all_batches(connection), list_jobs(connection)))
    if cancel is not None:
        if chosen := _find_submitted(submitted, cancel, jobs):
            raise typer.Exit(_free(path, chosen, _name_submitted(config, chosen), yes=yes))
        raise typer.Exit(_cancel(config, path, _find_job(jobs, cancel), yes=yes))
    looks: dict[BatchRecord, Look] = {}
    if refresh:
        import anyio

        from unisafe_async.config.bench_toml import load_config
        from unisafe_async.run.batches.vendor_jobs import look_at

        looks = anyio.run(look_at, load_config(config), path, [job for job in jobs if job.open])
    (_print_json if as_json else _print)(config, jobs, looks, submitted)
    raise typer.Exit(UNJUDGED if any(look.failed for look in looks.values()) else DONE)


def _print(config: Path, jobs: Sequence[BatchRecord], looks: Mapping[BatchRecord, Look], submitted: Sequence[JobRecord]) -> None:
    from unisafe_async.screens.batch_jobs import print_batches
    from unisafe_async.screens.console import stdout_console
    from unisafe_async.screens.submitted_jobs import print_submitted

    console = stdout_console()
    if jobs or not submitted:
        print_batches(console, jobs, looks, _read_names(config) if jobs else {})
    if submitted:
        print_submitted(console, submitted, _name_submitted(config, submitted))


def _print_json(
    config: Path, jobs: Sequence[BatchRecord], looks: Mapping[BatchRecord, Look], submitted: Sequence[JobRecord]
) -> None:
    from unisafe_async.interchange.command_json import build_jobs_json
    from unisafe_async.screens.batch_jobs import describe_identity, look_words

    names = (_read_names(config) if jobs else {}) | _name_submitted(config, submitted)
    identities = {*(job.identity for job in jobs), *(job.identity for job in submitted)}
    called = {identity: names.get(identity) or describe_identity(identity) for identity in identities}
    words = {job.id: " ".join(look_words(look).split()) for job, look in looks.items()}
    print_json(build_jobs_json(jobs, submitted, called, words))


def _read_names(config: Path) -> dict[str, str]:
    """The models of the configuration by identity; empty if it cannot be read, because the list is printed without it too."""
    from unisafe_providers.base import Misconfigured

    from unisafe_async.config.bench_toml import ConfigError, load_config
    from unisafe_async.run.batches.vendor_jobs import build_batch_endpoint

    try:
        loaded = load_config(config)
    except ConfigError:
        return {}
    names: dict[str, str] = {}
    for model in loaded.models:
        if model.spec.batches:
            with suppress(ConfigError, Misconfigured):
                names.setdefault(build_batch_endpoint(loaded, model).provider.identity, model.name)
    return names


def _name_submitted(config: Path, jobs: Sequence[JobRecord]) -> dict[str, str]:
    """The configuration's names of the models that submitted the jobs, by identity; empty if it cannot be read."""
    from unisafe_async.config.bench_toml import ConfigError, load_config
    from unisafe_async.run.submitted_jobs import read_models

    try:
        return read_models(load_config(config), jobs)
    except ConfigError:
        return {}


def _find_submitted(jobs: Sequence[JobRecord], name: str, batches: Sequence[BatchRecord]) -> list[JobRecord]:
    """The submitted job with this name or this beginning of a name, or all lost jobs; empty if it may be a batch job.

    Raises UsageError if several have it.
    """
    from unisafe_async.run.submitted_jobs import name_of

    if name == "lost":
        found = [job for job in jobs if job.state == "lost"]
        if not found:
            raise usage_error("--cancel lost: no submitted job is lost; `unisafe batches` lists them")
        return found
    if not name or any(job.id.startswith(name) for job in batches):
        return []
    found = [job for job in jobs if name_of(job) == name] or [job for job in jobs if name_of(job).startswith(name)]
    if len(found) > 1:
        raise usage_error(f"--cancel: {len(found)} submitted jobs begin with {name!r}: {', '.join(map(name_of, found[:5]))}")
    return found


def _free(cache: Path, jobs: Sequence[JobRecord], names: Mapping[str, str], *, yes: bool) -> int:
    """Ask the user, and free the requests of submitted jobs to be paid for again."""
    import anyio
    from rich.text import Text

    from unisafe_async.run.submitted_jobs import free
    from unisafe_async.screens.console import stdout_console
    from unisafe_async.screens.submitted_jobs import describe_job
    from unisafe_async.text import count, plain

    console = stdout_console()
    for job in jobs:
        console.print(Text(plain(describe_job(job, names))))
    console.print(Text("The vendor took and charges it: the next run pays for the request a second time."))
    if not yes and not ask_user("Free its request?" if len(jobs) == 1 else f"Free these {len(jobs)} requests?"):
        return BAD
    console.print(Text(f"{count(anyio.run(free, cache, jobs), 'request')} free to be submitted again"))
    return DONE


def _find_job(jobs: Sequence[BatchRecord], name: str) -> BatchRecord:
    """The job under way with this name or this beginning of a name. Raises UsageError."""

    found = [job for job in jobs if job.id == name] or [job for job in jobs if name and job.id.startswith(name)]
    if not found:
        raise usage_error(f"--cancel: the cache knows no job {name!r}; `unisafe batches` lists them")
    waiting = [job for job in found if job.open]
    if not waiting:
        raise usage_error(f"--cancel: the job {found[0].id} is over ({found[0].status}): nothing is left to cancel")
    if len(waiting) > 1:
        raise usage_error(f"--cancel: {len(waiting)} jobs begin with {name!r}: {', '.join(job.id for job in waiting[:5])}")
    return waiting[0]


def _cancel(config: Path, cache: Path, job: BatchRecord, *, yes: bool) -> int:
    import anyio
    from rich.text import Text

    from unisafe_async.config.bench_toml import load_config
    from unisafe_async.run.batches.vendor_jobs import cancel
    from unisafe_async.screens.batch_jobs import look_words
    from unisafe_async.screens.console import stdout_console
    from unisafe_async.text import count, plain

    console = stdout_console()

    def say(words: str) -> None:
        console.print(Text(plain(words)))

    def sure(model: str, look: Look) -> bool:
        say(f"{model}, {count(len(job.keys), 'request')}: {', '.join(look_words(look).splitlines())}")
        if look.status is None:
            say("We do not know whether the vendor has this job: if it has, you pay for its requests a second time.")
            return yes or ask_user("Free its requests?")
        say("Answers until then are paid for and kept; the other requests may then be sent again.")
        return yes or ask_user("Cancel it?")

    try:
        freed = anyio.run(cancel, load_config(config), cache, job, sure, say)
    except KeyboardInterrupt:
        say(f"\nstopped; `unisafe batches --cancel {job.id}` again, or the next `unisafe run`, takes its answers")
        return INTERRUPTED
    if freed is None:
        return BAD
    say(f"{count(freed.answered, 'answer')} in the cache; {count(freed.free, 'request')} free to be sent again")
    return DONE
