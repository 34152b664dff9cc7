"""Failures of a model and the way to it: not there, not loaded, retired, another address, streams only, no pictures.

Sources: OpenAI, "Error codes" and "Deprecations"; OpenRouter, "Errors and Debugging"; Groq, "Model deprecations"; Alibaba,
"DashScope error codes"; Together, Fireworks, Cohere and Amazon Bedrock, their error pages; Ollama, LM Studio, vLLM, SGLang and
llama.cpp as they answer.
"""

from __future__ import annotations

from unisafe_providers.base import Misconfigured
from unisafe_providers.hosted.failure_row import ANY, WRONG, Failure, compile_words, split_names

SENTENCE = r"(?:(?!\. ).)"
"""A character of the same sentence; names of models hold full stops."""

MODELS = (
    Failure(
        kind=Misconfigured,
        says="the account's data policy allows no endpoint of {model} at {vendor} ({status}): {message}; "
        "change its privacy settings",
        words=compile_words(r"data policy", r"settings/privacy"),
        where=WRONG,
    ),
    Failure(
        kind=Misconfigured,
        says="no model is loaded at {vendor} ({status}): {message}; load {model} there",
        codes=split_names("model_not_loaded no_model_loaded"),
        words=compile_words(r"no models? (is |are )?(currently )?loaded", r"\bmodel\b.{0,40}\bis not loaded", r"load a model"),
        where=ANY,
    ),
    Failure(
        kind=Misconfigured,
        says="{vendor} has too little memory for {model} ({status}): {message}; free some, or name a smaller model",
        words=compile_words(r"requires more (system |gpu |video )?memory", r"more memory .{0,40}than is available"),
        where=ANY,
    ),
    Failure(
        kind=Misconfigured,
        says="{model} answers only in streams, which are not asked for ({status}): {message}; name another model or address",
        words=compile_words(
            r"only supports? (the )?stream",
            r"stream(ing)? (mode )?(is )?(required|only)",
            r"(must|need to) (be set to |set |use |enable )(the )?`?stream",
            r"`?stream`? (must|should|has to) be (set to )?true|does not support non-?stream|enable the stream",
        ),
        where=WRONG,
    ),
    Failure(
        kind=Misconfigured,
        says="{model} thinks only in streams ({status}): {message}; set extra.enable_thinking = false",
        words=compile_words(r"enable_thinking"),
        where=WRONG,
    ),
    Failure(
        kind=Misconfigured,
        says="{model} takes no such setting of its thinking ({status}): {message}; change the thinking budget in `extra`",
        words=compile_words(
            r"only works (in|with) thinking",
            r"thinking (mode )?(cannot be|can't be|is) (disabled|turned off|required)",
            r"not support thinking",
        ),
        where=WRONG,
    ),
    Failure(
        kind=Misconfigured,
        says="{model} takes no system message, as a judge is asked with ({status}): {message}; name another model",
        words=compile_words(r"n.t support system (messages|prompts|instructions)"),
        where=WRONG,
    ),
    Failure(
        kind=Misconfigured,
        says="{model} writes fewer tokens ({status}): {message}; lower max_tokens",
        words=compile_words(r"maximum tokens you requested exceeds"),
        where=WRONG,
    ),
    Failure(
        kind=Misconfigured,
        says="{vendor} knows no such guardrail ({status}): {message}; check its id, version and region",
        words=compile_words(r"guardrail\b.{0,60}\b(does not exist|not found|is (invalid|not valid|not ready))"),
        where=WRONG,
    ),
    Failure(
        kind=Misconfigured,
        says="{vendor} runs {model} only on an endpoint of your own ({status}): {message}; start one there, or name another model",
        words=compile_words(
            r"non-?serverless", r"dedicated endpoint", r"on-demand throughput isn.t supported", r"inference profile"
        ),
        where=WRONG,
    ),
    Failure(
        kind=Misconfigured,
        says="{vendor} answers {model} at another address ({status}): {message}; check `base_url`, `api` and `image_api`",
        words=compile_words(
            r"not available on this endpoint",
            r"(use|see|call) (a compatible|the) .{0,40}(endpoint|v1/(chat/completions|completions|responses|images))",
            r"not a chat model|is not supported (in|with) the v1/|only supported in v1/|does not support asynchronous calls",
            r"does not support (chat|generate|completions)\b",
        ),
        where=WRONG,
    ),
    Failure(
        kind=Misconfigured,
        says="{vendor} has retired {model} ({status}): {message}; name its successor in `model`",
        statuses=frozenset({410}),
        codes=split_names("model_decommissioned model_deprecated deprecated_model model_retired"),
        words=compile_words(
            r"\bmodels?\b.{0,120}(has|have) been (deprecated|retired|decommissioned|discontinued|shut ?down|sunset|removed)",
            r"\bmodels?\b.{0,120} (is|are) (deprecated|retired|decommissioned|no longer (available|supported))",
            r"\bmodel\b.{0,80}\bwas removed\b|reached (the )?end of (its )?life",
        ),
        where=frozenset({0, 400, 403, 404}),
    ),
    Failure(
        kind=Misconfigured,
        says="not found ({status}): {message}; pull it with `ollama pull {model}`, or check `model`",
        words=compile_words(r"try pulling it", r"^model [\"'][^\"']+[\"'] not found$"),
        where=frozenset({0, 400, 404}),
    ),
    Failure(
        kind=Misconfigured,
        says="not found ({status}): {message}; check `model` ({model}) and `base_url`",
        codes=split_names(
            "model_not_found invalid_model deploymentnotfound model_not_available modelnotfound modelnotopen "
            "invalidendpointormodel.notfound model_not_exist model_not_supported unknown_model unsupported_model 1211"
        ),
        words=compile_words(
            rf"\b(model|deployment)\b{SENTENCE}{{0,120}}\b"
            r"(does not exist|do(es)? not have access|(was |is )?not found|unavailable to)",
            rf"\b(model|deployment)\b{SENTENCE}{{0,60}}\bis (not (a )?(valid|available|known|found)|invalid)\b",
            r"(unknown|invalid|no such|unsupported|unrecogni[sz]ed) (model|deployment)\b"
            r"(?! (parameter|input|output|length|response))",
            r"is not a valid model|not activated the model|^model: \S+$|don.t have access to (the|this) model",
            r"not servable in region|not allowed to use publisher model",
            r"模型不存在",
        ),
        where=WRONG,
    ),
)

IMAGES = r"(images?|vision|pictures?|multi-?modal|image_urls?)"
ABLE = r"(supported|allowed|available|enabled)"
PICTURES = (
    Failure(
        kind=Misconfigured,
        says='{model} takes no images ({status}): {message}; take "image" out of its `takes`, or name a model that sees',
        words=compile_words(
            r"not a (multi-?modal|vision)",
            r"unknown variant [`'\"]?image",
            rf"(not|n.t|no endpoints? found that) (support|accept)s? {IMAGES}( input| content| file|s)*\b"
            r"(?!.{0,40}(larger|bigger|more than|format|of type|exceed|generation|output))",
            r"n.t support the image (field|content|block)|n.t support image inputs?\b",
            rf"{IMAGES}[- ]?(input|content|part|understanding|prompt)?s?( types?)? (is|are) (not|un)[ -]?(currently )?{ABLE}"
            r"(?! (format|image|type))",
            r"(support|required for) image input|mmproj",
            r"unmarshal array into go struct field [\w.]*content|\bcontent\b['\"`]? ?(:|must) ?(must )?be a string",
            r"image_url is only supported|only (support|accept)s? text( input| content| message|s|-only)?\b",
            r"only text (content|input|message)",
            r"content type .{0,20}image_url.{0,60}(not supported|invalid|only)|invalid content type.{0,40}image_url",
            r"at most 0 images?",
            r"(does not|doesn.t|no) (have )?vision",
        ),
        where=ANY,
        needs="images in",
    ),
    Failure(
        kind=Misconfigured,
        says="{model} gives no images ({status}): {message}; check its `gives` and `image_api`, or name a model that draws",
        words=compile_words(
            r"response modalit\w+.{0,60}\bimage",
            r"\bimage\b.{0,60}response modalit",
            r"output modalit",
            r"(not|n.t|no endpoints found that|cannot|unable to) (support |allowed for )?"
            r"(image (generation|output|editing|edit)|generat(e|ing) images|output images)",
            rf"image (generation|output|editing|edits?) (is|are) (not|un)[ -]?{ABLE}",
            r"not an image (generation )?model|does not support images?[./](generations|edits)",
        ),
        where=ANY,
        needs="images out",
    ),
)
"""Failures of a model that takes or gives no pictures at all; request_failures.py has the mistakes of a single picture."""
