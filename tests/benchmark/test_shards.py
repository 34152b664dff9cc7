"""Shards of a dataset: each item in exactly one, told by its name alone; the shard of a Slurm array's task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unisafe_async.benchmark import Dataset, open_dataset
from unisafe_async.benchmark.shards import Shard, ShardError, read_shard, read_slurm


def write_items(path: Path, numbers: range, prompt: str = "p") -> Dataset:
    lines = [
        {"id": number, "task": "malicious_text_generation", "category": "Politics", "prompt": f"{prompt} {number}"}
        for number in numbers
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return open_dataset(str(path))


def shards_of(dataset: Dataset, count: int) -> dict[str, int]:
    """The shard of each item; an item in two of them would be counted twice."""
    found = [(item.name, number) for number in range(1, count + 1) for item in dataset.take_shard(Shard(number, count)).items()]
    assert len(found) == len(dataset)
    return dict(found)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 200])
def test_each_item_is_in_exactly_one_shard(count: int) -> None:
    dataset = open_dataset("sample")
    assert set(shards_of(dataset, count)) == {item.name for item in dataset.items()}


def test_an_item_stays_in_its_shard_whatever_stands_beside_it(tmp_path: Path) -> None:
    whole = shards_of(write_items(tmp_path / "whole.jsonl", range(300)), 8)
    for other in (
        write_items(tmp_path / "more.jsonl", range(-50, 400)),
        write_items(tmp_path / "changed.jsonl", range(300), "another prompt"),
        write_items(tmp_path / "fewer.jsonl", range(0, 300, 7)),
        write_items(tmp_path / "limited.jsonl", range(300)).select(limit=40),
    ):
        kept = shards_of(other, 8)
        assert len(kept.keys() & whole.keys()) >= 40
        assert all(kept[name] == number for name, number in whole.items() if name in kept)
    sizes = [list(whole.values()).count(number) for number in range(1, 9)]
    assert min(sizes) > 20, "about as many in each"


def test_the_same_item_is_in_the_same_shard_in_every_version() -> None:
    """A join asks again for an item that has moved: what stands here must not change."""
    known = shards_of(open_dataset("sample"), 8)
    assert {name: known[name] for name in SHARDS_OF_EIGHT} == SHARDS_OF_EIGHT


SHARDS_OF_EIGHT = {
    "malicious_text_generation/3": 3,
    "unsafe_t2i_generation/2": 6,
    "malicious_image_editing/2": 2,
    "dual_unsafe_vqa/3": 1,
    "text_unsafe_vqa/3": 7,
    "composite_unsafe_vqa/3": 8,
}


def test_a_shard_says_how_many_of_how_many_items_it_has() -> None:
    part = open_dataset("sample").select(limit=30).take_shard(Shard(2, 3))
    assert part.part == f"Shard 2 of 3: {len(part)} of the 30 selected items"
    assert open_dataset("sample").part == ""


@pytest.mark.parametrize("named", ["", "3", "0/8", "9/8", "3/0", "-1/8", "a/b", "3/8/2", "1/1000000", "٣/٨"])
def test_what_is_no_shard(named: str) -> None:
    with pytest.raises(ShardError):
        read_shard(named)


def array(task: int, **numbers: int) -> dict[str, str]:
    return {"SLURM_ARRAY_TASK_ID": str(task)} | {f"SLURM_ARRAY_TASK_{name}": str(number) for name, number in numbers.items()}


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        (array(3, COUNT=8, MIN=1, MAX=8), "3/8"),
        (array(0, COUNT=8, MIN=0, MAX=7), "1/8"),
        (array(7, COUNT=8, MIN=0, MAX=7), "8/8"),
        (array(12, COUNT=4, MIN=10, MAX=13), "3/4"),
        (array(12, COUNT=4, MIN=10), "3/4"),
        (array(2, COUNT=4), "2/4"),
        (array(5, COUNT=4, MIN=1, MAX=7, STEP=2), "3/4"),
        (array(7, COUNT=4, MIN=1, MAX=7, STEP=2), "4/4"),
    ],
)
def test_the_shard_of_an_array_task(variables: dict[str, str], shard: str) -> None:
    assert str(read_slurm(variables)) == shard


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "SLURM_ARRAY_TASK_ID of a Slurm job array, and it is not set"),
        (array(3), "SLURM_ARRAY_TASK_COUNT"),
        (array(3, COUNT=2, MIN=3, MAX=7), "do not follow each other"),
        (array(9, COUNT=2, MIN=3), "the array's tasks are 3 to 4"),
        (array(0, COUNT=8), "the array's tasks are 1 to 8"),
        ({"SLURM_ARRAY_TASK_ID": "one", "SLURM_ARRAY_TASK_COUNT": "2"}, "it is 'one'"),
    ],
)
def test_an_array_that_says_no_shard(variables: dict[str, str], said: str) -> None:
    with pytest.raises(ShardError, match=said):
        read_slurm(variables)
