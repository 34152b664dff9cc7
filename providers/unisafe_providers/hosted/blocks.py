"""Which errors come from a content filter: blocked request, blocked response, refused. One table for all statuses and vendors.

Sources: OpenAI, "Error codes" and the types of its package 3.54; Microsoft, "Content filtering"; OpenRouter, "Errors and
Debugging"; Z.AI, "Errors" (1301, contentFilter); Alibaba, "DashScope error codes" (DataInspectionFailed); DeepSeek, "Content Exists
Risk" as users report it; xAI's and Anthropic's 400 and 403 as recorded; Mistral, "Guardrails"; Cloudflare,
"AI Gateway: Guardrails"; StepFun's 451; LiteLLM's ContentPolicyViolationError; Cohere's 498; fal, Stability, ByteDance Ark and
MiniMax as their SDKs and documents give them; Replicate's and Luma's failed jobs as their users report them; Portkey's gateway and
Helicone's worker, their source; Databricks, "AI Gateway guardrails" as logged; WSO2, "Guardrail error response".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from unisafe_providers.base import Block, Response, Stage, clean
from unisafe_providers.hosted.flattened import LONGEST, Flat
from unisafe_providers.hosted.imagen_codes import read_support_code

Json = dict[str, Any]
Categories = tuple[tuple[str, str], ...]

# ---------------------------------------------------------------- codes

UNTOLD = "untold"
CODES: dict[str, Stage | None] = {
    "content_filter": "request",
    "content_filtered": None,
    "contentfilter": None,
    "responsibleaipolicyviolation": "request",
    "content_policy_violation": "request",
    "content_policy": "request",
    "image_content_policy_violation": "request",
    "bio_policy": "request",
    "cyber_policy": "request",
    "safety_violation": "request",
    "content_moderation": "request",
    "prohibited_content": "request",
    "model_moderated": None,
    "content_moderated": None,
    "request moderated": "request",
    "content moderated": "response",
    "misalignment_policy_violation": "response",
    "moderation_blocked": None,
    "data_inspection_failed": None,
    "datainspectionfailed": None,
    "ipinfringementsuspect": None,
    "1301": None,
    "1026": "request",
    "1027": "response",
    "new_sensitive": None,
    "content_blocked": None,
    "censorship_blocked": None,
    "guardrail": "request",
    "image_safety": "response",
    "image_prohibited_content": "response",
    "image_recitation": "response",
    "guardrail_violation": "request",
    "guardrail_intervened": None,
    "modelarmor": "request",
    "hooks_failed": "request",
    "prompt_threat_detected": "request",
    "prompt_flagged_for_moderation": "request",
    "input_guardrail_triggered": "request",
    "output_guardrail_triggered": "response",
    "http_422": "request",
    "http_498": "request",
    "invalid_prompts": "request",
}
"""Error codes in lower case, and the stage that each stands for unless the message says more; OpenAI checks images twice."""
ARK = re.compile(r"(input|output)?(?:text|image|video|audio)?(?:sensitivecontentdetected|riskdetection)(?:\.(\w+))?", re.I)
"""ByteDance's codes, such as `OutputImageSensitiveContentDetected.Violence`."""
SNAKE = re.compile(r"\b(?:[a-z]+(?:_[a-z]+)+|(?:request|content) moderated)\b")
"""A name as programs write it, or a state of Black Forest Labs."""
DENIED = 446
"""The status of gateways whose guardrail denied a request or a response (Portkey, WSO2)."""
NOT_CHECKED = frozenset({"2021", "7013"})
"""Cloudflare's codes of guardrails that could not check: no credit for them, out of order."""
SETTINGS = ("_filter", "_policy", "_moderation")
"""How codes end that are names of settings too: a message that holds one need not tell of a block."""
FORM = frozenset({"unknown_parameter", "unsupported_parameter", "unsupported_value", "invalid_value", "invalid_type"})
"""Codes of a request with a wrong form, whatever its message says (`Unknown parameter: 'moderation'`)."""

# ---------------------------------------------------------------- words

FLAGGED = re.compile(r"flagged|usage polic|cyber|biolog|violat", re.I)
"""OpenAI's `invalid_prompt` is a block if its message matches this, and a bad request otherwise."""
RULES = r"(usage|use|content|safety|community|acceptable use|moderation)\b.{0,20}(guideline|polic|standard|rule)"
WORDS = re.compile(
    r"content (management |moderation |safety |filtering |usage )?polic|safety system|safety[ _]check|content filter|responsible ai"
    r"|flagged (as|by|for|because)\b|moderation (system|filter|polic|check)"
    r"|(blocked|flagged|rejected|refused|stopped) by .{0,30}(moderation|filter|llama.?guard|safeguard)"
    rf"|violat\w* .{{0,40}}{RULES}|violates? (our|the|its) (usage|use|acceptable|content)"
    r"|(usage|content|community|safety) (guideline|standard)"
    r"|content exists risk|considered (as )?high risk|inappropriate content|sensitive (content|information|words?)|\bnsfw\b"
    r"|new_sensitive|is sensitive, please|data inspection|green net|guardrail|prompt injection"
    r"|failed (the )?(safety|moderation|content)|contentpolicyviolation"
    r"|\bmoderation failed\b(?! (to|with|because)\b)"
    r"|\b(does|do|did|has) not pass(ed)? .{0,20}(moderation|safety|content (check|filter|review|polic))"
    r"|\b(prompt|input|response|output|completion|content)\b(?![- _]?(type|length|encoding))[^.;]{0,60}"
    r"\b(blocked (due to|because of|for|by)[^.;]{0,40}(secur|safe|polic|guard|filter|moderat|harm)"
    r"|(is|was|been) (blocked|censored|filtered)(?=[.;]|$)|(classified|detected|considered) as (unsafe|harmful))"
    r"|(violat\w*|against) (our|its|their) (\w+ ){0,2}(polic|guideline)|due to safety (concern|reason)"
    r"|prohibited (one or more )?(content|terms?|words?)|potentially (harmful|unsafe)|unsafe (content|prompt|image)|harmful content"
    r"|violated (?!rate|budget|quota|spend)(\w+ ){0,4}(polic(y|ies)|threshold|guardrail)"
    r"|\b(prompts?|image(?= [^.;]{0,12}allowed(?:[.;:,]|$))) (is |was )?not allowed"
    r"|content (is )?(not allowed|prohibited|blocked)|filtered words|\bE005\b|敏感|违规|不安全内容|内容安全|内容审核",
    re.I,
)
"""Words that say at any status that a filter stopped something."""
STRUCK = re.compile(
    r"flagged|block|violat|reject|refus|inappropriate|sensitive|prohibited|not allowed|filtered|risk|nsfw|敏感|违规", re.I
)
"""Words that a 5xx must have in addition: a 5xx also names a filter that does not work."""
WORDS_403 = re.compile(
    r"\bcontent\b(?![- _]?(type|length|encoding))"
    r"|\b(harmful|unsafe|inappropriate|offensive|disallowed|violat\w+|moderat\w+|guardrails?|jailbreak)\b"
    r"|(input|prompt|image|message) (was |is |has been )?(flagged|blocked|rejected|refused)"
    r"|(usage|safety|use) polic",
    re.I,
)
"""A 403 whose message speaks of content concerns the request, however it is worded."""
ACCOUNT = re.compile(
    r"\b((your|this|the) (account|organi[sz]ation|resource|project|workspace|subscription|ip)|your (team|api key|key|user))\b"
    r"[^.;]{0,60}\b(block|suspend|flag|disabl|restrict|deactivat|bann|terminat|lock|limited|on hold)"
    r"|organi[sz]ation'?s? polic|service control|(identity|resource)-based policy|terms of service",
    re.I,
)
"""Words of a 403 that refuses the account."""
FIREWALL = re.compile(r"\b(ip|ip address|firewall|waf|bot|vpn|proxy|network|(deny|allow|block|black|white)[- ]?list(ed)?)\b", re.I)
"""Words of a 403 that refuses the way to the endpoint, for any request."""
KEYS = re.compile(r"\b(your|this|the) (api[- ]?key|credentials?)\b", re.I)
FILTER = r"(guardrails?|polic(y|ies)|filter\w*|moderation|safety\w*|guidelines?|content|prompt injection|sensitive information)"
LACKS = r"(not found|not exist|not (been )?(supported|available|enabled|configured|recogni[sz]ed)|unavailable|overloaded)"
SETUP = re.compile(
    rf"\b{FILTER}\b[^.;]{{0,80}}(\b|n['’]t ){LACKS}|\bn['’]t support\w* [^.;]{{0,40}}{FILTER}"
    r"|\b(unknown|unrecogni[sz]ed|unsupported|invalid|missing) "
    rf"(request )?(argument|parameter|field|value|key|setting|option|{FILTER})\b"
    r"|extra (inputs|fields)|\bmust be one of\b|\badd-?on\b"
    r"|\b(accept|agree)(ing)?( to)? (the|our|its|their|these)\b|\bpermission to\b",
    re.I,
)
"""Words that say that a filter or its terms are set up wrongly, or that a right is missing: no content was checked."""
JUDGED = re.compile(r"\b(violat\w*|flagged|blocked|rejected|refused|detected|inappropriate|harmful|prohibited)\b", re.I)
"""Words that say that content was checked."""
WARNING = re.compile(r"[^.;]*\b(may|might|could|will|can) (result|lead|cause|be)\b[^.;]*", re.I)
"""Words that only threaten a block."""
OUT_OF_ORDER = re.compile(
    r"(moderation|safety|filter|guardrail)\w* (service|system|endpoint|api|checker|classifier|model|backend) .{0,20}"
    r"(unavailable|down|timed out|failed|not (respond|reach|avail))"
    r"|(moderation|safety|content|guardrail)s? checks? .{0,20}(unavailable|down|timed out|failed (to|with|because)"
    r"|not (run|respond|reach|avail))"
    r"|(moderation|safety|filter|guardrail)s? (is|was|are) (currently |temporarily )?(overloaded|unavailable|down|out of order)"
    r"|(failed|unable|could not|cannot|error|timeout|timed out)( to| while| when| in)? ?"
    r"(call|reach|run|load|connect|contact|moderat|apply|evaluat|invok|download|fetch|retriev)"
    r".{0,60}(moderat|filter|safety|guardrail|image|inspection)",
    re.I,
)
"""Words about a filter that does not work: it blocks nothing."""
ADVICE = re.compile(r"\b(please|try|modify|adjust|rephrase|if you believe)\b[^.]*|\bgeneration failed\b", re.I)
"""Words that tell no stage, whatever they speak of."""
REQUEST = re.compile(r"due to the prompt|\b(input|prompt|user message)\b", re.I)
RESPONSE = re.compile(
    r"\boutput\b|\bgenerated (image|content|text|response|video)|\bgeneration\b|\b(model|assistant)('s)? (response|answer|reply)"
    r"|\bcompletion\b|the response (was|is|has been)|\bresponse (was |is )?blocked"
    r"|\bnsfw (content|concept|image)s? (was |were )?(detected|found)(?! in (the |your )?(prompt|input|request|text))",
    re.I,
)
VIOLATIONS = re.compile(r"safety_violations=\[([^\]]*)\]")
CHECKS = re.compile(r"SAFETY_CHECK_TYPE_(\w+)")
LISTED = re.compile(r"(?:flagged for|categor(?:y|ies)):?\s+([a-z][a-z/ _-]{2,40})(?=[.,;)]|$)", re.I)


def block_of_error(status: int, flat: Flat, *, ran: bool = False) -> Response | None:
    """The blocked (or refused) Response that an error means; None if the error is a failure.

    Args:
        status: the HTTP status. If the error came within a 200, the body's own status; 0 if it has none.
        flat: the error's body.
        ran: whether a job had begun: a block whose words name no stage may be of either then, else it is of the request.
    """
    if status == 403 and "refusal" in flat.lowered:
        return Response(text=flat.message, finish="refused", reason="refusal, told as an error")
    if "aigatewayerror" in flat.lowered and not NOT_CHECKED.isdisjoint(flat.codes):
        return None
    named = _find_filter_code(flat)
    if named is None:
        if status != DENIED and not _is_told_by_words(status, flat):
            return None
        named = _find_code_in_words(flat.message)
    categories, stage = categories_of(flat), _find_stage(flat, named, ran=ran)
    reason = describe_block(named or "", categories, flat.message[:LONGEST])
    return Response(finish="blocked", reason=reason, block=Block(stage, categories) if stage else None)


def _find_filter_code(flat: Flat) -> str | None:
    """The code of the filter that blocked; `moderation` if a list of reasons names one."""
    for code in flat.codes:
        if _spell(code) in CODES or ARK.fullmatch(code) or code.lower().startswith("safety_check_type"):
            return code
    if any(isinstance(reasons, list) for reasons in flat.entries("reasons")):
        return "moderation"
    if any(isinstance(entries, list) for entries in flat.entries("contentFilter")):
        return "content_filter"
    if "invalid_prompt" in flat.lowered and FLAGGED.search(flat.message):
        return "invalid_prompt"
    return None


def _is_told_by_words(status: int, flat: Flat) -> bool:
    """Whether the message alone, without a code, speaks of a filter."""
    if flat.page or not FORM.isdisjoint(flat.lowered) or status in (401, 402, 404, 405, 407, 413, 429):
        return False
    if ACCOUNT.search(WARNING.sub("", flat.message)) or OUT_OF_ORDER.search(flat.message):
        return False
    if SETUP.search(flat.message.replace("_", " ")) and not JUDGED.search(flat.message):
        return False
    if status == 403 and WORDS_403.search(flat.message) and not any(row.search(flat.message) for row in (KEYS, FIREWALL)):
        return True
    told = WORDS.search(flat.message) is not None or _find_code_in_words(flat.message) is not None
    return told and (status < 500 or STRUCK.search(flat.message) is not None)


def _find_code_in_words(message: str) -> str | None:
    """The code of a filter that stands in a message, as where a runner passes on its model's error as text (fal)."""
    return next((word for word in SNAKE.findall(message.lower()) if word in CODES and not word.endswith(SETTINGS)), None)


def _find_stage(flat: Flat, named: str | None, *, ran: bool = False) -> Stage | None:
    """The stage of the block, from a vendor's own field, else from the message, else from the code; None if none says it."""
    told = read_stage(flat)
    if told is not None:
        return told if told != UNTOLD else None  # type: ignore[return-value]
    numbered = read_support_code(flat.message)
    if numbered is not None:
        return numbered[0]
    ark = ARK.fullmatch(named) if named else None
    if ark:
        return "response" if (ark[1] or "").lower() == "output" else "request"
    words = ADVICE.sub("", flat.message)
    asked, answered = REQUEST.search(words), RESPONSE.search(words)
    if asked and (not answered or asked[0].lower().startswith("due")):
        return "request"
    if answered and not asked:
        return "response"
    if named is None:
        return None if asked or ran else "request"
    return CODES.get(_spell(named), "request")


def _spell(code: str) -> str:
    """A code as CODES has it: `content-filter` is `content_filter`."""
    return code.lower().replace("-", "_")


def read_stage(flat: Flat) -> str | None:
    """The stage from a vendor's own field: OpenAI's `moderation_details`, Z.AI's `contentFilter`, fal's `model_moderated`,
    Portkey's `hook_results`, WSO2's `direction`."""
    for details in flat.entries("moderation_details"):
        stage = details.get("moderation_stage") if isinstance(details, dict) else None
        if stage:
            return {"input": "request", "output": "response"}.get(str(stage))
    roles = {str(entry.get("role")) for entry in _dicts(flat.entries("contentFilter"))}
    if roles:
        return "response" if "assistant" in roles and "user" not in roles else "request"
    for results in (*flat.entries("hook_results"), *flat.entries("hooks_result")):
        if (hooks := read_hooks(results)) is not None:
            return hooks
    for direction in flat.entries("direction"):
        return {"request": "request", "response": "response"}.get(str(direction).lower())
    if any("model_moderated" in categories for categories in flat.entries("categories") if isinstance(categories, list)):
        return UNTOLD
    return None


def read_hooks(results: object) -> Stage | None:
    """The stage at which Portkey's guardrails failed, by their verdicts; None where none did, or none is there."""
    if not isinstance(results, dict):
        return None
    stages: dict[str, Stage] = {"before_request_hooks": "request", "after_request_hooks": "response"}
    failed = [stage for name, stage in stages.items() if any(hook.get("verdict") is False for hook in _dicts([results.get(name)]))]
    return failed[0] if failed else None


def _dicts(lists: Iterable[object]) -> list[Mapping[str, Any]]:
    return [entry for some in lists if isinstance(some, list) for entry in some if isinstance(entry, dict)]


def categories_of(flat: Flat) -> Categories:
    """The harm categories that an error names, each with its severity if the error gives one."""
    for key in ("content_filter_result", "content_filter_results"):
        for results in flat.entries(key):
            if hits := read_filtered(results):
                return hits
    for details in flat.entries("moderation_details"):
        if isinstance(details, dict) and isinstance(details.get("categories"), list):
            return _to_categories(details["categories"])
    for key in ("reasons", "categories", "Moderation Reasons"):
        for names in flat.entries(key):
            if names and isinstance(names, list | str):
                return _to_categories(names if isinstance(names, list) else [names])
            if isinstance(names, dict) and any(names.values()):
                return _to_categories([name for name, hit in names.items() if hit is True])
    if levels := _dicts(flat.entries("contentFilter")):
        return tuple(("sensitive", f"level {entry['level']}") for entry in levels if entry.get("level") is not None)
    for code in flat.codes:
        ark = ARK.fullmatch(code)
        if ark and ark[2]:
            return ((ark[2], ""),)
    return _find_categories(flat.message)


def _to_categories(names: list[object]) -> Categories:
    return tuple((str(name), "") for name in names if isinstance(name, str | int))


def _find_categories(message: str) -> Categories:
    """The categories that a message lists."""
    if numbered := read_support_code(message):
        return ((numbered[1], ""),)
    if listed := VIOLATIONS.search(message):
        return tuple((word.strip(), "") for word in listed[1].split(",") if word.strip())
    if checks := CHECKS.findall(message):
        return tuple((check.lower(), "") for check in dict.fromkeys(checks))
    flagged = LISTED.search(message)
    return ((flagged[1].strip().lower(), ""),) if flagged else ()


# ---------------------------------------------------------------- how a block is worded


def read_filtered(results: object) -> Categories:
    """The categories of Azure's `content_filter_results` that were filtered, each with its severity, else `detected`."""
    if not isinstance(results, dict):
        return ()
    return tuple(
        (str(category), str(entry.get("severity") or "detected"))
        for category, entry in results.items()
        if isinstance(entry, dict) and entry.get("filtered", entry.get("detected"))
    )


def describe_block(word: str, categories: Categories, message: str = "") -> str:
    """`content_filter (violence: high): message`, without the parts that are missing."""
    inside = ", ".join(f"{name}: {severity}" if severity else name for name, severity in categories)
    said = " ".join(part for part in (word, f"({inside})" if inside else "") if part)
    return clean(": ".join(part for part in (said, message) if part))
