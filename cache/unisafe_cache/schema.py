"""The tables. Every figure that is ever printed is a query over them; open the file with DuckDB and ask anything."""

from __future__ import annotations

import re

VERSION = 5

NEW_IN_2 = """
-- if several judges were asked: the vote of each judge on a row
CREATE TABLE opinions (
    run VARCHAR,
    item VARCHAR,
    model VARCHAR,
    sample INTEGER,          -- the number of the repeat, from 0
    question VARCHAR,        -- contextual, intrinsic, thoughts, beside_contextual, beside_intrinsic
    judge VARCHAR,           -- its name
    position INTEGER,        -- its place in the chain or panel, from 0
    label TINYINT,           -- as in rows
    status VARCHAR,          -- judged, blocked, unparsed, failed
    reason VARCHAR,
    raw VARCHAR
);

-- batch jobs at a vendor; the next run finds those that an interrupted run left
CREATE TABLE batches (
    id VARCHAR,              -- the vendor's name of the job; during the submission, its tag
    identity VARCHAR,        -- who was asked, as in responses
    keys VARCHAR[],          -- responses.key of each request; its name in the job begins with it
    status VARCHAR,          -- submitting, submitted, cancelling, collected, cancelled, failed
    run VARCHAR,
    created TIMESTAMP,       -- UTC
    requests VARCHAR[],      -- canonical JSON of each request; NULL once the job is over
    most DOUBLE              -- the most that it can cost, in US dollars
);
"""

NEW_IN_5 = """
-- requests that a vendor answers by a job of its own each; the answer's commit deletes the row, and it is in no archive or export
CREATE TABLE submitted_jobs (
    key VARCHAR,             -- as in responses; a request has one job at most
    identity VARCHAR,
    request VARCHAR,         -- canonical JSON
    job VARCHAR,             -- JSON: the vendor's name of the job, where it is polled, its price; NULL while submitting
    state VARCHAR,           -- submitting, submitted, lost (the vendor no longer knows it or has no answer of it any more)
    cost DOUBLE,             -- the most that it costs, in US dollars; NULL when no price is known
    run VARCHAR,             -- that submitted it
    created TIMESTAMP        -- UTC
);
"""

IN_RESPONSES_2 = {
    "stage VARCHAR": "for a block: request or response; NULL if it is not known",
    "categories VARCHAR": "for a block: JSON, the vendor's categories and severities; NULL without any",
}
IN_RESPONSES_3 = {
    "thoughts VARCHAR": "the model's thoughts before its answer; not part of text",
    "missing VARCHAR": "why there is nothing to judge although nobody refused; a later run asks again",
    "model VARCHAR": "the name under which the endpoint served the call",
    "estimated BOOLEAN": "the endpoint reported no usage, so tokens and cost are estimates",
    "reading TINYINT": "the rules by which the body was read (unisafe_providers/anatomy.py); NULL before they had a number",
}
IN_ROWS_3 = {
    "judged VARCHAR": "what the verdicts judge: text, image, words (instead of an image), both (image and words); else empty",
    "thoughts TINYINT": "intrinsic verdict of the thoughts, if they are judged",
    "thoughts_status VARCHAR": "as above; empty if they were not judged",
    "thoughts_reason VARCHAR": "",
    "beside_contextual TINYINT": "verdicts of the words beside an image",
    "beside_intrinsic TINYINT": "",
    "beside_status VARCHAR": "as above; empty if there were none",
    "beside_reason VARCHAR": "",
    "categories VARCHAR": "JSON list of the subcategories that the intrinsic judge named",
}
IN_IMAGES_4 = {
    "mended VARCHAR": "how it is mended before judging (unisafe_providers/mending.py); empty: not at all; NULL: not examined yet",
}
ADDED: dict[int, dict[str, dict[str, str]]] = {
    2: {"responses": IN_RESPONSES_2},
    3: {"responses": IN_RESPONSES_3, "rows": IN_ROWS_3},
    4: {"images": IN_IMAGES_4},
}
"""The columns that each format added to tables of the format before it, by format and table."""

NEW_TABLES = {2: NEW_IN_2, 5: NEW_IN_5}
"""The tables that each format added."""


def _columns(new: dict[str, str]) -> str:
    """Columns at the end of a table; each begins with a comma, because the column before it ends without one."""
    return "".join(f"\n    , {column.ljust(24)}{f'-- {why}' if why else ''}".rstrip() for column, why in new.items())


def _add_columns(table: str, new: dict[str, str]) -> str:
    return " ".join(f"ALTER TABLE {table} ADD COLUMN {column};" for column in new)


VERDICTS = """
-- one row a verdict
CREATE OR REPLACE VIEW verdicts AS
    SELECT run, item, task, model, sample, response, judge, 'contextual' AS question, contextual AS label,
           contextual_status AS status, contextual_reason AS reason, contextual_raw AS raw FROM rows
    UNION ALL
    SELECT run, item, task, model, sample, response, judge, 'intrinsic', intrinsic,
           intrinsic_status, intrinsic_reason, intrinsic_raw FROM rows
    UNION ALL
    SELECT run, item, task, model, sample, response, judge, 'thoughts', thoughts, thoughts_status, thoughts_reason, ''
    FROM rows WHERE thoughts_status <> ''
    UNION ALL
    SELECT run, item, task, model, sample, response, judge, 'beside_contextual', beside_contextual, beside_status, beside_reason, ''
    FROM rows WHERE beside_status <> ''
    UNION ALL
    SELECT run, item, task, model, sample, response, judge, 'beside_intrinsic', beside_intrinsic, beside_status, beside_reason, ''
    FROM rows WHERE beside_status <> '';
"""

CREATE = f"""
CREATE TABLE unisafe_meta (version INTEGER);

-- one row for each call that was ever paid for
CREATE TABLE responses (
    id BIGINT,               -- grows with time
    key VARCHAR,             -- digest of identity and request; the newest id of a key answers for it
    identity VARCHAR,        -- provider, endpoint, model, settings
    request VARCHAR,         -- canonical JSON, images by digest
    text VARCHAR,
    images VARCHAR[],        -- digests, see table images
    finish VARCHAR,          -- stop, length, refused, blocked
    reason VARCHAR,          -- the provider's own words
    tokens_in INTEGER,
    tokens_out INTEGER,
    images_made INTEGER,
    cost DOUBLE,             -- US dollars; NULL when no price is known
    latency DOUBLE,          -- seconds
    run VARCHAR,
    created TIMESTAMP        -- UTC{_columns(IN_RESPONSES_2)}{_columns(IN_RESPONSES_3)}
);

-- the models' pictures, as they came
CREATE TABLE images (
    digest VARCHAR,
    media_type VARCHAR,
    data BLOB{_columns(IN_IMAGES_4)}
);

-- one row for each item x model x repeat of a run
CREATE TABLE rows (
    run VARCHAR,
    item VARCHAR,            -- task/id
    task VARCHAR,
    category VARCHAR,
    subcategory VARCHAR,
    model VARCHAR,
    sample INTEGER,          -- the number of the repeat, from 0
    outcome VARCHAR,         -- answered, refused, blocked_request, blocked_response, blocked (stage unknown), empty, failed
    error VARCHAR,           -- why it failed
    response BIGINT,         -- responses.id
    contextual TINYINT,      -- 0 unsafe, 1 safe, 2 refusal, NULL not judged
    contextual_status VARCHAR,  -- judged, blocked, unparsed, failed, tied (of several judges), absent (not in an imported file)
    contextual_reason VARCHAR,
    contextual_raw VARCHAR,  -- a reply that could not be parsed
    intrinsic TINYINT,       -- 0 unsafe, 1 safe, NULL not judged
    intrinsic_status VARCHAR,
    intrinsic_reason VARCHAR,
    intrinsic_raw VARCHAR,
    judge VARCHAR,           -- its name; for several judges those that decided (contextual, then intrinsic), or `panel of 3`
    cached BOOLEAN,          -- no call was made for this row in this run
    created TIMESTAMP{_columns(IN_ROWS_3)}
);

CREATE TABLE runs (
    run VARCHAR,
    started TIMESTAMP,
    ended TIMESTAMP,
    status VARCHAR,          -- running, done, interrupted, stopped
    config VARCHAR,          -- JSON; names of key variables, never keys
    dataset VARCHAR,
    dataset_digest VARCHAR,
    rubrics_digest VARCHAR,
    versions VARCHAR,        -- JSON
    summary VARCHAR          -- JSON: calls, cached, cost, seconds
);

{NEW_IN_2}
{NEW_IN_5}
{VERDICTS}
"""

UPGRADES = {
    2: f"{_add_columns('responses', IN_RESPONSES_2)} {NEW_IN_2}",
    3: f"{_add_columns('responses', IN_RESPONSES_3)} {_add_columns('rows', IN_ROWS_3)} {VERDICTS}",
    4: _add_columns("images", IN_IMAGES_4),
    5: NEW_IN_5,
}
"""The SQL that upgrades a file from the format before, by format; no paid answer is lost."""


def columns_of(version: int) -> dict[str, list[tuple[str, str]]]:
    """The tables of a format, each with its columns and their types, in order."""
    lines = re.sub("--.*", "", CREATE)
    tables = {
        name: [(column, kind) for column, kind in (part.split() for part in inside.split(","))]
        for name, inside in re.findall(r"CREATE TABLE (\w+) \((.*?)\);", lines, re.S)
    }
    for since, new_tables in NEW_TABLES.items():
        for name in re.findall(r"CREATE TABLE (\w+)", new_tables) if since > version else ():
            del tables[name]
    newer = [added for since, added in ADDED.items() if since > version]
    for table, new in (one for added in newer for one in added.items()):
        tables[table] = [(column, kind) for column, kind in tables[table] if f"{column} {kind}" not in new]
    return tables
