"""Unjudged rows on the screen and on the page: by cause, with the judge's reply, and with what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from shlex import quote

from unisafe_async.results.causes import CUT_OFF, EMPTY, ONLY_THOUGHTS, UNCOUNTED, UNFINISHED, cause_of
from unisafe_async.results.unjudged import Group
from unisafe_async.text import count, name_judge, plain

WIDTH = 200
"""The most characters of a cause that are shown."""
REPLY = 100
"""The most characters of a judge's reply that are shown."""

AGAIN = "remove the cause and run the same command again; it asks only for these"
ADVICE = {
    "none": f"failed: {AGAIN}",
    "failed": f"failed: {AGAIN}",
    "stopped": "stopped: change what its message names; then run the same command again; it asks only for these",
    "nothing": "the next run asks again; what came is in `unisafe show`",
    "blocked": "judge blocked: another judge, alone or after this one, may judge what its platform blocks",
    "unparsed": "judge not understood: the next run asks it again; `structured` output, another judge or rubric may do better",
    "tied": 'judges tied: another judge in the panel, or judge.tie = "unsafe" or "last", decides them',
    "absent": "the imported file has no verdict for these: import one that has, or judge the responses (`unisafe judge`)",
}
OF_IMPORTED = "imported verdicts are never asked again: judge the responses (`unisafe judge`), or import a file that has them"
OF_NOTHING = {
    CUT_OFF: "raise generation.max_tokens: all of it went into thoughts",
    UNFINISHED: "raise generation.max_tokens: all of it went into thoughts",
    ONLY_THOUGHTS: "start the server with the reasoning parser of this model, or with none; the next run asks again",
    UNCOUNTED: "look at the server's reasoning parser and chat template: its words are lost on the way; the next run asks again",
    EMPTY: "the next run asks again; if it stays empty, look at the server's chat template and stop words",
}
SHORT_OF_TOKENS = "the judge's replies are cut off: raise judge.max_tokens"
TITLES = {
    "none": "{who} failed: {words}",
    "nothing": "{who}, nothing to judge: {words}",
    "stopped": "{who} stopped: {words}",
    "blocked": "{judge} blocked: {words}",
    "unparsed": "{judge} not understood: {words}",
    "failed": "{judge} failed: {words}",
    "tied": "{words}",
    "absent": "without a verdict in the imported file",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One cause for display: number of rows, model and message, the judge's most frequent reply, what to do, how to see one row."""

    rows: int
    title: str
    reply: str
    advice: str
    show: str


def describe_groups(groups: Iterable[Group], run: str = "", *, imported: bool = False) -> list[Cause]:
    """Each group in words without control characters; commands name `run` if it is given, for a run that is not the newest.

    `imported` says that the verdicts came in files, so running the same command again would ask nobody.
    """
    named = f" --run {plain(quote(run))}" if run else ""
    return [
        Cause(
            rows=group.rows,
            title=_entitle(group),
            reply=_describe_replies(group),
            advice=OF_IMPORTED if imported and group.why in ("failed", "unparsed") else _advise(group),
            show=f"unisafe show {plain(quote(group.item))}{named}",
        )
        for group in groups
    ]


def _entitle(group: Group) -> str:
    who = _cut(group.who, WIDTH)
    words = _cut(_words(group), WIDTH) or "no reason given"
    return TITLES[group.why].format(who=who, judge=name_judge(who), words=words)


def _words(group: Group) -> str:
    """The message, or the short cause for an answer with nothing to judge; what to do stands below."""
    short = cause_of(group.words) if group.why == "nothing" else ""
    return short if short in OF_NOTHING else group.words


def _describe_replies(group: Group) -> str:
    """`it said most often (7 of 9): "..."`."""
    if not group.reply:
        return ""
    times = group.replies[group.reply]
    most = f"most often ({times:,} of {group.rows:,})" if group.rows > 1 else ""
    return " ".join(f'it said {most}: "{_cut(group.reply, REPLY)}"'.split()).replace(" :", ":")


def leave_out_told(causes: Iterable[Cause], stopped: Mapping[str, str]) -> list[Cause]:
    """The causes without the reasons for which models `stopped`, for a screen on which these stand above."""
    told = {
        TITLES["stopped"].format(who=_cut(name, WIDTH), words=_cut(words, WIDTH)): f"{_cut(name, WIDTH)} stopped, as told above"
        for name, words in stopped.items()
    }
    return [replace(cause, title=told.get(cause.title, cause.title)) for cause in causes]


def _cut(words: str, width: int) -> str:
    text = " ".join(plain(words).split())
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def _advise(group: Group) -> str:
    if group.why == "nothing":
        return OF_NOTHING.get(cause_of(group.words), ADVICE["nothing"])
    if group.why == "unparsed" and ("max_tokens" in group.words or "cut off" in group.words):
        return SHORT_OF_TOKENS
    return ADVICE[group.why]


def describe_not_run(missing: int, status: str, unfinished: Mapping[str, str], command: str = "unisafe run") -> list[str]:
    """Notes about items that were not reached, with the last error of each endpoint (`unfinished`) that was being asked again.

    `command` goes on with the run.
    """
    if missing <= 0:
        return []
    if status in ("interrupted", "running"):
        again = [f"{plain(name)} was being asked again: {_cut(words, WIDTH)}" for name, words in unfinished.items()]
        return [f"{count(missing, 'item')} not reached: `{command}` again goes on from here and pays for nothing twice", *again]
    if status == "stopped":
        return [f"{count(missing, 'item')} left to do when the budget was spent: raise run.budget_usd and run again"]
    return []
