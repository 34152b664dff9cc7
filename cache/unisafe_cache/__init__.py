"""DuckDB: every answer ever paid for, every verdict row, every image. Knows no network."""

from unisafe_cache.domains import OUTCOMES
from unisafe_cache.errors import CacheBusy, CacheError, Unstorable
from unisafe_cache.records import Answer, Paid, Row, RunRecord, Vote, parts_of
from unisafe_cache.run_checks import check_run
from unisafe_cache.store import Store, read_file

__all__ = [
    "OUTCOMES",
    "Answer",
    "CacheBusy",
    "CacheError",
    "Paid",
    "Row",
    "RunRecord",
    "Store",
    "Unstorable",
    "Vote",
    "check_run",
    "parts_of",
    "read_file",
]
