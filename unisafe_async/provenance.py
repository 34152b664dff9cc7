"""The provenance of figures: one record of a run, read from the cache, for every output that shows its scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import duckdb

from cache import CacheError
from providers.simulated import JUDGED, MARKED
from unisafe_async.ranking import ranking
from unisafe_async.report.standing import caution
from unisafe_async.report.text import plain
from unisafe_async.scores import Coverage, coverage
from unisafe_async.secret_words import shown

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
IMPORTED = "imported"
"""The provider of models and judge in a run of imported verdicts (`import-verdicts`): nobody was asked here."""
IS_IMPORTED = f"coalesce(try_cast(config AS JSON) ->> '$.judge.provider', '') = '{IMPORTED}'"


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Provenance:
    """All that is needed to say how the figures of a run came about.

    Args:
        run, status, started, ended: the run; times are UTC in ISO 8601, `ended` is empty while it runs.
        dataset, dataset_digest: the items.
        models, judges: the models and the judges.
        rubrics_digest: the digest of the five rubrics.
        versions: of this package, Python and the packages that matter, by name, when the run was made.
        written_by: the version that wrote the output.
        filters: the filters of the run (`dataset.tasks`, `.categories`, `.limit`) and of the output (`report...`); empty for none.
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
    found = connection.execute(
        "SELECT status, started, ended, config, dataset, dataset_digest, rubrics_digest, versions, summary FROM runs WHERE run = ?",
        [run],
    ).fetchone()
    if found is None:
        raise CacheError(f"there is no run {run!r}; `unisafe runs` lists them")
    status, started, ended, config, dataset, dataset_digest, rubrics_digest, versions, summary = found
    settings: dict[str, Any] = json.loads(config)
    figures: dict[str, Any] = json.loads(summary)
    identities = dict(connection.execute(IDENTITIES, [run]).fetchall()) | figures.get("identities", {})
    models: list[dict[str, Any]] = settings["models"]
    sections = judge_sections(settings["judge"])
    judges = tuple(_party(_name(one), one, identities, "judge: ") for one in sections)
    simulated = read_simulated(connection, run, settings)
    return Provenance(
        run,
        status,
        _iso(started),
        _iso(ended),
        dataset,
        dataset_digest,
        tuple(_party(str(model["name"]), model, identities) for model in models),
        judges,
        rubrics_digest,
        json.loads(versions),
        version("unisafe-async"),
        _run_filters(settings) | {f"report.{key}": value for key, value in (filters or {}).items() if value not in (None, [], ())},
        figures.get("planned", {}),
        tuple(coverage(connection, run)),
        float(figures.get("cost", 0.0)),
        sum(int(counts.get("unpriced", 0)) for counts in figures.get("endpoints", {}).values()),
        (*simulated[0], *(["judge"] if simulated[1] else [])),
        ranking(connection, run).lacking,
    )


def read_simulated(connection: duckdb.DuckDBPyConnection, run: str, settings: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """The simulated models of a run whose configuration is `settings`, and whether a judge is simulated."""
    marked = {str(row[0]) for row in connection.execute(MARKED_MODELS, [run, MARKED]).fetchall()}
    names = [str(model["name"]) for model in settings["models"] if _is_simulated(model) or model["name"] in marked]
    judge = any(map(_is_simulated, judge_sections(settings["judge"])))
    return tuple(names), judge or connection.execute(MARKED_JUDGE, [run, JUDGED]).fetchone() is not None


def _is_simulated(section: Mapping[str, Any]) -> bool:
    """Whether a model or judge is simulated, or was simulated where its imported verdicts come from."""
    return section["provider"] == "simulated" or bool(section.get("simulated"))


def is_imported(settings: Mapping[str, Any]) -> bool:
    """Whether the verdicts of a run whose configuration is `settings` were imported; IS_IMPORTED is the same in SQL."""
    return bool(settings["judge"].get("provider") == IMPORTED)


def judge_sections(section: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All judges in the `[judge]` section of a stored configuration: the section itself, or the judges in its list."""
    inside = [one for value in section.values() if isinstance(value, list) for one in value if _is_endpoint(one)]
    return [*([section] if _is_endpoint(section) else []), *inside]


def judge_names(section: Mapping[str, Any]) -> list[str]:
    """Their names, in the same order."""
    return [_name(judge) for judge in judge_sections(section)]


def judge_title(section: Mapping[str, Any]) -> str:
    """The judge's name, or how several judge together: `panel of A, B, C`, `A, then B`."""
    names = judge_names(section)
    return f"panel of {', '.join(names)}" if len(names) > 1 and section["mode"] == "panel" else ", then ".join(names)


def _name(judge: Mapping[str, Any]) -> str:
    return str(judge.get("name") or judge["model"])


def _is_endpoint(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value.get("provider")) and bool(value.get("model"))


def _party(name: str, section: Mapping[str, Any], identities: Mapping[str, str], prefix: str = "") -> Party:
    identity = identities.get(prefix + name, "")
    hosted = section["provider"] not in ("simulated", "transformers", "diffusers", "recorded")
    address = _address(str(section.get("base_url") or "")) if hosted else ""
    model, revision = (shown(str(section.get(key) or "")) for key in ("model", "revision"))
    return Party(name, str(section["provider"]), shown(address), model, revision, shown(identity))


def _address(url: str) -> str:
    """`url` without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return ""


def _run_filters(settings: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {f"dataset.{key}": settings.get("dataset", {}).get(key) for key in ("tasks", "categories", "limit")}
    return {key: value for key, value in chosen.items() if value not in (None, [])}


def _iso(moment: datetime | None) -> str:
    return moment.replace(tzinfo=UTC).isoformat(timespec="seconds") if moment else ""


# ---------------------------------------------------------------- written down


def as_json(record: Provenance) -> dict[str, Any]:
    """The record as plain values, with the counts that follow from it."""
    return asdict(record) | {"rows": record.rows, "judged": record.judged, "unjudged": record.unjudged}


def as_lines(record: Provenance) -> list[str]:
    """The record in words, one line for each subject, without control characters and line breaks."""
    lines = [
        f"run {record.run}, {record.status}, {record.started or 'never started'} to {record.ended or 'now'}",
        f"dataset {record.dataset}, digest {record.dataset_digest}",
        *(f"model {_words(party)}" for party in record.models),
        *(f"judge {_words(party)}" for party in record.judges),
        f"rubrics, digest {record.rubrics_digest}",
        f"coverage: {coverage_words(record)}",
        *([caution(record.lacking)] if record.lacking else []),
        f"cost: ${record.cost:,.4f}" + (f" and {record.unpriced:,} calls at no known price" if record.unpriced else ""),
        "filters: " + (", ".join(f"{key} = {_value(value)}" for key, value in record.filters.items()) or "none"),
        "versions: " + ", ".join(f"{name} {number}" for name, number in record.versions.items()),
        f"written by unisafe-async {record.written_by}",
    ]
    if record.simulated:
        lines.insert(0, f"SIMULATED: {', '.join(record.simulated)}; such figures say nothing about real models")
    return [" ".join(plain(line).split()) for line in lines]


def coverage_words(record: Provenance) -> str:
    """`101 of 106 judged; 2 judge blocked, 3 failed`."""
    missing = ", ".join(f"{number:,} {why}" for why, number in record.unjudged.items())
    return f"{record.judged:,} of {record.rows:,} judged" + (f"; {missing}" if missing else "")


def commented(record: Provenance, prefix: str) -> str:
    """The record as comment lines, each beginning with `prefix` (`% ` in LaTeX) and ending with a newline."""
    return "".join(f"{prefix}{line}\n" for line in as_lines(record))


def as_html_comment(record: Provenance) -> str:
    """The record as a comment of Markdown or HTML, which no text in it can close."""
    inside = "\n".join(as_lines(record)).replace("--", "- -").replace(">", "&gt;").replace("<", "&lt;")
    return f"<!--\n{inside}\n-->\n"


def as_metadata(record: Provenance) -> dict[str, str]:
    """The record as key-value metadata of a Parquet file."""
    return {METADATA_KEY: json.dumps(as_json(record), ensure_ascii=False)}


def _words(party: Party) -> str:
    at = f" at {party.endpoint}" if party.endpoint else ""
    revision = f" revision {party.revision}" if party.revision else ""
    identity = f" ({party.identity})" if party.identity else ""
    return f"{party.name}: {party.provider} {party.model}{revision}{at}{identity}"


def _value(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
