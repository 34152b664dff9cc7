"""The spec of simulated models: a provider like any other, whose options say what differs from a profile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from unisafe_providers.base import Provider
from unisafe_providers.endpoint_options import VendorOptions
from unisafe_providers.near_names import suggest
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Declared, ProviderSpec

Rate = Annotated[float, Field(ge=0, le=1)]


class SimulationSection(BaseModel):
    """`simulation = {...}` of a simulated model: what differs from its profile (simulated.py)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    unsafe: Rate | None = None
    refusal: Rate | None = None
    blocked: Rate | None = None
    empty: Rate | None = None
    hidden: Rate | None = None
    hostile: Rate | None = None
    garbled: Rate | None = None
    judge_blocked: Rate | None = None
    guess: Rate | None = None
    wrong: Rate | None = None
    thoughts: Rate | None = None
    beside: Rate | None = None
    latency: float | None = Field(None, ge=0)
    seed: int | None = None


class SimulatedOptions(VendorOptions):
    """The keys of a simulated model: those of a vendor's too, which change nothing, so that `provider` alone makes a rehearsal."""

    base_url: str = Field("https://api.openai.com/v1", description="accepted and ignored")
    image_api: Literal["images", "chat"] = Field("images", description="accepted and ignored")
    simulation: SimulationSection | None = Field(
        None,
        description="what differs from the profile: `unsafe`, `refusal`, `blocked`, `empty`, `hidden`, `hostile`, `garbled`, "
        '`judge_blocked`, `guess` (a judge that answers at random, so often "unsafe", where no simulated model wrote the '
        "response), "
        "`wrong` (of a judge's verdicts, how many are turned around), `thoughts` and `beside` (how many answers come with "
        "thoughts, and how many images with words beside them), `latency`, `seed`",
    )

    def find_mistakes(self, declared: Declared) -> Iterator[str]:
        from unisafe_async.simulate.simulated import PROFILES

        if declared.model not in PROFILES:
            near = suggest(declared.model, PROFILES)
            yield f"model: {declared.model!r} is no simulated profile; profiles are {', '.join(PROFILES)}{near}"


def build(settings: ProviderSettings, options: SimulatedOptions) -> Provider:
    """A simulated model; asked as a judge, the simulated judge."""
    from unisafe_async.simulate.simulated import PROFILES, Simulated

    changes = options.simulation.model_dump(exclude_none=True) if options.simulation else {}
    profile = replace(PROFILES[settings.model], **changes)
    return Simulated(settings.model, profile, settings.capabilities, judge=settings.judges)


SIMULATED = ProviderSpec(
    name="simulated",
    title="simulated, with a judge",
    options=SimulatedOptions,
    build=build,
    answers_from="simulation",
    services=frozenset({"moderation", "classification"}),
)
