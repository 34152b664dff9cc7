"""Opens the endpoints of a run: an endpoint that cannot be opened stops alone, and says what to change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from unisafe_providers.base import Misconfigured
from unisafe_providers.endpoint_options import EndpointOptions

from unisafe_async.config.bench_toml import Config, ConfigError
from unisafe_async.config.endpoint_sections import EndpointSection
from unisafe_async.gateway import Endpoint
from unisafe_async.gateway.calling import was_cancelled
from unisafe_async.run.endpoints import EndpointError

log = logging.getLogger(__name__)


class open_endpoint:  # noqa: N801 used as a block: `async with opened(endpoint)`
    """An endpoint's provider, open inside the block. If it cannot be opened, the endpoint is `stopped` with the reason."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def __aenter__(self) -> Self:
        try:
            await self._endpoint.provider.__aenter__()
        except Misconfigured as error:
            self._endpoint.stopped = error
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            if was_cancelled(error):
                raise
            self._endpoint.stopped = Misconfigured(f"the provider could not be opened: {type(error).__name__}: {error}")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            await self._endpoint.provider.__aexit__(kind, error, trace)
        except (Exception, SystemExit, asyncio.CancelledError) as failure:
            if was_cancelled(failure):
                raise
            if failure is not error and self._endpoint.stopped is None:
                words = f"{type(failure).__name__}: {failure}"
                log.warning("%s: the provider could not be closed, all answers are kept: %s", self._endpoint.name, words)


@contextmanager
def place_errors(config: Config) -> Iterator[None]:
    """Inside the block, an endpoint that cannot be built raises ConfigError with the file, the place and the key."""
    try:
        yield
    except EndpointError as error:
        place = next(place for place, section in config.endpoints() if section is error.section)
        raise ConfigError(f"{config.file}: {place}.{error.key}: {error}") from None


def check_apart(config: Config, endpoints: Sequence[tuple[EndpointSection, Endpoint]]) -> None:
    """Check that plugins give different models different identities; else one would get the other's answers. Raises ConfigError."""
    known: dict[str, tuple[EndpointSection, str]] = {}
    for section, endpoint in endpoints:
        other, name = known.setdefault(endpoint.provider.identity, (section, endpoint.name))
        if _describe_section(other) != _describe_section(section) and (section.plugin or other.plugin):
            raise ConfigError(
                f"{config.file}: {endpoint.name!r} and {name!r} have the same identity, {endpoint.provider.identity!r}, so that "
                f"one would get the other's answers; the provider {section.provider!r} must put model, address and options into it"
            )


def _describe_section(section: EndpointSection) -> tuple[str, str, str, str]:
    """What a plugin has to tell models apart by: the address, and each option."""
    own = section.spec.options.model_fields.keys() - EndpointOptions.model_fields.keys()
    return section.provider, section.model, section.address, repr([(key, getattr(section, key)) for key in sorted(own)])
