"""The keys that every model's and judge's section has in a stored run, whatever its provider, with what stands there unless set.

Runs are compared by them and scripts read them, so a section is stored with all of them: also with those that its provider has not.
It is a list of what was, and it is closed: a new provider's keys are stored with its own sections alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STORED: Mapping[str, Any] = {
    "provider": "",
    "model": "",
    "base_url": "https://api.openai.com/v1",
    "key_env": None,
    "takes": ["text"],
    "image_api": "images",
    "api": "chat",
    "api_version": None,
    "structured": True,
    "safety": {},
    "extra": {},
    "extra_chat": {},
    "extra_image": {},
    "extra_edit": {},
    "headers": {},
    "headers_env": {},
    "options": {},
    "rpm": None,
    "tpm": None,
    "images_per_minute": None,
    "max_concurrency": None,
    "timeout_s": 120.0,
    "max_tries": 8,
    "max_wait_s": 900.0,
    "price_in": None,
    "price_out": None,
    "price_image": None,
    "simulation": None,
    "images": None,
    "revision": None,
    "dtype": "auto",
    "device": "auto",
    "devices": [],
    "gguf_file": None,
    "quantization": None,
    "attn": None,
    "trust_remote_code": False,
    "batch_size": "auto",
    "batch_tokens": None,
    "memory_gb": None,
    "steps": None,
    "guidance": None,
    "strength": None,
}
