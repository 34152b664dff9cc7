"""The command lines that a configuration starts on this machine: whoever runs a file of somebody else's sees them first."""

from __future__ import annotations

import shlex

from unisafe_providers.spec import Options

from unisafe_async.config.bench_toml import Config
from unisafe_async.config.endpoint_sections import EndpointSection
from unisafe_async.text import plain


def describe_commands(config: Config) -> list[str]:
    """A line for each command that may be started."""
    return [
        f"for answers of {plain(getattr(section, 'name', '') or section.model)} that the cache lacks, this machine starts: {line}"
        for _, section in config.endpoints()
        for line in list_commands(section)
    ]


def list_commands(section: EndpointSection) -> list[str]:
    """The command lines of a section, as a shell would be told them."""
    assert isinstance(section, Options), "a section whose provider is known has its options"
    return [plain(shlex.join(command)) for command in section.list_commands(section.model)]
