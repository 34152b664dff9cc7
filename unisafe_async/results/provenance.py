"""The provenance of figures: one record of a run, read from the cache, for every output that shows its scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import duckdb
from unisafe_cache.run_shapes import Asked
from unisafe_cache.run_shapes import Dataset as DatasetShape
from unisafe_providers.registry import answers_from

from unisafe_async.config.secret_words import hide_in_text
from unisafe_async.results.lead import describe_caution
from unisafe_async.results.ranking import ranking
from unisafe_async.results.scores import Coverage, coverage
from unisafe_async.results.stored_run import StoredRun, read_run
from unisafe_async.simulated_marks import JUDGED, MARKED
from unisafe_async.text import plain

METADATA_KEY = "unisafe"
"""A Parquet file holds the record as JSON under this key."""

IDENTITIES = """
SELECT DISTINCT rows.model, identity FROM rows JOIN responses ON responses.id = rows.response WHERE rows.run = ? ORDER BY ALL
"""
MARKED_MODELS = (
    "SELECT DISTINCT rows.model FROM rows JOIN responses ON response = responses.id WHERE rows.run = ? AND contains(text, ?)"
)
MARKED_JUDGE = "SELECT 1 FROM rows WHERE run = ? AND starts_with(contextual_reason, ?) LIMIT 1"
"""Simulated models may be behind HTTP (`unisafe simulate`): their texts show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One model or judge: its name in the run, and its identity.

    Args:
        provider, endpoint, model, revision: as configured; `endpoint` is an address without user, password and query, empty for
            a model that is not behind one.
        identity: as in `responses.identity`; for a local model with the digest of its weights. Empty if it is not known.
    """

    name: str
    provider: str
    endpoint: str
    model: str
    revision: str
    identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """All that is needed to say how the figures of a run came about.

    Args:
        run, status, started, ended: the run; times are UTC in ISO 8601, `ended` is empty while it runs.
        dataset, dataset_digest: the items.
        models, judges: the models and the judges.
        rubrics_digest: the digest of the five rubrics.
        versions: of this package, Python and the packages that matter, by name, when the run was made.
        written_by: the version that wrote the output.
        filters: the filters of the run (`dataset.tasks`, `.categories`, `.limit`, `.shard`) and of the output (`report...`); empty
            for none.
        planned: the planned trials (item x repeat), by model.
        coverage: their outcomes, model by model.
        cost: US dollars spent in this run (answers from the cache cost nothing); `unpriced` counts calls at no known price.
        simulated: names of models, or "judge", that were simulated: their figures say nothing about real ones.
        lacking: by model, the other models' tasks in which it has no judged item: then figures over all tasks do not compare.
    """

    run: str
    status: str
    started: str
    ended: str
    dataset: str
    dataset_digest: str
    models: tuple[Party, ...]
    judges: tuple[Party, ...]
    rubrics_digest: str
    versions: Mapping[str, str]
    written_by: str
    filters: Mapping[str, Any]
    planned: Mapping[str, int]
    coverage: tuple[Coverage, ...]
    cost: float
    unpriced: int
    simulated: tuple[str, ...]
    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """The number of due trials (item x model x repeat)."""
        return sum(self.planned.values()) or sum(one.rows for one in self.coverage)

    @property
    def judged(self) -> int:
        return sum(one.judged for one in self.coverage)

    @property
    def unjudged(self) -> dict[str, int]:
        """The number of trials without both verdicts, by cause; they are in no score."""
        reasons = {
            "judge blocked": sum(one.judge_blocked for one in self.coverage),
            "judge not understood": sum(one.unparsed for one in self.coverage),
            "judge failed": sum(one.judge_failed for one in self.coverage),
            "judges tied": sum(one.tied for one in self.coverage),
            "without a verdict in the imported file": sum(one.absent for one in self.coverage),
            "nothing to judge": sum(one.nothing for one in self.coverage),
            "failed": sum(one.failed for one in self.coverage),
            "not run": max(0, self.rows - sum(one.rows for one in self.coverage)),
        }
        return {why: number for why, number in reasons.items() if number}


def read_provenance(connection: duckdb.DuckDBPyConnection, run: str, filters: Mapping[str, Any] | None = None) -> Provenance:
    """The record of `run` (a full name); `filters` are those of the output. Raises CacheError if there is no such run."""
    stored = read_run(connection, run)
    summary = stored.summary
    identities = dict(connection.execute(IDENTITIES, [run]).fetchall()) | summary.identities
    simulated = read_simulated(connection, stored)
    return Provenance(
        run=run,
        status=stored.status,
        started=_to_iso(stored.started),
        ended=_to_iso(stored.ended),
        dataset=stored.dataset,
        dataset_digest=stored.dataset_digest,
        models=tuple(_party(model, identities) for model in stored.config.models),
        judges=tuple(_party(judge, identities, "judge: ") for judge in stored.config.judge.members),
        rubrics_digest=stored.rubrics_digest,
        versions=stored.versions,
        written_by=version("unisafe-async"),
        filters=_run_filters(stored.config.dataset)
        | {f"report.{key}": value for key, value in (filters or {}).items() if value not in (None, [], ())},
        planned=summary.planned,
        coverage=tuple(coverage(connection, run)),
        cost=summary.cost,
        unpriced=sum(counts.unpriced for counts in summary.endpoints.values()),
        simulated=(*simulated[0], *(["judge"] if simulated[1] else [])),
        lacking=ranking(connection, run).lacking,
    )


def read_simulated(connection: duckdb.DuckDBPyConnection, stored: StoredRun) -> tuple[tuple[str, ...], bool]:
    """The simulated models of a run, and whether a judge is simulated."""
    marked = {str(row[0]) for row in connection.execute(MARKED_MODELS, [stored.run, MARKED]).fetchall()}
    names = [model.name for model in stored.config.models if model.is_simulated or model.name in marked]
    judge = any(member.is_simulated for member in stored.config.judge.members)
    return tuple(names), judge or connection.execute(MARKED_JUDGE, [stored.run, JUDGED]).fetchone() is not None


def _party(asked: Asked, identities: Mapping[str, str], prefix: str = "") -> Party:
    hosted = answers_from(asked.provider) == "endpoint"
    address = _address(asked.base_url or "") if hosted else ""
    identity = identities.get(prefix + asked.title, "")
    return Party(
        name=asked.title,
        provider=asked.provider,
        endpoint=hide_in_text(address),
        model=hide_in_text(asked.model),
        revision=hide_in_text(asked.revision or ""),
        identity=hide_in_text(identity),
    )


def _address(url: str) -> str:
    """`url` without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return ""


def _run_filters(section: DatasetShape) -> dict[str, Any]:
    chosen = {f"dataset.{key}": getattr(section, key) for key in ("tasks", "categories", "limit", "shard")}
    return {key: value for key, value in chosen.items() if value not in (None, [])}


def _to_iso(moment: datetime | None) -> str:
    return moment.replace(tzinfo=UTC).isoformat(timespec="seconds") if moment else ""


# ---------------------------------------------------------------- written down


def to_plain(record: Provenance) -> dict[str, Any]:
    """The record as plain values, with the counts that follow from it."""
    return asdict(record) | {"rows": record.rows, "judged": record.judged, "unjudged": record.unjudged}


def to_lines(record: Provenance) -> list[str]:
    """The record in words, one line for each subject, without control characters and line breaks.

    A digest stands for an identity: the whole one is in `to_plain`.
    """
    filters = {key: value for key, value in record.filters.items() if key != "report.by"}
    lines = [
        f"run {record.run}, {record.status}, {record.started or 'never started'} to {record.ended or 'now'}",
        f"dataset {record.dataset}, digest {record.dataset_digest}",
        *(f"model {_words(party)}" for party in record.models),
        *(f"judge {_words(party)}" for party in record.judges),
        f"rubrics, digest {record.rubrics_digest}",
        f"coverage: {describe_coverage(record)}",
        *([describe_caution(record.lacking)] if record.lacking else []),
        f"cost: ${record.cost:,.4f}" + (f" and {record.unpriced:,} calls at no known price" if record.unpriced else ""),
        "filters: " + (", ".join(f"{key} = {_value(value)}" for key, value in filters.items()) or "none"),
        "versions: " + ", ".join(f"{name} {number}" for name, number in record.versions.items()),
        f"written by unisafe-async {record.written_by}",
    ]
    if record.simulated:
        lines.insert(0, f"SIMULATED: {', '.join(record.simulated)}; such figures say nothing about real models")
    return [" ".join(plain(line).split()) for line in lines]


def describe_coverage(record: Provenance) -> str:
    """`101 of 106 judged; 2 judge blocked, 3 failed`."""
    missing = ", ".join(f"{number:,} {why}" for why, number in record.unjudged.items())
    return f"{record.judged:,} of {record.rows:,} judged" + (f"; {missing}" if missing else "")


def to_comment(record: Provenance, prefix: str) -> str:
    """The record as comment lines, each beginning with `prefix` (`% ` in LaTeX) and ending with a newline."""
    return "".join(f"{prefix}{line}\n" for line in to_lines(record))


def to_html_comment(record: Provenance) -> str:
    """The record as a comment of Markdown or HTML, which no text in it can close."""
    inside = "\n".join(to_lines(record)).replace("--", "- -").replace(">", "&gt;").replace("<", "&lt;")
    return f"<!--\n{inside}\n-->\n"


def to_metadata(record: Provenance) -> dict[str, str]:
    """The record as key-value metadata of a Parquet file."""
    return {METADATA_KEY: json.dumps(to_plain(record), ensure_ascii=False)}


def _words(party: Party) -> str:
    at = f" at {party.endpoint}" if party.endpoint else ""
    revision = f" revision {party.revision}" if party.revision else ""
    identity = f" (identity {sha256(party.identity.encode()).hexdigest()[:12]})" if party.identity else ""
    return f"{party.name}: {party.provider} {party.model}{revision}{at}{identity}"


def _value(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
