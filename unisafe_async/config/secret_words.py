"""Finds keys and passwords in bench.toml by their names or their form: they must not be there, because runs store it.

The forms of keys come from secret scanners (gitleaks, `cmd/generate/config/rules`, read in November 2026): a vendor's beginning
and a tail of letters and digits. Beginnings that ordinary names have too (`sk-`, `hf_`) count only before such a tail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

SECRET = re.compile(r"api[-_ ]?key|secret|password|passwd|passphrase|authori[sz]ation|bearer|private[-_ ]?key", re.I)
OPTION = re.compile(
    SECRET.pattern + r"|credential|cookie$"
    r"|^((access|auth|api|hf|hub|session|refresh|id|client|user|private|personal|service|use[-_]auth)[-_]?)?(token|key|jwt|pat)$"
    r"|(access|auth|session|refresh|personal|subscription|account|signing|encryption|master|virtual|shared)[-_]?(token|key)$"
    r"|access[-_]?key[-_]?id$",
    re.I,
)
HEADER = re.compile(SECRET.pattern + r"|credential|cookie|signature|(^|[-_.])(auth|jwt|token|key|pat)($|[-_.])", re.I)
"""Names of headers that carry secrets, such as `x-portkey-virtual-key`, `Helicone-Auth`, `X-Auth-Token`."""
COMMAND_OPTION = re.compile(r"--?([A-Za-z][\w.-]*)")
ELSEWHERE = re.compile(r"(file|path|env|var|variable|dir|name)$", re.I)
"""Names of options that say where a secret is."""
NO_SECRET = re.compile(r"(cache|idempotency)[-_]key$", re.I)
TABLE = re.compile(r"headers$", re.I)
"""Tables whose keys are names of headers, such as `extra_headers`."""
CERTAIN = (
    *("sk-ant-", "sk-proj-", "sk-svcacct-", "sk-admin-", "sk-or-", "sk-lf-", "pk-lf-", "sk_live_", "sk_test_", "rk_live_"),
    *("AIza", "ya29.", "nvapi-", "tgp_v1_", "lsv2_", "hvs.", "glpat-", "github_pat_"),
    *("xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xapp-", "eyJ"),
)
"""Beginnings that almost only keys have, from Anthropic, OpenAI, OpenRouter, Langfuse, Stripe, Google, NVIDIA, Together, LangSmith,
Vault, GitLab, GitHub and Slack, and the beginning of signed tokens (JWT)."""
PLAIN = ("gsk_", "r8_", "npm_", "dapi", "ghp_", "gho_", "ghu_", "ghs_", "ghr_")
"""Beginnings of keys from Groq, Replicate, npm, Databricks and GitHub: only letters and digits follow them, so a name such as
`r8_quantized_model_files` is no key."""
PERHAPS = ("sk-", "sk_", "hf_", "fw_", "api_org_", "xai-", "pplx-", "csk-", "SG.")
"""Beginnings of keys from OpenAI and many others, Hugging Face, Fireworks, xAI, Perplexity, Cerebras and SendGrid; names of
packages, models and owners (`xai-org/...`) may begin in the same way."""
TAIL = r"[A-Za-z0-9_.+/=-]"
VALUES = (
    re.compile(rf"(?<![A-Za-z0-9_-])({'|'.join(map(re.escape, CERTAIN))}){TAIL}{{12,}}"),
    re.compile(rf"(?<![A-Za-z0-9_-])({'|'.join(PLAIN)})[A-Za-z0-9]{{16,}}(?![A-Za-z0-9_-])"),
    re.compile(r"(?<![A-Za-z0-9])(AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    re.compile(r"://[^/\s:@]*:[^/\s@]+@"),
    re.compile(
        r"[?&#;](api[-_]?key|key|token|access[-_]token|sig|signature|secret|password|pwd|auth|subscription-key|sharedaccesskey)"
        r"=[^&\s]{6,}",
        re.I,
    ),
)
"""Forms of secrets: such keys, AWS's keys, private keys in PEM, and passwords or keys within addresses."""
LOOKING = re.compile(rf"(?<![A-Za-z0-9_-])({'|'.join(map(re.escape, PERHAPS))}|(?i:bearer|basic)\s+)({TAIL}{{16,}})")
OF_VARIABLES = re.compile(r"(models\[\d+\]|judge(\.judges\[\d+\])?)\.headers_env")
"""Tables of a configuration that name the variables with secrets."""
AUTHORIZATION = re.compile(r"^\s*(bearer|basic|digest|token)\s+\S", re.I)
"""How the value of a header with credentials begins."""
HIDDEN = "[a secret, not shown]"


def find_secrets(value: object, place: str) -> Iterator[str]:
    """The places in `value` that look like a secret, such as `options.headers.authorization`; never the secret itself."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if looks_secret(str(key)):
                yield f"{place} (one of its keys)"
            elif _is_named_secret(str(key), inner, place) and not OF_VARIABLES.fullmatch(place):
                yield f"{place}.{key}"
            else:
                yield from find_secrets(inner, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            pair = _read_pair(inner) if TABLE.search(place) else None
            if index and _names_secret(value[index - 1]) and isinstance(inner, str) and not inner.startswith("-"):
                yield f"{place}[{index}]"
                continue
            yield from find_secrets({pair[0]: pair[1]} if pair else inner, place if pair else f"{place}[{index}]")
    elif isinstance(value, str):
        named = _names_secret(value.partition("=")[0]) and "=" in value
        if named or looks_secret(value) or next(find_secrets(_parse_inside(value), place), None):
            yield place


def _names_secret(word: object) -> bool:
    """Whether a word of a command line is an option whose value is secret, such as `--api-key`."""
    found = COMMAND_OPTION.fullmatch(word) if isinstance(word, str) else None
    return found is not None and OPTION.search(found[1]) is not None and ELSEWHERE.search(found[1]) is None


def _read_pair(header: object) -> tuple[str, object] | None:
    """Name and value of a header that is written as a pair or with two keys; None for anything else."""
    if isinstance(header, list | tuple) and len(header) == 2 and isinstance(header[0], str):
        return header[0], header[1]
    if isinstance(header, dict) and "value" in header:
        name = header.get("name", header.get("key"))
        return (name, header["value"]) if isinstance(name, str) else None
    return None


def _is_named_secret(key: str, value: object, place: str) -> bool:
    """Whether a value's name, or in a table of headers also its beginning, says that it is secret."""
    if value in (None, "", [], {}) or isinstance(value, bool):
        return False
    if TABLE.search(place):
        return is_secret_header(key) or (isinstance(value, str) and AUTHORIZATION.search(value) is not None)
    return OPTION.search(key) is not None and NO_SECRET.search(key) is None


def _parse_inside(text: str) -> object:
    """The content of a text that is JSON, such as a body; nothing for any other text."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return orjson.loads(text)
    except ValueError:
        return None


def looks_secret(value: str) -> bool:
    """Whether a text looks like a key, or holds one."""
    return any(pattern.search(value) for pattern in VALUES) or any(map(_is_random, LOOKING.finditer(value)))


def _is_random(found: re.Match[str]) -> bool:
    """Whether a key's tail is made of letters and digits as they came, not of words: `sk-learn-text-classifier` is a name."""
    longest_word = 20 if found[1][-1].isspace() else 16
    for piece in re.split(r"[-_.+/=]", found[2]):
        mixed = re.search(r"\d", piece) and re.search(r"[A-Za-z]", piece)
        if (len(piece) >= 10 and (mixed or re.search(r"[a-z][A-Z]", piece))) or len(piece) >= longest_word:
            return True
    return False


def is_secret_header(name: str) -> bool:
    """Whether a header of this name carries a secret."""
    return HEADER.search(name) is not None and NO_SECRET.search(name) is None


def hide_secrets(value: Any, place: str = "") -> Any:  # noqa: ANN401 JSON, as it is stored
    """`value` with HIDDEN in place of what looks like a secret: for what is shown of runs that stored one."""
    if isinstance(value, dict):
        return {
            HIDDEN if looks_secret(str(key)) else key: HIDDEN
            if _is_named_secret(str(key), inner, place)
            else hide_secrets(inner, f"{place}.{key}")
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        before = [None, *value]
        return [HIDDEN if _names_secret(before[index]) else hide_secrets(inner, place) for index, inner in enumerate(value)]
    return hide_in_text(value) if isinstance(value, str) else value


def hide_in_text(text: str) -> str:
    """`text` with HIDDEN in place of each thing in it that looks like a secret, as in a model's identity."""
    for pattern in VALUES:
        text = pattern.sub(HIDDEN, text)
    text = LOOKING.sub(lambda found: HIDDEN if _is_random(found) else found[0], text)
    return SAID.sub(lambda found: found[0] if NO_SECRET.search(found["name"]) else f"{found['before']}{HIDDEN}", text)


SAID = re.compile(rf'(?P<before>"(?P<name>[^"]*(?:{OPTION.pattern})[^"]*)"\s*:\s*")[^"]+', re.I)
"""A name and its value within JSON inside a text."""
