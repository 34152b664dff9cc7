"""Why loading a model can fail, in a user's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unisafe_providers.errors import UnisafeError
from unisafe_providers.local.settings import LocalSettings

if TYPE_CHECKING:
    from unisafe_providers.local.device import Device


NO_MEMORY = re.compile(
    r"out of memory|can't allocate memory|not enough memory|failed to allocate"
    r"|(?:CUBLAS|HIPBLAS|CUDNN|MIOPEN|CUSOLVER|CUSPARSE)_STATUS_(?:ALLOC_FAILED|INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)"
    r"|ncclSystemError.{0,200}\balloc",
    re.I | re.S,
)
"""Words of a RuntimeError with which a device or one of its libraries reports that memory ran out."""
DEVICE_LOST = re.compile(
    r"\b(?:CUDA|HIP|NCCL|RCCL) error\b|device-side assert|illegal memory access|unspecified launch failure|uncorrectable ECC"
    r"|ECC error|CUBLAS_STATUS_(?:EXECUTION_FAILED|NOT_INITIALIZED|INTERNAL_ERROR)|CUDNN_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR)"
    r"|UR_RESULT_ERROR_DEVICE_LOST|ncclUnhandledCudaError|ncclInternalError|device is lost",
    re.I,
)
"""Words of an error after which a device's context may be dead: CUDA answers every later call of the process with the same error.

CUDA C++ Programming Guide, "Error Checking": a sticky error is not cleared, and the process has to end.
"""

EXTRA = ("torch", "torchvision", "transformers", "diffusers", "accelerate", "bitsandbytes", "gguf", "sentencepiece")
"""Modules that come with the extra `local`."""
PIP = re.compile(r"pip install [^`)\n;]+")
"""The advice that a library gives where a package of its is missing."""


class Unsupported(UnisafeError):
    """The model cannot do what bench.toml asks of it, or the library cannot load it; the message says which."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error means that memory ran out, on any device."""
    if isinstance(error, MemoryError):
        return True
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and NO_MEMORY.search(str(error)) is not None
    )


def is_device_lost(error: BaseException) -> bool:
    """Whether this process can no longer use the device, so that every later batch would fail like this one."""
    if is_out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    return type(error).__name__ == "AcceleratorError" or DEVICE_LOST.search(str(error)) is not None


def explain_failure(error: BaseException, settings: LocalSettings, device: Device | None) -> str:
    """One line that says what is wrong and what would be right."""
    names = {kind.__name__ for kind in type(error).__mro__}
    words = " ".join(str(error).split())
    model = settings.model
    if names & {"NoDevice"}:
        return f'{words}; put device = "cpu" or "auto"'
    if names & {"NotEnoughMemory"}:
        return f"{model}: not enough memory: {words}; take a smaller model, dtype or quantization, or another device"
    if isinstance(error, Unsupported):
        return f"{model}: {words}"
    if is_out_of_memory(error):
        has = f" ({device.read_free() / 2**30:.1f} GiB are free on {device.name})" if device else ""
        return f"{model}: not enough memory to load it{has}; take a smaller model, dtype or quantization, or another device"
    if "GatedRepoError" in names:
        return f"{model} is gated: accept its terms at https://huggingface.co/{model}, then `hf auth login`"
    if "RevisionNotFoundError" in names or "is not a valid git identifier" in words:
        return f"{model}: there is no revision {settings.revision!r} of it"
    if names & {"RepositoryNotFoundError", "HFValidationError"}:
        return f"{model}: there is no such model at the hub, or it is private and `hf auth login` is missing"
    if names & {"LocalEntryNotFoundError", "OfflineModeIsEnabled"} or "couldn't connect to" in words or "offline mode" in words:
        return f"{model}: is not all in the hub's cache, and the hub cannot be reached; run `hf download {model}` first"
    if "trust_remote_code" in words:
        return f"{model}: comes with code of its own; read it, then put trust_remote_code = true"
    if isinstance(error, ImportError):
        return f"{model}: {_explain_import(error, words)}"
    if "gguf" in words.lower() or (settings.gguf_file and isinstance(error, ValueError | KeyError | OSError)):
        return f"{model}: its GGUF file {settings.gguf_file or ''} cannot be loaded: {words[:300]}"
    if (
        "does not recognize this architecture" in words
        or "Unrecognized model" in words
        or "Unrecognized configuration class" in words
    ):
        return f"{model}: this architecture is not supported by {settings.library}: {words[:200]}"
    return f"{model}: cannot be loaded: {type(error).__name__}: {words[:300]}"


def _explain_import(error: ImportError, words: str) -> str:
    """The package that is missing, and the command that installs it."""
    if isinstance(error, ModuleNotFoundError) and error.name in EXTRA:
        return f"local models need the extra `local`, and {error.name} is not installed: pip install 'unisafe-async[local]'"
    named = PIP.search(words)
    command = named[0].rstrip("` .") if named else f"pip install {error.name}" if error.name else ""
    why = words[: named.start()] if named else words
    return f"a package is missing: {why[:200].rstrip(' `(:')}" + (f": {command}" if command else "")
