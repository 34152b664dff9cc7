"""Takes a model's thoughts off its answer if its server left them there; the same for every provider.

Thoughts are at the beginning, between the tags of the model's chat template, or in harmony's channels (gpt-oss). Some templates
put the opening tag into the prompt. Then the closing tag counts only if it is used as a tag and not in a sentence or in code:
`_ends_thoughts`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True)
class Thoughts:
    """The model's thoughts and its answer.

    Args:
        thoughts: without tags, stripped; several stretches are joined by an empty line.
        answer: the text after the thoughts; the unaltered text if there are none.
        unclosed: whether the text ends within the thoughts, so there is no answer.
    """

    thoughts: str
    answer: str
    unclosed: bool = False


NAMES = r"think|thinking|thoughts?|reasoning|seed:think|longcat_think"
TAGS: tuple[tuple[str, str], ...] = (
    (rf"<({NAMES})(?:\s[^<>\n]{{0,200}})?>", r"</{0}\s{{0,4}}>"),
    (r"<(details)\s+type=[\"']reasoning[\"'][^<>]{0,200}>", r"</{0}\s{{0,4}}>"),  # Open WebUI
    (r"\[(THINK)\]", r"\[/{0}\]"),  # Magistral
    (r"◁(think)▷", r"◁/{0}▷"),  # Kimi
    (r"<\|START_(THINKING)\|>", r"<\|END_{0}\|>"),  # Cohere
    (r"<\|begin_of_(thought)\|>", r"<\|end_of_{0}\|>"),  # OpenThinker, Sky-T1
    (r"<\|channel>(thought)\b", r"<channel\|>"),  # Gemma 4
)
"""Opening tags (the group is the name) and the closing tag for a name; most come from one model's chat template."""

SIGNS = ("<", "[", "◁", "analysis", "commentary")
"""A text without any of these holds no tag and no channel."""
LEADING = r"[\s\ufeff\u200b]*(?:<\|im_start\|>assistant\s*|<s>\s*)?"
OPENS = re.compile(r"[\s\ufeff\u200b]*[<\[◁]")
"""How every opening begins."""
OPENINGS = [(re.compile(opening, re.I), closing) for opening, closing in TAGS]
LEADING_OPENINGS = [(re.compile(LEADING + opening, re.I), closing) for opening, closing in TAGS]
CLOSINGS = re.compile(rf"</(?:{NAMES})\s{{0,4}}>|\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<\|end_of_thought\|>|<channel\|>", re.I)
ANSWERS = re.compile(
    r"\s*<\|(?P<edge>START_RESPONSE|begin_of_solution)\|>(?P<answer>.*?)(?:<\|(?:END_RESPONSE|end_of_solution)\|>\s*)?\Z", re.S
)
SENTENCE_ENDS = frozenset(".!?…。！？:;)]}>*\"”'`")
QUOTES = frozenset("\"'`“‘«「(")
MOST = 64
"""The most tags that are checked; no working model writes more."""

CHANNEL = re.compile(
    r"(?:<\|start\|>assistant)?<\|channel\|>\s{0,4}(\w{1,32})[^<]{0,200}(?:<\|constrain\|>[^<]{0,32})?<\|message\|>"
)
CHANNEL_END = re.compile(r"<\|(?:end|return|call)\|>\s*\Z")
FINAL = "<|start|>assistant<|channel|>final"
LEAKED_START = re.compile(r"\s*(?:analysis|commentary)(?=[^\s\w]|[A-Z\u0080-\U0010ffff])")
LEAKED_CUT = re.compile(r"\s*analysis(?=[A-Z][a-z'’]* )")
LEAKED_FINAL = "assistantfinal"


def split_thoughts(text: str) -> Thoughts:
    """The thoughts and the answer in `text`, in linear time."""
    if not any(sign in text for sign in SIGNS):
        return Thoughts("", text)
    return (
        _split_channels(text) or _split_leaked_channels(text) or _split_tagged(text) or _split_orphaned(text) or Thoughts("", text)
    )


def _split_channels(text: str) -> Thoughts | None:
    """Harmony: channel `final` is the answer, every other channel is thought; the first header may have been in the prompt."""
    heads = list(CHANNEL.finditer(text)) if "<|channel|>" in text else []
    if not heads or (text[: heads[0].start()].strip() and FINAL not in text):
        return None
    bodies = [("analysis", text[: heads[0].start()])]
    ends = [head.start() for head in heads[1:]] + [len(text)]
    bodies += [(head[1].lower(), text[head.end() : end]) for head, end in zip(heads, ends, strict=True)]
    final = [_ended(body) for channel, body in bodies if channel == "final"]
    thoughts = _join(_ended(body) for channel, body in bodies if channel != "final")
    return Thoughts(thoughts, "\n\n".join(final), unclosed=not final)


def _ended(body: str) -> str:
    return CHANNEL_END.sub("", body.rstrip()).strip()


def _split_leaked_channels(text: str) -> Thoughts | None:
    """Harmony whose special tokens the server left out: `analysis...assistantfinal...`."""
    start = LEAKED_START.match(text)
    if start is None:
        return None
    thoughts, found, answer = text[start.end() :].partition(LEAKED_FINAL)
    if found:
        return Thoughts(thoughts.strip(), answer.strip())
    return Thoughts(thoughts.strip(), "", unclosed=True) if LEAKED_CUT.match(text) else None


def _split_tagged(text: str) -> Thoughts | None:
    """Thoughts between tags, one stretch after another, from the beginning of `text`."""
    thoughts: list[str] = []
    at = 0
    while (opened := _find_opening(text, at)) and len(thoughts) < MOST:
        start, closing, opening = opened
        closed = _find_closing(text, start, closing, opening)
        if closed is None:
            return Thoughts(_join([*thoughts, text[start:]]), "", unclosed=True)
        thoughts.append(text[start : closed.start()])
        at = closed.end()
    return Thoughts(_join(thoughts), _drop_leading_blanks(text[at:])) if at else None


def _find_opening(text: str, at: int) -> tuple[int, re.Pattern[str], re.Pattern[str]] | None:
    """The beginning of the thoughts that come first from `at` on, and their closing and opening tags."""
    if not OPENS.match(text, at):
        return None
    for (leading, closing), (opening, _) in zip(LEADING_OPENINGS, OPENINGS, strict=True):
        found = leading.match(text, at)
        if found:
            return found.end(), re.compile(closing.format(re.escape(found[1])), re.I), opening
    return None


def _find_closing(text: str, start: int, closing: re.Pattern[str], opening: re.Pattern[str]) -> re.Match[str] | None:
    """The tag that closes the thoughts that begin at `start`; each tag that opens inside needs one more closing tag."""
    closed = closing.search(text, start)
    if closed is None:
        return None
    for _ in islice(opening.finditer(text, start, closed.start()), MOST):
        later = closing.search(text, closed.end())
        if later is None or not _ends_thoughts(text, later.start(), later.end()):
            break
        closed = later
    return closed


def _split_orphaned(text: str) -> Thoughts | None:
    """Thoughts whose opening tag was in the prompt: up to the first closing tag without an opening tag before it."""
    openings = [found.start() for opening, _ in OPENINGS if (found := opening.search(text))]
    for closed in islice(CLOSINGS.finditer(text, 0, min(openings, default=len(text))), MOST):
        if _ends_thoughts(text, closed.start(), closed.end()):
            return Thoughts(text[: closed.start()].strip(), _drop_leading_blanks(text[closed.end() :]))
    return None


def _ends_thoughts(text: str, start: int, end: int) -> bool:
    """Whether the closing tag at `start` is used as a tag: not in code or quotes, and not as a word within a line."""
    line = text[text.rfind("\n", 0, start) + 1 : start]
    if text.count("```", 0, start) % 2 or line.count("`") % 2:
        return False
    before, after = line[-1:], text[end : end + 1]
    if before in QUOTES and before and (before in "`(" or after in "\"'”’»」"):
        return False
    if not line.strip() or not before.isspace():
        return True
    return line.rstrip()[-1] in SENTENCE_ENDS or text[end:].lstrip(" \t").startswith(("\n\n", "\r\n\r\n"))


def _drop_leading_blanks(text: str) -> str:
    """The text after the thoughts, without blank lines before it and without the tokens that some templates put around it."""
    wrapped = ANSWERS.match(text)
    return wrapped["answer"].strip() if wrapped else text.lstrip()


def _join(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip())
