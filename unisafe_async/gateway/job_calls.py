"""Requests of a model that answers by jobs: all tries of one are about one job, whose money is reserved once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from unisafe_cache import Store
from unisafe_providers.base import ProviderError, Request, Response
from unisafe_providers.jobs import Submitting, submits_each
from unisafe_providers.prices import UNPRICED

from unisafe_async.gateway.budget import Budget
from unisafe_async.gateway.endpoint import Endpoint
from unisafe_async.gateway.job_book import EndpointJobs
from unisafe_async.gateway.trying import Tries


def keep_jobs(endpoint: Endpoint, store: Store, run: str) -> None:
    """Have the jobs of `endpoint` noted in the cache for the run `run`, if its provider answers by jobs."""
    if isinstance(endpoint.provider, Submitting):
        endpoint.provider.book = endpoint.jobs = EndpointJobs(
            store,
            endpoint.provider.identity,
            run,
            max_cost=lambda request: endpoint.max_cost(request) if endpoint.prices != UNPRICED else None,
            submits_each=submits_each(endpoint.provider),
            notes=endpoint.notes,
        )


async def pay_by_job(
    endpoint: Endpoint,
    jobs: EndpointJobs,
    request: Request,
    budget: Budget,
    tries: Tries,
    once: Callable[[Tries], Awaitable[Response]],
) -> tuple[Response, str]:
    """The answer, after as many tries as it needs, and the line of the job that its commit ends (Paid.job).

    Args:
        once: makes one try, without a look at the budget.

    A job of an earlier run is collected even if the budget is spent: it is paid for. A job that is still under way after the last
    try keeps its money. Raises ProviderError, whose message says what becomes of the job, NotRun, or CacheError if the job cannot
    be noted.
    """
    max_cost = endpoint.max_cost(request) if budget.limit is not None else 0.0
    known = await _reserve(jobs, request, budget, max_cost) if budget.limit is not None else False
    answered = False
    try:
        response = await tries.of(_follow(jobs, request, once))
        answered = response is not tries.empty
    except ProviderError as error:
        jobs.explain(request, error)
        raise
    finally:
        if not answered and not known and jobs.has_job(request):
            budget.owe(max_cost)
        else:
            budget.settle(max_cost, 0.0)
        line = jobs.leave(request)
    return response, line if answered else ""


async def _reserve(jobs: EndpointJobs, request: Request, budget: Budget, max_cost: float) -> bool:
    """Reserve the money of a request; returns whether an earlier run has committed it. Raises BudgetSpent."""
    try:
        known = await jobs.is_under_way(request)
        if known:
            budget.commit(max_cost)
        else:
            await budget.reserve(max_cost)
    except BaseException:
        jobs.leave(request)
        raise
    return known


def _follow(
    jobs: EndpointJobs, request: Request, once: Callable[[Tries], Awaitable[Response]]
) -> Callable[[Tries], Awaitable[Response]]:
    """`once`, after which the book knows what the try shows about the request's job."""

    async def followed(tries: Tries) -> Response:
        try:
            response = await once(tries)
        except ProviderError as error:
            if jobs.failure is not None:
                raise jobs.failure from None
            await jobs.note_failure(request, error)
            raise
        if response.asks_again and tries.empty is None:  # the next try is another job
            await jobs.end(request)
        return response

    return followed
