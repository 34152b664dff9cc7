"""From the keys of `[cluster]` to whoever starts workers there. Ray is imported when the first worker starts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from unisafe_providers.cluster.worker import ActorWorker, ClusterSettings
from unisafe_providers.gpus import TOGETHER


def launch_on(keys: Mapping[str, Any], device: str) -> tuple[partial[ActorWorker], str]:
    """What starts a worker on the cluster, and the devices that it takes there: all GPUs that Ray gave it.

    Args:
        keys: those of `[cluster]`.
        device: as bench.toml names it for this machine: `cpu` takes no GPU.
    """
    gpus = 0.0 if device == "cpu" else keys["gpus"]
    environment = keys["runtime_env"] or None
    settings = ClusterSettings(address=keys["address"], gpus=gpus, memory_gb=keys["memory_gb"], runtime_env=environment)
    several = TOGETHER.join(f"cuda:{index}" for index in range(int(gpus)))
    return partial(ActorWorker, settings=settings), several or ("cuda" if gpus else "cpu")
