"""What a provider from another package is made with: the first argument of its entry point."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from providers.base import Capabilities


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One model of bench.toml, for the callable that an entry point of `unisafe.providers` names.

    Keys of the table `options` are no part of this: they are passed as keyword arguments, and the callable's own parameters
    after the first say which there are and of what type.

    Args:
        model: its name at the endpoint.
        capabilities: what the user declared that it takes and gives.
        base_url: the endpoint's address; None where bench.toml names none.
        key: the value of the variable that `key_env` names; None where it names none. Shown nowhere.
        timeout_s: seconds that one call may take.
        max_connections: calls that will be under way at once, at most.
        folder: where bench.toml is; paths in `options` are relative to it.
    """

    model: str
    capabilities: Capabilities = field(default_factory=Capabilities)
    base_url: str | None = None
    key: str | None = field(default=None, repr=False)
    timeout_s: float = 120.0
    max_connections: int = 32
    folder: Path = Path()
