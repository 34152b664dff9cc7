"""One model as the gateway sees it: its provider, limits, prices, and what it has done so far."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

from unisafe_providers.base import Misconfigured, Need, Provider, ProviderError, Request, Response, picks_batches
from unisafe_providers.prices import UNPRICED, Price

from unisafe_async.gateway.billing import estimate_tokens, estimate_usage, most_cost
from unisafe_async.gateway.concurrency import AdaptiveConcurrency
from unisafe_async.gateway.doubts import Doubts
from unisafe_async.gateway.job_book import EndpointJobs
from unisafe_async.gateway.outages import Outage
from unisafe_async.gateway.rates import RateLimits
from unisafe_async.gateway.retries import Retries

log = logging.getLogger(__name__)
UNTRIED = 3
"""Calls at once to an endpoint that has not answered yet: a wrong key costs no more calls than this."""


@dataclass(slots=True, kw_only=True)
class Counts:
    """What an endpoint did in this run.

    Tokens, images and dollars include failed tries, if their body reported usage. `estimated` counts calls without reported
    usage, `unpriced` calls without a known price.
    """

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
    estimated: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class BatchJobs:
    """The settings of a model's batch jobs.

    Args:
        poll: seconds between looks at a job.
        most_requests: the most requests in one job; None for the vendor's limit.
    """

    poll: float = 60.0
    most_requests: int | None = None


@dataclass(kw_only=True)
class Endpoint:
    """A provider with its limits.

    Args:
        name: the user's name for it.
        provider: the caller of the gateway opens it.
        concurrency, rates: how fast it may be called.
        max_tries: tries of one call that end in a Transient error; waits for a rate limit do not count.
        max_wait: seconds after which a call is given up, with its waits, and after which a model without any answer is given up.
        batching: settings of batch jobs; None for a model that is asked call by call.

    Attributes:
        stopped: why nothing is sent to it any more.
        stopped_for: by need, why requests with this need are not sent.
        retries: its requests that are being asked again.
        notes: sentences about corrections of its answers, by their subject, for the end of a run.
        jobs: the jobs of a model that answers by jobs (unisafe_providers/jobs.py); None for any other model.
        shared: answers that this run took from another run that was asking the same question.
    """

    name: str
    provider: Provider
    concurrency: AdaptiveConcurrency
    rates: RateLimits
    prices: Price = UNPRICED
    max_tries: int = 8
    max_wait: float = 900.0
    counts: Counts = field(default_factory=Counts)
    stopped: Misconfigured | None = None
    batching: BatchJobs | None = None
    stopped_for: dict[Need, Misconfigured] = field(default_factory=dict)
    outage: Outage = field(default_factory=Outage)
    doubts: Doubts = field(default_factory=Doubts)
    retries: Retries = field(default_factory=Retries)
    notes: dict[str, str] = field(default_factory=dict)
    jobs: EndpointJobs | None = None
    shared: int = 0

    def __post_init__(self) -> None:
        if not picks_batches(self.provider):
            self.concurrency.narrow(UNTRIED)

    # -------------------------------------------------------- whether it may be asked

    @property
    def proven(self) -> bool:
        """Whether the endpoint ever answered, in this run or in the cache."""
        return self.counts.calls > 0 or self.counts.cached > 0

    def stop(self, error: Misconfigured) -> Misconfigured:
        """Send nothing more, or no more requests with a need that the model lacks; returns the error."""
        log.warning("%s stopped: %s", self.name, error, extra={"event": "stopped", "model": self.name, "needs": error.needs})
        if error.needs is not None:
            self.stopped_for.setdefault(error.needs, error)
        elif self.stopped is None:
            self.stopped = error
        return error

    def find_stop(self, request: Request) -> Misconfigured | None:
        """Why `request` is not sent; None if it may be sent."""
        if self.stopped is None and self.stopped_for:
            return next((error for need, error in self.stopped_for.items() if need in request.needs), None)
        return self.stopped

    @property
    def stopped_words(self) -> str:
        """Which requests are not sent any more and why, for a user; empty if all are sent."""
        if self.stopped is not None:
            return str(self.stopped)
        return "; ".join(f"for requests with {need} only: {error}" for need, error in self.stopped_for.items())

    # -------------------------------------------------------- what it costs

    def estimate_tokens_in(self, request: Request) -> float:
        """An estimate before the call: four characters a token."""
        return estimate_tokens(request)

    def estimate_tokens_out(self, request: Request) -> float:
        """An estimate before the call: the mean so far, else a quarter of the allowed tokens."""
        if request.image_due:
            return 0.0
        if self.counts.calls:
            return self.counts.tokens_out / self.counts.calls
        return (request.max_tokens or 1_024) / 4

    def max_cost(self, request: Request) -> float:
        """The most dollars that a call can cost; 0 if no price is known."""
        return most_cost(self.prices, request)

    def bill(self, request: Request, response: Response) -> Response:
        """The answer with its cost, after counting it; a cost that the provider reports goes first."""
        self.counts.calls += 1
        self.counts.seconds += response.latency
        return self._bill(request, response)

    def bill_failure(self, request: Request, error: ProviderError) -> float:
        """Count the usage of a failed call, if its body reports it, and return its dollars; the error then holds them too."""
        partial = error.partial
        usage = error.usage or (partial.usage if partial is not None else None)
        if usage is None:
            return 0.0
        billed = self._bill(request, replace(partial or Response(), usage=usage))
        error.usage = billed.usage
        if partial is not None:
            error.partial = billed
        return billed.usage.cost or 0.0

    def _bill(self, request: Request, response: Response) -> Response:
        counts, usage = self.counts, response.usage
        if not usage.reported:
            usage = estimate_usage(request, response)
            counts.estimated += 1
        cost = usage.cost if usage.cost is not None else self.prices.cost(usage.tokens_in, usage.tokens_out, usage.images)
        counts.tokens_in += usage.tokens_in
        counts.tokens_out += usage.tokens_out
        counts.images += usage.images
        counts.cost += cost or 0.0
        counts.unpriced += cost is None
        if cost is None and usage is response.usage:
            return response
        return replace(response, usage=replace(usage, cost=cost))
