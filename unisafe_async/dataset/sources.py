"""Where a dataset comes from: the sample in this package, a folder in the official layout, a JSONL file, the Hugging Face hub."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from unisafe_async.dataset.dataset import Dataset, DatasetError, Source, read_dataset
from unisafe_async.taxonomy import TASKS

TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105


def open_dataset(source: str, base: Path | None = None) -> Dataset:
    """The dataset that `source` names: `sample`, `hf:OWNER/NAME`, a folder or a `.jsonl` file (relative to `base`).

    Raises DatasetError with what to do.
    """
    if source == "sample":
        return read_dataset("sample", _layout(Path(str(files("unisafe_async").joinpath("data", "sample")))))
    if source.startswith("hf:"):
        return read_dataset(source, _layout(_download(source.removeprefix("hf:"))))
    path = (base or Path()) / Path(source).expanduser()
    if path.is_dir():
        return read_dataset(source, _layout(path))
    if path.is_file():
        return read_dataset(source, [Source(path, path.parent, None)])
    raise DatasetError(f'there is no folder or file {path}; `source` may also be "sample" or "hf:Hades2002/Uni-SafeBench"')


def _layout(root: Path) -> list[Source]:
    """The tasks' `input.jsonl` below `root`; a folder that holds none but other JSONL files is a user's own."""
    found = [
        Source(root / task.folder / "input.jsonl", root / task.folder, task.key)
        for task in TASKS.values()
        if (root / task.folder / "input.jsonl").is_file()
    ]
    if found:
        return found
    own = sorted(root.glob("*.jsonl"))
    if own:
        return [Source(path, root, None) for path in own]
    folders = ", ".join(f"{task.folder}/input.jsonl" for task in list(TASKS.values())[:2])
    raise DatasetError(f"{root} is not in the official layout ({folders}, ...) and holds no .jsonl file")


def _download(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    from providers.base import BadEnvironment
    from providers.environment import check_environment

    token = "is set" if os.environ.get(TOKEN_VARIABLE) else "is not set"
    if not ENDPOINT.startswith(("http://", "https://")):
        raise DatasetError(f"HF_ENDPOINT={ENDPOINT}: should be an address, such as https://huggingface.co, or unset")
    try:
        check_environment(ENDPOINT)
        return Path(snapshot_download(repository, repo_type="dataset"))
    except BadEnvironment as error:
        raise DatasetError(f"hf:{repository} cannot be downloaded: {error}") from None
    except HFValidationError:
        raise DatasetError(f"hf:{repository} names no repository; should be hf:OWNER/NAME") from None
    except (GatedRepoError, RepositoryNotFoundError):
        raise DatasetError(
            f"hf:{repository} is gated: ask for access at https://huggingface.co/datasets/{repository}, then put a token of that "
            f"account in the variable {TOKEN_VARIABLE} (it {token})"
        ) from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise DatasetError(f"hf:{repository} cannot be downloaded: {_why(error, ENDPOINT, token)}") from None


def _why(error: Exception, address: str, token: str) -> str:
    """What kept a repository from this machine, and what to change."""
    from providers.environment import proxy_of

    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be used ({error.strerror}); name a folder that can be written in HF_HOME"
    proxy = proxy_of(address)
    way = f"the network, the proxy ({proxy})" if proxy is not None else "the network"
    words = str(error).splitlines()[0]
    return f"{words}; check {way} and {TOKEN_VARIABLE} (it {token}), or name a folder that already holds the dataset"
