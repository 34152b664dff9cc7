"""What a column may hold is what runs write into it: the cache cannot import the names from above, so it has them again."""

from __future__ import annotations

from typing import get_args

from unisafe_cache.domains import COLUMNS, QUESTIONS, STATUSES, SUBCATEGORIES, TASKS
from unisafe_cache.schema import VERSION, columns_of
from unisafe_judger.judge import Status
from unisafe_providers.base import Finish, Stage

from unisafe_async.benchmark import taxonomy
from unisafe_async.interchange.verdict_lines import ABSENT
from unisafe_async.run import judged


def test_tasks_and_categories_are_those_of_the_benchmark() -> None:
    assert tuple(taxonomy.TASKS) == TASKS
    assert {**taxonomy.CATEGORIES, taxonomy.OTHER: (taxonomy.OTHER,)} == SUBCATEGORIES


def test_an_answer_may_end_in_every_way_that_providers_know() -> None:
    rules = COLUMNS["responses"]
    assert all(f"'{finish}'" in rules["finish"].rule for finish in get_args(Finish))
    assert all(f"'{stage}'" in rules["stage"].rule for stage in get_args(Stage))


def test_verdicts_are_labels_and_questions_that_judges_know() -> None:
    assert set(get_args(judged.Question)) == set(QUESTIONS) == judged.SCALE_OF.keys()
    assert {"", ABSENT, *get_args(Status)} == set(STATUSES)
    for column, scale in judged.SCALE_OF.items():
        low, high = min(scale.labels), max(scale.labels)
        assert COLUMNS["rows"][column].rule == f"{{}} BETWEEN {int(low)} AND {int(high)}"


def test_every_column_has_a_domain() -> None:
    elsewhere = {"batches": {"requests"}, "images": {"data"}}
    for table, columns in columns_of(VERSION).items():
        if table in COLUMNS:
            assert {name for name, _ in columns} - elsewhere.get(table, set()) == COLUMNS[table].keys()
    assert columns_of(VERSION).keys() - COLUMNS.keys() == {"unisafe_meta"}
