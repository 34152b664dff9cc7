"""What a failed call means, by its status, codes and words, and what to change: one table for all vendors.

Content blocks are looked for first (providers/outcomes.py). Sources: OpenAI, "Error codes"; Anthropic, "Errors"; Google, "Gemini
API troubleshooting guide" and the error details of google.rpc (ErrorInfo, QuotaFailure, RetryInfo); OpenRouter, "Errors and
Debugging"; Groq, "Error codes" and "Model deprecations"; Mistral, "Known limitations".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from providers.base import Misconfigured, ProviderError, RateLimited, Rejected, Transient
from providers.outcomes import codes_of, error_message
from providers.rate_headers import duration, retry_after

BAD_REQUESTS = frozenset({400, 403, 404, 410, 413, 422, 429})
KEY = "check the variable named by `key_env`"


@dataclass(frozen=True, slots=True)
class Failure:
    """One row: it matches by any of its statuses, codes (in lower case), or words in a message of a status in `where`.

    Args:
        kind: what is raised, so what the gateway does about it.
        says: the message, with `{vendor}`, `{model}`, `{status}` and `{message}`, the vendor's own words.
    """

    kind: type[ProviderError]
    says: str
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    where: frozenset[int] = field(default=BAD_REQUESTS)

    def matches(self, status: int, codes: frozenset[str], message: str) -> bool:
        return (
            status in self.statuses
            or bool(self.codes & codes)
            or (self.words is not None and status in self.where and self.words.search(message) is not None)
        )


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.I)


FAILURES = (
    Failure(
        Misconfigured,
        "{vendor} is not offered in this region ({status}): {message}",
        codes=frozenset({"unsupported_country_region_territory"}),
        words=_words(
            r"location is not supported",
            r"not (available|supported|offered) in (your|this) (country|region|location)",
            r"unsupported (country|region)",
        ),
    ),
    Failure(
        Misconfigured,
        "no credit left at {vendor} ({status}): {message}; top up or raise the spend limit there",
        statuses=frozenset({402}),
        codes=frozenset(
            {
                "insufficient_quota",
                "billing_hard_limit_reached",
                "billing_not_active",
                "insufficient_balance",
                "billing_error",
                "payment_required",
                "enforced_spend_limit_reached",
                "contract_spend_limit_reached",
                "linked_organization_spend_limit_reached",
            }
        ),
        words=_words(
            r"credit balance",
            r"credits? (are|is|has been|have been) (depleted|exhausted|used up)",
            r"insufficient (credit|balance|fund|quota)",
            r"spend(ing)? (limit|cap)",
            r"specified API usage limits",
            r"key limit exceeded",
            r"enable billing|billing (is )?not (active|enabled)",
        ),
    ),
    Failure(
        Misconfigured,
        "{vendor} gives {model} no quota, or the day's is spent ({status}): {message}; go on tomorrow or with a higher tier",
        codes=frozenset({"quota_per_day"}),
        words=_words(r"\blimit: 0\b"),
        where=frozenset({429}),
    ),
    Failure(
        Misconfigured,
        f"{{vendor}} refused the key ({{status}}): {{message}}; {KEY}",
        statuses=frozenset({401}),
        codes=frozenset({"invalid_api_key", "api_key_invalid", "api_key_expired", "authentication_error", "unauthenticated"}),
        words=_words(r"api key (not valid|expired)", r"(invalid|incorrect) api key"),
    ),
    Failure(
        Misconfigured,
        "{vendor} has retired {model} ({status}): {message}; name its successor in `model`",
        statuses=frozenset({410}),
        codes=frozenset({"model_decommissioned", "model_deprecated", "deprecated_model"}),
        words=_words(
            r"\bmodels?\b.{0,120}(has|have) been (deprecated|retired|decommissioned|discontinued|shut ?down|sunset)",
            r"\bmodels?\b.{0,120} (is|are) (deprecated|retired|decommissioned|no longer (available|supported))",
        ),
        where=frozenset({400, 403, 404}),
    ),
    Failure(
        Misconfigured,
        "not found ({status}): {message}; check `model` ({model}) and `base_url`",
        statuses=frozenset({404, 405}),
        codes=frozenset({"model_not_found", "invalid_model", "deploymentnotfound", "model_not_available"}),
    ),
    Failure(
        Misconfigured,
        "{vendor} denies access ({status}): {message}; check the key's rights, project and region",
        statuses=frozenset({403}),
        codes=frozenset({"organization_on_hold", "data_residency_mismatch"}),
    ),
    Failure(
        Rejected,
        "the request is longer than {model} takes ({status}): {message}",
        codes=frozenset(
            {
                "context_length_exceeded",
                "string_above_max_length",
                "max_tokens_exceeded",
                "token_limit_exceeded",
                "string_too_long",
            }
        ),
        words=_words(
            r"context (length|window)",
            r"prompt is too long",
            r"too (long|many tokens)",
            r"maximum number of tokens",
            r"max(imum)? (input|model|sequence|context) (length|tokens)",
        ),
        where=frozenset({400, 413, 422}),
    ),
    Failure(
        Rejected,
        "{vendor} does not take an image of the request ({status}): {message}",
        codes=frozenset(
            {
                "invalid_image",
                "invalid_image_format",
                "invalid_image_mode",
                "invalid_base64_image",
                "image_too_large",
                "image_too_small",
                "image_parse_error",
                "image_file_too_large",
                "unsupported_image_media_type",
                "unsupported_image_format",
                "empty_image_file",
            }
        ),
        words=_words(
            r"could not process image",
            r"(unsupported|invalid|unable to process)\b.{0,30}\bimage",
            r"\bimages?\b.{0,60}\b(exceeds?|too (large|small|many|big)|not (valid|supported))",
            r"too many images",
        ),
        where=frozenset({400, 422}),
    ),
    Failure(
        Rejected,
        "the request is larger than {vendor} takes ({status}): {message}",
        statuses=frozenset({413}),
        codes=frozenset({"request_too_large", "payload_too_large"}),
    ),
    Failure(
        RateLimited,
        "{status}: {message}",
        statuses=frozenset({429}),
        codes=frozenset({"rate_limit_exceeded", "rate_limit_error", "ramp_limit_exceeded", "resource_exhausted"}),
    ),
    Failure(
        Transient,
        "{status}: {message}",
        statuses=frozenset({408, 409, 425}),
        codes=frozenset({"server_error", "api_error", "overloaded_error", "timeout_error", "provider_unavailable", "unavailable"}),
    ),
)
"""The first row that matches counts. Other statuses of 500 and more are worth another try; what is left is rejected."""


def failure_of(vendor: str, status: int, body: object, headers: Mapping[str, str], model: str) -> ProviderError:
    """The error that an answer of `status` stands for, with words that say what to change."""
    message = error_message(body)
    codes = frozenset(code.lower() for code in codes_of(body)) | _daily(body)
    row = next((row for row in FAILURES if row.matches(status, codes, message)), None)
    if row is None:
        kind: type[ProviderError] = Transient if status >= 500 else Rejected
        words = f"{status}: {message}"
    else:
        kind = row.kind
        words = row.says.format(vendor=vendor, model=model, status=status, message=message.removesuffix("."))
    if kind is RateLimited:
        asked = _asked(body)
        return RateLimited(words, asked if asked is not None else retry_after(headers))
    if kind is Transient:
        return Transient(words, retry_after(headers))
    return kind(words)


def _details(body: object) -> list[Mapping[str, object]]:
    """The entries of google.rpc.Status.details."""
    error = body.get("error") if isinstance(body, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    return [entry for entry in details if isinstance(entry, dict)] if isinstance(details, list) else []


def _asked(body: object) -> float | None:
    """Seconds of a RetryInfo's `retryDelay`."""
    return next((duration(str(entry["retryDelay"])) for entry in _details(body) if entry.get("retryDelay")), None)


def _daily(body: object) -> frozenset[str]:
    """`quota_per_day` where a QuotaFailure names a quota of the day: its RetryInfo asks to wait seconds all the same."""
    for entry in _details(body):
        violations = entry.get("violations")
        for violation in violations if isinstance(violations, list) else []:
            if isinstance(violation, dict) and "PerDay" in str(violation.get("quotaId")):
                return frozenset({"quota_per_day"})
    return frozenset()
