"""What must not stand in bench.toml, since it is stored with each run: keys and passwords, told by their names or their looks."""

from __future__ import annotations

import re
from collections.abc import Iterator

SECRET = re.compile(r"api_?key|secret|password|authorization|bearer", re.I)
OPTION = re.compile(SECRET.pattern + r"|credential|^((access|auth|api|hf)_?)?(token|key)$", re.I)
VALUE = re.compile(r"\b(sk-|sk_|hf_|gsk_|AIza|xai-|Bearer )[A-Za-z0-9_-]{16,}")
"""How vendors' keys begin: OpenAI, Anthropic and others, Hugging Face, Groq, Google, xAI."""


def secrets_in(value: object, place: str) -> Iterator[str]:
    """Where in `value` something looks like a secret, such as `options.headers.authorization`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if OPTION.search(str(key)):
                yield f"{place}.{key}"
            else:
                yield from secrets_in(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from secrets_in(inner, f"{place}[{index}]")
    elif isinstance(value, str) and VALUE.search(value):
        yield place
