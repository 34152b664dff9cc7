"""Which parameters an endpoint accepts: after it has refused a parameter once, the parameter is not sent again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from unisafe_providers.base import Request
from unisafe_providers.hosted.parameters import JSON_OBJECT, Refusal

LEAVABLE = ("temperature", "top_p", "seed", "size")
"""Fields of a request that can be left out of it."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The parameters that one endpoint accepts; immutable, so that a call knows which version it was sent by.

    Args:
        structured: whether a schema is sent.
        names: the endpoint's own name for a parameter, if it differs from ours.
        left_out: fields that the model does not take.
        joins_texts: whether several texts go as one, and not as a list of parts.
        schema_type: the type of `response_format` that carries a schema: OpenAI's, or that of llama.cpp's servers.
    """

    structured: bool = True
    names: Mapping[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    joins_texts: bool = False
    schema_type: Literal["json_schema", "json_object"] = "json_schema"

    def name(self, parameter: str) -> str:
        """What `parameter` is called in a body."""
        return self.names.get(parameter, parameter)

    def of(self, request: Request) -> Request:
        """`request` without the fields that the model does not take."""
        changes: dict[str, None] = {name: None for name in self.left_out if getattr(request, name) is not None}
        if not self.structured and request.schema is not None:
            changes["schema"] = None
        return replace(request, **changes) if changes else request  # type: ignore[arg-type]

    def without(self, refusal: Refusal, sent: Request) -> Accepted:
        """What the endpoint accepts after it refused a parameter of `sent`; the same object if nothing changes."""
        if refusal.parameter == "response_format":
            return self._without_schema(refusal) if sent.schema is not None else self
        if refusal.parameter == "content":
            return replace(self, joins_texts=True) if len(sent.parts) > 1 and not sent.images else self
        if refusal.instead is not None:
            return replace(self, names={**self.names, refusal.parameter: refusal.instead})
        if refusal.parameter in LEAVABLE and getattr(sent, refusal.parameter) is not None:
            return replace(self, left_out=self.left_out | {refusal.parameter})
        return self

    def _without_schema(self, refusal: Refusal) -> Accepted:
        """The schema goes in the other type first, where the endpoint refused the type alone, and then not at all."""
        if refusal.instead == JSON_OBJECT and self.schema_type != JSON_OBJECT:
            return replace(self, schema_type=JSON_OBJECT)
        return replace(self, structured=False)


def describe_refusals(model: str, accepted: Accepted, before: Accepted, sent: Request) -> list[str]:
    """A line for each change in `accepted`, for the end of a run; a schema that is not sent has none, as it changes no answer."""
    left_out = sorted(accepted.left_out - before.left_out)
    renamed = {name: called for name, called in accepted.names.items() if before.name(name) != called}
    return [
        *(f"{model} takes no {name} such as {_show(getattr(sent, name))}: it was left out" for name in left_out),
        *(f"{model} takes {before.name(name)} as {called}: it was renamed" for name, called in renamed.items()),
    ]


def _show(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
