"""What a run cost, what of its dataset was refused, and where its items came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from unisafe_cache.run_shapes import Config, Summary
from unisafe_providers.registry import answers_from

from unisafe_async.text import count, format_dollars, plain


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a run's items, as the user named it; `answered` says that it is a file of responses (`unisafe judge`)."""

    name: str
    answered: bool = False

    @property
    def listing(self) -> str:
        """The command that lists every line that cannot be used, with the reason."""
        name = plain(quote(self.name))
        return f"`unisafe judge {name} --plan`" if self.answered else f"`unisafe data check {name}`"

    @property
    def command(self) -> str:
        """The command that goes on with a run that did not reach all of its items."""
        return f"unisafe judge {plain(quote(self.name))}" if self.answered else "unisafe run"

    def describe_refused(self, problems: int) -> str:
        """`3 lines of the dataset could not be used: COMMAND lists them`."""
        what = plain(Path(self.name).name) if self.answered else "the dataset"
        return f"{count(problems, 'line')} of {what} could not be used: {self.listing} lists them"


def source_of(name: str, models: Iterable[tuple[str, str]]) -> Source:
    """The source of a run with `models` (provider and model each): for recorded responses, the file itself."""
    recorded = [model for provider, model in models if answers_from(provider) == "file"]
    return Source(name, bool(name) and any(Path(model).name == Path(name).name for model in recorded))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """The figures at the end of a run's coverage line; `unpriced` counts calls whose price is unknown.

    `estimated` counts calls that are billed by an estimate because their endpoint reported no usage; `estimated_cost` is their
    part of `cost`, None if it was not stored. `problems` counts refused lines of `source`; `repeats` is the number of repeats.
    """

    total: int
    cost: float
    seconds: float
    unpriced: int = 0
    problems: int = 0
    simulated: bool = False
    source: Source = Source("PATH")
    repeats: int = 1
    estimated: int = 0
    estimated_cost: float | None = None

    @property
    def price(self) -> str:
        """The cost in words: `$0.03, of which $0.01 estimated (12 calls whose endpoint reported no usage)`."""
        said = format_dollars(self.cost) + (" (simulated)" if self.simulated else "")
        if self.unpriced:
            said += f" and {count(self.unpriced, 'call')} at no known price"
        if not self.estimated:
            return said
        calls = f"{count(self.estimated, 'call')} whose endpoint reported no usage"
        if self.estimated_cost is None:
            return f"{said} (estimated for {calls})"
        return f"{said}, of which {format_dollars(self.estimated_cost)} estimated ({calls})"


def bill_of(config: Config, summary: Summary, total: int) -> Bill:
    """The bill of a run, from its configuration and summary; `total` is the number of due rows."""
    endpoints = summary.endpoints
    costs = [counts.estimated_cost for counts in endpoints.values() if "estimated_cost" in counts.model_fields_set]
    return Bill(
        total=total,
        cost=summary.cost,
        seconds=summary.seconds,
        unpriced=sum(counts.unpriced for counts in endpoints.values()),
        problems=summary.problems,
        simulated=all(answers_from(asked.provider) == "simulation" for asked in [*config.models, *config.judge.members]),
        source=source_of(config.dataset.source, [(model.provider, model.model) for model in config.models]),
        repeats=config.generation.samples,  # a run of imported verdicts has none
        estimated=sum(counts.estimated for counts in endpoints.values()),
        estimated_cost=sum(costs) if costs else None,
    )
