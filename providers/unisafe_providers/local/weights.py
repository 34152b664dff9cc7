"""A local model's weights: where they are, what identifies them, and how large they are. Nothing is loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unisafe_providers.base import Misconfigured
from unisafe_providers.file_digests import digest_of_files
from unisafe_providers.local.checkpoint import find_obstacle
from unisafe_providers.local.model_files import (
    ANY,
    describe_missing,
    find_missing,
    is_hidden,
    list_configs,
    list_sizes,
    measure_parts,
)
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.named_files import expand_path

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """One model's files.

    Args:
        model: the argument for the library: a hub id, or a folder.
        revision: the commit at the hub; None for a folder.
        gguf_file: the GGUF file in it, if a GGUF file is loaded.
        identity: tells these weights from all others: `id@commit`, or the digest of the folder's files.
        parts: bytes of weights on disk by folder: of a pipeline, one for each part; empty if the hub did not say.
        obstacle: why they cannot be loaded here, with what would be right; empty if nothing is known to stand in the way.
        download: bytes that are to be downloaded first; 0 if all are here.
    """

    model: str
    revision: str | None
    gguf_file: str | None
    identity: str
    parts: Mapping[str, int]
    obstacle: str = ""
    download: int = 0

    @property
    def size(self) -> int:
        """Bytes of weights on disk; 0 if not known."""
        return sum(self.parts.values())

    def measure_held(self, settings: LocalSettings) -> int:
        """Bytes of weights that are on the device at once: of a pipeline with `offload`, those of its largest part."""
        return max(self.parts.values(), default=0) if settings.offload else self.size


def find_weights(settings: LocalSettings) -> Weights:
    """Find the weights on disk, in the hub's cache, or at the hub. Raises Misconfigured with what to change."""
    path = expand_path(Path(), settings.model)
    if os.path.isfile(path):
        if path.suffix != ".gguf":
            raise Misconfigured(f"model {settings.model}: is a file; name the model's folder, a GGUF file or a hub id")
        return Weights(
            model=str(path.parent),
            revision=None,
            gguf_file=path.name,
            identity=digest_of_files([path]),
            parts={"": path.stat().st_size},
            obstacle=find_obstacle(settings, ()),
        )
    if os.path.isdir(path):
        return _find_in_folder(path, settings)
    if path.is_absolute() or not HUB_ID.fullmatch(settings.model):
        raise Misconfigured(f"model {settings.model}: there is no such folder; name one, or a hub id such as org/name")
    from unisafe_providers.local.hub import find_in_hub

    return find_in_hub(settings)


def _find_in_folder(path: Path, settings: LocalSettings) -> Weights:
    if settings.revision is not None:
        raise Misconfigured(f"model {settings.model}: is a folder, and only hub ids have a revision")
    files = sorted(file for file in path.rglob("*") if file.is_file() and not is_hidden(file, path))
    if settings.gguf_file is not None:
        files = [path / settings.gguf_file]
        if not files[0].is_file():
            there = ", ".join(sorted(file.name for file in path.glob("*.gguf"))) or "none"
            raise Misconfigured(f"model {settings.model}: there is no GGUF file {settings.gguf_file!r} in it; there: {there}")
    else:
        index = "model_index.json" if settings.library == "diffusers" else "config.json"
        if not (path / index).is_file():
            ggufs = [file.name for file in path.glob("*.gguf")]
            meant = (
                f'; for the GGUF file there put gguf_file = "{ggufs[0]}"' if ggufs and settings.library == "transformers" else ""
            )
            raise Misconfigured(f"model {settings.model}: has no {index}, so it is no folder that {settings.library} saved{meant}")
    return Weights(
        model=str(path),
        revision=None,
        gguf_file=settings.gguf_file,
        identity=digest_of_files(files),
        parts=measure_parts(list_sizes(files, path), "transformers" if settings.gguf_file else settings.library),
        obstacle=_find_obstacle_in(path, settings),
    )


def _find_obstacle_in(path: Path, settings: LocalSettings) -> str:
    missing = [] if settings.gguf_file else [name for name in find_missing(path, settings.library) if name != ANY]
    if missing:  # a folder without any weights is for the library to judge: it may know more kinds of files than we do
        return f"model {settings.model}: {describe_missing(missing)} there; copy or download the whole folder"
    return find_obstacle(settings, () if settings.gguf_file else list_configs(path, settings.library))
