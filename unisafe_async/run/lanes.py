"""One model of a run: the tasks that it is asked, and how far it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from unisafe_async.gateway import Endpoint

T = TypeVar("T")
CHUNK = 256


@dataclass(kw_only=True)
class Lane:
    """One model and its items. `total` counts trials, `pictures` those that ask for one, `generated` those answered.

    `jobs_open` counts batch jobs under way and `jobs_sought` those of them whose submission was interrupted. `requests_open`
    counts the requests in these jobs and `requests_done` those that the vendor has finished.
    """

    endpoint: Endpoint
    tasks: frozenset[str]
    total: int
    pictures: int = 0
    done: int = 0
    cached: int = 0
    failed: int = 0
    unjudged: int = 0
    generated: int = 0
    jobs_open: int = 0
    jobs_sought: int = 0
    requests_open: int = 0
    requests_done: int = 0


def split_chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
