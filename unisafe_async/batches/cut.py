"""A job that is being put together, and the names of its requests."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from cache.batches import BatchRecord

TAG = "unisafe-"


def tag_of(number: int) -> str:
    """What a job is called before the vendor names it; it stands in the names of the job's requests too."""
    return f"{TAG}{number:x}"


def name_in(tag: str, key: str) -> str:
    """A request's name in a job: its key (32 characters), and what no other job's names end with (16)."""
    return f"{key}-{tag.removeprefix(TAG)}"


def key_in(name: str) -> str:
    """The key in a request's name, in whichever job."""
    return name.partition("-")[0]


def names_of(record: BatchRecord) -> Collection[str]:
    """The names of the requests of a job that the vendor has not named yet."""
    return frozenset(name_in(record.id, key) for key in record.keys)


@dataclass
class Cut:
    """The requests so far; `most` is what they can cost at most, in US dollars."""

    tag: str
    keys: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    entries: list[bytes] = field(default_factory=list)
    size: int = 0
    most: float = 0.0

    def add(self, key: str, request: str, entry: bytes, most: float) -> None:
        self.keys.append(key)
        self.requests.append(request)
        self.entries.append(entry)
        self.size += len(entry) + 1
        self.most += most
