"""Which models a server of one's own has, asked before there is a bench.toml."""

from __future__ import annotations

from pathlib import Path

import anyio
from unisafe_providers.base import Listing

from unisafe_async.config.bench_toml import parse_config
from unisafe_async.gateway import Endpoint
from unisafe_async.run.endpoints import endpoint_of


async def list_models_at(provider: str, address: str) -> list[str]:
    """The models that a server lists; raises what `Listing.models` raises, and ConfigError for an address that is none."""
    model = {"name": "asked", "provider": provider, "model": "asked", "base_url": address}
    config = parse_config({"models": [model], "judge": {"provider": "simulated", "model": "judge"}}, "address")
    endpoint: Endpoint = endpoint_of(config.models[0], "asked", Path(), anyio.sleep)
    async with endpoint.provider as asked:
        return await asked.models() if isinstance(asked, Listing) else []
