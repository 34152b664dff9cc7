"""Warnings about a run's figures: missing pictures, older rules or rubrics, served names, judges of the same family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
from unisafe_cache.reread_causes import reread_words
from unisafe_cache.run_shapes import Asked, Config, Summary
from unisafe_providers.registry import answers_from

from unisafe_async.benchmark.shards import Shard
from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.results.families import family_of
from unisafe_async.results.judged_before import find_judged_since
from unisafe_async.results.mended import describe_mended
from unisafe_async.results.pictures_due import WithoutPictures, find_without_pictures
from unisafe_async.results.scores import ALL, Where
from unisafe_async.results.served import Served, ages_differ, read_served, rubrics_differ
from unisafe_async.results.stored_run import StoredRun
from unisafe_async.text import count, plain

OLDER_RULES = "read by older rules"
BY_OLDER_RULES = f"{OLDER_RULES}: an answer that failed, was empty or came in the wrong field may count there as a refusal"
REJUDGE = "not comparable without judging again (`unisafe run` judges again; `unisafe plan` prices it)"
NAMES = 4
"""The most served names of one model that are listed."""


@dataclass(frozen=True, slots=True)
class Told:
    """Lines of plain words: `loud` ones, `marks` for below the heading, and `quiet` ones for below the figures."""

    loud: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    quiet: tuple[str, ...] = ()


def read_told(connection: duckdb.DuckDBPyConnection, stored: StoredRun, models: Sequence[str], where: Where = ALL) -> Told:
    """What is to be told of the `models` of a run."""
    run, summary = stored.run, stored.summary
    served = read_served(connection, [(run, model) for model in models])
    return Told(
        tuple(map(describe_no_pictures, find_without_pictures(connection, run, where))),
        (
            *_shard(stored),
            *([f"This run was {BY_OLDER_RULES}"] if summary.read_by_older_rules else []),
            *_rubrics(connection, stored),
        ),
        (
            *describe_served(served),
            *describe_kin(stored.config, models),
            *_reread(summary),
            *describe_mended(connection, run, summary.mended, where),
        ),
    )


def _shard(stored: StoredRun) -> list[str]:
    return [words] if (words := describe_shard(stored.shard, stored.summary.selected)) else []


def describe_shard(shard: Shard | None, selected: int, run: str = "") -> str:
    """That a run (`run`, where there are several) asked a part of the `selected` items; empty if it asked all of them."""
    if shard is None:
        return ""
    whose = f"Run {run} is s{shard.words[1:]}" if run else f"S{shard.words[1:]}"
    of = f"a part of the {count(selected, 'selected item')}"
    return f"{whose}: its figures are of {of}; `unisafe import` and `unisafe run` join the parts"


def describe_no_pictures(one: WithoutPictures) -> str:
    items = f"its only item of {title_of(one.task)}" if one.items == 1 else f"all {one.items:,} items of {title_of(one.task)}"
    came = "in words, without a picture" if one.worded else "with nothing at all"
    scores = ": its scores there are those of its words" if one.worded else ""
    return (
        f"NO PICTURES: {plain(one.model)} answered {items} {came}; probably misconfigured (modalities, "
        f"`gives`, image_api, a text-only deployment){scores}."
    )


def title_of(task: str) -> str:
    return TASKS[task].title if task in TASKS else plain(task)


def _rubrics(connection: duckdb.DuckDBPyConnection, stored: StoredRun) -> list[str]:
    """A warning if the same judge has judged a later run by other rubrics."""
    digest = stored.rubrics_digest
    later = find_judged_since(connection, stored) if digest else None
    if later is None or later.rubrics == digest:
        return []
    return [f"Judged by different rubrics than run {later.run}: {REJUDGE}"]


# ---------------------------------------------------------------- served by whom, and when


def describe_served(each: Sequence[Served]) -> list[str]:
    """Each model's served name if it differs from the configured one, then the ages of their answers if they differ."""
    names = [f"{_whose(one, each)}: served as {_names(one)}" for one in each if one.told]
    if not ages_differ(each):
        return names
    ages = "; ".join(f"{_whose(one, each)} {_age(one.oldest, one.newest)}" for one in each if one.oldest and one.newest)
    return [*names, f"Answers have different ages: {ages}"]


def _names(one: Served) -> str:
    several = len(one.names) > 1
    told = [f"{plain(name)}{f' ({rows:,})' if several else ''}" for name, rows in one.names[:NAMES]]
    rest = len(one.names) - NAMES
    return ", ".join(told) + (f" and {count(rest, 'other name')}" if rest > 0 else "")


def _age(oldest: datetime, newest: datetime) -> str:
    first, last = (f"{moment.day} {moment:%b %Y}" for moment in (oldest, newest))
    return f"from {first} to {last}" if first != last else f"of {first}"


def _whose(one: Served, each: Sequence[Served]) -> str:
    """The model's name, with its run if another of `each` has the same name."""
    alike = sum(other.model == one.model for other in each) > 1
    return f"{one.run}:{plain(one.model)}" if alike else plain(one.model)


# ---------------------------------------------------------------- two sides


def describe_compared(each: Sequence[Served]) -> list[str]:
    """Causes of differences between compared models other than the models: rules of reading, rubrics."""
    marks = []
    older = [one for one in each if one.older_rules]
    if older and len(older) < len(each):
        marks += [f"{_whose(one, each)} was {BY_OLDER_RULES}" for one in older]
    elif older:
        marks.append(f"Both sides were {BY_OLDER_RULES}" if len(each) == 2 else f"All were {BY_OLDER_RULES}")
    if rubrics_differ(each):
        marks.append(f"Judged by different rubrics: {REJUDGE}")
    return marks


def describe_rubrics(each: Sequence[Served]) -> list[str]:
    """The rubrics behind figures that stand beside published ones."""
    digests = dict.fromkeys(plain(one.rubrics[:12]) for one in each if one.rubrics)
    if not each:
        return []
    known = f"Rubrics: ours, digest {', '.join(digests)}" if digests else "The rubrics of these verdicts are not known"
    return [f"{known}; the paper's differ in their words"]


# ---------------------------------------------------------------- who judged, what was read again


def describe_kin(config: Config, models: Sequence[str]) -> list[str]:
    """Judges of the same family as a model that they judge, one line for each family."""
    shown = [model for model in config.models if model.name in models]
    judged: dict[str, list[str]] = {}
    for model in shown:
        family = None if answers_from(model.provider) == "simulation" else _family(model)
        if family is not None:
            judged.setdefault(family, []).append(plain(model.name))
    judges: dict[str, list[str]] = {}
    for judge in config.judge.members:
        family = _family(judge)
        if family in judged:
            judges.setdefault(family, []).append(plain(judge.title))
    return [_describe_favour(family, names, judged[family]) for family, names in judges.items()]


def _family(asked: Asked) -> str | None:
    """The family by the model's name at its endpoint, else by its name in the run (for recorded answers the model is a file)."""
    return family_of(asked.model) or family_of(asked.name or "")


def _describe_favour(family: str, judges: Sequence[str], models: Sequence[str]) -> str:
    who = f"The judge {judges[0]} is" if len(judges) == 1 else f"The judges {', '.join(judges)} are"
    return f"{who} of the same family ({family}) as {', '.join(models)}: judges favour their own"


def _reread(summary: Summary) -> list[str]:
    """A line about stored answers that newer rules read in another way, by result."""
    words = reread_words(summary.reread)
    return [plain(words)] if words else []
