"""What commands say with `--json`: one object each, whose keys docs/json.md describes; scripts read it, so keys are only added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from unisafe_cache.batches import BatchRecord
from unisafe_cache.submitted_jobs import JobRecord
from unisafe_providers.registry import answers_from

from unisafe_async.config.secret_words import hide_in_text
from unisafe_async.results.compared import Comparison
from unisafe_async.results.comparison import Difference, Paired, Side, Unification
from unisafe_async.results.listing import ListedRun
from unisafe_async.results.paper import Published
from unisafe_async.results.report import Report
from unisafe_async.results.scores import Coverage, Score
from unisafe_async.run.diagnosis import Diagnosis
from unisafe_async.run.plan import Need, Plan
from unisafe_async.run.submitted_jobs import name_of

FORMAT = 1
Json = dict[str, Any]


def write_json(content: Json) -> str:
    """The object as text for standard output."""
    return orjson.dumps({"format": FORMAT, **content}, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode()


# ---------------------------------------------------------------- a run's report


def build_report_json(report: Report) -> Json:
    """`unisafe report --json`, and what `unisafe run --json` says at its end."""
    known = {one.model: one for one in report.coverage}
    return {
        "run": report.run,
        "called": report.called,
        "status": report.status,
        "dataset": report.dataset,
        "judge": report.judge,
        "simulated": list(report.simulated_models),
        "simulated_judge": report.simulated_judge,
        "models": [
            {
                "model": model,
                "planned": report.planned[model],
                "coverage": _build_coverage(known.get(model, Coverage.none(model))),
                "overall": _build_score(report.by_model.get((model,))),
                "tasks": {
                    key[1]: _build_score(score) for key, score in report.by_task.items() if key[0] == model and score is not None
                },
                "stopped": report.stopped.get(model, ""),
                "notes": report.notes.get(model, []),
            }
            for model in report.models
        ],
        "by": report.dimension,
        "cells": [{"key": list(score.key), **_build_score(score)} for score in report.by.values()],
        "unjudged": report.unjudged,
        "causes": [{"rows": one.rows, "what": one.title, "do": one.advice, "show": one.show} for one in report.causes],
        "total": report.bill.total,
        "cost": report.bill.cost,
        "unpriced": report.bill.unpriced,
        "estimated": report.bill.estimated,
        "seconds": report.bill.seconds,
        "refused_lines": report.bill.problems,
        "warnings": [*report.told.loud, *report.told.marks, *report.told.quiet],
    }


def _build_score(score: Score | None) -> Json:
    """Shares in percent with their intervals; no shares where no item is valid."""
    if score is None:
        return {"items": 0, "valid": 0, "scores": {}}
    shares = {
        name: {"value": 100 * share.value, "low": 100 * share.low, "high": 100 * share.high} for name, share in score.shares.items()
    }
    return {"items": score.items, "valid": score.valid, "blocked": score.stopped, "scores": shares}


def _build_coverage(one: Coverage) -> Json:
    return {
        "rows": one.rows,
        "judged": one.judged,
        "blocked": one.blocked,
        "refused": one.refused,
        "judge_blocked": one.judge_blocked,
        "not_understood": one.unparsed,
        "judge_failed": one.judge_failed,
        "tied": one.tied,
        "absent": one.absent,
        "nothing": one.nothing,
        "failed": one.failed,
        "cached": one.cached,
    }


# ---------------------------------------------------------------- a plan


def build_plan_json(plan: Plan) -> Json:
    """`unisafe plan --json`; costs are US dollars, null where a price is not known."""
    return {
        "models": [_build_need(need) for need in plan.models],
        "judges": [_build_need(need) for need in plan.judges],
        "calls": sum(need.calls for need in (*plan.models, *plan.judges)),
        "cost": plan.cost,
        "seconds": plan.seconds,
        "unable": dict(plan.unable),
        "unset": list(plan.unset),
        "weights": {name: list(told) for name, told in plan.weights.items()},
        "refused_lines": plan.problems,
        "shard": plan.shard,
    }


def _build_need(need: Need) -> Json:
    return {
        "name": need.name,
        "calls": need.calls,
        "cached": need.cached,
        "under_way": need.under_way,
        "submitted": need.submitted,
        "tokens_in": round(need.tokens_in),
        "tokens_out": round(need.tokens_out),
        "images": need.images,
        "cost": need.cost,
        "seconds": need.seconds,
        "batch": need.batch,
    }


# ---------------------------------------------------------------- comparisons


def build_comparison_json(found: Comparison) -> Json:
    """`unisafe compare --json`; differences are percentage points, first less second."""
    pairs = [found.found] if isinstance(found.found, Paired) else []
    known: Json = {"pairs": [], "backbones": [], "paper": []}
    if isinstance(found.found, tuple):
        known["backbones"] = [_build_unification(one) for one in found.found if isinstance(one, Unification)]
        known["paper"] = [_build_published(one) for one in found.found if isinstance(one, Published)]
    known["pairs"] = [_build_pair(one) for one in pairs]
    return {"runs": [heading.run for heading in found.headings], "empty_as_refusals": found.empty, **known}


def _build_pair(pair: Paired) -> Json:
    return {
        "first": _build_side(pair.first),
        "second": _build_side(pair.second),
        "same_judge": pair.same_judge,
        "only_first": sum(pair.only_first.values()),
        "only_second": sum(pair.only_second.values()),
        "asked_otherwise": pair.asked_otherwise,
        "differences": [_build_difference(one) for one in pair.differences],
        "flips": [
            {"item": one.item, "task": one.task, "category": one.category, "first": one.first, "second": one.second}
            for one in pair.flips
        ],
    }


def _build_side(side: Side) -> Json:
    return {"run": side[0], "model": side[1]}


def _build_difference(one: Difference) -> Json:
    return {
        "task": one.task,
        "score": one.score,
        "pairs": one.pairs,
        "first": 100 * one.first,
        "second": 100 * one.second,
        "difference": 100 * one.difference,
        "low": 100 * one.low,
        "high": 100 * one.high,
        "only_first": one.only_first,
        "only_second": one.only_second,
        "p": one.p,
        "p_holm": one.corrected,
        "tests": one.family.tests if one.family is not None else None,
        "told_apart": one.told_apart,
    }


def _build_unification(one: Unification) -> Json:
    pair = _build_pair(one.paired) if one.paired is not None else None
    return {"model": one.model, "backbone": one.backbone, "why_not": one.why, "not_shared": list(one.not_shared), "pair": pair}


def _build_published(one: Published) -> Json:
    return {
        "model": one.model,
        "their_name": one.their_name,
        "task": one.task,
        "score": one.score,
        "valid": one.valid,
        "ours": {"value": 100 * one.ours.value, "low": 100 * one.ours.low, "high": 100 * one.ours.high},
        "theirs": 100 * one.theirs,
        "inside": one.inside,
    }


# ---------------------------------------------------------------- lists


def build_runs_json(found: Sequence[ListedRun]) -> Json:
    """`unisafe runs --json`, the newest first."""
    return {
        "runs": [
            {
                "run": one.run,
                "name": one.name,
                "tags": list(one.tags),
                "note": one.note,
                "status": one.status,
                "dataset": one.dataset,
                "models": one.models,
                "judged": one.judged,
                "total": one.total,
                "cost": one.cost,
                "seconds": one.seconds,
                "readable": one.readable,
            }
            for one in found
        ]
    }


def build_doctor_json(diagnoses: Iterable[Diagnosis]) -> Json:
    """`unisafe doctor --json`: what was found about each place in bench.toml."""
    return {
        "places": [
            {
                "place": one.place,
                "name": one.name,
                "wrong": one.wrong,
                "findings": [{"check": found.check, "mark": found.mark, "words": found.words} for found in one.findings],
            }
            for one in diagnoses
        ]
    }


def build_stats_json(file: str, stats: Iterable[tuple[Any, ...]]) -> Json:
    """`unisafe cache stats --json`: the answers of each model that a cache holds."""
    names = ("answers", "tokens_in", "tokens_out", "images", "cost")
    answers = []
    for provider, place, model, *figures in stats:
        simulated = answers_from(provider) == "simulation"  # whose identity has no place
        named = {"provider": provider, "place": "" if simulated else hide_in_text(place)}
        named["model"] = hide_in_text(place if simulated else model)
        answers.append({**named, **dict(zip(names, figures, strict=True))})
    return {"file": file, "models": answers}


def build_jobs_json(
    batches: Sequence[BatchRecord], submitted: Sequence[JobRecord], called: Mapping[str, str], looks: Mapping[str, str]
) -> Json:
    """`unisafe batches --json`: the batch jobs and the submitted jobs that a cache knows, the newest first.

    Args:
        called: what people call the models, by identity.
        looks: what vendors say of batch jobs, by id.
    """
    return {
        "batches": [
            {
                "id": job.id,
                "model": called[job.identity],
                "status": job.status,
                "requests": len(job.keys),
                "cost": job.max_cost,
                "run": job.run,
                "created": f"{job.created:%Y-%m-%dT%H:%M:%SZ}",
                "vendor": looks.get(job.id),
            }
            for job in batches
        ],
        "submitted": [
            {
                "id": name_of(job) or None,
                "model": called[job.identity],
                "status": job.state,
                "cost": job.cost,
                "run": job.run,
                "created": f"{job.created:%Y-%m-%dT%H:%M:%SZ}",
            }
            for job in submitted
        ],
    }
