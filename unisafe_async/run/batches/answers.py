"""Takes an ended job's answers into the cache, each under its key, and returns the errors of requests without an answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

import anyio
from unisafe_cache import Store
from unisafe_cache.batches import BatchRecord, find_unanswered
from unisafe_providers.base import ProviderError, Rejected, Response, Transient
from unisafe_providers.batching import Batching, Cancelled, JobStatus

from unisafe_async.gateway import Endpoint, Gateway
from unisafe_async.run.batches.next_batch import read_key

KEPT_AT_ONCE = 64


async def collect(
    gateway: Gateway, endpoint: Endpoint, store: Store, record: BatchRecord, status: JobStatus, kept: set[str]
) -> dict[str, ProviderError]:
    """Take the answers of an ended job into the cache, and return the errors of the other requests, by key.

    Args:
        kept: this call adds the key of each answer that it commits, even if the results end early.

    Answers that an interrupted run committed before are skipped. Raises what the provider raises; the next call continues.
    """
    assert isinstance(endpoint.provider, Batching)
    since = max(record.first_id, gateway.since)
    wanted = await store.query(lambda connection: find_unanswered(connection, record.identity, record.id, since))
    errors: dict[str, ProviderError] = {}
    pile: list[tuple[str, str, Response]] = []
    ours, named, lines = frozenset(record.keys), False, 0

    async def keep(pile: Sequence[tuple[str, str, Response]]) -> None:
        async with anyio.create_task_group() as commits:
            for one in pile:
                commits.start_soon(keep_one, *one)
        kept.update(key for key, _, _ in pile if key not in errors)

    async def keep_one(key: str, request: str, response: Response) -> None:
        try:
            await gateway.keep(endpoint, key, request, response)
        except ProviderError as error:
            errors[key] = error

    async with aclosing(endpoint.provider.results(record.id)) as results:
        async for name, outcome in results:
            key, lines = read_key(name), lines + 1
            named = named or key in ours
            if key not in wanted:
                continue
            request = wanted.pop(key)
            if not isinstance(outcome, Response):
                errors[key] = outcome
                if request is not None:
                    await gateway.keep_failure(endpoint, request, outcome)
            elif request is None:
                errors[key] = Transient("another run gave this job up, and its request with it")
            else:
                pile.append((key, request, outcome))
                if len(pile) == KEPT_AT_ONCE:
                    await keep(pile)
                    pile = []
    await keep(pile)
    return errors | dict.fromkeys(wanted, _explain_rest(status, named=named, lines=lines))


def _explain_rest(status: JobStatus, *, named: bool, lines: int) -> ProviderError:
    """The error of requests that an ended job's results leave out.

    Args:
        named: whether the results name any request of the job.
        lines: how many results there are.
    """
    if status.cancelled:
        return Cancelled("the job was cancelled at the vendor")
    if isinstance(status.error, Transient) or (status.error is not None and not named):
        return status.error
    if lines and not named:  # they were paid for, so that the requests must not go out again unasked
        return Rejected(f"the job has {lines:,} results, and none says which request it answers; look at it at the vendor")
    if status.done and not lines:
        return Rejected(f"the vendor counts {status.done:,} requests of the job as done, and shows no results of it any more")
    return Transient("the job ended without an answer to it")
