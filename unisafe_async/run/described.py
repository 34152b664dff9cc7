"""What models say of themselves once they are started: it is kept with the run, and held against what they said before."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping

import duckdb
from unisafe_cache import Store
from unisafe_providers.base import Described

from unisafe_async.gateway import Endpoint

NEWEST_FIRST = "SELECT summary FROM runs WHERE contains(summary, '\"described\"') ORDER BY started DESC"


async def expect_described(
    store: Store, endpoints: Iterable[Endpoint], note: Callable[[], Awaitable[None]], *, fresh: bool
) -> None:
    """Tell each provider what its model said before, and have `note` awaited when it has said it in this run.

    With `fresh` the answers from before do not count, so its model may have changed.
    """
    providers = [endpoint.provider for endpoint in endpoints if isinstance(endpoint.provider, Described)]
    if not providers:
        return
    known = {} if fresh else await store.query(find_described)
    for provider in providers:
        provider.expected = known.get(provider.identity, "")
        provider.on_described = note


def find_described(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What each model said of itself last, by its identity."""
    found: dict[str, str] = {}
    for (summary,) in connection.execute(NEWEST_FIRST).fetchall():
        said = json.loads(summary).get("described")
        for identity, words in said.items() if isinstance(said, dict) else ():
            found.setdefault(identity, words)
    return found


def list_described(endpoints: Iterable[Endpoint]) -> Mapping[str, str]:
    """What the models of a run said of themselves, by identity."""
    return {
        endpoint.provider.identity: endpoint.provider.described
        for endpoint in endpoints
        if isinstance(endpoint.provider, Described) and endpoint.provider.described
    }
