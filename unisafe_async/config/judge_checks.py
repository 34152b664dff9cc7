"""Checks across the judges of bench.toml: several judges, classifiers, and the kinds of answers to judge."""

from __future__ import annotations

from collections.abc import Iterator

from unisafe_judger.kinds import BUILT_IN, SCORED, service_of
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
    if section.threshold is not None and section.kind in BUILT_IN and section.kind not in SCORED:
        yield f"threshold: goes with kind = {' or '.join(f'{kind!r}' for kind in sorted(SCORED))} only".replace("'", '"')
    if section.kind_options and section.kind in BUILT_IN:
        yield "kind_options: goes with a kind that a package of yours brings only"
    for place in find_secrets(section.kind_options, "kind_options"):
        yield f"{place}: looks like a secret, and it is stored with each run; keys go into a variable that your package reads"
    if not section.takes:
        yield 'takes: needs "text", "image" or both'
    if section.kind == "shieldgemma" and section.takes != ["image"]:
        yield 'takes: shieldgemma judges images only: leave it out, or put ["image"]'
    service = service_of(section.kind)
    if service != "chat" and service not in section.spec.services:
        able = next(spec.name for spec in map(built_in_spec, list_built_in()) if service in spec.services and not spec.simulates)
        yield f'provider: {NEEDS[section.kind]}: put provider = "{able}", found "{section.provider}"'


NEEDS = {"shieldgemma": "shieldgemma runs on this machine only", "moderation": "the moderation endpoint is OpenAI's"}
"""Why a kind goes with the providers alone that have its service."""
