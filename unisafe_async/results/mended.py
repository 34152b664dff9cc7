"""Sentences for plan and report about mended pictures: how many, why, and what that means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import duckdb
from unisafe_providers.mending import STEPS

from unisafe_async.results.scores import ALL, Where
from unisafe_async.text import count

DRAWN = """
SELECT mended, count(DISTINCT digest) FROM images WHERE coalesce(mended, '') <> '' AND digest IN (
    SELECT unnest(images) FROM responses WHERE id IN (SELECT response FROM rows WHERE run = $run AND {chosen})
) GROUP BY mended
"""


def describe_planned(sent: Mapping[str, int], drawn: Mapping[str, int]) -> list[str]:
    """A plan's sentences about the items' pictures and the models' pictures, by kind of mending."""
    lines = [f"{_pictures(sent)} mended, so that every model sees the same: {_describe_steps(sent)}"] if sent else []
    lines += [f"{_pictures(drawn, whose=' that models drew')} mended for the judge: {_describe_steps(drawn)}"] if drawn else []
    return [f"{line}; if they were sent unmended before, they are asked again." for line in lines]


def describe_mended(connection: duckdb.DuckDBPyConnection, run: str, found: object, where: Where = ALL) -> list[str]:
    """A report's sentences about a run whose summary has `found`; none for a run from before pictures were mended."""
    if not isinstance(found, dict):
        return []
    sent = {words: number for words, number in found.items() if isinstance(number, int)}
    drawn = dict(connection.execute(DRAWN.format(chosen=where.sql), {"run": run, **where.parameters}).fetchall())
    lines = [f"{_pictures(sent, 'was', 'were')} sent mended: {_describe_steps(sent)}"] if sent else []
    return [
        *lines,
        *([f"{_pictures(drawn, 'was', 'were', ' that models drew')} judged mended: {_describe_steps(drawn)}"] if drawn else []),
    ]


def _pictures(mended: Mapping[str, int], one: str = "is", several: str = "are", whose: str = "") -> str:
    number = sum(mended.values())
    return f"{count(number, 'picture')}{whose} {one if number == 1 else several}"


def _describe_steps(mended: Mapping[str, int]) -> str:
    """Each kind of mending with its number of pictures; one picture may need several. A stranger's cache may hold any text."""
    steps: Counter[str] = Counter()
    for words, number in mended.items():
        for step in words.split(", "):
            steps[step if step in STEPS else "otherwise"] += number
    return ", ".join(f"{number:,} {step}" for step, number in sorted(steps.items(), key=lambda one: (-one[1], one[0])))
