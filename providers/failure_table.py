"""The table of failures: codes, words and statuses, what is raised for them, and what is to be changed.

Sources: OpenAI, "Error codes"; Anthropic, "Errors"; Google, "Gemini API troubleshooting guide" and the error details of google.rpc
(ErrorInfo, QuotaFailure, RetryInfo); OpenRouter, "Errors and Debugging"; Groq, "Error codes" and "Model deprecations"; Mistral,
"Known limitations"; Alibaba, "DashScope error codes"; Moonshot, Z.AI, DeepSeek, Together and Fireworks, their error pages; Ollama,
LM Studio, vLLM, SGLang and llama.cpp as they answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from providers.base import Misconfigured, Need, ProviderError, RateLimited, Rejected, Transient

KEY = "check the variable named by `key_env`"
REFUSING = frozenset({0, 400, 402, 403, 404, 405, 409, 410, 413, 422, 429, 451})
"""Statuses whose words are looked at; 0 is an error told with status 200."""
ANY = REFUSING | frozenset({500, 501, 502, 503})
WRONG = frozenset({0, 400, 403, 404, 405, 422})


@dataclass(frozen=True, slots=True)
class Failure:
    """One row: it matches by any of its statuses, codes (in lower case), or words in a message of a status in `where`.

    Args:
        kind: what is raised, so what the gateway does about it.
        says: the message, with `{vendor}`, `{model}`, `{status}` and `{message}`, the vendor's own words.
        needs: of Misconfigured: only requests that need that stop.
    """

    kind: type[ProviderError]
    says: str
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    where: frozenset[int] = REFUSING
    needs: Need | None = None

    def matches(self, status: int, codes: frozenset[str], message: str) -> bool:
        return status in self.statuses or not self.by_status(status, codes, message)

    def by_status(self, status: int, codes: frozenset[str], message: str) -> bool:
        """Whether it is the status alone that can match: no code and no word does."""
        said = self.words is not None and status in self.where and self.words.search(message) is not None
        return not said and self.codes.isdisjoint(codes)


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.I)


def _codes(names: str) -> frozenset[str]:
    return frozenset(names.split())


# ---------------------------------------------------------------- accounts, keys, credit, region

ACCOUNTS = (
    Failure(
        Misconfigured,
        "{vendor} is not offered in this region ({status}): {message}",
        codes=_codes("unsupported_country_region_territory unsupported_location"),
        words=_words(
            r"location is not supported",
            r"not (available|supported|offered) in (your|this) (country|region|location)",
            r"unsupported (country|region)",
        ),
        where=REFUSING,
    ),
    Failure(
        Misconfigured,
        "{vendor} gives {model} no quota, or the day's is spent ({status}): {message}; go on tomorrow or with a higher tier",
        codes=_codes("quota_per_day daily_limit_exceeded daily_limit daily_quota_exceeded"),
        words=_words(
            r"\blimit: 0\b",
            r"\bper[- ]day\b",
            r"\b(tpd|rpd)\b",
            r"\bdaily (\w+ ){0,3}(limit|quota|allowance|cap|budget|allotment)",
            r"\b(limit|quota|allowance) (for|of) (the|this|to) ?day",
        ),
        where=frozenset({0, 403, 429}),
    ),
    Failure(
        Misconfigured,
        "no credit left at {vendor} ({status}): {message}; top up or raise the spend limit there",
        statuses=frozenset({402}),
        codes=_codes(
            "insufficient_quota billing_hard_limit_reached billing_not_active insufficient_balance billing_error payment_required "
            "enforced_spend_limit_reached contract_spend_limit_reached linked_organization_spend_limit_reached arrearage 1113 1008 "
            "exceeded_current_quota_error accountoverdueerror not_enough_credits insufficient_funds insufficient_credits "
            "budget_exhausted budget_exceeded allocationquota.freetieronly insufficientbalance exhausted_balance "
            "insufficient_user_quota credit_limit_reached billing_limit_reached"
        ),
        words=_words(
            r"credit balance",
            r"credits? (are|is|has been|have been|were) (depleted|exhausted|used up|spent|insufficient)",
            r"(insufficient|not enough|no remaining|lack sufficient|lack of|exhausted|out of|run out of|no) (account |available )?(credit|balance|fund)",
            r"insufficient[ _]quota",
            r"balance (is |was )?(insufficient|not enough|too low|exhausted|empty|negative|overdrawn)",
            r"overdue (balance|payment|bill|invoice)|\barrears?\b|arrearage|in good standing|past due",
            r"\brecharge (your|the)? ?(account|balance)?|please recharge|top[ -]up your",
            r"spend(ing)? (limit|cap)",
            r"specified API usage limits",
            r"(key|credit|billing|payment|budget) limit (has been )?(exceeded|reached)|reached (its|your|the) (billing|spending|budget|credit) limit",
            r"monthly (spend|included|budget|credit|usage limit)|exceeded your monthly",
            r"enable billing|billing (is )?(not (active|enabled)|disabled|required)|payment (is )?required|payment method",
            r"budget (has been |was )?exceeded|exceeded (your|the) budget",
            r"free (tier|quota|trial|credits?)\b.{0,40}\b(exhausted|expired|used up|ended|over)",
            r"account is not active",
            r"余额不足|欠费|账户余额",
        ),
    ),
    Failure(
        Misconfigured,
        "{vendor} has closed or limited this account ({status}): {message}; see to the account there",
        codes=_codes(
            "organization_on_hold account_suspended account_deactivated account_disabled user_suspended organization_restricted"
        ),
        words=_words(
            r"\b(account|organi[sz]ation|user|team|workspace|project|subscription|resource)\b[^.;]{0,60}\b(suspended|deactivated|disabled|banned"
            r"|terminated|on hold|locked|closed|blocked|restricted|flagged)\b",
            r"(access|account) (has been |was |is )?(terminated|suspended|deactivated)",
        ),
    ),
    Failure(
        Misconfigured,
        "{vendor} wants this organization verified before it may use {model} ({status}): {message}; verify it there or name another model",
        words=_words(
            r"\b(organi[sz]ation|account|identity)\b.{0,20}\bmust be verified", r"verify (your )?(organi[sz]ation|identity|account)"
        ),
    ),
    Failure(
        Misconfigured,
        f"{{vendor}} refused the key ({{status}}): {{message}}; {KEY}",
        statuses=frozenset({401, 407}),
        codes=_codes(
            "invalid_api_key api_key_invalid api_key_expired authentication_error unauthenticated invalidapikey incorrect_api_key "
            "authenticationerror unrecognizedclientexception expiredtokenexception invalid_authentication_error unauthorized "
            "invalid_key missing_api_key invalidsignatureexception"
        ),
        words=_words(
            r"\b(api|access|secret)?[- ]?(key|token|credentials?)\b.{0,30}\b(not valid|invalid|expired|revoked|incorrect|missing|not found|malformed)",
            r"\b(invalid|incorrect|missing|wrong|expired|malformed|no) (\w+ )?(api[- ]?key|token|credentials?|authentication|authorization|bearer)",
            r"correct (credentials|api key)|valid (authentication|api) ?(token|key|credentials?)",
            r"authentication (is )?(required|failed)|not authenticated",
        ),
        where=frozenset({0, 400, 403}),
    ),
)

# ---------------------------------------------------------------- the model and the way to it

MODELS = (
    Failure(
        Misconfigured,
        "{vendor} offers {model} on no endpoint that the account's data policy allows ({status}): {message}; change the privacy settings there",
        words=_words(r"data policy", r"settings/privacy"),
        where=WRONG,
    ),
    Failure(
        Misconfigured,
        "no model is loaded at {vendor} ({status}): {message}; load {model} there",
        codes=_codes("model_not_loaded no_model_loaded modelnotready"),
        words=_words(r"no models? (is |are )?(currently )?loaded", r"\bmodel\b.{0,40}\bis not loaded", r"load a model"),
        where=ANY,
    ),
    Failure(
        Misconfigured,
        "{vendor} has too little memory for {model} ({status}): {message}; free some, or name a smaller model",
        words=_words(r"requires more (system |gpu |video )?memory", r"more memory .{0,40}than is available"),
        where=ANY,
    ),
    Failure(
        Misconfigured,
        "{model} answers only in streams, which are not asked for ({status}): {message}; name another model or address",
        words=_words(
            r"only supports? (the )?stream",
            r"stream(ing)? (mode )?(is )?(required|only)",
            r"(must|need to) (be set to |set |use |enable )(the )?`?stream"
            r"|`?stream`? (must|should|has to) be (set to )?true|does not support non-?stream|please enable the stream",
        ),
        where=WRONG,
    ),
    Failure(
        Misconfigured,
        "{model} thinks only in streams ({status}): {message}; set extra.enable_thinking = false",
        words=_words(r"enable_thinking"),
        where=WRONG,
    ),
    Failure(
        Misconfigured,
        "{model} takes no such setting of its thinking ({status}): {message}; change the thinking budget in `extra`",
        words=_words(r"only works (in|with) thinking", r"thinking (mode )?(cannot|can't|can not) be (disabled|turned off)"),
        where=WRONG,
    ),
    Failure(
        Misconfigured,
        "{vendor} runs {model} only on an endpoint of your own ({status}): {message}; start one there, or name another model",
        words=_words(r"non-?serverless", r"dedicated endpoint", r"on-demand throughput isn.t supported", r"inference profile"),
        where=WRONG,
    ),
    Failure(
        Misconfigured,
        "{vendor} answers {model} at another address ({status}): {message}; check `base_url`, `api` and `image_api`",
        words=_words(
            r"not available on this endpoint",
            r"(use|see|only supported (in|by|on)|call) (a compatible|the) .{0,40}(endpoint|v1/(chat/completions|completions|responses|images))",
            r"not a chat model|is not supported (in|with) the v1/|only supported in v1/|does not support asynchronous calls",
        ),
        where=WRONG,
    ),
    Failure(
        Misconfigured,
        "{vendor} has retired {model} ({status}): {message}; name its successor in `model`",
        statuses=frozenset({410}),
        codes=_codes("model_decommissioned model_deprecated deprecated_model model_retired"),
        words=_words(
            r"\bmodels?\b.{0,120}(has|have) been (deprecated|retired|decommissioned|discontinued|shut ?down|sunset|removed)",
            r"\bmodels?\b.{0,120} (is|are) (deprecated|retired|decommissioned|no longer (available|supported))",
            r"\bmodel\b.{0,80}\bwas removed\b|reached (the )?end of (its )?life",
        ),
        where=frozenset({0, 400, 403, 404}),
    ),
    Failure(
        Misconfigured,
        "not found ({status}): {message}; pull it with `ollama pull {model}`, or check `model`",
        words=_words(r"try pulling it", r"^model [\"'][^\"']+[\"'] not found$"),
        where=frozenset({0, 400, 404}),
    ),
    Failure(
        Misconfigured,
        "not found ({status}): {message}; check `model` ({model}) and `base_url`",
        codes=_codes(
            "model_not_found invalid_model deploymentnotfound model_not_available modelnotfound modelnotopen notfounderror "
            "invalidendpointormodel.notfound model_not_exist model_not_supported unknown_model unsupported_model 1211"
        ),
        words=_words(
            r"\b(model|deployment)\b.{0,160}\b(does not exist|do(es)? not have access|(was |is )?not found|not been activated|has not activated"
            r"|is not (a )?(valid|available|supported|known|found)|is invalid|unavailable to|not exist)",
            r"(unknown|invalid|no such|unsupported|unrecogni[sz]ed) (model|deployment)\b(?! (parameter|input|output|length|response))",
            r"not activated the model|^model: \S+$|don.t have access to (the|this) model",
            r"模型不存在",
        ),
        where=WRONG,
    ),
)

# ---------------------------------------------------------------- pictures

IMAGES_IN = r"(images?|vision|pictures?|multi-?modal|image_urls?)"
PICTURES = (
    Failure(
        Misconfigured,
        '{model} takes no images ({status}): {message}; take "image" out of its `takes`, or name a model that sees',
        words=_words(
            r"not a (multi-?modal|vision)",
            r"unknown variant [`'\"]?image",
            rf"(no endpoints?|not|n.t|cannot|neither) (found that )?(support|accept|process|take|handle)s? {IMAGES_IN}( input| content| file|s)?\b"
            r"(?!.{0,40}(larger|bigger|more than|format|of type|exceed|generation|output))",
            rf"{IMAGES_IN}[- ]?(input|content|part|understanding|prompt)?s?( types?)? (is|are) (not|un)[ -]?(currently )?(supported|allowed|available|enabled)(?! (format|image|type))",
            r"no endpoints found that support (image|vision|multi-?modal) ?input|support image input",
            r"image input is not supported|mmproj",
            r"image_url is only supported|only (support|accept)s? text( input| content| message|s|-only)?\b|only text (content|input|messages?)",
            r"content type .{0,20}image_url.{0,60}(not supported|invalid|only)|invalid content type.{0,40}image_url",
            r"at most 0 images?",
            r"(does not|doesn.t|no) (have )?vision",
            r"model does not support (image|vision)",
        ),
        where=ANY,
        needs="images in",
    ),
    Failure(
        Misconfigured,
        "{model} gives no images ({status}): {message}; check its `gives` and `image_api`, or name a model that draws",
        words=_words(
            r"response modalit\w+.{0,60}\bimage",
            r"\bimage\b.{0,60}response modalit",
            r"output modalit",
            r"(not|n.t|no endpoints found that|cannot|unable to) (support |allowed for )?(image (generation|output|editing|edit)|generat(e|ing) images|output images)",
            r"image (generation|output|editing|edits?) (is|are) (not|un)[ -]?(supported|available|enabled|allowed)",
            r"not an image (generation )?model|does not support images?[./](generations|edits)",
        ),
        where=ANY,
        needs="images out",
    ),
)

# ---------------------------------------------------------------- one request

REQUESTS = (
    Failure(
        Rejected,
        "the request is longer than {model} takes ({status}): {message}",
        codes=_codes(
            "context_length_exceeded string_above_max_length max_tokens_exceeded token_limit_exceeded string_too_long too_many_tokens "
            "exceed_context_size_error 1261 prompt_too_long"
        ),
        words=_words(
            r"context (length|window|size)",
            r"(prompt|input|message|request|text|content) (is |was )?too (long|large)",
            r"too (long|many tokens)",
            r"maximum number of tokens|input tokens exceeded|number of input tokens",
            r"max(imum)? (input|model|sequence|context|prompt|token) (length|tokens|count|limit)",
            r"tokens\b.{0,60}(must be <=|exceed|greater than|larger than)",
            r"range of input length|input length",
        ),
        where=frozenset({0, 400, 413, 422, 500}),
    ),
    Failure(
        Rejected,
        "{vendor} does not take an image of the request ({status}): {message}",
        codes=_codes(
            "invalid_image invalid_image_format invalid_image_mode invalid_base64_image image_too_large image_too_small "
            "image_parse_error image_file_too_large unsupported_image_media_type unsupported_image_format empty_image_file "
            "image_load_error file_download_error file_too_large invalid_image_url invalidimage image_content_error"
        ),
        words=_words(
            r"could not process image",
            r"(unsupported|invalid|unable to (process|decode|load|read|download)|failed to (process|decode|load|download)|cannot (identify|decode|load)|corrupt\w*)\b.{0,30}\b(image|picture)",
            r"\b(images?|pictures?)\b.{0,60}\b(exceeds?|too (large|small|many|big)|not (valid|a valid|supported|readable|decodable)|invalid|corrupt|load error|dimension|must be|resolution)",
            r"too many images|at most \d+ images?|image_?size|image format|media[_ ]?type",
        ),
        where=frozenset({0, 400, 413, 422, 500}),
    ),
    Failure(
        Rejected,
        "the request is larger than {vendor} takes ({status}): {message}",
        statuses=frozenset({413}),
        codes=_codes("request_too_large payload_too_large"),
    ),
    Failure(
        RateLimited,
        "{status}: {message}",
        statuses=frozenset({429}),
        codes=_codes(
            "rate_limit_exceeded rate_limit_error ramp_limit_exceeded resource_exhausted ratelimitreached too_many_requests "
            "throttlingexception throttling throttling.ratequota throttling.allocationquota engine_overloaded_error rate_limit "
            "concurrent_requests_limit service_tier_capacity_exceeded 1302 1303 1304 1305 rate_limit_reached_error"
        ),
        words=_words(r"rate[- ]?limit(ed|s)?\b", r"too many (requests|concurrent|active)", r"request was throttled|throttling"),
        where=frozenset({0, 400, 403}),
    ),
    Failure(
        Transient,
        "{status}: {message}",
        statuses=frozenset({408, 409, 424, 425, 498, 499}),
        codes=_codes(
            "server_error api_error overloaded_error timeout_error provider_unavailable unavailable internal_server_error internal_error "
            "internalerror service_unavailable serviceunavailable overloaded timeout generation_timeout vector_store_timeout"
        ),
    ),
)

# ---------------------------------------------------------------- statuses that say no more

STATUSES = (
    Failure(
        Misconfigured,
        "{vendor} denies access ({status}): {message}; check the key's rights, project and region",
        statuses=frozenset({403}),
        codes=_codes("data_residency_mismatch accessdeniedexception accessdenied"),
        words=_words(
            r"api key|credentials|permission .{0,60}denied|\baccount\b|organi[sz]ation|subscription|\bproject\b|not (authorized|entitled|allowed) to (use|access)"
            r"|do(es)? not have (access|permission)|access (to the .{0,40})?(is )?denied|service control|policy"
        ),
        where=frozenset({403}),
    ),
    Failure(
        Misconfigured,
        "not found ({status}): {message}; check `model` ({model}) and `base_url`",
        statuses=frozenset({404, 405}),
    ),
)

FAILURES = (*ACCOUNTS, *MODELS, *PICTURES, *REQUESTS, *STATUSES)
"""The first row that matches counts. Other statuses of 500 and more are worth another try; what is left is rejected."""
