"""The values that each column may have: a stranger's file may hold anything that its type allows, and no command may fail on it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

import duckdb
from unisafe_providers.base import Finish, Stage

from unisafe_cache.sql_texts import quote_list

TASKS = (
    "malicious_text_generation",
    "unsafe_t2i_generation",
    "malicious_image_editing",
    "dual_unsafe_vqa",
    "image_unsafe_vqa",
    "text_unsafe_vqa",
    "composite_unsafe_vqa",
)
SUBCATEGORIES: Mapping[str, tuple[str, ...]] = {
    "Toxicity Content": ("Illegal activities", "Blood and violence", "Sex-related", "Insults and hatred"),
    "Sensitive Topics": ("Religion", "Politics"),
    "Privacy Leak": ("Financial privacy", "Personal identification", "Privacy of public figures"),
    "Unethical Activities": ("Violation of public order", "Indifference and disregard", "Dishonest behavior"),
    "Physical & Mental Harm": ("Psychological manipulation", "Dangerous behavior", "Self-harm"),
    "Biased Opinion": ("Biased opinions",),
    "other": ("other",),
}
"""The benchmark's subcategories (unisafe_async/benchmark/taxonomy.py) by category; `other` is for responses without one."""
OUTCOMES = ("answered", "refused", "blocked", "blocked_request", "blocked_response", "empty", "failed")
STATUSES = ("", "judged", "blocked", "unparsed", "failed", "tied", "absent")
QUESTIONS = ("contextual", "intrinsic", "beside_contextual", "beside_intrinsic", "thoughts")
OPEN_JOBS, CLOSED_JOBS = ("submitting", "submitted", "cancelling"), ("collected", "cancelled", "failed")
"""What becomes of a batch job: as long as something may still come of it, and in the end."""
JOB_STATES = ("submitting", "submitted", "lost")
"""What is known of a request's own job (table submitted_jobs)."""
LONGEST_NAME = 300
LONGEST_TEXT = 50_000_000
RUN_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
"""The form of a run's name, because it becomes a part of file names."""
DIGEST = "[0-9a-f]{32}"


@dataclass(frozen=True, slots=True)
class Domain:
    """The values that a column may have: `rule` is SQL with the column as `{}`; NULL is allowed if `empty` is set."""

    rule: str
    empty: bool = False


def _one_of(values: Collection[str], *, empty: bool = False) -> Domain:
    return Domain(f"{{}} IN ({quote_list(values)})", empty)


def _like(pattern: str, *, empty: bool = False) -> Domain:
    return Domain(f"regexp_full_match({{}}, '{_escape(pattern)}')", empty)


def _within(low: object, high: object, *, empty: bool = False) -> Domain:
    """Numbers in a range with both ends; for DuckDB, NaN is larger than every number."""
    return Domain(f"{{}} BETWEEN {low} AND {high}", empty)


DEEP = r"(\[\s*){50}|(\[?\{\s*\"[^\"]*\"\s*:\s*){50}"
"""JSON that no run writes and that JSON readers refuse."""


def _json(kind: str, *more: str, empty: bool = False) -> Domain:
    """JSON of a kind, by DuckDB's name of the kind; `more` are further conditions."""
    rules = ("json_valid({})", f"json_type({{}}) = '{kind}'", f"NOT regexp_matches({{}}, '{_escape(DEEP)}')", *more)
    return Domain(f"CASE WHEN {{}} IS NULL THEN NULL WHEN {rules[0]} THEN {' AND '.join(rules[1:])} ELSE false END", empty)


def _escape(pattern: str) -> str:
    return pattern.replace("{", "{{").replace("}", "}}")


ALL_TEXTS = "list_bool_and([kind = 'VARCHAR' FOR kind IN json_type({}, '$%s')]) IS NOT false"
REQUEST = _json(
    "OBJECT",
    "json_type({}, '$.parts') = 'ARRAY'",
    "list_bool_and([kind = 'OBJECT' FOR kind IN json_type({}, '$.parts[*]')]) IS NOT false",
    ALL_TEXTS % ".parts[*].*",
)
NAMED_CATEGORIES = Domain(f"{{}} = '' OR {_json('ARRAY', ALL_TEXTS % '[*]').rule}", empty=True)
HIT_CATEGORIES = _json("OBJECT", ALL_TEXTS % ".*", empty=True)
JOB = _json(
    "OBJECT",
    "json_keys({}) <@ ['name', 'poll', 'cost']",
    "json_type({}, '$.name') = 'VARCHAR'",
    "coalesce(regexp_matches(json_extract_string({}, '$.poll'), '^(https?://|$)'), true)",
    "coalesce(json_type({}, '$.cost'), 'NULL') IN ('NULL', 'DOUBLE', 'UBIGINT')",
    "length({}) <= 200000",
    empty=True,
)
"""A line of `unisafe_providers.jobs.Job`."""

TEXT, TEXT_OR_EMPTY = (Domain(f"length({{}}) <= {LONGEST_TEXT}", empty) for empty in (False, True))
NAME = Domain(f"length({{}}) BETWEEN 1 AND {LONGEST_NAME}")
LABELLED = Domain(f"length({{}}) <= {LONGEST_NAME}")
BOOLEAN, BOOLEAN_OR_EMPTY = Domain("{} IN (true, false)"), Domain("{} IN (true, false)", empty=True)
MOMENT, MOMENT_OR_EMPTY = (Domain("{} >= TIMESTAMP '2000-01-01' AND {} < TIMESTAMP '2100-01-01'", empty) for empty in (False, True))
COUNT = _within(0, 2**31 - 1)
DOLLARS = _within(0, 1_000_000, empty=True)
SECONDS = _within(0, 100_000_000)
STATUS, STATUS_OR_EMPTY = _one_of(STATUSES), _one_of(STATUSES, empty=True)
CONTEXTUAL, INTRINSIC = _within(0, 2, empty=True), _within(0, 1, empty=True)
RUN = _like(RUN_NAME)

COLUMNS: Mapping[str, Mapping[str, Domain]] = {
    "runs": {
        "run": RUN,
        "started": MOMENT,
        "ended": MOMENT_OR_EMPTY,
        "status": _one_of(("running", "done", "interrupted", "stopped")),
        "config": TEXT,
        "dataset": Domain("length({}) <= 4000"),
        "dataset_digest": LABELLED,
        "rubrics_digest": LABELLED,
        "versions": TEXT,
        "summary": TEXT,
    },
    "rows": {
        "run": RUN,
        "item": Domain("length({}) BETWEEN 1 AND 4000"),
        "task": _one_of(TASKS),
        "category": _one_of(SUBCATEGORIES),
        "subcategory": _one_of([one for some in SUBCATEGORIES.values() for one in some]),
        "model": NAME,
        "sample": _within(0, 1_000_000),
        "outcome": _one_of(OUTCOMES),
        "error": TEXT_OR_EMPTY,
        "response": _within(0, 2**63 - 1, empty=True),
        "contextual": CONTEXTUAL,
        "contextual_status": STATUS,
        "contextual_reason": TEXT,
        "contextual_raw": TEXT,
        "intrinsic": INTRINSIC,
        "intrinsic_status": STATUS,
        "intrinsic_reason": TEXT,
        "intrinsic_raw": TEXT,
        "judge": Domain("length({}) <= 4000"),
        "cached": BOOLEAN,
        "created": MOMENT,
        "judged": _one_of(("", "text", "image", "words", "both"), empty=True),
        "thoughts": INTRINSIC,
        "thoughts_status": STATUS_OR_EMPTY,
        "thoughts_reason": TEXT_OR_EMPTY,
        "beside_contextual": CONTEXTUAL,
        "beside_intrinsic": INTRINSIC,
        "beside_status": STATUS_OR_EMPTY,
        "beside_reason": TEXT_OR_EMPTY,
        "categories": NAMED_CATEGORIES,
    },
    "opinions": {
        "run": RUN,
        "item": Domain("length({}) BETWEEN 1 AND 4000"),
        "model": NAME,
        "sample": _within(0, 1_000_000),
        "question": _one_of(QUESTIONS),
        "judge": Domain("length({}) <= 4000"),
        "position": _within(0, 10_000),
        "label": CONTEXTUAL,
        "status": STATUS,
        "reason": TEXT,
        "raw": TEXT,
    },
    "responses": {
        "id": _within(0, 2**63 - 1),
        "key": _like(f"({DIGEST})?"),
        "identity": TEXT,
        "request": REQUEST,
        "text": TEXT,
        "images": Domain("len({}) <= 10000"),
        "finish": _one_of(get_args(Finish)),
        "reason": TEXT,
        "tokens_in": COUNT,
        "tokens_out": COUNT,
        "images_made": COUNT,
        "cost": DOLLARS,
        "latency": SECONDS,
        "run": Domain(f"length({{}}) <= {LONGEST_NAME}"),
        "created": MOMENT,
        "stage": _one_of(get_args(Stage), empty=True),
        "categories": HIT_CATEGORIES,
        "thoughts": TEXT_OR_EMPTY,
        "missing": TEXT_OR_EMPTY,
        "model": TEXT_OR_EMPTY,
        "estimated": BOOLEAN_OR_EMPTY,
        "reading": _within(1, 127, empty=True),
    },
    "batches": {
        "id": Domain("length({}) <= 4000"),
        "identity": TEXT,
        "keys": Domain("list_bool_and([key IS NOT NULL FOR key IN {}]) IS NOT false"),
        "status": _one_of((*OPEN_JOBS, *CLOSED_JOBS)),
        "run": LABELLED,
        "created": MOMENT,
        "most": _within(0, 1_000_000_000),
    },
    "submitted_jobs": {
        "key": _like(DIGEST),
        "identity": TEXT,
        "request": REQUEST,
        "job": JOB,
        "state": _one_of(JOB_STATES),
        "cost": DOLLARS,
        "run": LABELLED,
        "created": MOMENT,
    },
    "images": {"digest": _like(DIGEST), "media_type": _like(r"image/[a-z0-9][a-z0-9.+-]{0,60}"), "mended": TEXT_OR_EMPTY},
}
"""Every column of every table, except requests of batch jobs and the bytes of images, which their digest checks."""
NAMED_BY = {
    "runs": "run",
    "rows": "item",
    "opinions": "item",
    "responses": "id",
    "batches": "id",
    "submitted_jobs": "key",
    "images": "digest",
}
"""The columns by which a person finds a wrong row in a table."""

RULES: Mapping[str, Mapping[str, str]] = {
    "rows": {
        "item": "NOT starts_with(item, task || '/')",
        "subcategory": f"(category, subcategory) NOT IN ({', '.join(f'({quote_list((of, one))})' for of, some in SUBCATEGORIES.items() for one in some)})",  # noqa: E501
        "contextual_status": "(contextual_status = 'judged') <> (contextual IS NOT NULL)",
        "intrinsic_status": "(intrinsic_status = 'judged') <> (intrinsic IS NOT NULL)",
        "thoughts_status": "(coalesce(thoughts_status, '') = 'judged') <> (thoughts IS NOT NULL)",
        "beside_status": "(beside_contextual IS NOT NULL OR beside_intrinsic IS NOT NULL) AND coalesce(beside_status, '') = '' "
        "OR beside_status = 'judged' AND (beside_contextual IS NULL OR beside_intrinsic IS NULL)",
    },
    "opinions": {
        "status": "(status = 'judged') <> (label IS NOT NULL)",
        "label": "label = 2 AND question NOT IN ('contextual', 'beside_contextual')",
    },
    "submitted_jobs": {"state": "(state = 'submitting') <> (job IS NULL)"},
}
"""Contradictions within a row of a table, by the column that the message names."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """The first value that a column may not have: its place, and whether it is missing."""

    table: str
    column: str
    named: str
    missing: bool

    def __str__(self) -> str:
        what = "something is missing" if self.missing else "holds what no run writes"
        return f"{self.table}: {what}: {self.column} of {NAMED_BY[self.table]} {self.named[:80]!r}"


BENCHMARK = frozenset({("rows", "task"), ("rows", "category"), ("rows", "subcategory"), ("rows", "item")})
"""Columns with names of the benchmark: readers can show unknown names."""
JSON = frozenset({("rows", "categories"), ("responses", "categories"), ("responses", "request")})
"""Columns with JSON in tables of many rows."""


def find_first_wrong(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    source: str,
    values: Mapping[str, object] | None = None,
    *,
    loose: Collection[tuple[str, str]] = (),
) -> Wrong | None:
    """The first value of `source`, which has the columns of `table`, that is outside its domain; None if all are inside.

    Args:
        source: a table, a view or a query in parentheses, with `values`.
        loose: columns, as pairs of table and column, that may hold any text.
    """
    cases = "\n".join(_cases(table, loose))
    sql = f"SELECT named, wrong FROM (SELECT {NAMED_BY[table]}::VARCHAR AS named, CASE {cases} END AS wrong FROM {source})"
    found = connection.execute(f"{sql} WHERE wrong IS NOT NULL LIMIT 1", dict(values or {})).fetchone()
    if found is None:
        return None
    column, _, missing = str(found[1]).partition(" ")
    return Wrong(table, column, str(found[0]), bool(missing))


def _cases(table: str, loose: Collection[tuple[str, str]]) -> Iterator[str]:
    for column, domain in COLUMNS[table].items():
        if not domain.empty:
            yield f"WHEN {column} IS NULL THEN '{column} missing'"
        if (table, column) not in loose:
            yield f"WHEN NOT ({domain.rule.format(*[column] * domain.rule.count('{}'))}) THEN '{column}'"
    for column, rule in RULES.get(table, {}).items():
        if (table, column) not in loose:
            yield f"WHEN {rule} THEN '{column}'"
