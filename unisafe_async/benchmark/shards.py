"""Shards: parts of a dataset's items for several machines, told apart by each item's name alone; pure.

An item is in the same shard for every model and repeat, whatever is selected beside it, and whatever is added to the dataset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from unisafe_providers.errors import UnisafeError

MOST_SHARDS = 100_000
FORM = re.compile(r"(\d{1,6})/(\d{1,6})", re.ASCII)
TASK, COUNT, FIRST, LAST, STEP = (f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "COUNT", "MIN", "MAX", "STEP"))


class ShardError(UnisafeError, ValueError):
    """What is wrong with the name of a shard, as one line."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` shards; `number` counts from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def words(self) -> str:
        return f"shard {self.number} of {self.count}"

    def holds(self, print_of_name: int) -> bool:
        """Whether the item whose name has this digest (`Dataset`: 32 bits) is in the shard."""
        return print_of_name % self.count == self.number - 1


def read_shard(text: str) -> Shard:
    """The shard that `3/8` names. Raises ShardError."""
    found = FORM.fullmatch(text.strip())
    if found is None:
        raise ShardError(f"should be NUMBER/COUNT, such as 3/8, found {text!r}")
    shard = Shard(int(found[1]), int(found[2]))
    if not 1 <= shard.count <= MOST_SHARDS:
        raise ShardError(f"should have a count from 1 to {MOST_SHARDS:,}, found {text!r}")
    if not 1 <= shard.number <= shard.count:
        raise ShardError(f"shards are numbered from 1 to their count, found {text!r}")
    return shard


def read_slurm(variables: Mapping[str, str]) -> Shard:
    """The shard of this task in a Slurm job array, whose numbers must follow each other in equal steps. Raises ShardError."""
    task, count = (_read_number(variables, name, None) for name in (TASK, COUNT))
    first, step = _read_number(variables, FIRST, 1), _read_number(variables, STEP, 1) or 1
    last = _read_number(variables, LAST, first + step * (count - 1))
    if last - first != step * (count - 1) or (task - first) % step:
        raise ShardError(
            f"the array has {count} tasks from {first} to {last}, which do not follow each other; name the shard, such as "
            f"--shard ${TASK}/8"
        )
    if not first <= task <= last:
        raise ShardError(f"{TASK} is {task}, and the array's tasks are {first} to {last}; name the shard, such as 3/8")
    return read_shard(f"{(task - first) // step + 1}/{count}")


def _read_number(variables: Mapping[str, str], name: str, default: int | None) -> int:
    value = variables.get(name, "").strip()
    if value.isascii() and value.isdigit():
        return int(value)
    if value or default is None:
        found = f"it is {value!r}" if value else "it is not set"
        raise ShardError(f"needs the variable {name} of a Slurm job array, and {found}; name the shard, such as 3/8")
    return default
