"""Checks across the judges of bench.toml: several judges, classifiers, and the kinds of answers to judge."""

from __future__ import annotations

from collections.abc import Iterator

from unisafe_judger.kinds import BUILT_IN, SCORED, service_of
from unisafe_providers.registry import built_in, built_in_spec

from unisafe_async.config.secret_words import secrets_in
from unisafe_async.config.sections import JudgeSection, JudgesSection, SeatSection


def mistakes_of_judges(judge: JudgeSection | JudgesSection, blind_to: str | None) -> Iterator[str]:
    """Each mistake with its key; `blind_to` names a model whose items have images, if there is one."""
    seats = judge.seats
    for place, seat in seats:
        yield from (f"{place}.{mistake}" for mistake in _mistakes_of_seat(seat))
    if isinstance(judge, JudgesSection):
        yield from _mistakes_of_several(judge)
    if all(seat.classifies for _, seat in seats):
        yield (
            f"{seats[0][0]}.kind: classifiers give intrinsic verdicts only, so contextual safety would stay unjudged; add a judge "
            'that goes by the rubrics (kind = "rubric") under [[judge.judges]]'
        )
    elif blind_to is not None and not any("image" in seat.takes for _, seat in seats if not seat.classifies):
        place = next(place for place, seat in seats if not seat.classifies)
        yield (
            f"{place}.takes: the judge cannot see images, but {blind_to!r} is asked items with images; name a judge that can "
            '(takes = ["text", "image"]) or keep to dataset.tasks = ["malicious_text_generation"]'
        )


def _mistakes_of_several(judge: JudgesSection) -> Iterator[str]:
    titles = [seat.title for seat in judge.judges]
    for index, title in enumerate(titles):
        if title in titles[:index]:
            yield f"judge.judges[{index}].name: judges[{titles.index(title)}] is called {title!r} too; give each a name"
    if judge.mode == "panel" and len(judge.judges) < 2:
        yield "judge.judges: a panel needs at least two judges"
    if judge.mode != "panel" and "tie" in judge.model_fields_set:
        yield 'judge.tie: goes with mode = "panel" only'
    bodies = [seat.model_dump(exclude={"name", "threshold"}) for seat in judge.judges]
    for index, body in enumerate(bodies):
        if body in bodies[:index]:
            yield (
                f"judge.judges[{index}].model: judges[{bodies.index(body)}] is the same model with the same settings; "
                "its verdicts would be copies"
            )


def _mistakes_of_seat(seat: SeatSection) -> Iterator[str]:
    if seat.threshold is not None and seat.kind in BUILT_IN and seat.kind not in SCORED:
        yield f"threshold: goes with kind = {' or '.join(f'{kind!r}' for kind in sorted(SCORED))} only".replace("'", '"')
    if seat.kind_options and seat.kind in BUILT_IN:
        yield "kind_options: goes with a kind that a package of yours brings only"
    for place in secrets_in(seat.kind_options, "kind_options"):
        yield f"{place}: looks like a secret, and it is stored with each run; keys go into a variable that your package reads"
    if not seat.takes:
        yield 'takes: needs "text", "image" or both'
    if seat.kind == "shieldgemma" and seat.takes != ["image"]:
        yield 'takes: shieldgemma judges images only: leave it out, or put ["image"]'
    service = service_of(seat.kind)
    if service != "chat" and service not in seat.spec.services:
        able = next(spec.name for spec in map(built_in_spec, built_in()) if service in spec.services and not spec.simulates)
        yield f'provider: {NEEDS[seat.kind]}: put provider = "{able}", found "{seat.provider}"'


NEEDS = {"shieldgemma": "shieldgemma runs on this machine only", "moderation": "the moderation endpoint is OpenAI's"}
"""Why a kind goes with the providers alone that have its service."""
