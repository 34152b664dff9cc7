"""Single batch jobs outside a run: asks their vendors about them, and gives one up without losing its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio
from unisafe_cache import Store
from unisafe_cache.batches import BatchRecord, accept_batch, cancel_batch, end_batch, find_answered, list_known_jobs
from unisafe_providers.base import Misconfigured, ProviderError, RateLimited, Rejected, Transient
from unisafe_providers.batching import Batching, JobStatus, NoSuchJob, Reconciled

from unisafe_async.config.bench_toml import Config, ConfigError
from unisafe_async.config.sections import ModelSection
from unisafe_async.errors import VendorError
from unisafe_async.gateway import Budget, Endpoint, Gateway
from unisafe_async.run.batches.answers import collect
from unisafe_async.run.batches.next_batch import request_names_of
from unisafe_async.run.endpoints import endpoint_of
from unisafe_async.run.opening import open_endpoint, place_errors

LONGEST_POLL = 10.0
"""Seconds between looks at a job that is being cancelled, which takes minutes."""


@dataclass(frozen=True)
class Look:
    """A vendor's reply about a job: its status, or the result of reconciling it, or the reason why neither is known."""

    status: JobStatus | None = None
    reconciled: Reconciled | None = None
    failed: str = ""


@dataclass(frozen=True)
class Freed:
    """What became of a job's requests: how many answers are in the cache, and how many requests may be sent anew."""

    answered: int
    free: int


async def look_at(config: Config, cache: Path, records: Sequence[BatchRecord]) -> dict[BatchRecord, Look]:
    """Ask the vendors about jobs; nothing changes, here or there. If a vendor cannot be asked, the result is the reason."""
    looks: dict[BatchRecord, Look] = {}

    async def look(endpoint: Endpoint | None, record: BatchRecord) -> None:
        if endpoint is None or endpoint.stopped is not None:
            why = f"it belongs to no model of {config.file}" if endpoint is None else str(endpoint.stopped)
            looks[record] = Look(failed=why)
            return
        provider = _require_batching(endpoint)
        try:
            if record.handed_over:
                looks[record] = Look(await provider.status(record.id))
            else:
                looks[record] = Look(reconciled=await provider.find(record.id, request_names_of(record), record.created, known))
        except ProviderError as error:
            looks[record] = Look(failed=str(error))

    async with (
        Store(cache, timeout=config.cache.patience_s) as store,
        _open_endpoints(config, {one.identity for one in records}) as at,
    ):
        known = await store.query(list_known_jobs)
        async with anyio.create_task_group() as group:
            for record in records:
                group.start_soon(look, at.get(record.identity), record)
    return looks


async def cancel(
    config: Config,
    cache: Path,
    record: BatchRecord,
    sure: Callable[[str, Look], bool],
    waits: Callable[[str], None],
) -> Freed | None:
    """Have the vendor end a job, take its answers so far into the cache, and free its other requests.

    Args:
        sure: asks the user, with the model's name and the job's status; it is not called for a job that has ended.
        waits: called once when the vendor needs time, and for each look that failed.

    None when the user is not sure. Raises ConfigError where the configuration has no model that can ask the vendor, VendorError
    where the vendor refuses; once it was told, looks are repeated.
    """
    async with Store(cache, timeout=config.cache.patience_s) as store, _open_endpoints(config, {record.identity}) as endpoints:
        endpoint = endpoints.get(record.identity)
        if endpoint is None:
            raise ConfigError(
                f"{config.file}: the job {record.id} belongs to no model in it; it was submitted for {record.identity!r}"
            )
        if endpoint.stopped is not None:
            raise ConfigError(f"{endpoint.name}: {endpoint.stopped}")
        try:
            return await _cancel(endpoint, store, record, sure, waits)
        except ProviderError as error:
            raise VendorError(f"{endpoint.name}: {error}") from None


async def _cancel(
    endpoint: Endpoint, store: Store, record: BatchRecord, sure: Callable[[str, Look], bool], waits: Callable[[str], None]
) -> Freed | None:
    provider = _require_batching(endpoint)
    look, record = await _look_up(provider, store, record)
    if look.status is None:
        return await _free_lost(endpoint, store, record, look, sure)
    if look.status.state == "in_progress":
        if not look.status.cancelled:
            if not sure(endpoint.name, look):
                return None
            await _cancel_at_vendor(provider, record)
        await store.query(partial(cancel_batch, identity=record.identity, job=record.id))
    try:
        errors, status = await _await_end(endpoint, store, record, waits)
    except NoSuchJob as error:
        return await _free_lost(endpoint, store, record, Look(failed=str(error)), sure)
    end = "cancelled" if status.cancelled else "failed" if status.state == "failed" else "collected"
    await store.query(partial(end_batch, identity=record.identity, job=record.id, status=end))
    return Freed(len(record.keys) - len(errors), len(errors))


async def _free_lost(
    endpoint: Endpoint, store: Store, record: BatchRecord, look: Look, sure: Callable[[str, Look], bool]
) -> Freed | None:
    """Free the requests of a job that will bring no more answers, as the vendor says; collected answers are kept."""
    if not sure(endpoint.name, look):
        return None
    kept = await store.query(partial(find_answered, keys=record.keys, since=record.first_id))
    await store.query(partial(end_batch, identity=record.identity, job=record.id, status="failed"))
    return Freed(len(kept), len(record.keys) - len(kept))


async def _cancel_at_vendor(provider: Batching, record: BatchRecord) -> None:
    """Tell the vendor to cancel a job; a job that has ended meanwhile cannot be cancelled and need not be."""
    try:
        await provider.cancel(record.id)
    except Rejected:
        if (await provider.status(record.id)).state == "in_progress":
            raise


async def _look_up(provider: Batching, store: Store, record: BatchRecord) -> tuple[Look, BatchRecord]:
    """The vendor's report on a job, and the job with its vendor's name if that was not known yet."""
    if not record.handed_over:
        reconciled = await provider.find(record.id, request_names_of(record), record.created, await store.query(list_known_jobs))
        if reconciled.state != "found":
            return Look(reconciled=reconciled), record
        await store.query(partial(accept_batch, tag=record.id, job=reconciled.job))
        record = replace(record, id=reconciled.job, status="submitted")
    try:
        return Look(await provider.status(record.id)), record
    except NoSuchJob as error:
        return Look(failed=str(error)), record


async def _await_end(
    endpoint: Endpoint, store: Store, record: BatchRecord, waits: Callable[[str], None]
) -> tuple[Collection[str], JobStatus]:
    """Wait until a job ends and take its answers; returns the keys without one. If the vendor cannot answer, ask again."""
    gateway = Gateway(store, Budget(None), record.run)
    poll = min(endpoint.batching.poll if endpoint.batching else LONGEST_POLL, LONGEST_POLL)
    told = False
    while True:
        try:
            status = await _require_batching(endpoint).status(record.id)
            if status.state == "ended":
                return await collect(gateway, endpoint, store, record, status, set()), status
            if status.state == "failed":
                return record.keys, status
            if not told:
                waits("the vendor takes up to ten minutes to end it")
            told = True
        except (RateLimited, Transient) as error:
            waits(f"{error}; asked again in {poll:g} s")
        await anyio.sleep(poll)


@asynccontextmanager
async def _open_endpoints(config: Config, identities: Collection[str]) -> AsyncIterator[dict[str, Endpoint]]:
    """The models of the configuration that submitted jobs, by identity, even if they are asked online now.

    A model that cannot be asked is `stopped`, with the reason.
    """
    async with AsyncExitStack() as stack:
        found: dict[str, Endpoint] = {}
        for index, model in enumerate(config.models):
            if not model.spec.batches:
                continue
            endpoint = build_batch_endpoint(config, model)
            identity = endpoint.provider.identity
            if identity in identities and identity not in found and isinstance(endpoint.provider, Batching):
                try:
                    config.secrets_of(f"models[{index}]", model)
                    await stack.enter_async_context(open_endpoint(endpoint))
                except ConfigError as error:
                    endpoint.stopped = Misconfigured(str(error))
                found[identity] = endpoint
        yield found


def build_batch_endpoint(config: Config, model: ModelSection) -> Endpoint:
    """The endpoint for a model's batch jobs, even if the model is asked online now. Raises ConfigError."""
    with place_errors(config):
        return endpoint_of(model.model_copy(update={"mode": "batch"}), model.name, config.base, anyio.sleep)


def _require_batching(endpoint: Endpoint) -> Batching:
    assert isinstance(endpoint.provider, Batching)
    return endpoint.provider
