"""Finds in the cache which answers a run used: another machine needs them to continue the run and to report on it.

The rows name the models' answers but not the judge's answers. A run whose answers all came from the cache paid for none of them,
so the run's name does not find them either. We therefore recognise a judge's answer by its request. For a verdict, the request
holds the response between fence lines whose code is a digest of that text, or the image (also a mended one) by its digest. For an
intent, it holds the instruction. A classifier's request is the response itself. The archive takes the answers that rows name, the
answers that the run paid for, and every judge's answers about those responses, their thoughts, images and instructions. It may
take verdicts of another judge about the same responses; that is cheaper than losing a paid answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
from unisafe_cache import CacheError, parts_of
from unisafe_providers.fences import fence_code, find_fences
from unisafe_providers.pictures import derive_mended_digest

from unisafe_async.config.secret_words import find_secrets, looks_secret
from unisafe_async.results.provenance import read_provenance, to_plain
from unisafe_async.results.stored_run import read_run

PICTURE = re.compile(r'"image":"([0-9a-f]{32})"')

NAMED = """
INSERT INTO chosen
SELECT response FROM rows WHERE run = $run AND response IS NOT NULL UNION SELECT id FROM responses WHERE run = $run
"""
SUBJECTS = (
    "SELECT text, coalesce(thoughts, ''), images, request FROM responses WHERE id IN (SELECT response FROM rows WHERE run = ?)"
)
OTHERS = "SELECT id, request FROM responses WHERE id NOT IN (SELECT id FROM chosen)"
BATCH = 2_048


def choose(connection: duckdb.DuckDBPyConnection, run: str) -> None:
    """Fill the temporary table `chosen` with the ids of the answers that `run` used."""
    connection.execute(NAMED, {"run": run})
    responses: set[str] = set()
    instructions: set[str] = set()
    images: set[str] = set()
    cursor = connection.execute(SUBJECTS, [run])
    while records := cursor.fetchmany(BATCH):
        for text, thoughts, drawn, request in records:
            responses |= {fence_code(text), fence_code(thoughts)}
            instructions |= {fence_code(part) for part in _texts(request)}
            images.update(drawn, map(derive_mended_digest, drawn))
    found: list[tuple[int]] = []
    cursor = connection.execute(OTHERS)
    while records := cursor.fetchmany(BATCH):
        found += [(id_,) for id_, request in records if _about(request, responses, instructions, images)]
    if found:
        appender = connection.appender("chosen")
        appender.append_rows(found)
        appender.flush()


def _about(request: str, responses: set[str], instructions: set[str], images: set[str]) -> bool:
    """Whether a request asks about one of these texts or images; hostile text may contain more fences, and each counts."""
    fences = find_fences(request)
    codes = {kind: {code for of, code in fences if of == kind} for kind in ("RESPONSE", "REQUEST", "INSTRUCTION")}
    match fences[0][0] if fences else "":  # the first fence is ours: fences in hostile text come after it
        case "REQUEST":
            return bool(codes["REQUEST"] & instructions)
        case "RESPONSE":
            return bool(codes["RESPONSE"] & responses)
        case "INTENT":
            drawn = not images.isdisjoint(PICTURE.findall(request))
            return bool(codes["INSTRUCTION"] & instructions) and (drawn or bool(codes["RESPONSE"] & responses))
    if not images.isdisjoint(PICTURE.findall(request)):
        return True
    return any(fence_code(part) in responses for part in _texts(request))


def _texts(request: str) -> list[str]:
    """The texts of a model's request: the instruction, which a request for an intent contains."""
    return [part["text"] for part in parts_of(request) if "text" in part]


# ---------------------------------------------------------------- what goes along


IDENTITIES = "SELECT DISTINCT identity FROM responses WHERE id IN (SELECT id FROM chosen)"


def notes(connection: duckdb.DuckDBPyConnection, run: str) -> Mapping[str, str]:
    """`config.json` and `provenance.json` of an archive. Raises CacheError if the configuration seems to hold a secret."""
    config = read_run(connection, run).settings
    identities = [str(row[0]) for row in connection.execute(IDENTITIES).fetchall()]
    places = [*_secrets(config), *(["identity of a model"] if any(map(looks_secret, identities)) else [])]
    if places:
        raise CacheError(
            f"run {run} cannot be exported: its configuration holds what looks like a secret at {places[0]}; "
            "put keys into a variable named by key_env, and run again"
        )
    record = to_plain(read_provenance(connection, run))
    return {
        "config.json": json.dumps(config, ensure_ascii=False, indent=1) + "\n",
        "provenance.json": json.dumps(record, ensure_ascii=False, indent=1) + "\n",
    }


def _secrets(config: Mapping[str, Any]) -> Iterator[str]:
    """The place of a text that looks like a secret; a configuration from bench.toml has none, one built in a program may."""
    for section in ("judge", "models", "dataset", "run"):
        yield from find_secrets(config.get(section), section)
    for section in (config.get("judge"), *config.get("models", ())):
        if isinstance(section, dict) and re.search(r"://[^/\s]*@|\?", str(section.get("base_url") or "")):
            yield "base_url"
