"""Whether an endpoint follows a schema that it took without a word: seen from its replies, since some servers ignore it."""

from __future__ import annotations

import orjson

from unisafe_providers.base import Response

MANY = 5
"""Complete replies in a row that are no JSON, after which an endpoint counts as one that ignores schemas."""


class SchemaWatch:
    """Counts the replies of one endpoint to requests that were sent with a schema.

    Attributes:
        ignored: whether the last replies show that schemas are ignored.
    """

    def __init__(self) -> None:
        self.ignored = False
        self._in_a_row = 0

    def note_reply(self, response: Response) -> None:
        """A reply that was cut off, refused or blocked shows nothing."""
        if response.finish != "stop" or response.empty:
            return
        self._in_a_row = 0 if is_json(response.text) else self._in_a_row + 1
        self.ignored = self._in_a_row >= MANY

    def describe(self, model: str) -> str:
        """A line for the end of a run."""
        return (
            f"{model} ignores response_format without an error: {MANY} replies in a row to a request with a schema were no JSON; "
            "what their words say is read all the same (structured = false asks without)"
        )


def is_json(text: str) -> bool:
    """Whether a reply is JSON and nothing else, as one that follows a schema must be."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
