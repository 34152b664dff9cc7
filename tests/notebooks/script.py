"""A user's script, as strict types want it."""

import asyncio
from pathlib import Path
from typing import assert_type

from unisafe_providers import Capabilities

import unisafe_async
from unisafe_async import (
    CacheError,
    ConfigError,
    Coverage,
    Dataset,
    DatasetError,
    Result,
    Row,
    Run,
    Score,
    load,
    load_config,
    open_dataset,
    parse_config,
)


def heard(row: Row) -> None:
    assert_type(row.contextual, int | None)


def began(run: Run) -> None:
    assert_type(run.total, int)
    run.drain()


async def main() -> None:
    result = await unisafe_async.evaluate("bench.toml", on_row=heard, on_start=began, progress=False)
    assert_type(result, Result)
    scores: list[Score] = result.scores("model")
    assert_type(scores[0].shares["b_s"].low, float)
    coverage: list[Coverage] = result.coverage()
    print(coverage, result.to_dataframe().columns, result.scores_dataframe("model").columns)


def earlier(path: Path) -> list[Row]:
    dataset: Dataset = open_dataset("sample")
    try:
        print(len(dataset), load_config(path), parse_config({}), Capabilities().text_out)
        return load("2026", cache=path).rows()
    except (ConfigError, DatasetError, CacheError):
        return []


asyncio.run(main())
assert_type(unisafe_async.__version__, str)
