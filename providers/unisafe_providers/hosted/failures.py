"""What a call without an answer means, and what to change: `read_error` uses one table for all vendors and statuses.

It first checks for a content filter (blocks.py), then the rows of account_failures.py, model_failures.py and request_failures.py,
then the parameters that bench.toml sets. If none matches, the status decides.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from unisafe_providers.base import Misconfigured, ProviderError, RateLimited, Rejected, Response, Transient
from unisafe_providers.hosted.account_failures import ACCOUNTS
from unisafe_providers.hosted.blocks import block_of_error
from unisafe_providers.hosted.failure_row import WRONG, Failure
from unisafe_providers.hosted.flattened import Flat, flat_of
from unisafe_providers.hosted.model_failures import MODELS, PICTURES
from unisafe_providers.hosted.rate_headers import parse_duration, read_asked_wait, read_spent_wait, wait_in_words
from unisafe_providers.hosted.request_failures import AT_ONCE, MOMENTS, REQUESTS, STATUSES, TOO_LONG

FAILURES = (AT_ONCE, *ACCOUNTS, *MODELS, *PICTURES, *REQUESTS, *MOMENTS, *STATUSES)
"""The first row that matches counts. Without a row, a status of 500 or more gets another try, and any other is rejected."""
DOUBTFUL = frozenset({403, 404, 405, 422})
"""Statuses that may concern one request alone, unless a code or a word says more."""
UNSURE = frozenset({"aigatewayerror", "2009"})
"""Cloudflare's gateway says so, with status 401, of a wrong token and of too many requests alike."""
TAKEN_FROM_INSIDE = frozenset({401, 402, 429})
"""If the body of a 5xx holds one of these statuses, it counts instead of the 5xx."""
FILTERS_OWN = frozenset({("cohere", 498), ("ideogram", 422)})
"""Wires, and a status that only a filter gives there."""
TOKEN = re.compile(r"\b(api[- ]?key|token)\b", re.I)
NOT_SUPPORTED = re.compile(
    r"\b(?:argument|parameter|field)s? not (?:supported|allowed|permitted|recogni[sz]ed)(?: (?:on|by|for|with) this model)?: ?"
    r"['\"`]?([a-z]\w+)",
    re.I,
)
"""Words of xAI's that end in the name of a parameter."""
PARAMETER = re.compile(r"[a-z][a-z0-9_]{2,40}", re.I)
OF_ONE_REQUEST = re.compile(
    r"prompt|text|message|content|input|image|picture|photo|mask|audio|video|reference|file|url|part|document|source|tool|model"
    r"|body|query|request|payload|data|null|none|undefined",
    re.I,
)
"""Parts of a request that differ from item to item, or that rows of the table speak of (the model)."""
LIMIT = re.compile(r"limit:? ([\d,]+).{0,60}?requested:? ([\d,]+)", re.I)


def read_error(
    vendor: str,
    status: int,
    body: object,
    headers: Mapping[str, str],
    model: str,
    *,
    sent: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
    wire: str = "",
    ran: bool = False,
    clock: Callable[[], float] = time.time,
) -> Response | ProviderError:
    """What an error means: a Response if a content filter or the model refused, else the error to raise.

    Args:
        vendor: what people call it.
        status: the HTTP status. It is 200 if the error came as an answer; then the body's own code counts as the status.
        body: parsed JSON, text, or a Flat.
        headers: of the answer.
        model: the model's name at the endpoint.
        sent: the texts of the request; words of them that the endpoint echoes are ignored.
        settings: keys of the body that bench.toml sets, each with its name there: `{"size": "generation.image_size"}`.
        wire: the protocol, for words that mean something special in it; empty for any.
        ran: whether a job had begun, so that a block may be of the request or of its answer.
    """
    low = {str(name).lower(): str(value) for name, value in headers.items()}
    flat = _add_blocking_status(_add_header_codes(flat_of(body, sent), low), status, wire, settings or {})
    if 300 <= status < 400:
        return _explain_redirect(status, low, vendor)
    if flat.page:
        return _explain_page(vendor, status, flat, low)
    code = _status(status, flat)
    blocked = block_of_error(code, flat, ran=ran)
    if blocked is not None:
        return blocked
    error = _build_failure(vendor, code, flat, model, settings or {}, low, clock)
    if isinstance(error, RateLimited | Transient) and _is_final(low):
        return Rejected(f"{error}; the server says not to try again")
    if isinstance(error, Rejected) and _says_again(low):
        return Transient(str(error))
    return error


def _status(status: int, flat: Flat) -> int:
    """The status that counts: within a 200 the body's own (0 if it has none); within a 5xx the one that it wraps."""
    if status < 300:
        return flat.status if flat.status is not None and flat.status >= 400 else 0
    return flat.status if status >= 500 and flat.status in TAKEN_FROM_INSIDE else status


def _add_header_codes(flat: Flat, headers: Mapping[str, str]) -> Flat:
    """`flat` with the codes that headers carry (fal's, Amazon's)."""
    extra = [headers[name].split(":")[0] for name in ("x-fal-error-type", "x-amzn-errortype") if headers.get(name)]
    return replace(flat, codes=(*flat.codes, *extra)) if extra else flat


def _add_blocking_status(flat: Flat, status: int, wire: str, settings: Mapping[str, str]) -> Flat:
    """`flat` with the status as a code if only a filter gives it on this wire, unless it speaks of a key or a parameter."""
    named = flat.parameters or any(names_parameter(key, flat.message) for key in settings)
    if (wire, status) not in FILTERS_OWN or TOKEN.search(flat.message) or named:
        return flat
    return replace(flat, codes=(*flat.codes, f"http_{status}"))


def _is_final(headers: Mapping[str, str]) -> bool:
    return any(headers.get(name, "").strip().lower() == "false" for name in ("x-should-retry", "x-fal-retryable"))


def _says_again(headers: Mapping[str, str]) -> bool:
    """Whether a header says that another try may succeed, whatever the status."""
    told = (headers.get(name, "").strip().lower() for name in ("x-should-retry", "x-fal-retryable", "x-fal-needs-retry"))
    return any(word in ("true", "1") for word in told)


# ---------------------------------------------------------------- what no vendor said


def _explain_redirect(status: int, headers: Mapping[str, str], vendor: str) -> ProviderError:
    location = " ".join(headers.get("location", "").split())[:300]
    if not location:
        return Misconfigured(f"{vendor} answers {status} and names no address; check base_url")
    return Misconfigured(f"{vendor} answers {status} to {location}: put that into base_url")


def _explain_page(vendor: str, status: int, flat: Flat, headers: Mapping[str, str]) -> ProviderError:
    """The error for a web page: a proxy or a firewall answered, or `base_url` belongs to a web site."""
    title = f", titled {flat.message[:120]!r}" if flat.message else ""
    words = f"{status}: a proxy or firewall answered with a web page{title}, not {vendor}"
    if status == 429:
        return RateLimited(words, read_asked_wait(headers))
    if status >= 500 or status in (408, 409, 424, 425):
        return Rejected(f"{words}; it says not to try again") if _is_final(headers) else Transient(words, read_asked_wait(headers))
    if status in (400, 413, 414, 431):
        return Rejected(words)
    return Misconfigured(f"{words}; check base_url and the way there", doubtful=status in (403, 404, 405))


# ---------------------------------------------------------------- what a vendor said


def _build_failure(
    vendor: str,
    status: int,
    flat: Flat,
    model: str,
    settings: Mapping[str, str],
    headers: Mapping[str, str],
    clock: Callable[[], float],
) -> ProviderError:
    if status in (0, 413, 429) and is_oversized(flat):
        return Rejected(f"the request alone is more than {vendor} takes in a window ({_describe_status(status)}): {flat.short}")
    codes = frozenset(flat.lowered) | _daily(flat)
    row = next((row for row in FAILURES if row.matches(status, codes, flat.message)), None)
    said = row is not None and row.is_said(status, codes, flat.message)
    named = _find_setting(flat, settings, row, said) if status in WRONG else None
    if named is not None:
        words = f"{vendor} does not take what {named} sets ({_describe_status(status)}): {_name_parameter(flat)}; change {named}"
        return Misconfigured(words, doubtful=status in DOUBTFUL)
    unset = _find_unset(flat) if row is None and status in (400, 422) else ""
    if unset:
        words = f"{vendor} does not take `{unset}` as it is asked for ({_describe_status(status)}): {flat.short}"
        change = f"change {settings[unset]}" if unset in settings else f"set extra.{unset}, or name another model"
        return Misconfigured(f"{words}; every request would fail: {change}")
    if row is not None and row.kind is Misconfigured:
        words = row.says.format(vendor=vendor, model=model, status=_describe_status(status), message=flat.short)
        return Misconfigured(words, needs=row.needs, doubtful=(status in DOUBTFUL and not said) or codes >= UNSURE)
    kind = row.kind if row is not None else Transient if status == 0 or status >= 500 else Rejected
    words = (row.says if row else "{status}: {message}").format(
        vendor=vendor, model=model, status=_describe_status(status), message=flat.short
    )
    if kind is RateLimited:
        return RateLimited(words, _read_wait(flat, headers, clock))
    return Transient(words, _read_wait(flat, headers, clock)) if kind is Transient else kind(words)


def _name_parameter(flat: Flat) -> str:
    """The vendor's words, with the parameter that they are about where they do not name it."""
    unnamed = [name for name in flat.parameters[:1] if name not in flat.short]
    return ": ".join([*unnamed, flat.short])


def _describe_status(status: int) -> str:
    return str(status) if status else "an error told with status 200"


def _read_wait(flat: Flat, headers: Mapping[str, str], clock: Callable[[], float]) -> float | None:
    """Seconds to wait, from the body, a header, the message, or a limit that headers (of the answer or in the body) call spent."""
    inside = next((place for place in flat.entries("headers") if isinstance(place, dict)), {})
    told = {str(name).lower(): str(value) for name, value in inside.items()}
    for wait in (
        _read_asked_wait(flat),
        read_asked_wait(headers, clock),
        wait_in_words(flat.message),
        read_spent_wait(headers, clock),
        read_asked_wait(told, clock),
        read_spent_wait(told, clock),
    ):
        if wait is not None:
            return wait
    return None


def is_oversized(flat: Flat) -> bool:
    """Whether one request needs more than a whole window holds: then waiting does not help."""
    if re.search(r"request too large.{0,200}(per min|per day|\btp[md]\b)", flat.message, re.I):
        return True
    found = LIMIT.search(flat.message)
    return found is not None and int(found[2].replace(",", "") or 0) > int(found[1].replace(",", "") or 0) > 0


def _read_asked_wait(flat: Flat) -> float | None:
    """Seconds of a RetryInfo's `retryDelay`, of a `retry_after`, or until a model is loaded (Hugging Face's `estimated_time`)."""
    delays = (parse_duration(str(delay)) for key in ("retryDelay", "retry_after", "estimated_time") for delay in flat.entries(key))
    return next((seconds for seconds in delays if seconds is not None), None)


def _daily(flat: Flat) -> frozenset[str]:
    """`quota_per_day` if a QuotaFailure names a daily quota: its RetryInfo asks for a wait of seconds in spite of that."""
    return frozenset({"quota_per_day"}) if any("PerDay" in str(quota) for quota in flat.entries("quotaId")) else frozenset()


def _find_setting(flat: Flat, settings: Mapping[str, str], row: Failure | None, said: bool) -> str | None:
    """The bench.toml key of the first parameter that the error names and bench.toml sets; None if a row says more."""
    if row is TOO_LONG or (said and row is not None and row.kind is not Rejected):
        return None
    for parameter in flat.parameters:
        for step in re.split(r"[.\[\]]+", parameter):
            if step in settings:
                return settings[step]
    return None if said else next((name for key, name in settings.items() if names_parameter(key, flat.message)), None)


def _find_unset(flat: Flat) -> str:
    """The parameter that an error names, be it set by bench.toml or by us: it is the same in every request.

    Empty where the error names none, or a part that each request has of its own.
    """
    named = NOT_SUPPORTED.search(flat.message)
    for parameter in (*flat.parameters, *([named[1]] if named else [])):
        name = parameter.rpartition(".")[2]
        if PARAMETER.fullmatch(name) and not OF_ONE_REQUEST.search(parameter):
            return name
    return ""


def names_parameter(key: str, message: str) -> bool:
    """Whether a message names a parameter: as a word that is not English, in quotes, or with the word "parameter"."""
    word = re.escape(key)
    if "_" in key and re.search(rf"(?<!\w){word}(?!\w)", message):
        return True
    called = r"\b(parameters?|arguments?|fields?|keys?|value for|value of|invalid|unsupported|input\.)[:\s]*['\"`\[]?"
    refused = r"(:|must\b|should\b|cannot\b|(is |was )?not (supported|allowed|valid)\b)"
    return bool(re.search(rf"['\"`]{word}['\"`]|{called}{word}\b|(?<!\w){word}['\"`]?\s*{refused}", message, re.I))
