"""What `compare` finds: two models item by item, the cost of unification, ours beside the paper's figures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import duckdb
from unisafe_cache import CacheError

from unisafe_async.results.comparison import Paired, Unification, backbones, paired
from unisafe_async.results.paper import Published, count_empty_answers, published
from unisafe_async.results.runs import Heading, find_newest_run, find_side, read_heading, resolve_where
from unisafe_async.results.scores import ALL, Where
from unisafe_async.results.served import Served, read_served


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The results of `compare` over the rows `where`: two models, unified models, or models beside the paper.

    `served` tells for each model how its figures came about. `empty` counts empty answers, which count as refusals beside the
    paper's figures.
    """

    headings: tuple[Heading, ...]
    where: Where
    found: Paired | tuple[Unification, ...] | tuple[Published, ...]
    asked: tuple[str, str] | Literal["backbone", "paper"]
    served: tuple[Served, ...] = field(default=())
    empty: int = 0


def read_comparison(
    connection: duckdb.DuckDBPyConnection,
    name: str | None,
    asked: tuple[str, str] | Literal["backbone", "paper"],
    where: Where = ALL,
) -> Comparison:
    """Two models (`MODEL` or `RUN:MODEL`), or the run against backbones or the paper. Raises CacheError for a wrong name."""
    run = find_newest_run(connection, name)
    where = resolve_where(connection, run, where)
    heading = read_heading(connection, run)
    if asked == "backbone":
        unifications = backbones(connection, run, where)
        names = dict.fromkeys(name for one in unifications if one.paired for name in (one.model, one.backbone))
        return Comparison(
            headings=(heading,),
            where=where,
            found=unifications,
            asked=asked,
            served=read_served(connection, [(run, name) for name in names]),
        )
    if asked == "paper":
        beside = published(connection, run, where)
        names = dict.fromkeys(one.model for one in beside)
        served = read_served(connection, [(run, name) for name in names])
        empty = count_empty_answers(connection, run, replace(where, models=tuple(names))) if names else 0
        return Comparison(headings=(heading,), where=where, found=beside, asked=asked, served=served, empty=empty)
    first, second = (find_side(connection, run, side) for side in asked)
    if first == second:
        raise CacheError(f"both sides are {first[1]} of run {first[0]}; name another model, or RUN:MODEL")
    headings = [
        replace(heading, models=(model,), simulated_models=tuple({model} & set(heading.simulated_models)))
        for heading, model in ((read_heading(connection, run), model) for run, model in (first, second))
    ]
    served = read_served(connection, (first, second))
    return Comparison(
        headings=tuple(headings), where=where, found=paired(connection, first, second, where), asked=asked, served=served
    )
