"""A model at the hub or in the hub's cache: which commit, what of it is here, and whether the rest can be had."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unisafe_providers.base import Misconfigured
from unisafe_providers.local.checkpoint import find_obstacle
from unisafe_providers.local.model_files import (
    describe_missing,
    describe_size,
    find_missing,
    is_hidden,
    list_configs,
    list_sizes,
    measure_parts,
)
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.local.weights import Weights

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

TIMEOUT = 15.0


def find_in_hub(settings: LocalSettings) -> Weights:
    """The weights of a hub id. Raises Misconfigured if not even the commit is known."""
    try:
        import huggingface_hub  # noqa: F401
    except ModuleNotFoundError:
        raise Misconfigured(
            f"model {settings.model}: local models need the extra `local`: pip install 'unisafe-async[local]'"
        ) from None
    snapshot = _find_snapshot(settings, settings.revision)
    if snapshot is not None:
        return _find_in_cache(settings, snapshot)
    try:
        info = ask_hub(settings, settings.revision, "is no folder here and is not in the hub's cache")
    except Misconfigured:
        snapshot = _find_only_snapshot(settings) if settings.revision is None else None
        if snapshot is None:
            raise
        return _find_in_cache(settings, snapshot)
    snapshot = _find_snapshot(settings, info.sha)
    return _describe_remote(settings, info) if snapshot is None else _find_in_cache(settings, snapshot)


def _name_index(settings: LocalSettings) -> str:
    """The file without which a model is not in the cache."""
    return settings.gguf_file or ("model_index.json" if settings.library == "diffusers" else "config.json")


def _find_snapshot(settings: LocalSettings, revision: str | None) -> Path | None:
    """The folder `snapshots/<commit>` of a revision in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    index = _name_index(settings)
    cached = try_to_load_from_cache(settings.model, index, revision=revision)
    return Path(cached).parents[len(Path(index).parts) - 1] if isinstance(cached, str) else None


def _find_only_snapshot(settings: LocalSettings) -> Path | None:
    """The one commit of a model in the hub's cache: a download of a commit notes no branch for it."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=settings.model, repo_type="model") / "snapshots"
    found = [file.parents[len(Path(_name_index(settings)).parts) - 1] for file in folder.glob(f"*/{_name_index(settings)}")]
    return found[0] if len(found) == 1 else None


def _find_in_cache(settings: LocalSettings, snapshot: Path) -> Weights:
    """A model whose configuration is in the cache; its weights may be missing: then they are to be downloaded at that commit.

    Its commit is known either way, so answers that were given before are found even if it cannot be loaded.
    """
    files = sorted(file for file in snapshot.rglob("*") if file.is_file() and not is_hidden(file, snapshot))
    parts = measure_parts(list_sizes([snapshot / settings.gguf_file] if settings.gguf_file else files, snapshot), settings.library)
    missing = [] if settings.gguf_file else find_missing(snapshot, settings.library)
    obstacle = find_obstacle(settings, list_configs(snapshot, settings.library))
    if not missing:
        return _make(settings, snapshot.name, parts, obstacle)
    try:
        remote = _describe_remote(
            settings, ask_hub(settings, snapshot.name, f"is not all in the hub's cache ({describe_missing(missing)})")
        )
    except Misconfigured as error:
        return _make(settings, snapshot.name, parts, str(error))
    here = sum(parts.values())
    return _make(settings, snapshot.name, remote.parts, remote.obstacle or obstacle, download=max(1, remote.size - here))


def _make(settings: LocalSettings, commit: str, parts: Mapping[str, int], obstacle: str, download: int = 0) -> Weights:
    return Weights(
        model=settings.model,
        revision=commit,
        gguf_file=settings.gguf_file,
        identity=f"{settings.model}@{commit}",
        parts=parts,
        obstacle=obstacle or (_find_full_disk(settings.model, download) if download else ""),
        download=download,
    )


# ---------------------------------------------------------------- asking the hub


def ask_hub(settings: LocalSettings, revision: str | None, lack: str) -> ModelInfo:
    """What the hub says of a model. Raises Misconfigured with what to change.

    Args:
        lack: what is missing here, so that the hub has to be asked.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    model = settings.model
    missing = f"model {model}: {lack}"
    if constants.HF_HUB_OFFLINE:
        raise Misconfigured(f"{missing}, and HF_HUB_OFFLINE is set; run `hf download {model}` where there is a network")
    try:
        return HfApi().model_info(model, revision=revision, files_metadata=True, timeout=TIMEOUT)
    except GatedRepoError:
        raise Misconfigured(_describe_gate(model)) from None
    except RevisionNotFoundError:
        raise Misconfigured(f"model {model}: there is no revision {revision!r} of it") from None
    except RepositoryNotFoundError:
        raise Misconfigured(f"model {model}: there is no such model at the hub, or it is private: run `hf auth login`") from None
    except Exception as error:
        if not isinstance(error, OSError) and not type(error).__module__.startswith(("httpx", "huggingface_hub")):
            raise
        raise Misconfigured(
            f"{missing}, and the hub cannot be reached ({type(error).__name__}); "
            f"run `hf download {model}` where there is a network, or name a folder"
        ) from None


def _describe_gate(model: str) -> str:
    return f"model {model}: is gated; accept its terms at https://huggingface.co/{model}, then run `hf auth login`"


def _describe_remote(settings: LocalSettings, info: ModelInfo) -> Weights:
    """Weights that are to be downloaded; a gate that is closed to this user is an obstacle."""
    names = {file.rfilename: file.size or 0 for file in info.siblings or []}
    chosen = {settings.gguf_file: names.get(settings.gguf_file, 0)} if settings.gguf_file else names
    parts = measure_parts(chosen, settings.library if not settings.gguf_file else "transformers")
    configs: list[dict[str, Any]] = [info.config] if info.config else []
    obstacle = _find_gate(settings.model) if info.gated else ""
    if settings.gguf_file and settings.gguf_file not in names:
        there = ", ".join(sorted(name for name in names if name.endswith(".gguf"))) or "none"
        obstacle = f"model {settings.model}: there is no GGUF file {settings.gguf_file!r} in it; there: {there}"
    obstacle = obstacle or find_obstacle(settings, configs)
    return _make(settings, str(info.sha), parts, obstacle, download=max(1, sum(parts.values())))


def _find_full_disk(model: str, download: int) -> str:
    """The obstacle if a download does not fit on the disk."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    try:
        free = shutil.disk_usage(next(folder for folder in (cache, *cache.parents) if folder.is_dir())).free
    except OSError:
        return ""
    if download <= free:
        return ""
    needed = f"{describe_size(download)} are to be downloaded, and there are {describe_size(free)} free in {cache}"
    return f"model {model}: {needed}; make room, or name another folder in HF_HOME"


def _find_gate(model: str) -> str:
    """The obstacle if this user may not download a gated model; a hub that does not tell is asked by the download itself."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        HfApi().auth_check(model)
    except (GatedRepoError, RepositoryNotFoundError):
        return _describe_gate(model)
    except Exception:
        return ""
    return ""
