"""Finds the last run that the same judge judged: if its rubrics were different, its verdicts no longer count."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
from unisafe_cache.run_shapes import Judge, read_judge

from unisafe_async.results.comparison import judge_key
from unisafe_async.results.stored_run import StoredRun

RUNS = """
SELECT run, config, rubrics_digest FROM runs
WHERE rubrics_digest <> '' AND EXISTS (SELECT 1 FROM rows WHERE rows.run = runs.run AND contextual_status = 'judged')
ORDER BY started DESC, run DESC
"""
LATER = """
SELECT run, config, rubrics_digest FROM runs
WHERE started > (SELECT started FROM runs WHERE run = ?) AND rubrics_digest <> '' ORDER BY started DESC, run DESC
"""


@dataclass(frozen=True, slots=True)
class Before:
    """A run, and the digest of the rubrics that judged it."""

    run: str
    rubrics: str

    def explain_change(self, rubrics: str) -> str:
        """Why the judge is asked again, if `rubrics` (a digest) differ from those of this run; else empty."""
        if rubrics == self.rubrics:
            return ""
        return (
            f"The rubrics have changed since run {self.run}: the judge is asked, and paid, again for every answer; "
            "models' answers come from the cache"
        )


def find_judged_before(connection: duckdb.DuckDBPyConnection, config: str) -> Before | None:
    """The newest run with verdicts by the judges that `config` (JSON, as it would be stored) names; None where there is none."""
    judge = read_judge(config)
    return _find_same_judge(connection.execute(RUNS).fetchall(), judge) if judge else None


def find_judged_since(connection: duckdb.DuckDBPyConnection, stored: StoredRun) -> Before | None:
    """As `find_judged_before`, among the judges of a run and of the runs that started later."""
    return _find_same_judge(connection.execute(LATER, [stored.run]).fetchall(), stored.config.judge)


def _find_same_judge(runs: list[tuple[str, str, str]], judge: Judge) -> Before | None:
    key = judge_key(judge)
    same = (Before(run, rubrics) for run, config, rubrics in runs if _key_of(config) == key)
    return next(same, None)


def _key_of(config: str) -> str:
    """The judges in a stored configuration; empty if it cannot be read."""
    judge = read_judge(config)
    return judge_key(judge) if judge else ""
