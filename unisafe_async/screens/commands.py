"""What a configuration starts: command lines, code that comes with models, and environments of a cluster.

Whoever runs a file of somebody else's sees it first.
"""

from __future__ import annotations

import json
import shlex

from unisafe_providers.spec import Options

from unisafe_async.config.bench_toml import Config
from unisafe_async.config.endpoint_sections import EndpointSection
from unisafe_async.text import plain


def describe_commands(config: Config) -> list[str]:
    """A line for each command that may be started."""
    started = [
        f"for answers of {plain(getattr(section, 'name', '') or section.model)} that the cache lacks, this machine starts: {line}"
        for _, section in config.endpoints()
        for line in list_commands(section)
    ]
    return [*started, *describe_cluster(config)]


def describe_cluster(config: Config) -> list[str]:
    """A line for the environment that Ray builds on the machines of the cluster, if there is one."""
    cluster = config.cluster
    if cluster is None or not cluster.runtime_env:
        return []
    described = json.dumps(cluster.runtime_env, ensure_ascii=False)
    return [plain(f"Ray builds this environment for models on the cluster {cluster.address}: runtime_env = {described}")]


def list_started(section: EndpointSection) -> list[str]:
    """What a section starts: its command lines, and code that comes with its model."""
    code = [plain(f"code that comes with {section.model} (trust_remote_code)")] if section.runs_code else []
    return [*list_commands(section), *code]


def list_commands(section: EndpointSection) -> list[str]:
    """The command lines of a section, as a shell would be told them."""
    assert isinstance(section, Options), "a section whose provider is known has its options"
    return [plain(shlex.join(command)) for command in section.list_commands(section.model)]
