"""What must not stand in bench.toml, since it is stored with each run: keys and passwords, told by their names or their looks."""

from __future__ import annotations

import re
from collections.abc import Iterator

SECRET = re.compile(r"api[-_ ]?key|secret|password|passwd|authori[sz]ation|bearer", re.I)
OPTION = re.compile(SECRET.pattern + r"|credential|cookie$|^((access|auth|api|hf)[-_]?)?(token|key)$", re.I)
HEADER = re.compile(SECRET.pattern + r"|credential|cookie|passphrase|signature|(^|[-_.])(auth|jwt|token|key|pat)($|[-_.])", re.I)
"""Names of headers that carry secrets, such as `x-portkey-virtual-key`, `Helicone-Auth`, `X-Auth-Token`."""
NO_SECRET = re.compile(r"(cache|idempotency)[-_]key$", re.I)
TABLE = re.compile(r"headers$", re.I)
"""Tables whose keys are names of headers, such as `extra_headers`."""
OF_VARIABLES = re.compile(r"(models\[\d+\]|judge(\.judges\[\d+\])?)\.headers_env")
"""Tables of a whole configuration that name the variables in which secrets are."""
BEGINNINGS = ("sk-", "sk_", "pk-lf-", "AIza", "xai-", "nvapi-", "pplx-", "csk-", "github_pat_", "tgp_v1_", "eyJ")
"""How keys begin: of OpenAI, Anthropic and others, Langfuse, Google, xAI, NVIDIA, Perplexity, Cerebras, GitHub, Together; and
signed tokens."""
PLAIN_BEGINNINGS = ("hf_", "gsk_", "r8_", "fw_", "ghp_", "AKIA")
"""The same of Hugging Face, Groq, Replicate, Fireworks, GitHub and AWS, whose keys go on with letters and digits alone: names of
folders, such as `hf_cache_of_models`, do not."""
VALUE = re.compile(
    rf"\b(({'|'.join(BEGINNINGS)})[A-Za-z0-9_.+-]{{16,}}|({'|'.join(PLAIN_BEGINNINGS)})[A-Za-z0-9]{{16,}}"
    r"|(?i:Bearer )[A-Za-z0-9_.+/-]{16,})"
)
AUTHORIZATION = re.compile(r"^\s*(bearer|basic|digest|token)\s+\S", re.I)
"""How the value of a header begins that says who is asking."""


def secrets_in(value: object, place: str) -> Iterator[str]:
    """Where in `value` something looks like a secret, such as `options.headers.authorization`; each place once."""
    if isinstance(value, dict):
        named = secret_header if TABLE.search(place) else OPTION.search
        for key, inner in value.items():
            if (named(str(key)) and not OF_VARIABLES.fullmatch(place)) or (
                TABLE.search(place) and isinstance(inner, str) and AUTHORIZATION.search(inner)
            ):
                yield f"{place}.{key}"
            else:
                yield from secrets_in(inner, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from secrets_in(inner, f"{place}[{index}]")
    elif isinstance(value, str) and looks_secret(value):
        yield place


def looks_secret(value: str) -> bool:
    """Whether a text looks like a key, or holds one."""
    return VALUE.search(value) is not None


def secret_header(name: str) -> bool:
    """Whether a header of this name carries a secret."""
    return HEADER.search(name) is not None and NO_SECRET.search(name) is None
