"""Failures of an account: region, the quota of the day, credit, the account itself, the key.

Sources: OpenAI, "Error codes"; Anthropic, "Errors"; Google, "Gemini API troubleshooting guide" and google.rpc's ErrorInfo and
QuotaFailure; OpenRouter, "Errors and Debugging"; Groq, "Error codes"; Alibaba, "DashScope error codes"; Moonshot, Z.AI, DeepSeek,
Hugging Face, Cohere, Stability, Replicate, ByteDance and MiniMax ("Error codes"), their error pages.
"""

from __future__ import annotations

from unisafe_providers.base import Misconfigured
from unisafe_providers.hosted.failure_row import Failure, compile_words, split_names

KEY_ADVICE = "check the variable named by `key_env`"
"""The end of the message about a refused key, if the key comes from there."""

ACCOUNTS = (
    Failure(
        kind=Misconfigured,
        says="{vendor} is not offered in this region ({status}): {message}",
        codes=split_names("unsupported_country_region_territory unsupported_location"),
        words=compile_words(
            r"location is not supported",
            r"not (available|supported|offered) in (your|this) (country|region|location)",
            r"unsupported (country|region)",
        ),
    ),
    Failure(
        kind=Misconfigured,
        says="{vendor} gives {model} no quota, or the day's is spent ({status}): {message}; go on tomorrow or with a higher tier",
        codes=split_names("quota_per_day daily_limit_exceeded daily_limit daily_quota_exceeded"),
        words=compile_words(
            r"\blimit: 0\b(?!\.)",
            r"\bper[- ]day\b|/ ?day\b",
            r"\b(tpd|rpd)\b",
            r"\bdaily (\w+ ){0,3}(limit|quota|allowance|cap|budget|allotment)",
            r"\b(limit|quota|allowance) (for|of) (the|this|to) ?day",
            r"\bcalls (per|a|/) month\b",
        ),
        where=frozenset({0, 403, 429}),
    ),
    Failure(
        kind=Misconfigured,
        says="the plan's window at {vendor} is spent ({status}): {message}; go on when the next one begins (5 hours, or a week)",
        codes=split_names("2056"),
    ),
    Failure(
        kind=Misconfigured,
        says="no credit left at {vendor} ({status}): {message}; top up or raise the spend limit there",
        statuses=frozenset({402}),
        codes=split_names(
            "insufficient_quota billing_hard_limit_reached billing_not_active insufficient_balance billing_error payment_required "
            "enforced_spend_limit_reached contract_spend_limit_reached linked_organization_spend_limit_reached arrearage 1113 1008 "
            "exceeded_current_quota_error accountoverdueerror not_enough_credits insufficient_funds insufficient_credits "
            "budget_exhausted budget_exceeded allocationquota.freetieronly insufficientbalance exhausted_balance "
            "insufficient_user_quota credit_limit_reached billing_limit_reached"
        ),
        words=compile_words(
            r"credit balance",
            r"credits? (are|is|has been|have been|were) (depleted|exhausted|used up|spent|insufficient)",
            r"(insufficient|not enough|no remaining|lack sufficient|lack of|exhausted|out of|no) "
            r"(account |available )?(credit|balance|fund)",
            r"n['’]?t have (enough|sufficient|any) (\w+ )?(credit|balance|fund|unit)|(not enough|insufficient|out of) (api )?units",
            r"insufficient[ _]quota|(any|used all)( available)? credits",
            r"balance (is |was )?(insufficient|not enough|too low|exhausted|empty|negative|overdrawn)",
            r"overdue (balance|payment|bill|invoice)|\barrears?\b|arrearage|in good standing|past due",
            r"\brecharge (your|the) ?(account|balance)?|please recharge|top[ -]up your",
            r"spend(ing)? (limit|cap)",
            r"specified API usage limits",
            r"(key|credit|billing|payment|budget) limit (has been )?(exceeded|reached)",
            r"reached (its|your|the) (billing|spending|budget|credit) limit",
            r"monthly (spend|included|budget|credit|usage limit)|exceeded your monthly",
            r"enable billing|billing (is )?(not (active|enabled)|disabled|required)|payment (is )?required",
            r"(no|valid|missing) payment method( is)? ?(required|on file)?",
            r"budget (has been |was |is )?(exceeded|exhausted)|exceeded (your|the) budget",
            r"free (tier|quota|trial|credits?)\b.{0,40}\b(exhausted|expired|used up|ended|over)",
            r"account is not active",
            r"余额不足|欠费|账户余额",
        ),
    ),
    Failure(
        kind=Misconfigured,
        says="the API is not enabled for this project at {vendor} ({status}): {message}; enable it there",
        codes=split_names("service_disabled"),
        words=compile_words(r"API has not been used in project", r"enable it by visiting"),
    ),
    Failure(
        kind=Misconfigured,
        says="{vendor} has closed or limited this account ({status}): {message}; see to the account there",
        codes=split_names(
            "organization_on_hold account_suspended account_deactivated account_disabled user_suspended organization_restricted"
        ),
        words=compile_words(
            r"\b(account|organi[sz]ation|team|workspace|project|subscription|resource)\b[^.;]{0,60}\b"
            r"(suspended|deactivated|disabled|banned|terminated|on hold|locked|closed|blocked|restricted|flagged)\b",
            r"(access|account) (has been |was |is )?(terminated|suspended|deactivated)",
        ),
    ),
    Failure(
        kind=Misconfigured,
        says="{vendor} wants this organization verified before it may use {model} ({status}): {message}; verify it there",
        words=compile_words(
            r"\b(organi[sz]ation|account|identity)\b.{0,20}\bmust be verified",
            r"verify (your )?(organi[sz]ation|identity|account)",
        ),
    ),
    Failure(
        kind=Misconfigured,
        says="a proxy on the way to {vendor} wants a name and a password ({status}): {message}; put them into the proxy's variable",
        statuses=frozenset({407}),
    ),
    Failure(
        kind=Misconfigured,
        says="{vendor} refused the key ({status}): {message}; " + KEY_ADVICE,
        statuses=frozenset({401}),
        codes=split_names(
            "invalid_api_key api_key_invalid api_key_expired authentication_error unauthenticated invalidapikey incorrect_api_key "
            "authenticationerror unrecognizedclientexception expiredtokenexception invalid_authentication_error unauthorized "
            "invalid_key missing_api_key 1004 2049 invalidsignatureexception incompletesignatureexception "
            "missingauthenticationtokenexception expiredtoken invalidaccesskeyid signaturedoesnotmatch invalidclienttokenid"
        ),
        words=compile_words(
            r"\b(api[- ]?|access |secret |security |bearer )(key|token)s?\b.{0,40}"
            r"\b(not valid|invalid|expired|revoked|incorrect|missing|not found|malformed)",
            r"\b(invalid|incorrect|missing|wrong|expired|malformed) (\w+ )?"
            r"(api[- ]?key|access token|credentials?|authentication|bearer)",
            r"correct (credentials|api key)|valid (authentication|api) ?(token|key|credentials?)",
            r"authentication (is )?(required|failed)|not authenticated",
        ),
        where=frozenset({0, 400, 403, 498}),
    ),
)
"""The first row that matches counts."""
