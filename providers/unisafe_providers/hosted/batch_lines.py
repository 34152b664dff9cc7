"""A line of a batch job's results: where its answer or its error stands. One reading for all vendors of OpenAI's shape."""

from __future__ import annotations

from collections.abc import Callable

from unisafe_providers.base import ProviderError, Response, Transient
from unisafe_providers.batching import Cancelled
from unisafe_providers.hosted.batch_states import RPC, find_status
from unisafe_providers.hosted.bodies import Json, json_of
from unisafe_providers.hosted.flattened import read_error_message

CANCELLED = frozenset({"batch_cancelled", "batch_canceled", "cancelled", "canceled"})
EXPIRED = frozenset({"batch_expired", "expired"})
UNTOLD = 500
"""Stands for the status of an error that tells none: what is known by its words or code counts, and anything else passes."""


def find_answer(line: Json) -> tuple[int, Json] | None:
    """The status and the body of a request's answer; None for a line without one.

    `response` holds `status_code` and `body` (OpenAI, Mistral), or is the body itself (Fireworks).
    """
    answer = line.get("response")
    if not isinstance(answer, dict) or not answer:
        return None
    if not {"body", "status_code"} & answer.keys():
        return 200, answer
    body = answer.get("body")
    body = json_of(body.encode()) if isinstance(body, str) else body
    if not isinstance(body, dict) or not body:
        return None
    return int(answer.get("status_code") or 200), body


def find_line_error(line: Json) -> Json:
    """The error of a line without an answer, as an object; empty if it tells none."""
    error = line.get("error")
    if isinstance(error, dict):
        return error
    return {"message": str(error)} if error else {}


def explain_undone(error: Json, read: Callable[[int, Json], Response | ProviderError]) -> Response | ProviderError:
    """What the error of a request means that has no answer; `read` reads an error's status and body as those of an online call.

    If nothing shows that the request itself was wrong, another try may succeed.
    """
    code = str(error.get("code") or error.get("type") or "").lower()
    if code in CANCELLED:
        return Cancelled("the job was cancelled at the vendor")
    if code in EXPIRED:
        return Transient("the job expired before this request was answered")
    if not error:
        return Transient("no answer: the vendor gives no reason")
    told = (find_status(error.get(key)) for key in ("code", "status_code", "status"))
    status = next((one for one in told if one is not None), UNTOLD)
    if status == RPC["CANCELLED"]:
        return Cancelled("the job was cancelled at the vendor")
    found = read(status, {"error": error})
    return Transient(f"no answer: {read_error_message(error)}") if status == UNTOLD and type(found) is Transient else found
