"""What every provider is built with, ours and those of other packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Literal

from unisafe_providers.base import Capabilities
from unisafe_providers.presets import Preset

Service = Literal["chat", "moderation", "classification"]
"""What a model is asked for: answers, a vendor's own moderation, or the probabilities of a classifier of images."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One model of bench.toml, for the callable that an entry point of `unisafe.providers` names.

    The provider's own options are no part of this: a ProviderSpec's `build` gets them as its model, and a plain callable gets the
    keys of the table `options` as keyword arguments, whose names and types its own parameters say.

    Args:
        model: its name at the endpoint.
        capabilities: what the user declared that it takes and gives.
        base_url: the endpoint's address; None if bench.toml names none.
        key: the value of the variable that `key_env` names; None without `key_env`. It is shown nowhere.
        timeout_s: seconds that one call may take.
        max_connections: calls that will be under way at once, at most.
        folder: the folder of bench.toml; paths in `options` are relative to it.
        judges: whether it is asked as a judge.
        service: what it is asked for.
        in_batches: whether its requests go out as batch jobs.
        secret_headers: headers whose values are never shown or stored, by name.
        vendor: what is known of the vendor.
        direct: whether the address is one of this machine that no proxy leads to.
        devices: the devices that it takes turns on, as bench.toml names them; a provider that is OnDevice tells its own.
        batch_size: requests in a batch, at most; None leaves it to the provider.
        extra: more arguments of every request.
        structured: whether a judge is asked for JSON by schema.
        cluster: the keys of `[cluster]`, if models that are loaded run on a cluster; None for this machine.
    """

    model: str
    capabilities: Capabilities = field(default_factory=Capabilities)
    _: KW_ONLY
    base_url: str | None = None
    key: str | None = field(default=None, repr=False)
    timeout_s: float = 120.0
    max_connections: int = 32
    folder: Path = Path()
    judges: bool = False
    service: Service = "chat"
    in_batches: bool = False
    secret_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    vendor: Preset | None = field(default=None, repr=False)
    direct: bool = False
    devices: tuple[str, ...] = ()
    batch_size: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    structured: bool = True
    cluster: Mapping[str, Any] | None = None
