"""The words in which vendors tell the state of a batch job, and the codes of google.rpc in which some tell errors.

Sources: OpenAI, "Batch"; Together SDK 3.1 (BatchJob); mistralai SDK 3.7 (BatchJobStatus); google-genai SDK 3.6 (JobState), with
`BATCH_STATE_...` as recorded on the wire; Fireworks SDK 1.2 (BatchInferenceJob); google/rpc/code.proto.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import Literal

State = Literal["in_progress", "ended", "expired", "cancelled", "failed"]
STATES: dict[str, State] = {
    "completed": "ended",
    "succeeded": "ended",
    "success": "ended",
    "ended": "ended",
    "partiallysucceeded": "ended",
    "partiallycompleted": "ended",
    "earlystopped": "ended",
    "expired": "expired",
    "timeoutexceeded": "expired",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "stopped": "cancelled",
    "failed": "failed",
}
"""States in which a job changes no more, in small letters alone. Any other word, known or not, means that it is under way."""
PREFIX = re.compile(r"^(?:job|batch)state")
DATE = re.compile(r"\d{4}-\d\d-\d\d")

RPC: dict[str, int] = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
"""The HTTP status with which an online call gets an error of this code; the codes' numbers are their places here, from 1."""
BY_NUMBER = dict(enumerate(RPC.values(), start=1))


def read_state(word: object) -> State:
    """What a vendor's word for a job's state means, in any case and with any prefix."""
    return STATES.get(_bare(word), "in_progress")


def tells_cancel(word: object) -> bool:
    """Whether a state's word says that somebody cancelled the job."""
    return _bare(word).startswith("cancel")


def _bare(word: object) -> str:
    return PREFIX.sub("", re.sub(r"[^a-z]", "", str(word).lower()))


def find_status(code: object) -> int | None:
    """The HTTP status that an error's code stands for: a code of google.rpc, or a status itself; None for any other code."""
    text = str(code).strip()
    if text.isdigit():
        return BY_NUMBER.get(int(text), int(text) if 400 <= int(text) < 600 else None)
    return RPC.get(text.upper())


def parse_moment(value: object) -> datetime | None:
    """A time into UTC without a zone, from seconds since 1970 or RFC 3339; None for what is neither.

    A date alone stands for its end, so that nothing that was made on it seems older than it is.
    """
    text = str(value).strip()
    try:
        if re.fullmatch(r"\d+(?:\.\d+)?", text):
            return datetime.fromtimestamp(float(text), UTC).replace(tzinfo=None)
        if DATE.fullmatch(text):
            return datetime.combine(datetime.fromisoformat(text).date() + timedelta(days=1), time())
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
