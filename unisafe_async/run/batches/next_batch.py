"""A batch job that is being built, and the names of its requests."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from unisafe_cache.batches import BatchRecord

TAG = "unisafe-"


def tag_of(number: int) -> str:
    """A job's name until the vendor names it; the names of the job's requests contain it too."""
    return f"{TAG}{number:x}"


def build_request_name(tag: str, key: str) -> str:
    """A request's name in a job: its key (32 characters), and the end of the job's tag, which no other job has (16)."""
    return f"{key}-{tag.removeprefix(TAG)}"


def read_key(name: str) -> str:
    """The key in a request's name, in any job."""
    return name.partition("-")[0]


def request_names_of(record: BatchRecord) -> Collection[str]:
    """The names of the requests of a job that the vendor has not named yet."""
    return frozenset(build_request_name(record.id, key) for key in record.keys)


@dataclass(kw_only=True)
class NextBatch:
    """The requests so far; `max_cost` is the most that they can cost, in US dollars."""

    tag: str
    keys: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    entries: list[bytes] = field(default_factory=list)
    size: int = 0
    max_cost: float = 0.0

    def add(self, key: str, request: str, entry: bytes, max_cost: float) -> None:
        self.keys.append(key)
        self.requests.append(request)
        self.entries.append(entry)
        self.size += len(entry) + 1
        self.max_cost += max_cost
