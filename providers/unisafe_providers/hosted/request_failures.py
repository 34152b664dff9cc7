"""Failures of one request and passing failures: too long, an unreadable picture, too much at once, try again; then statuses.

Sources: OpenAI, Anthropic, Google, Groq, Mistral, Together, Amazon Bedrock, fal and Z.AI, their error pages; Cloudflare, "5xx".
"""

from __future__ import annotations

from unisafe_providers.base import Misconfigured, RateLimited, Rejected, Transient
from unisafe_providers.hosted.failure_row import Failure, compile_words, split_names

TOO_LONG = Failure(
    kind=Rejected,
    says="the request is longer than {model} takes ({status}): {message}",
    codes=split_names(
        "context_length_exceeded string_above_max_length max_tokens_exceeded token_limit_exceeded string_too_long too_many_tokens "
        "exceed_context_size_error 1261 prompt_too_long"
    ),
    words=compile_words(
        r"context (length|window|size)",
        r"(prompt|input|message|request|text|content) (is |was )?too (long|large)",
        r"(?<!took )(?<!taking )too (long|many tokens)",
        r"maximum number of tokens|input tokens exceeded|number of input tokens",
        r"max(imum)? (input|model|sequence|context|prompt|token) (length|tokens|count|limit)",
        r"tokens\b.{0,60}(must be <=|exceed|greater than|larger than)",
        r"input length",
    ),
    where=frozenset({0, 400, 413, 422, 500}),
)

REQUESTS = (
    TOO_LONG,
    Failure(
        kind=Rejected,
        says="{vendor} does not take an image of the request ({status}): {message}",
        codes=split_names(
            "invalid_image invalid_image_format invalid_image_mode invalid_base64_image image_too_large image_too_small "
            "image_parse_error image_file_too_large unsupported_image_media_type unsupported_image_format empty_image_file "
            "image_load_error file_download_error file_too_large invalid_image_url invalidimage image_content_error"
        ),
        words=compile_words(
            r"could not (process|decode|load|read|download|fetch) (the )?(input )?image|failed to moderate image",
            r"(unsupported|invalid|unable to (process|decode|load|read|download)|failed to (process|decode|load|download)"
            r"|cannot (identify|decode|load|read)|corrupt\w*)\b.{0,30}\b(image|picture|media)",
            r"\b(images?|pictures?)\b.{0,60}\b(exceeds?|too (large|small|many|big)|not (valid|a valid|supported|readable|decodable)"
            r"|invalid|corrupt|load error|dimension|must be|resolution)",
            r"too many images|at most \d+ images?|image format|media[_ ]?type",
        ),
        where=frozenset({0, 400, 413, 422, 500}),
    ),
    Failure(kind=Rejected, says="{vendor} does not take the request ({status}): {message}", codes=split_names("2013 1042")),
    Failure(
        kind=Rejected,
        says="the request is larger than {vendor} takes ({status}): {message}",
        statuses=frozenset({413}),
        codes=split_names("request_too_large payload_too_large"),
    ),
    Failure(
        kind=Rejected,
        says="the request needs more memory than {vendor} gives {model} ({status}): {message}",
        words=compile_words(r"\bran out of memory\b|\bE1001\b"),
        where=frozenset({0}),
    ),
)

AT_ONCE = Failure(
    kind=RateLimited,
    says="{vendor} has as many requests under way as it takes ({status}): {message}",
    codes=split_names("inflight_limit in_flight_limit too_many_inflight_requests concurrent_requests_limit"),
)
"""It goes before all others: Ideogram says it with 402, which means credit elsewhere."""

MOMENTS = (
    Failure(
        kind=RateLimited,
        says="{status}: {message}",
        statuses=frozenset({429}),
        codes=split_names(
            "rate_limit_exceeded rate_limit_error ramp_limit_exceeded resource_exhausted ratelimitreached too_many_requests "
            "throttlingexception throttling throttling.ratequota throttling.allocationquota engine_overloaded_error rate_limit "
            "concurrent_requests_limit service_tier_capacity_exceeded 1302 1303 1304 1305 1002 1039 1041 2045 "
            "servicequotaexceededexception modelnotreadyexception"
        ),
        words=compile_words(
            r"rate[- ]?limit(ed|s)?\b", r"too many (requests|concurrent|active)", r"request was throttled|throttling"
        ),
        where=frozenset({0, 400, 403}),
    ),
    Failure(
        kind=Transient,
        says="{status}: {message}",
        statuses=frozenset({408, 409, 424, 425, 498, 499}),
        codes=split_names(
            "server_error overloaded_error timeout_error provider_unavailable unavailable internal_server_error internal_error "
            "internalerror service_unavailable serviceunavailable overloaded timeout generation_timeout vector_store_timeout "
            "internalserverexception serviceunavailableexception modeltimeoutexception modelerrorexception"
        ),
    ),
)

STATUSES = (
    Failure(
        kind=Misconfigured,
        says="{vendor} denies access ({status}): {message}; check the key's rights, project and region",
        statuses=frozenset({403}),
        codes=split_names("data_residency_mismatch accessdeniedexception accessdenied"),
        words=compile_words(
            r"api[- ]?key|credentials|permission .{0,60}denied|\baccount\b|organi[sz]ation|subscription",
            r"\bproject\b|service control",
            r"(not (authorized|entitled|allowed|permitted)|n[o']t have (access|permission)|access)\b"
            r".{0,40}\b(model|api|deployment|endpoint)\b",
        ),
        where=frozenset({403}),
    ),
    Failure(
        kind=Misconfigured,
        says="not found ({status}): {message}; check `model` ({model}) and `base_url`",
        statuses=frozenset({404, 405}),
    ),
)
"""What a status means if no word says more."""
