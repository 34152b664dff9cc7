"""`[gate]`: bounds that a model's scores must keep before it may be shipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from unisafe_providers.near_names import suggest
from unisafe_providers.spec import ONE, SEVERAL

from unisafe_async.benchmark.measures import BY_KEY
from unisafe_async.benchmark.taxonomy import CATEGORIES, TASKS, match_category, match_subcategory, match_task
from unisafe_async.config.endpoint_sections import Section

Limit = Literal["max", "min"]
Cell = tuple[Literal["all", "task", "category", "subcategory"], str]
WHOLE: Cell = ("all", "")
PREVIOUS = "previous"


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound on a score: at most, or at least, `percent` of the valid items of a cell.

    Args:
        key: where it stands in `[gate]`.
    """

    key: str
    limit: Limit
    score: str
    cell: Cell
    percent: float


@dataclass(frozen=True, slots=True)
class Regression:
    """A bound on how many points a score may be worse than that of another model on the same items.

    Args:
        model: `previous`, `MODEL` of the same run, or `RUN:MODEL`.
    """

    key: str
    model: str
    score: str
    points: float


class WorseThan(Section):
    """`max_worse_than`: the points that each score may be worse than another model's; the scores are its other keys."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(
        PREVIOUS,
        min_length=1,
        description="`previous` (the same model in the newest earlier run that was finished), a model of this run, or `RUN:MODEL`",
    )

    @model_validator(mode="after")
    def _check_scores(self) -> WorseThan:
        given = self.model_extra or {}
        if not given:
            raise ValueError(f"names no score; add one, such as b_s = 2; scores are {', '.join(BY_KEY)}")
        for name, points in given.items():
            measure = BY_KEY.get(name)
            if measure is None:
                raise ValueError(f"{name} is no score; scores are {', '.join(BY_KEY)}{suggest(name, BY_KEY)}")
            if not measure.better:
                raise ValueError(f"{name}: of {measure.title} neither more nor less is worse; bound it with min_ or max_")
            _check_percent(name, points)
        return self


def _tell_form(given: Any) -> str:  # noqa: ANN401 whatever stands in the file
    """Which of the two forms `max_worse_than` has."""
    return SEVERAL if isinstance(given, list) else ONE


class GateSection(Section):
    """`[gate]`: the bounds. `max_SCORE` and `min_SCORE` are in percent, for all items or as a table by task or category."""

    model_config = ConfigDict(extra="allow")

    models: list[str] = Field([], description="the models that must pass; all of the run unless set")
    min_judged: Annotated[float, Field(ge=0, le=1)] = Field(
        0.98, description="the least share of a cell's items that must have both verdicts; below it a bound is not measured"
    )
    blocked: Literal["safe", "exclude"] = Field(
        "safe",
        description="items that the platform stopped: `safe` counts them as refusals, as the paper does; `exclude` leaves them out",
    )
    max_worse_than: (
        Annotated[Annotated[WorseThan, Tag(ONE)] | Annotated[list[WorseThan], Tag(SEVERAL)], Discriminator(_tell_form)] | None
    ) = Field(
        None, description='such as `{ model = "previous", b_s = 2 }`: at most 2 points worse, on the same items; or a list of such'
    )

    @model_validator(mode="after")
    def _check_bounds(self) -> GateSection:
        list(self.bounds())
        return self

    def bounds(self) -> Iterator[Bound]:
        """Every bound on a score, in the order of the file. Raises ValueError for one that cannot be."""
        for key, given in (self.model_extra or {}).items():
            limit, score = _read_key(key)
            cells = given if isinstance(given, Mapping) else {"all": given}
            if not cells:
                raise ValueError(f"{key}: is empty; give a number, or a table such as {{ all = 5 }}")
            for name, percent in cells.items():
                place = key if name == "all" else f"{key}.{name}"
                _check_percent(place, percent)
                yield Bound(place, limit, score, _read_cell(place, name), float(percent))

    def regressions(self) -> Iterator[Regression]:
        """Every bound against another model."""
        given = self.max_worse_than
        several = isinstance(given, list)
        for number, one in enumerate(given if isinstance(given, list) else [given] if given else []):
            place = f"max_worse_than[{number}]" if several else "max_worse_than"
            for score, points in (one.model_extra or {}).items():
                yield Regression(f"{place}.{score}", one.model, score, float(points))


def _read_key(key: str) -> tuple[Limit, str]:
    limit, _, score = key.partition("_")
    if limit in ("max", "min") and score in BY_KEY:
        return limit, score  # type: ignore[return-value]
    known = [*GateSection.model_fields, *(f"{side}_{name}" for name in BY_KEY for side in ("max", "min"))]
    raise ValueError(f"{key}: unknown key{suggest(key, known) or '; keys are ' + ', '.join(known)}")


def _read_cell(place: str, name: str) -> Cell:
    """The cell that a key names: all items, a task, a category or a subcategory, in any spelling."""
    if name == "all":
        return WHOLE
    if task := match_task(name):
        return "task", task
    if category := match_category(name):
        return "category", category
    if subcategory := match_subcategory(name):
        return "subcategory", subcategory
    known = ["all", *TASKS, *CATEGORIES]
    raise ValueError(f"{place}: {name!r} is no task and no category; there are {', '.join(known)}{suggest(name, known)}")


def _check_percent(place: str, value: Any) -> None:  # noqa: ANN401 whatever stands in the file
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{place}: should be a number of percent, found {value!r}")
    if not 0 <= value <= 100:
        raise ValueError(f"{place}: should be from 0 to 100 (percent), found {value!r}")
