"""One model as the gateway sees it: its provider, limits, prices, and what it has done so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from providers.base import Misconfigured, Provider, Request, Response
from unisafe_async.gateway.concurrency import AdaptiveConcurrency
from unisafe_async.gateway.rates import RateLimits

TOKENS_AN_IMAGE = 1_000
"""Input tokens set aside for an image before the true number is known; vendors count 85 to 1,600."""


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens in and out, and per image made; None where no price is known."""

    tokens_in: float | None = None
    tokens_out: float | None = None
    image: float | None = None

    def times(self, factor: float) -> Prices:
        """All of them by a discount."""
        return Prices(*(None if price is None else price * factor for price in (self.tokens_in, self.tokens_out, self.image)))

    def cost(self, tokens_in: float, tokens_out: float, images: float) -> float | None:
        if self.tokens_in is None and self.tokens_out is None and self.image is None:
            return None
        return tokens_in * (self.tokens_in or 0) / 1e6 + tokens_out * (self.tokens_out or 0) / 1e6 + images * (self.image or 0)


@dataclass(slots=True)
class Counts:
    """What an endpoint did in this run."""

    calls: int = 0
    cached: int = 0
    failed: int = 0
    retries: int = 0
    rate_limited: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    images: int = 0
    cost: float = 0.0
    unpriced: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class BatchJobs:
    """How a model's requests go as batch jobs.

    Args:
        poll: seconds between looks at a job.
        most_requests: in one job; None for the vendor's limit.
    """

    poll: float = 60.0
    most_requests: int | None = None


@dataclass
class Endpoint:
    """A provider with its limits.

    Args:
        name: what the user calls it.
        provider: opened by whoever runs the gateway.
        concurrency, rates: how fast it may be called.
        max_tries: tries of one call that end in a Transient error; waits for a rate limit do not count.
        max_wait: seconds after which a call is given up, waits included.
        jobs: how batch jobs are cut and watched; None for a model that is asked call by call.
    """

    name: str
    provider: Provider
    concurrency: AdaptiveConcurrency
    rates: RateLimits
    prices: Prices = Prices()
    max_tries: int = 8
    max_wait: float = 900.0
    counts: Counts = field(default_factory=Counts)
    stopped: Misconfigured | None = None
    jobs: BatchJobs | None = None

    def tokens_in(self, request: Request) -> float:
        """An estimate before the call: four characters a token."""
        return (len(request.system) + len(request.text)) / 4 + TOKENS_AN_IMAGE * len(request.images)

    def tokens_out(self, request: Request) -> float:
        """An estimate before the call: the mean so far, else a quarter of what is allowed."""
        if request.kind != "chat":
            return 0.0
        if self.counts.calls:
            return self.counts.tokens_out / self.counts.calls
        return (request.max_tokens or 1_024) / 4

    def most(self, request: Request) -> float:
        """The most dollars that a call can cost; 0 where no price is known."""
        tokens_in = (len(request.system) + len(request.text)) / 2 + 2 * TOKENS_AN_IMAGE * len(request.images)
        tokens_out = float(request.max_tokens or 4_096)
        return self.prices.cost(tokens_in, tokens_out, 0 if request.kind == "chat" else 1) or 0.0

    def count(self, response: Response, cost: float | None) -> None:
        counts, usage = self.counts, response.usage
        counts.calls += 1
        counts.tokens_in += usage.tokens_in
        counts.tokens_out += usage.tokens_out
        counts.images += usage.images
        counts.seconds += response.latency
        counts.cost += cost or 0.0
        counts.unpriced += cost is None
