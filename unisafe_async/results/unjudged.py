"""Groups unjudged rows by cause: a thousand rows that failed for one cause are one thing to correct."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from unisafe_async.results.causes import fold_message
from unisafe_async.results.scores import ALL, WHY, Where

MODELS_OWN = ("none", "nothing", "stopped")
"""Reasons that come from the model; all others come from the judge."""

ROWS = f"""
SELECT model, judge, why, min(item), count(*),
       CASE WHEN why = 'nothing' THEN coalesce(nullif(missing, ''), nullif(error, ''), contextual_reason)
            WHEN coalesce(error, '') <> '' THEN error
            WHEN contextual IS NULL AND contextual_status = told THEN contextual_reason
            WHEN intrinsic IS NULL AND intrinsic_status = told THEN intrinsic_reason
            ELSE coalesce(nullif(contextual_reason, ''), intrinsic_reason) END AS words,
       CASE WHEN why <> 'unparsed' THEN '' WHEN contextual_status = 'unparsed' THEN contextual_raw ELSE intrinsic_raw END AS raw
FROM (SELECT *, CASE why WHEN 'none' THEN 'failed' ELSE why END AS told FROM ({WHY}) WHERE why <> 'valid')
GROUP BY ALL ORDER BY count(*) DESC, min(item), words, raw
"""


@dataclass(kw_only=True)
class Group:
    """Rows (item x repeat) that are unjudged for one cause.

    Args:
        who: the model, or the judge.
        why: `none` (no answer), `nothing` (an answer with nothing to judge), `stopped` (its model or its judge stopped), or of the
            judge `blocked`, `unparsed`, `failed`, `tied`, `absent`.
        words: the most frequent form of the message.
        model, item: those of one row, for `unisafe show`.
        replies: the judge's replies without a verdict, each with its count.
    """

    who: str
    why: str
    words: str
    model: str
    item: str
    rows: int = 0
    replies: Counter[str] = field(default_factory=Counter)

    @property
    def by_model(self) -> bool:
        return self.why in MODELS_OWN

    @property
    def reply(self) -> str:
        """The most frequent reply; empty if there is none."""
        return next((reply for reply, _ in self.replies.most_common(1)), "")


def count_unjudged(
    connection: duckdb.DuckDBPyConnection, run: str, stopped: Mapping[str, Sequence[str]], where: Where = ALL
) -> list[Group]:
    """Every row of a run without both verdicts, by cause, the most frequent first; `stopped` says why models and judges stopped.

    If a model, or one kind of its requests, was stopped, all its rows are one group.
    """
    found: dict[tuple[str, ...], Group] = {}
    for model, judge, why, item, rows, words, raw in connection.execute(
        ROWS.format(chosen=where.sql), {"run": run, **where.parameters}
    ).fetchall():
        group = _group(str(model), str(judge or ""), str(why), str(item), str(words or ""), stopped)
        key = (group.who, group.why, "" if group.why in ("tied", "absent") else fold_message(group.words, group.item))
        known = found.setdefault(key, group)
        known.rows += rows
        if raw:
            known.replies[str(raw)] += rows
    return sorted(found.values(), key=lambda one: -one.rows)


def _group(model: str, judge: str, why: str, item: str, words: str, stopped: Mapping[str, Sequence[str]]) -> Group:
    """The new group for such rows."""
    whose = {model: stopped.get(model, ())} if why == "none" else stopped if why == "failed" else {}
    for name, messages in whose.items():
        stop = next((message for message in messages if message and message in words), None)
        if stop is not None:
            return Group(who=name, why="stopped", words=stop, model=model, item=item)
    return Group(who=model if why in MODELS_OWN else judge or "the judge", why=why, words=words, model=model, item=item)
