"""Sources of a dataset: the sample in this package, a folder in the official layout, a JSONL file, the Hugging Face hub."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from unisafe_providers.base import BadEnvironment
from unisafe_providers.named_files import Folder, NoSuchFile, check_regular, expand_path

from unisafe_async.benchmark.dataset import Dataset, DatasetError, Source, read_dataset
from unisafe_async.benchmark.taxonomy import TASKS
from unisafe_async.extras import missing_extra

TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105
HUB = "hf:"


def open_dataset(source: str, base: Path | None = None, *, here: bool = False) -> Dataset:
    """The dataset that `source` names: `sample`, `hf:OWNER/NAME`, a folder or a `.jsonl` file (relative to `base`).

    With `here` nothing is downloaded: a dataset of the hub must be in the hub's cache on this machine. Raises DatasetError with
    what to do.
    """
    if source == "sample":
        return read_dataset("sample", _find_layout(Path(str(files("unisafe_async").joinpath("data", "sample")))))
    if source.startswith(HUB):
        snapshot = _on_this_machine(source) if here else _download(source)
        return read_dataset(source, _find_layout(snapshot, snapshot.parent.parent))
    path = expand_path(base or Path(), source)
    if os.path.isdir(path):
        return read_dataset(source, _find_layout(path))
    try:
        check_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        raise DatasetError(
            f'there is no folder or file {path}; `source` may also be "sample" or "hf:Hades2002/Uni-SafeBench"'
        ) from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from None
    return read_dataset(source, [Source(path=path, root=path.parent, task=None)])


def _find_layout(root: Path, repository: Path | None = None) -> list[Source]:
    """The tasks' `input.jsonl` below `root`; a folder without them but with other JSONL files holds a user's own items.

    An entry that is no file, such as a link to nothing, raises an error when it is read, so no task is silently left out.
    """
    whole = Folder(root, "the dataset's folder", repository)
    found = [
        Source(path=_file(whole, f"{task.folder}/input.jsonl"), root=root / task.folder, task=task.key, repository=repository)
        for task in TASKS.values()
        if os.path.lexists(root / task.folder / "input.jsonl")
    ]
    if found:
        return found
    try:
        own = sorted(name for name in os.listdir(root) if name.endswith(".jsonl") and not os.path.isdir(root / name))
    except OSError as error:
        raise DatasetError(f"{root} cannot be read: {error.strerror}") from None
    if own:
        return [Source(path=_file(whole, name), root=root, task=None, repository=repository) for name in own]
    folders = ", ".join(f"{task.folder}/input.jsonl" for task in list(TASKS.values())[:2])
    raise DatasetError(f"{root} is not in the official layout ({folders}, ...) and holds no .jsonl file")


def _file(folder: Folder, name: str) -> Path:
    try:
        return folder.file(name)
    except NoSuchFile as error:
        raise DatasetError(f"{folder.path}: {error}") from None


def _download(source: str) -> Path:
    """The repository's folder in the hub's cache, after missing files were downloaded."""
    import httpx2

    _require_hub(source)
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )
    from unisafe_providers.environment import check_environment

    repository = source.removeprefix(HUB)
    token = "is set" if os.environ.get(TOKEN_VARIABLE) else "is not set"
    if not ENDPOINT.startswith(("http://", "https://")):
        raise DatasetError(f"HF_ENDPOINT={ENDPOINT}: should be an address, such as https://huggingface.co, or unset")
    try:
        check_environment(ENDPOINT)
        return Path(snapshot_download(repository, repo_type="dataset"))
    except BadEnvironment as error:
        raise DatasetError(f"hf:{repository} cannot be downloaded: {error}") from None
    except HFValidationError as error:
        raise DatasetError(f"{source} should be hf:OWNER/NAME: {_first_line(error)}") from None
    except (GatedRepoError, RepositoryNotFoundError):
        raise DatasetError(
            f"hf:{repository} is gated: ask for access at https://huggingface.co/datasets/{repository}, then put a token of that "
            f"account in the variable {TOKEN_VARIABLE} (it {token})"
        ) from None
    except (LocalEntryNotFoundError, HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise DatasetError(f"hf:{repository} cannot be downloaded: {_explain_download(error, ENDPOINT, token)}") from None


def _require_hub(source: str) -> None:
    """Raises DatasetError where the package that downloads `source` is not installed."""
    if (missing := missing_extra("huggingface_hub", source)) is not None:
        raise DatasetError(f"{missing}; or name a folder that already holds the dataset")


def _explain_download(error: Exception, address: str, token: str) -> str:
    """Why a repository could not be downloaded, and what to change."""
    from unisafe_providers.environment import proxy_of

    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be used ({error.strerror}); name a folder that can be written in HF_HOME"
    proxy = proxy_of(address)
    way = f"the network, the proxy ({proxy})" if proxy is not None else "the network"
    return f"{_first_line(error)}; check {way} and {TOKEN_VARIABLE} (it {token}), or name a folder that already holds the dataset"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _on_this_machine(source: str) -> Path:
    """The repository's folder from an earlier download."""
    _require_hub(source)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source.removeprefix(HUB), repo_type="dataset", local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError):
        raise DatasetError(f"{source} is not on this machine; `unisafe data check {source}` downloads it") from None
