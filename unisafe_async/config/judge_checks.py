"""Checks across the judges of bench.toml: several judges, classifiers, and the kinds of answers to judge."""

from __future__ import annotations

from collections.abc import Iterator

from unisafe_judger.kinds import KINDS
from unisafe_providers.registry import built_in_spec, list_built_in

from unisafe_async.config.secret_words import find_secrets
from unisafe_async.config.sections import JudgeEndpointSection, JudgeSection, JudgesSection


def mistakes_of_judges(judge: JudgeSection | JudgesSection, blind_to: str | None) -> Iterator[str]:
    """Each mistake with its key; `blind_to` names a model whose items have images, if there is one."""
    sections = judge.sections
    for place, section in sections:
        yield from (f"{place}.{mistake}" for mistake in _mistakes_of_judge(section))
    if isinstance(judge, JudgesSection):
        yield from _mistakes_of_several(judge)
    if all(section.classifies for _, section in sections):
        yield (
            f"{sections[0][0]}.kind: classifiers give intrinsic verdicts only, so contextual safety would stay unjudged; "
            'add a judge that goes by the rubrics (kind = "rubric") under [[judge.judges]]'
        )
    elif blind_to is not None and not any("image" in section.takes for _, section in sections if not section.classifies):
        place = next(place for place, section in sections if not section.classifies)
        yield (
            f"{place}.takes: the judge cannot see images, but {blind_to!r} is asked items with images; name a judge that can "
            '(takes = ["text", "image"]) or keep to dataset.tasks = ["malicious_text_generation"]'
        )


def _mistakes_of_several(judge: JudgesSection) -> Iterator[str]:
    titles = [section.title for section in judge.judges]
    for index, title in enumerate(titles):
        if title in titles[:index]:
            yield f"judge.judges[{index}].name: judges[{titles.index(title)}] is called {title!r} too; give each a name"
    if judge.mode == "panel" and len(judge.judges) < 2:
        yield "judge.judges: a panel needs at least two judges"
    if judge.mode != "panel" and "tie" in judge.model_fields_set:
        yield 'judge.tie: goes with mode = "panel" only'
    bodies = [section.model_dump(exclude={"name", "threshold"}) for section in judge.judges]
    for index, body in enumerate(bodies):
        if body in bodies[:index]:
            yield (
                f"judge.judges[{index}].model: judges[{bodies.index(body)}] is the same model with the same settings; "
                "its verdicts would be copies"
            )


def _mistakes_of_judge(section: JudgeEndpointSection) -> Iterator[str]:
    kind = KINDS.get(section.kind)  # None for one that a package brings
    if section.threshold is not None and kind is not None and not kind.scores:
        yield f"threshold: goes with kind = {' or '.join(_quote(name) for name in sorted(SCORING))} only"
    if section.kind_options and kind is not None:
        yield "kind_options: goes with a kind that a package of yours brings only"
    for place in find_secrets(section.kind_options, "kind_options"):
        yield f"{place}: looks like a secret, and it is stored with each run; keys go into a variable that your package reads"
    if not section.takes:
        yield 'takes: needs "text", "image" or both'
    if kind is None:
        return
    if kind.narrow and tuple(section.takes) != kind.takes:
        only = ", ".join(map(_quote, kind.takes))
        yield f"takes: {section.kind} judges {' and '.join(kind.takes)}s only: leave it out, or put [{only}]"
    if kind.service != "chat" and kind.service not in section.spec.services:
        specs = (spec for spec in map(built_in_spec, list_built_in()) if not spec.simulates)
        able = next(spec.name for spec in specs if kind.service in spec.services)
        yield f'provider: {kind.needs}: put provider = "{able}", found "{section.provider}"'


SCORING = [name for name, kind in KINDS.items() if kind.scores]
"""The kinds with a threshold."""


def _quote(name: str) -> str:
    return f'"{name}"'
