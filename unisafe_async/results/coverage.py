"""The line with what was not measured, on the same screen as the score: its parts add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from unisafe_async.results.bill import Bill
from unisafe_async.results.scores import Coverage, Score
from unisafe_async.text import count, format_duration, plain

CAUSES = 4
"""The most causes in one line."""


def describe_parts(coverage: Coverage, planned: int, repeats: int = 1, *, in_file: bool = False) -> str:
    """`106 items: 101 judged (3 blocked by the platform: 3 requests), 2 judge blocked, 3 failed`, adding up to `planned`.

    Where each item is asked several times, the trials are counted: `212 trials (2 of each item): ...`. `in_file` says that the
    answers come from a file.
    """
    inside = "; ".join([*_describe_blocked(coverage), *_describe_rest(coverage, in_file)])
    judged = f"{coverage.judged:,} judged" + (f" ({inside})" if inside else "")
    asked = count(planned, "item") if repeats == 1 else f"{count(planned, 'trial')} ({repeats} of each item)"
    return f"{asked}: {', '.join([judged, *list_unjudged(coverage, planned)])}"


def list_unjudged(coverage: Coverage, planned: int) -> list[str]:
    """`2 judge blocked`, `3 failed`, ...: what was not measured, by cause; with the judged rows it adds up to `planned`."""
    return [
        f"{number:,} {words}"
        for number, words in (
            (coverage.judge_blocked, "judge blocked"),
            (coverage.unparsed, "judge not understood"),
            (coverage.judge_failed, "judge failed"),
            (coverage.tied, "judges tied"),
            (coverage.absent, "without a verdict in the imported file"),
            (coverage.nothing, f"with nothing to judge{describe_causes(coverage)}"),
            (coverage.failed, "failed"),
            (planned - coverage.rows, "not run"),
        )
        if number
    ]


def _describe_blocked(coverage: Coverage) -> list[str]:
    """`9 blocked by the platform: 5 requests, 3 responses, 1 at an unknown stage`, and those that were cut off."""
    if not coverage.blocked:
        return []
    known = ((coverage.blocked_requests, "request"), (coverage.blocked_responses, "response"))
    stages = [count(number, stage) for number, stage in known if number]
    unknown = coverage.blocked - coverage.blocked_requests - coverage.blocked_responses
    stages += [f"{unknown:,} at an unknown stage"] if unknown and stages else []
    cut = [f"{coverage.cut:,} cut off and judged on the part that came out"] if coverage.cut else []
    return [f"{coverage.blocked:,} blocked by the platform{': ' if stages else ''}{', '.join(stages)}", *cut]


def _describe_rest(coverage: Coverage, in_file: bool) -> list[str]:
    """Further facts about judged rows; an item can be in several of them."""
    file = " in the file" if in_file else ""
    empty = f"{count(coverage.empty, 'empty answer')}{file} counted as {'a refusal' if coverage.empty == 1 else 'refusals'}"
    said = (
        (coverage.in_words, f"{coverage.in_words:,} answered in words instead of a picture"),
        (coverage.beside, f"{coverage.beside:,} with words beside the picture"),
        (coverage.thoughts, f"{coverage.thoughts:,} with thoughts (set apart)"),
        (coverage.empty, empty),
    )
    return [words for number, words in said if number]


def describe_causes(coverage: Coverage) -> str:
    """` (3 only in reasoning_content, 1 empty)`: why answers hold nothing to judge; the rarest causes are counted together."""
    if len(coverage.causes) == 1:
        return f" ({plain(coverage.causes[0][0])})"
    first, rest = coverage.causes[:CAUSES], coverage.causes[CAUSES:]
    told = [f"{number:,} {plain(words)}" for words, number in first]
    told += [f"{sum(number for _, number in rest):,} for other reasons"] if rest else []
    return f" ({', '.join(told)})" if told else ""


def describe_coverage(coverages: Sequence[Coverage], planned: dict[str, int], bill: Bill) -> list[str]:
    """A line for each model and, with more than one, a line for all; the last one ends with cache, cost and time."""
    known = {one.model: one for one in coverages}
    each = [known.get(model, Coverage.none(model)) for model in planned]
    total = Coverage.total("all", each)
    told = partial(describe_parts, repeats=bill.repeats, in_file=bill.source.answered)
    end = f"; {total.cached:,} from cache, {bill.price}, {format_duration(bill.seconds)}"
    if len(each) == 1:
        lines = [told(each[0], planned[each[0].model]) + end]
    else:
        lines = [f"{plain(one.model)}: {told(one, planned[one.model])}" for one in each]
        lines.append(f"All {len(each)} models: {told(total, bill.total)}{end}")
    if bill.problems:
        lines.append(bill.source.describe_refused(bill.problems))
    return lines


def describe_beside(models: Sequence[str], by_model: Mapping[tuple[str, ...], Score]) -> list[str]:
    """`BAGEL: words beside the picture: unsafe 3 of 40 (contextual), 2 of 40 (intrinsic)`, of models that have such verdicts."""
    lines = []
    for model in models:
        known = by_model[model,].beside if (model,) in by_model else {}
        sides = [(known.get(f"beside_{name}"), title) for name, title in (("c_u", "contextual"), ("i_u", "intrinsic"))]
        told = [f"{found.unsafe:,} of {found.of:,} ({title})" for found, title in sides if found is not None]
        if told:
            lines.append(f"{plain(model)}: words beside the picture: unsafe {', '.join(told)}")
    return lines
