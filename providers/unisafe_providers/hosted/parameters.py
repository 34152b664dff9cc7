"""Parameters that an endpoint does not take: which parameter its error names, and whether we leave it out or rename it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from unisafe_providers.hosted.flattened import Flat, flat_of

STATUSES = frozenset({0, 200, 400, 404, 422, 500, 501})


JSON_OBJECT: Literal["json_object"] = "json_object"


class Refusal(NamedTuple):
    """A parameter that the endpoint does not take.

    Args:
        parameter: its name in Request (`temperature`, `top_p`, `seed`, `max_tokens`, `size`), or `response_format`; `content` where
            it takes one text, and no list of parts.
        instead: the endpoint's own name for the parameter, or of `response_format` the type that it takes; None if the parameter is
            left out.
    """

    parameter: str
    instead: str | None = None


ALIASES = {
    "temperature": "temperature",
    "top_p": "top_p",
    "topp": "top_p",
    "seed": "seed",
    "random_seed": "seed",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "size": "size",
    "image_size": "size",
    "aspect_ratio": "size",
    "response_format": "response_format",
    "json_schema": "response_format",
    "structured output": "response_format",
    "structured outputs": "response_format",
    "guided_json": "response_format",
    "text.format": "response_format",
    "output_config": "response_format",
    "output_format": "response_format",
    "outputconfig": "response_format",
    "textformat": "response_format",
    "responsejsonschema": "response_format",
    "response_json_schema": "response_format",
    "responseschema": "response_format",
    "response_schema": "response_format",
    "responsemimetype": "response_format",
    "response_mime_type": "response_format",
    "json mode": "response_format",
}
"""Vendors' names of parameters, in lower case, with our names."""

NAMES = "|".join(re.escape(name) for name in sorted(ALIASES, key=len, reverse=True))
NAME = re.compile(rf"(?<![\w.])(?:(?:generation|inference)_?config\.)?({NAMES})(?!\w)", re.I)
REFUSES = re.compile(
    r"not (currently |yet )?(supported?|permitted|allowed|accepted|available|enabled|recogni[sz]ed|compatible)|n[o']t support"
    r"|unsupported|deprecated|cannot (both )?be|can't be|unknown|unrecogni[sz]ed|unexpected|extra (inputs|fields)"
    r"|only (the default|\d)|no longer|must not be|invalid (parameter|argument|field)|remove (the )?|cannot find field|unavailable",
    re.I,
)
RANGE = re.compile(
    r"\bbetween\b|\brange\b|must be (at|less|greater|a|an|no|<|>|one of|in)|(less|greater) than"
    r"|at (most|least)|too (large|small|high|low)",
    re.I,
)
VALUE = re.compile(r"\d+ ?[x*:] ?\d+|\bvalues?\b", re.I)
"""Words that refuse only this size: the endpoint may take another size, and the user should choose it."""
TOGETHER = re.compile(r"\bboth\b|at the same time|together|only one of", re.I)
"""Words that refuse two parameters together, but not each by itself."""
WRITTEN_AS_FAILURE = re.compile(r"validation error|inputs? (should|are)|keyword argument|(un|not )supported", re.I)
"""Words by which a server answers 500 to a parameter that it does not take: its own check of the body failed (llama.cpp's Python
server), or a function of its own got too many arguments."""
TEXT_ALONE = re.compile(
    r"can only concatenate str \(not \"list\"\)|\bcontent\b.{0,60}(must|should) be a (valid )?(str|string|text)\b", re.I
)
"""Words of a server whose chat template takes a turn's content as one text, and no list of parts."""
TYPES = re.compile(r"\bjson_(schema|object)\b", re.I)
"""Words that refuse this type of `response_format` alone; a server of llama.cpp's takes the schema in another type."""
CODES = frozenset({"extra_forbidden", "unknown_parameter", "unsupported_parameter", "unsupported_value", "value_error.extra"})


def find_refused_parameter(
    status: int,
    body: object,
    *,
    sent: Sequence[str] = (),
    unset: Collection[str] = (),
) -> Refusal | None:
    """The parameter that the endpoint does not take, as its error says; None for any other error.

    Args:
        status: its HTTP status.
        body: its body, flattened or not; only the vendor's own words count.
        sent: the texts of the request.
        unset: parameters that the request does not set: if the error names several, it means another one.
    """
    if status not in STATUSES:
        return None
    flat = flat_of(body, sent)
    named = _find_names(flat)
    names = [name for name in named if ALIASES[name] not in unset] or named
    if len(names) < len(named) and TOGETHER.search(flat.message):
        return None  # one of them is left out already, so that is not what is wrong
    meant = [ALIASES[name] for name in names]
    if "response_format" in meant:
        return Refusal("response_format", JSON_OBJECT if TYPES.search(flat.message) else None)
    if not names and TEXT_ALONE.search(flat.message):
        return Refusal("content")
    if not names or not _is_refused(flat) or (status == 500 and not WRITTEN_AS_FAILURE.search(flat.message)):
        return None
    if "max_tokens" in names and "max_completion_tokens" in names:
        return Refusal("max_tokens", "max_completion_tokens")
    if names[0] == "max_completion_tokens":
        return Refusal("max_tokens", "max_tokens")
    if "temperature" in meant and "top_p" in meant:
        return Refusal("top_p")
    if meant[0] == "max_tokens" or (meant[0] == "size" and VALUE.search(flat.message)):
        return None
    return Refusal(meant[0])


def _is_refused(flat: Flat) -> bool:
    """Whether the error refuses the parameter itself and not a value out of its range."""
    if REFUSES.search(flat.message):
        return True
    return not CODES.isdisjoint(flat.lowered) and not RANGE.search(flat.message)


def _find_names(flat: Flat) -> list[str]:
    """The known parameters that the error names, those of `param` and `loc` first."""
    named = [found[1].lower() for parameter in flat.parameters if (found := NAME.search(parameter))]
    if flat.parameters and not named:
        return []
    return list(dict.fromkeys([*named, *(found.lower() for found in NAME.findall(flat.message))]))
