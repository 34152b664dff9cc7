"""What a vendor says of its batch jobs: their protocol, limits and price. A table `[batch]` of vendors/NAME.toml holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRules:
    """One vendor's batch jobs.

    Args:
        wire: the protocol of the jobs, if chats speak OpenAI's: a key of hosted/batch_wires.py.
        window: how long the vendor may take, in its own words.
        purpose: what an uploaded file of requests is for, in the vendor's word.
        upload: the path that files go to, after `base_url`.
        tags: whether a job carries a tag of ours in its metadata.
        pictures: whether requests may hold images.
        most_requests, most_bytes: the limits of one job.
        most_line_bytes: the limit of one request in a job; 0 for none.
        price: what the prices of online calls are multiplied by.
        price_of: the same for some models, by their names at the vendor.
        source, read: where and when this was read.
    """

    wire: str = "openai"
    window: str = "24h"
    purpose: str = "batch"
    upload: str = "files"
    tags: bool = True
    pictures: bool = True
    most_requests: int = 50_000
    most_bytes: int = 200_000_000
    most_line_bytes: int = 0
    price: float = 0.5
    price_of: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    read: str = ""

    def find_price(self, model: str) -> float:
        """What the prices of `model` are multiplied by."""
        return self.price_of.get(model, self.price)


def read_batch_rules(entry: Mapping[str, Any]) -> BatchRules:
    """The rules in a table `[batch]`."""
    return BatchRules(**entry)
