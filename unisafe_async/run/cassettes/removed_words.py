"""What a cassette must not hold beside keys: names under which accounts and ids stand in JSON, and their forms within text.

Forms: AWS's ARNs (docs.aws.amazon.com, "Amazon Resource Names"), Google's resource names (google.aip.dev/122), OpenAI's and Groq's
ids of organizations, projects and requests, as their error messages quote them.
"""

from __future__ import annotations

import re

ACCOUNT = re.compile(
    r"account|organi[sz]ation|(^|_)org(_|$)|project|tenant|workspace|subscription|customer|e-?mail|bucket|billing"
    r"|(^|_)user(_?(id|name|email))?$|(^|_)userId$|(^|_)team(_?(id|name))?$|^owned_by$|^owner$|safety_identifier|(^|_)ip(_addr|$)",
    re.I,
)
"""Keys whose values name an account: all text below them is removed."""
ID = re.compile(r"(^|[_-])(id|uid|uuid|ids)$|[a-z](Id|Identifier)$|fingerprint_id|(^|[_-])(request|trace|ray|correlation)$")
"""Keys whose values are ids of requests, jobs and answers: each gets a number instead, the same wherever it stands."""
OPAQUE = re.compile(r"signature$|^encrypted_content$|^(thought|response)_?signature$", re.I)
"""Keys of what only the vendor can read, such as a signed thought."""
BLOB = re.compile(r"[A-Za-z0-9+/_=-]{200,}")
"""Such a text by its form."""
KEPT_HEADERS = re.compile(
    r"^(content-type|retry-after|retry-after-ms|finish-reason|seed|x-should-retry|x-amzn-errortype|x-amzn-bedrock-[a-z-]*count"
    r"|x-fal-(error-type|retryable|needs-retry|billable-units)|num[-_](tokens|chars)|x-(ms-)?error-code|warning|deprecation|sunset)$"
    r"|limit|remaining|reset(-|$)",
    re.I,
)
"""Headers of answers that matter: limits, waits, errors, media types. No other header is kept."""
URL = re.compile(r"https?://[^\s\"'<>\\)\]}]+")
KEPT_QUERY = ("api-version", "alt", "limit", "pageSize", "page_size", "per_page", "wait", "logs")
"""Queries whose values are no secret; of all others only the name is kept."""
UUID = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.I)
HEXADECIMAL = re.compile(r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{24,}\b", re.I)
NUMBERED = re.compile(
    r"\b(?:req|request|chatcmpl|cmpl|gen|msg|resp|org|user|proj|acct|cus|team|ws|wrkspc|call|run|trace|asst|file)"
    r"[-_](?=[A-Za-z0-9]*\d)[A-Za-z0-9]{8,}\b"
)
"""Ids that begin with what they are of, such as `org-`, `req_`, `chatcmpl-`."""
IN_TEXT: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("user of an account", re.compile(r"(arn:aws[\w-]*:(?:iam|sts):[\w-]*:)\d{12}:[\w+=,.@/-]+"), r"\g<1>000000000000:removed"),
    ("account", re.compile(r"(?<![\d.])(?!0{12})\d{12}(?![\d.])"), "000000000000"),
    ("project", re.compile(r"\b(projects/)(?!removed\b)[^/\s\"'`,;:)]+"), r"\g<1>removed"),
    (
        "account",
        re.compile(
            r"\b((?:organi[sz]ation|account|workspace|tenant|subscription|team|project|user)(?: (?:id|name|number))?[ :=#]+[`'\"]?)"
            r"(?!removed)(?=[\w-]*\d)[\w-]{6,}",
            re.I,
        ),
        r"\g<1>removed",
    ),
    (
        "account",
        re.compile(
            r"\b((?:organi[sz]ation|account|workspace|tenant|team|project|user)(?: (?:id|name))?[ :=]+([`'\"]))"
            r"(?!removed)[^`'\"\n]+(?=\2)",
            re.I,
        ),
        r"\g<1>removed",
    ),
    ("request id", re.compile(r"\b(request[ _-]?id\W{1,3})(?!id-\d|removed)(?=[\w.-]*\d)[\w.-]{6,}", re.I), r"\g<1>removed"),
    ("fine-tuned model's owner", re.compile(r"\b(ft:[\w.-]+):(?!removed)[\w:.-]+"), r"\g<1>:removed"),
    (
        "folder",
        re.compile(
            r"(?<![\w/:.])/(?:home|Users|root|tmp|opt|srv|mnt|data|workspace|var|usr)/(?:[\w.@+-]+/)*|[A-Z]:\\(?:[\w.@+ -]+\\)+"
        ),
        "",
    ),
    ("e-mail address", re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w"), "removed@example.com"),
    ("network address", re.compile(r"(?<![\d.v])(?!127\.0\.0\.1\b|0\.0\.0\.0\b)(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"), "0.0.0.0"),  # noqa: S104
)
"""Forms within text: what it is called on the screen, how it looks, what stands there instead."""
