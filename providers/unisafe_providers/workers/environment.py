"""The variables that a model's process gets: what it needs to run, and no key of an endpoint."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

NEEDED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "LANG", "LANGUAGE", "TMPDIR", "TEMP", "TMP", "PWD"),
        *("CC", "CXX", "CPATH", "LIBRARY_PATH"),  # kernels are compiled at their first use
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
        *("CURL_CA_BUNDLE", "SSH_AUTH_SOCK", "DOCKER_HOST", "DOCKER_CONFIG", "KUBECONFIG"),
        *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "USERPROFILE"),
        *("NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "HOMEDRIVE", "HOMEPATH"),
    }
)
"""Names of variables, in capitals; they are compared without regard to case, as `http_proxy` is written small."""
FAMILIES = (
    *("LC_", "XDG_", "PYTHON", "CUDA", "NVIDIA_", "NCCL_", "CUDNN_", "CUBLAS_", "HIP_", "ROCR_", "ROCM_", "HSA_", "AMD_"),
    *("MIOPEN_", "ZE_", "SYCL_", "ONEAPI_", "ASCEND_", "MPS_", "METAL_", "TORCH", "PYTORCH_", "TRITON_", "HF_", "HUGGINGFACE_"),
    *(
        "TRANSFORMERS_",
        "DIFFUSERS_",
        "ACCELERATE_",
        "SAFETENSORS_",
        "TOKENIZERS_",
        "BITSANDBYTES_",
        "BNB_",
        "XLA_",
        "OMP_",
        "MKL_",
        "OPENBLAS_",
    ),
    *("NUMEXPR_", "KMP_", "GOMP_", "MALLOC_", "SLURM_", "SRUN_", "PMI_", "PMIX_", "MASTER_", "VLLM_", "SGLANG_", "SGL_", "LLAMA_"),
    *("CCL_", "HCCL_", "COVERAGE_", "GGML_", "FLASHINFER_", "FLASH_ATTENTION", "RAY_", "UNISAFE_"),
)
"""Beginnings of variables' names, in capitals."""
SECRET = re.compile(
    r"(^|_)(KEYS?|[A-Z]*APIKEYS?|TOKEN|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|AUTH|BEARER|JWT|PAT)\d*(_|$)"
)
"""Such a name holds a secret, whatever its family."""
HUB = frozenset({"HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN"})
"""A token of the hub is needed for gated weights."""


def pick_environment(named: Iterable[str] = (), beside: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables for a model's process.

    Args:
        named: variables that the user named; they are passed on whatever they are called. One that is not set is left out.
        beside: variables and values of ours; they go before the user's.
    """
    wanted = set(named)
    picked = {name: value for name, value in os.environ.items() if name in wanted or _is_needed(name.upper())}
    return {**picked, **(beside or {})}


def _is_needed(name: str) -> bool:
    return name in HUB or name in NEEDED or (name.startswith(FAMILIES) and SECRET.search(name) is None)
