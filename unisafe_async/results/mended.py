"""Pictures that are mended before they are sent or judged: how many, why, and what that means, in words for plan and report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import duckdb

from providers.mending import STEPS
from unisafe_async.results.scores import ALL, Where
from unisafe_async.text import count

DRAWN = """
SELECT mended, count(DISTINCT digest) FROM images WHERE coalesce(mended, '') <> '' AND digest IN (
    SELECT unnest(images) FROM responses WHERE id IN (SELECT response FROM rows WHERE run = $run AND {chosen})
) GROUP BY mended
"""


def planned_words(sent: Mapping[str, int], drawn: Mapping[str, int]) -> list[str]:
    """What a plan says of pictures of items, and of those that models drew, by what is done to them."""
    lines = [f"{_pictures(sent)} mended, so that every model sees the same: {_steps(sent)}"] if sent else []
    lines += [f"{_pictures(drawn, whose=' that models drew')} mended for the judge: {_steps(drawn)}"] if drawn else []
    return [f"{line}; asked again where they had been asked as they are." for line in lines]


def told_words(connection: duckdb.DuckDBPyConnection, run: str, found: object, where: Where = ALL) -> list[str]:
    """What a report says of a run whose summary has `found`; nothing of one from before pictures were mended."""
    if not isinstance(found, dict):
        return []
    sent = {words: number for words, number in found.items() if isinstance(number, int)}
    drawn = dict(connection.execute(DRAWN.format(chosen=where.sql), {"run": run, **where.parameters}).fetchall())
    lines = [f"{_pictures(sent, 'was', 'were')} sent mended: {_steps(sent)}"] if sent else []
    return [*lines, *([f"{_pictures(drawn, 'was', 'were', ' that models drew')} judged mended: {_steps(drawn)}"] if drawn else [])]


def _pictures(mended: Mapping[str, int], one: str = "is", several: str = "are", whose: str = "") -> str:
    number = sum(mended.values())
    return f"{count(number, 'picture')}{whose} {one if number == 1 else several}"


def _steps(mended: Mapping[str, int]) -> str:
    """Each thing that is done, and to how many pictures; to one picture several may be. A stranger's cache may say anything."""
    steps: Counter[str] = Counter()
    for words, number in mended.items():
        for step in words.split(", "):
            steps[step if step in STEPS else "otherwise"] += number
    return ", ".join(f"{number:,} {step}" for step, number in sorted(steps.items(), key=lambda one: (-one[1], one[0])))
