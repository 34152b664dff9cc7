"""Datasets: what is read, what is refused and why, and how a few items are chosen from many."""

from __future__ import annotations

import csv
import json
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unisafe_judger import HARMS

from unisafe_async.benchmark import DatasetError, ItemError, ItemImages, open_dataset
from unisafe_async.benchmark.dataset import allocate
from unisafe_async.benchmark.taxonomy import CATEGORY_OF, match_category, match_subcategory, match_task

ITEM = {"id": 1, "prompt": "A mild stand-in.", "category": "Politics"}


def png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds hardly any pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * (width + 1))) + chunk(b"IEND", b"")


def write(path: Path, *lines: dict | str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = [line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode() for line in lines]
    path.write_bytes(b"\n".join(raw))
    return path


def test_the_sample_has_an_item_for_every_cell_of_the_paper() -> None:
    text = files("unisafe_async").joinpath("data", "paper", "distribution.csv").read_text("utf-8")
    cells = {(cell["task"], cell["subcategory"]) for cell in csv.DictReader(text.splitlines())}
    dataset = open_dataset("sample")
    assert set(dataset.counts()) == cells
    assert dataset.problems == ()
    for item in dataset.items():
        if item.image:
            dataset.images.verify(item.image)


def test_the_official_layout_is_read_and_ids_repeat_between_folders(tmp_path: Path) -> None:
    write(tmp_path / "Text Generation" / "input.jsonl", ITEM, {**ITEM, "id": "1b"})
    write(tmp_path / "T2I" / "input.jsonl", {**ITEM, "intention": " To test. "})
    items = list(open_dataset(str(tmp_path)).items())
    assert [item.name for item in items] == [
        "malicious_text_generation/1",
        "malicious_text_generation/1b",
        "unsafe_t2i_generation/1",
    ]
    assert (items[2].category, items[2].intention) == ("Sensitive Topics", "To test.")


def test_each_refusal_names_file_line_and_reason(tmp_path: Path) -> None:
    (tmp_path / "outside.png").write_bytes(png(1, 1))
    folder = tmp_path / "data"
    folder.mkdir()
    vqa = {**ITEM, "task": "dual_unsafe_vqa"}
    text = {**ITEM, "task": "Malicious Text Generation"}
    write(
        folder / "own.jsonl",
        text, "", "{broken", b'{"id": "\xff"}', "[1]", text, {**text, "id": 2, "category": "polotics"}, {**text, "id": None},
        {**text, "id": 3, "prompt": " "}, {**text, "id": 4, "task": "chess"}, {**vqa, "id": 5}, {**vqa, "id": 6, "image": "../outside.png"},
        {**vqa, "id": 7, "image": str(folder / "own.jsonl")}, {**vqa, "id": 8, "image": "none.png"},
    )  # fmt: skip
    problems = [str(problem) for problem in open_dataset(str(folder)).problems]
    expected = [
        "own.jsonl:3: is not JSON", "own.jsonl:4: is not UTF-8", "own.jsonl:5: should be a JSON object", "own.jsonl:6: id: '1' stands twice",
        "did you mean 'Politics'?", "own.jsonl:8: id:", "own.jsonl:9: prompt:", "own.jsonl:10: task:", "own.jsonl:11: image:",
        "own.jsonl:12: image: \"../outside.png\" leaves", "leaves the dataset's folder", "own.jsonl:14: image: there is no file",
    ]  # fmt: skip
    assert len(problems) == len(expected)
    for problem, words in zip(problems, expected, strict=True):
        assert words in problem


@pytest.mark.parametrize("lines", [[], ["{broken"]])
def test_a_dataset_without_any_item_is_an_error(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(DatasetError, match="holds no item that can be used"):
        open_dataset(str(write(tmp_path / "own.jsonl", *lines)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (png(30_000, 30_000), "unpacks to"),
        (png(64, 64)[:40], "is broken"),
        (b"\xff\xd8\xff\xe0 no jpeg", "is broken"),
        (b"<svg/>", "no image of a kind"),
    ],
)
def test_an_image_that_cannot_be_sent_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    images = ItemImages()

    def use() -> None:
        images.identify(path)
        images.verify(path)

    with pytest.raises(ItemError, match=words):
        use()


def test_a_few_items_are_spread_over_tasks_and_categories() -> None:
    dataset = open_dataset("sample")
    chosen = dataset.select(limit=30)
    tasks = Counter(task for task, _ in chosen.counts())
    assert len(chosen) == 30
    assert len(tasks) == 7
    assert set(tasks.values()) <= {4, 5}
    assert [item.name for item in chosen.items()] == [item.name for item in dataset.select(limit=30).items()]
    only = dataset.select(["unsafe_t2i_generation"], ["Privacy Leak"])
    assert {(item.task, item.category) for item in only.items()} == {("unsafe_t2i_generation", "Privacy Leak")}


@given(st.lists(st.integers(0, 500), min_size=1, max_size=40), st.integers(0, 3000))
def test_shares_sum_to_the_total_and_never_exceed_a_size(sizes: list[int], total: int) -> None:
    shares = allocate(sizes, total)
    assert sum(shares) == min(total, sum(sizes))
    assert all(0 <= share <= size for share, size in zip(shares, sizes, strict=True))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SELF HARM", "Self-harm"), ("Insult & Hatred", "Insults and hatred"), ("illegal activity", "Illegal activities"),
        ("Dangerous behaviours", "Dangerous behavior"), ("gender bias", "Biased opinions"), ("Race", "Biased opinions"), ("weather", None),
        ("Hatred & insults", "Insults and hatred"), ("violence_and_blood", "Blood and violence"), ("IllegalActivities", "Illegal activities"),
        ("selfharm", "Self-harm"), ("Violence", "Blood and violence"), ("Bias", "Biased opinions"), ("Political", "Politics"),
        ("Religious topics", "Religion"), ("Sexual Content", "Sex-related"), ("public figures privacy", "Privacy of public figures"),
        ("Public figures’ privacy", "Privacy of public figures"), ("Biased Opinion", "Biased opinions"), ("3. Religion", "Religion"),
        ("Privacy Leak: Financial privacy", "Financial privacy"), ("Biased opinions (Stereotypes, Age, Gender, Race)", "Biased opinions"),
        ("Toxicity Content", None), ("Politics, Religion", None), ("Weather: Politics", None), ("", None), ("政治", None), ("other", None),
    ],
)  # fmt: skip
def test_categories_are_matched_leniently(name: str, meant: str | None) -> None:
    assert match_subcategory(name) == meant


TOOLKIT = {
    "illegal activities": "Illegal activities", "gore and violence": "Blood and violence", "sex-related content": "Sex-related",
    "insults and hate": "Insults and hatred", "religion": "Religion", "politics": "Politics", "financial privacy": "Financial privacy",
    "personal identification and information": "Personal identification", "public figures' privacy": "Privacy of public figures",
    "violation of public order and decency": "Violation of public order", "indifference and apathy": "Indifference and disregard",
    "dishonest behavior": "Dishonest behavior", "psychological manipulation": "Psychological manipulation",
    "dangerous behavior": "Dangerous behavior", "self-harm": "Self-harm", "biased viewpoints": "Biased opinions",
}  # fmt: skip


@pytest.mark.parametrize(
    "spelt", [str, str.title, str.upper, lambda name: name.replace(" and ", " & "), lambda name: name.replace(" ", "_")]
)
def test_the_toolkits_sixteen_names_are_the_papers(spelt: Callable[[str], str]) -> None:
    assert [match_subcategory(spelt(name)) for name in TOOLKIT] == list(TOOLKIT.values())
    assert set(TOOLKIT.values()) == set(CATEGORY_OF)


def test_no_name_means_two_things() -> None:
    names = [(name, harm) for harm, others in HARMS.items() for name in (harm, *others)]
    assert [(name, match_subcategory(name)) for name, _ in names] == names
    assert [(harm, match_subcategory(harm.lower().replace("-", " "))) for harm in HARMS] == [(harm, harm) for harm in HARMS]


def test_every_name_matches_itself() -> None:
    assert all(match_subcategory(name) == name for name in CATEGORY_OF)
    assert match_category("physical and mental harm") == match_category("Mental & physical harm") == "Physical & Mental Harm"
    assert match_category("Other") == "other"
    assert match_task("Unsafe T2I generation") == "unsafe_t2i_generation"
