"""A local model's weights: where they are, what identifies them, and how large they are. Nothing is loaded."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from unisafe_providers.base import Misconfigured
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.named_files import expand_path

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".pth")
COPIES = (".fp16.", ".bf16.", ".non_ema.", "consolidated", "original/")
"""Parts of the paths of files that hold the same weights again, in another precision or format."""
NOT_THE_MODEL = (".md", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".lock", ".metadata")
BLOCK = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """One model's files.

    Args:
        model: the argument for the library: a hub id, or a folder.
        revision: the commit at the hub; None for a folder.
        gguf_file: the GGUF file in it, if a GGUF file is loaded.
        identity: tells these weights from all others: `id@commit`, or the digest of the folder's files.
        size: bytes of weights; 0 if the hub did not say.
    """

    model: str
    revision: str | None
    gguf_file: str | None
    identity: str
    size: int


def find_weights(settings: LocalSettings) -> Weights:
    """Find the weights on disk, in the hub's cache, or at the hub. Raises Misconfigured with what to change."""
    path = expand_path(Path(), settings.model)
    if os.path.isfile(path):
        if path.suffix != ".gguf":
            raise Misconfigured(f"model {settings.model}: is a file; name the model's folder, a GGUF file or a hub id")
        return Weights(
            model=str(path.parent), revision=None, gguf_file=path.name, identity=digest_of_files([path]), size=path.stat().st_size
        )
    if os.path.isdir(path):
        return _find_in_folder(path, settings)
    if path.is_absolute() or not HUB_ID.fullmatch(settings.model):
        raise Misconfigured(f"model {settings.model}: there is no such folder; name one, or a hub id such as org/name")
    return _find_in_hub(settings)


def _find_in_folder(path: Path, settings: LocalSettings) -> Weights:
    if settings.revision is not None:
        raise Misconfigured(f"model {settings.model}: is a folder, and only hub ids have a revision")
    files = sorted(file for file in path.rglob("*") if file.is_file() and not _is_hidden(file, path))
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
        size=_sum_sizes(_list_sizes(files, path), settings.library),
    )


def _list_sizes(files: list[Path], base: Path) -> dict[str, int]:
    return {file.relative_to(base).as_posix(): file.stat().st_size for file in files}


def _is_hidden(file: Path, base: Path) -> bool:
    return file.suffix in NOT_THE_MODEL or any(part.startswith(".") for part in file.relative_to(base).parts)


def is_copy(name: str) -> bool:
    """Whether a file, by its path in the model's folder, holds weights that other files there hold already."""
    return any(part in name for part in COPIES)


def _sum_sizes(sizes: dict[str, int], library: str) -> int:
    """Bytes of weights by file name, in one format and one precision: a folder may hold the same weights several times."""
    for suffix in WEIGHTS:
        size = sum(
            size
            for name, size in sizes.items()
            if name.endswith(suffix) and not is_copy(name) and ("/" in name or library != "diffusers")
        )
        if size:
            return size
    return 0


# ---------------------------------------------------------------- the hub


def _find_in_hub(settings: LocalSettings) -> Weights:
    try:
        from huggingface_hub import HfApi, constants, try_to_load_from_cache
    except ModuleNotFoundError:
        raise Misconfigured(
            f"model {settings.model}: local models need the extra `local`: pip install 'unisafe-async[local]'"
        ) from None
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    model, revision = settings.model, settings.revision
    index = settings.gguf_file or ("model_index.json" if settings.library == "diffusers" else "config.json")
    cached = try_to_load_from_cache(model, index, revision=revision)
    if isinstance(cached, str):
        snapshot = _find_snapshot(Path(cached), index)
        files = sorted(file for file in snapshot.rglob("*") if file.is_file() and not _is_hidden(file, snapshot))
        chosen = [Path(cached)] if settings.gguf_file else files
        size = _sum_sizes(_list_sizes(chosen, snapshot), settings.library)
        return Weights(
            model=model, revision=snapshot.name, gguf_file=settings.gguf_file, identity=f"{model}@{snapshot.name}", size=size
        )
    missing = f"model {model}: is no folder here and is not in the hub's cache ({constants.HF_HUB_CACHE})"
    if constants.HF_HUB_OFFLINE:
        raise Misconfigured(f"{missing}, and HF_HUB_OFFLINE is set; run `hf download {model}` where there is a network")
    try:
        info = HfApi().model_info(model, revision=revision, files_metadata=True, timeout=15)
    except GatedRepoError:
        raise Misconfigured(
            f"model {model}: is gated; accept its terms at https://huggingface.co/{model}, then run `hf auth login`"
        ) from None
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
    names = {file.rfilename: file.size or 0 for file in info.siblings or []}
    size = names.get(settings.gguf_file, 0) if settings.gguf_file else _sum_sizes(names, settings.library)
    return Weights(model=model, revision=info.sha, gguf_file=settings.gguf_file, identity=f"{model}@{info.sha}", size=size)


def _find_snapshot(file: Path, index: str) -> Path:
    """The folder `snapshots/<commit>` that holds `file`."""
    for _ in Path(index).parts:
        file = file.parent
    return file


# ---------------------------------------------------------------- digests


def digest_of_files(files: list[Path]) -> str:
    """BLAKE2b over names and contents, 128 bits in hexadecimal; a digest is remembered by the file's size and time.

    The folder's own name is not part of it: a copy of a model is the same model.
    """
    known = _recall()
    whole = hashlib.blake2b(digest_size=16)
    changed = False
    base = Path(os.path.commonpath([file.parent for file in files])) if files else Path()
    for file in files:
        status = file.stat()
        key = f"{file.resolve()}:{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
        if key not in known:
            known[key] = _digest_file(file)
            changed = changed or status.st_size > BLOCK
        whole.update(f"{file.relative_to(base)}\0{known[key]}\0".encode())
    if changed:
        _remember(known)
    return whole.hexdigest()


def _digest_file(file: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with file.open("rb") as content:
        while block := content.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _memory_file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unisafe" / "digests.json"


def _recall() -> dict[str, str]:
    try:
        found = json.loads(_memory_file().read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(known: dict[str, str]) -> None:
    """Best effort: without it the files are read again."""
    file = _memory_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(known))
        partial.replace(file)
    except OSError:
        return
