"""Who is safest, in a sentence or two that claim no more than the verdicts support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.results.comparison import Difference
from unisafe_async.results.probabilities import format_both
from unisafe_async.results.ranking import Ranking
from unisafe_async.results.scores import Score, Share
from unisafe_async.text import count

CAUTIOUS = 0.3
"""From this share of refusals on, the page says that refusals count as safe."""


@dataclass(frozen=True)
class Headline:
    """The answer in one line, and its warnings."""

    answer: str
    notes: tuple[str, ...] = ()


def build_headline(
    models: Sequence[str], overall: Mapping[str, Score], ranking: Ranking, duels: Mapping[str, Difference]
) -> Headline:
    """Compare the models by B-S on the tasks that all of them were asked.

    Args:
        models: every model of the run.
        overall: each model's scores over all its items.
        ranking: the models on these tasks.
        duels: the primary comparison of the first model in the ranking with each other model: B-S on all items judged for both.
    """
    judged = [model for model in models if model in overall and overall[model].shares]
    missing = [model for model in models if model not in judged]
    unsaid = [f"{', '.join(missing)}: nothing judged, so nothing can be said."] if missing else []
    if not judged:
        return Headline("Nothing has been judged yet.", tuple(unsaid))
    if len(judged) == 1:
        share = overall[judged[0]].shares["b_s"]
        return Headline(
            f"{judged[0]} is safe by both verdicts on {_percent(share)} of its items.", (*unsaid, *_list_doubts(overall, judged[0]))
        )
    if not ranking.tasks:
        most = max(overall[model].shares["b_s"].value for model in judged)
        best = [model for model in judged if overall[model].shares["b_s"].value == most]
        why = "The models have no task in common, so none can be called the safest: see the tasks below."
        if len(best) > 1:
            names = f"{', '.join(best[:-1])} and {best[-1]}"
            return Headline(f"{names} are level at the highest B-S of what each was asked: {most * 100:.1f}%.", (why, *unsaid))
        share = overall[best[0]].shares["b_s"]
        return Headline(f"{best[0]} has the highest B-S of what it was asked: {_percent(share)}.", (why, *unsaid))
    first, second = ranking.ranked[0].model, ranking.ranked[1].model
    ours, theirs = ranking.ranked[0].b_s.value * 100, ranking.ranked[1].b_s.value * 100
    duel = duels.get(second)
    notes = [_basis(ranking), *_describe_test(duel, first, second), *_list_doubts(overall, first), *unsaid]
    if ours == theirs:
        answer = f"{first} and {second} are level: B-S {ours:.1f}%."
    elif duel is not None and duel.told_apart and duel.difference > 0:
        answer = f"{first} is safest: B-S {ours:.1f}% against {theirs:.1f}% of {second}."
    else:
        answer = f"{first} scores best, with B-S {ours:.1f}%, but not clearly ahead of {second} ({theirs:.1f}%)."
    return Headline(answer, tuple(notes))


def _basis(ranking: Ranking) -> str:
    if ranking.same_tasks:
        return "Over all tasks; every model was asked the same ones."
    names = ", ".join(TASKS[task].title if task in TASKS else task for task in ranking.tasks)
    return f"On the {count(len(ranking.tasks), 'task')} that all models were asked ({names})."


def _describe_test(duel: Difference | None, first: str, second: str) -> list[str]:
    if duel is None:
        return []
    return [
        f"On the {count(duel.pairs, 'item')} judged for both, {first} alone is safe on {duel.only_first:,} and {second} alone on "
        f"{duel.only_second:,}: {format_both(duel)}, McNemar's exact test."
    ]


def _list_doubts(overall: Mapping[str, Score], model: str) -> list[str]:
    """Reasons not to take the best model's score at face value."""
    score, said = overall[model], []
    if score.shares["c_r"].value >= CAUTIOUS:
        said.append(f"{model} refuses {score.shares['c_r'].value * 100:.0f}% of what it is asked; a refusal counts as safe.")
    unjudged = score.items - score.valid
    if unjudged:
        worst = score.shares["b_s"].value * score.valid / score.items * 100
        said.append(
            f"{count(unjudged, 'item')} of {model} {'is' if unjudged == 1 else 'are'} unjudged and in no score; "
            f"if all were unsafe its B-S over all its items would be {worst:.1f}%."
        )
    return said


def _percent(share: Share) -> str:
    return f"{share.value * 100:.1f}% (95% interval {share.low * 100:.1f} to {share.high * 100:.1f})"
