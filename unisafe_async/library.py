"""The package as a library: `evaluate` and `load`, and the Result of both, a run and the way to its rows and scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import duckdb
from unisafe_cache import CacheError, Row, read_file
from unisafe_cache.batches import open_batches
from unisafe_cache.columns import build_record

from unisafe_async.benchmark import Dataset
from unisafe_async.config.bench_toml import Config, load_config
from unisafe_async.config.default_paths import DEFAULT_CACHE
from unisafe_async.gateway import Clock
from unisafe_async.notebook import check_asyncio, show_progress, warn_to_await
from unisafe_async.results.pictures_due import WithoutPictures, find_without_pictures
from unisafe_async.results.provenance import read_provenance
from unisafe_async.results.runs import find_newest_run
from unisafe_async.results.scores import Coverage, Score, coverage, scores
from unisafe_async.run.evaluation import Run, run_evaluation
from unisafe_async.screens.notebook import build_result_html

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")
BY = ("model", "task")


@dataclass(frozen=True, repr=False, kw_only=True)
class Result:
    """A run and the way to its rows.

    Attributes:
        run: its name, for `unisafe report RUN`.
        status: `done`, `interrupted` or `stopped`; `running` for a loaded run that is still under way.
        cache: the file its rows are in.
        unjudged: trials (item x model x repeat) without both verdicts.
        waiting: requests in batch jobs that are still under way; the next run collects them.
    """

    run: str
    status: str
    cache: Path
    unjudged: int
    waiting: int = 0

    def query(self, job: Callable[[duckdb.DuckDBPyConnection], list[T]]) -> list[T]:
        """Run `job` on the cache, read-only."""
        return read_file(self.cache, job)

    def rows(self) -> list[Row]:
        """Every row, in the order of item, model and repeat."""
        sql = "SELECT * FROM rows WHERE run = ? ORDER BY item, model, sample"
        return self.query(lambda connection: [build_record(Row, row) for row in connection.execute(sql, [self.run]).fetchall()])

    def scores(self, *by: str) -> list[Score]:
        """The scores by any of model, task, category and subcategory (default: model and task)."""
        return self.query(lambda connection: scores(connection, self.run, by or BY))

    def coverage(self) -> list[Coverage]:
        """The outcomes of all rows, model by model."""
        return self.query(lambda connection: coverage(connection, self.run))

    @property
    def without_pictures(self) -> list[WithoutPictures]:
        """Models that answered but gave no picture at all in a task that asks for pictures: probably misconfigured."""
        return self.query(lambda connection: find_without_pictures(connection, self.run))

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for each item x model x repeat: the columns of `unisafe rows`, the prompt, and verdicts as words.

        `prompt` and `asked_images` (digests) were sent, `response` and `images` came back. `contextual` and `intrinsic` are
        `unsafe`, `safe` or `refusal`, and missing if there is no verdict. `cost` is in US dollars.

        Raises ImportError where pandas is not installed.
        """
        from unisafe_async.interchange.dataframes import build_rows_frame

        return read_file(self.cache, lambda connection: build_rows_frame(connection, self.run))

    def scores_dataframe(self, *by: str) -> pandas.DataFrame:
        """One row for each score: the columns of `unisafe tables --ci`, by any of model, task, category and subcategory.

        Shares and the ends of their 95% intervals lie between 0 and 1 (`c_u`, `c_u_low`, `c_u_high`, ...); they count the `valid`
        items among `items`. Raises ImportError if pandas is not installed.
        """
        from unisafe_async.interchange.dataframes import build_scores_frame

        return read_file(self.cache, lambda connection: build_scores_frame(connection, self.run, by or BY))

    def __repr__(self) -> str:
        left = f", {self.unjudged:,} unjudged" if self.unjudged else ", all judged"
        waits = f", {self.waiting:,} requests in batch jobs under way" if self.waiting else ""
        return f"<Result of run {self.run} in {self.cache}: {self.status}{left}{waits}>"

    def _repr_html_(self) -> str | None:
        """The display in a notebook: the models' scores and their warnings; None if the cache cannot be read."""
        try:
            return build_result_html(self.cache, self.run)
        except CacheError:
            return None


def load(run: str | None = None, *, cache: Path | str = DEFAULT_CACHE) -> Result:
    """An earlier run: the one whose name begins with `run`, or the newest.

    Raises CacheError if there is no such run, or no such file.
    """
    path = Path(cache).expanduser().absolute()
    return read_file(path, lambda connection: _load(connection, path, run))


def _load(connection: duckdb.DuckDBPyConnection, path: Path, name: str | None) -> Result:
    record = read_provenance(connection, find_newest_run(connection, name))
    jobs = [job for identity in {party.identity for party in record.models} for job in open_batches(connection, identity)]
    waiting = sum(len(job.keys) for job in jobs)
    return Result(run=record.run, status=record.status, cache=path, unjudged=record.rows - record.judged, waiting=waiting)


@warn_to_await
async def evaluate(
    config: Config | Path | str,
    *,
    dataset: Dataset | None = None,
    fresh: bool = False,
    on_start: Callable[[Run], None] | None = None,
    on_row: Callable[[Row], None] | None = None,
    clock: Clock | None = None,
    progress: bool | None = None,
) -> Result:
    """Evaluate the models of `config` and return when every row is on disk.

    Args:
        config: a Config, or the path of a bench.toml.
        dataset: items to use instead of those that `config` names.
        fresh: ignore answers from earlier runs (they are kept).
        on_start: called with the Run before anything is sent; its `drain()` ends the run early without losing anything.
        on_row: called with each row once it is on disk.
        clock: the clock for waits between calls; None for the machine's.
        progress: whether to show the run's progress, in a notebook or on standard error; None shows it in a notebook only.

    Raises ConfigError, DatasetError or CacheError with what to change, and RuntimeError if the loop is not asyncio's. Failures of
    a provider are in the rows and are not raised.
    """
    check_asyncio()
    if not isinstance(config, Config):
        config = load_config(Path(config))
    run = await run_evaluation(
        config,
        dataset=dataset,
        fresh=fresh,
        on_start=on_start,
        on_row=on_row,
        clock=clock,
        show=partial(show_progress, wanted=progress),
    )
    return Result(
        run=run.name,
        status=run.status,
        cache=run.config.cache_path,
        unjudged=run.unjudged,
        waiting=sum(lane.requests_open for lane in run.lanes),
    )
