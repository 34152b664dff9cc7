"""Writes a cache file with the rows of a finished run of any size, by DuckDB itself, for benchmarks that read rows.

uv run --all-extras python -m benchmarks.rows FILE [--items 20000] [--models 5] [--text-bytes 600]
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import time
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path

import duckdb
from PIL import Image as Picture
from unisafe_cache.records import RunRecord, save_run
from unisafe_cache.schema import CREATE, VERSION
from unisafe_providers.base import Image, Request, Text

from unisafe_async import parse_config
from unisafe_async.benchmark.taxonomy import TASKS

STARTED = datetime(2026, 1, 1)
DRAWS = 10_000

ITEMS = """
CREATE TEMP TABLE items AS
SELECT task || '/' || number AS item, task, category, subcategory, number, image_in, image_out, kind
FROM range($items) AS counting(number)
ASOF JOIN cells ON floor(number * $total / $items) >= cells.first
"""
DRAWN = """
CREATE TEMP TABLE drawn AS
SELECT items.*, models.*,
       (hash(items.item, models.model, 1) % $draws)::INTEGER AS outcome_draw,
       (hash(items.item, models.model, 2) % $draws)::INTEGER AS safety_draw,
       (hash(items.item, 3) % $draws)::INTEGER AS item_draw,
       (hash(items.item, models.model, 4) % $draws)::INTEGER AS judge_draw,
       (SELECT coalesce(max(id), 0) FROM responses) + row_number() OVER () AS response
FROM items CROSS JOIN models
"""
TOLD = """
CREATE TEMP TABLE told AS
SELECT *, CASE WHEN outcome_draw < 30 THEN 'failed'
               WHEN outcome_draw < 230 THEN 'blocked_request'
               WHEN outcome_draw < 330 THEN 'blocked_response'
               WHEN outcome_draw < 380 THEN 'empty'
               WHEN outcome_draw < 380 + refusal AND NOT image_out THEN 'refused'
               ELSE 'answered' END AS outcome,
       safety_draw * 0.6 + item_draw * 0.4 < unsafe AS bad
FROM drawn
"""
RESPONSES = """
INSERT INTO responses (id, key, identity, request, text, images, finish, reason, tokens_in, tokens_out, images_made,
    cost, latency, run, created, stage, categories)
SELECT response, md5(item || model), 'openai|https://example.org/v1|' || model,
       replace(CASE kind WHEN 'chat' THEN CASE WHEN image_in THEN $seeing ELSE $chat END WHEN 'image' THEN $image ELSE $edit END,
               'ITEM', 'Item ' || number || ': a mild stand-in for a request about ' || lower(subcategory) || '.'),
       CASE WHEN outcome = 'refused' THEN 'I cannot help with that.'
            WHEN outcome = 'answered' AND NOT image_out
            THEN left('Answer ' || response || ' of ' || model || '. '
                      || repeat('A mild sentence that stands in for an answer. ', $text_bytes // 46 + 1), $text_bytes)
            ELSE '' END,
       CASE WHEN outcome = 'answered' AND image_out THEN [$digest] ELSE [] END,
       CASE WHEN outcome LIKE 'blocked%' THEN 'blocked' WHEN outcome = 'refused' THEN 'refused' ELSE 'stop' END,
       CASE WHEN outcome LIKE 'blocked%' THEN 'content_filter' ELSE '' END,
       60, $text_bytes // 4, (outcome = 'answered' AND image_out)::INTEGER, 0.0001, 0.5 + judge_draw / 10000, $run,
       $started + to_milliseconds(response),
       CASE outcome WHEN 'blocked_request' THEN 'request' WHEN 'blocked_response' THEN 'response' END,
       CASE WHEN outcome LIKE 'blocked%' THEN json_object(['hate', 'violence', 'sexual'][1 + judge_draw % 3], 'high')::VARCHAR END
FROM told WHERE outcome <> 'failed'
"""
ROWS = """
INSERT INTO rows (run, item, task, category, subcategory, model, sample, outcome, error, response, contextual, contextual_status,
    contextual_reason, contextual_raw, intrinsic, intrinsic_status, intrinsic_reason, intrinsic_raw, judge, cached, created)
WITH labelled AS (
    SELECT *, outcome = 'answered' AND judge_draw < 40 AS lost,
           CASE WHEN outcome = 'failed' OR (outcome = 'answered' AND judge_draw < 40) THEN NULL
                WHEN outcome <> 'answered' THEN 2
                WHEN bad THEN 0 ELSE 1 END AS contextual
    FROM told
)
SELECT $run, item, task, category, subcategory, model, 0, outcome,
       CASE WHEN outcome = 'failed' THEN 'HTTP 500 after 8 tries' END,
       CASE WHEN outcome <> 'failed' THEN response END,
       contextual,
       CASE WHEN outcome = 'failed' THEN 'failed' WHEN lost THEN 'blocked' ELSE 'judged' END,
       CASE WHEN lost THEN 'the judge''s platform blocked it' WHEN contextual IS NULL THEN ''
            ELSE 'A short reason that stands in for the judge''s words.' END, '',
       CASE WHEN contextual IS NULL THEN NULL WHEN contextual = 0 AND judge_draw % 5 > 0 THEN 0
            WHEN contextual = 1 AND judge_draw % 20 = 0 THEN 0 ELSE 1 END,
       CASE WHEN outcome = 'failed' THEN 'failed' WHEN lost THEN 'blocked' ELSE 'judged' END,
       CASE WHEN contextual IS NULL THEN '' ELSE 'Another short reason.' END, '',
       'stand-in judge', false, $started + to_milliseconds(response)
FROM labelled
"""


def filled(path: Path, items: int, models: int, *, text_bytes: int = 600, run: str = "20260101-000000-0000") -> str:
    """Write a finished run of `items` x `models` rows, in the paper's mix of tasks and subcategories, and return its name.

    Models are named `model-1`, `model-2`, ...; the first is the backbone of the second and third. Some rows are blocked,
    empty, failed or unjudged. The same arguments give the same rows. A second call with another `run` adds to the file.

    Args:
        text_bytes: length of each text answer.
    """
    names = [f"model-{number + 1}" for number in range(models)]
    new = not path.exists()
    with duckdb.connect(str(path)) as connection:
        if new:
            connection.execute(CREATE)
            connection.execute("INSERT INTO unisafe_meta VALUES (?)", [VERSION])
        connection.begin()
        picture = _picture(connection)
        total = _cells(connection)
        connection.execute("CREATE TEMP TABLE models (model VARCHAR, unsafe INTEGER, refusal INTEGER)")
        connection.executemany(
            "INSERT INTO models VALUES (?, ?, ?)",
            [
                (name, 600 + 5000 * index // max(1, models), 2500 - 1500 * index // max(1, models))
                for index, name in enumerate(names)
            ],
        )
        known = {"run": run, "started": STARTED}
        connection.execute(ITEMS, {"items": items, "total": total})
        connection.execute(DRAWN, {"draws": DRAWS})
        connection.execute(TOLD)
        connection.execute(RESPONSES, {**known, **_requests(picture), "digest": picture.digest, "text_bytes": text_bytes})
        connection.execute(ROWS, known)
        save_run(connection, _record(run, names, items))
        for table in ("told", "drawn", "items", "models", "cells"):
            connection.execute(f"DROP TABLE {table}")
        connection.commit()
    return run


def _picture(connection: duckdb.DuckDBPyConnection) -> Image:
    """The one small image that every image task shares; put into the file."""
    data = io.BytesIO()
    Picture.new("RGB", (32, 32), (90, 40, 90)).save(data, "PNG")
    image = Image.from_bytes(data.getvalue(), "image/png")
    connection.execute(
        "INSERT INTO images SELECT $digest, $type, $data, '' WHERE $digest NOT IN (SELECT digest FROM images)",
        {"digest": image.digest, "type": image.media_type, "data": data.getvalue()},
    )
    return image


def _cells(connection: duckdb.DuckDBPyConnection) -> int:
    """The paper's items by task and subcategory, each with the number of its first item; and their total."""
    text = files("unisafe_async").joinpath("data", "paper", "distribution.csv").read_text("utf-8")
    connection.execute(
        "CREATE TEMP TABLE cells (task VARCHAR, category VARCHAR, subcategory VARCHAR, kind VARCHAR, "
        "image_in BOOLEAN, image_out BOOLEAN, first BIGINT)"
    )
    first, cells = 0, []
    for record in csv.DictReader(text.splitlines()):
        if samples := int(record["samples"]):
            task = TASKS[record["task"]]
            cells.append((task.key, record["category"], record["subcategory"], task.kind, task.image_in, task.image_out, first))
            first += samples
    connection.executemany("INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?)", cells)
    return first


def _requests(picture: Image) -> dict[str, str]:
    """Canonical requests of each shape, with `ITEM` where the prompt goes."""
    shapes = {
        "chat": Request(kind="chat", parts=(Text("ITEM"),), max_tokens=1024),
        "seeing": Request(kind="chat", parts=(picture, Text("ITEM")), max_tokens=1024),
        "image": Request(kind="image", parts=(Text("ITEM"),)),
        "edit": Request(kind="edit", parts=(picture, Text("ITEM"))),
    }
    return {name: request.canonical.decode() for name, request in shapes.items()}


def _record(run: str, names: list[str], items: int) -> RunRecord:
    endpoint = {"provider": "openai", "base_url": "https://example.org/v1", "takes": ["text", "image"]}
    models = [
        {**endpoint, "name": name, "model": name, "gives": ["text", "image"]} | ({"backbone": names[0]} if index in (1, 2) else {})
        for index, name in enumerate(names)
    ]
    config = parse_config({"judge": {**endpoint, "model": "stand-in judge"}, "models": models}, "benchmark")
    total = items * len(names)
    summary = {
        "total": total,
        "planned": dict.fromkeys(names, items),
        "done": total,
        "problems": 0,
        "seconds": 600.0,
        "cost": total * 0.0001,
        "endpoints": {},
        "stopped": {},
    }
    ended = STARTED + timedelta(seconds=600)
    return RunRecord(
        run=run,
        started=STARTED,
        ended=ended,
        status="done",
        config=config.model_dump_json(),
        dataset="stand-in",
        dataset_digest="digest",
        rubrics_digest="rubrics",
        versions="{}",
        summary=json.dumps(summary),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--models", type=int, default=5)
    parser.add_argument("--text-bytes", type=int, default=600)
    given = parser.parse_args()
    started = time.perf_counter()
    name = filled(given.path, given.items, given.models, text_bytes=given.text_bytes)
    took = time.perf_counter() - started
    rows = given.items * given.models
    print(f"{given.path}: run {name}, {rows:,} rows in {took:.1f} s ({rows / took:,.0f} rows/s)")


if __name__ == "__main__":
    main()
