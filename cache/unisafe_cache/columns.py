"""Records from the columns of a query."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")
NAMES: dict[type[Any], tuple[str, ...]] = {}
"""The fields of the records that were built so far."""


def build_record(record: type[T], columns: Iterable[Any]) -> T:
    """A `record` (a dataclass) whose fields are `columns`, in the order of the class; fields beyond them keep their defaults.

    Raises TypeError for more columns than fields.
    """
    names, values = _names(record), tuple(columns)
    if len(values) > len(names):
        raise TypeError(f"{record.__name__} has {len(names)} fields, and {len(values)} columns were given")
    return record(**dict(zip(names, values, strict=False)))


def _names(record: type[Any]) -> tuple[str, ...]:
    if record not in NAMES:
        NAMES[record] = tuple(field.name for field in fields(record) if field.init)
    return NAMES[record]
