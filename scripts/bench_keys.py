"""Write the tables of keys in docs/bench.md from the models that check bench.toml; with --check, say whether they are current.

A table stands between `<!-- keys: NAME -->` and `<!-- end of keys -->`; NAME is one of those in `tables`.

uv run python scripts/bench_keys.py [--check]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel
from unisafe_providers.registry import CallableOptions, read_rooms

from unisafe_async.config.endpoint_sections import EndpointSection
from unisafe_async.config.gate_section import GateSection
from unisafe_async.config.section_keys import Key, option_models, read_keys
from unisafe_async.config.sections import (
    CacheSection,
    ClusterSection,
    DatasetSection,
    GenerationSection,
    JudgeEndpointSection,
    JudgeSection,
    JudgesSection,
    ModelSection,
    RunSection,
)

PAGE = Path(__file__).parents[1] / "docs" / "bench.md"
MARKED = re.compile(r"(<!-- keys: (\w+) -->\n).*?(<!-- end of keys -->)", re.S)
MANY = 3
"""Providers that are all named above a table; of more, the first ones."""


def tables() -> dict[str, str]:
    """Every table of the page by name, in Markdown."""
    sections: dict[str, type[BaseModel]] = {
        "dataset": DatasetSection,
        "generation": GenerationSection,
        "cache": CacheSection,
        "run": RunSection,
        "cluster": ClusterSection,
        "gate": GateSection,
    }
    judging = [
        *read_keys(JudgeSection, own=True),
        *(key for key in read_keys(JudgesSection) if key.name in ("judges", "mode", "tie")),
    ]
    return {
        "run": table(key for name, section in sections.items() for key in prefixed(name, read_keys(section))),
        "judge": table(prefixed("judge", judging)),
        "endpoint": table(read_keys(EndpointSection)),
        "model": table(read_keys(ModelSection, own=True)),
        "member": table(read_keys(JudgeEndpointSection, own=True)),
        "options": "\n".join(option_tables()),
    }


def prefixed(section: str, keys: Iterable[Key]) -> list[Key]:
    return [Key(f"{section}.{key.name}", key.values, key.default, key.meaning) for key in keys]


def option_tables() -> Iterable[str]:
    """A heading and a table for each model of options that has keys of its own."""
    for model, names in [*option_models().items(), (CallableOptions, [])]:
        keys = read_keys(model, own=True)
        if keys:
            yield f"{told(model)} ({whose(names)}):\n\n{table(keys)}"


def told(model: type[BaseModel]) -> str:
    return re.split(r"[.;:]", (model.__doc__ or model.__name__).strip())[0]


def whose(names: list[str]) -> str:
    """The providers of a table: all of a few, of many those that are no vendors on the wire of another one."""
    if not names:
        return "plugins that are plain callables"
    shown = names if len(names) <= MANY else [name for name in names if speaks_alone(name)]
    return ", ".join(f"`{name}`" for name in shown) + (" and others" if len(shown) < len(names) else "")


def speaks_alone(name: str) -> bool:
    return name in read_rooms()


def table(keys: Iterable[Key]) -> str:
    rows = [f"| `{key.name}` | {cell(key.values)} | {default(key)} | {cell(key.meaning)} |" for key in keys]
    return "\n".join(["| key | may be | default | meaning |", "|---|---|---|---|", *rows]) + "\n"


def default(key: Key) -> str:
    return key.default if key.default in ("none", "needed") else f"`{cell(key.default)}`"


def cell(text: str) -> str:
    return text.replace("|", r"\|")


def main() -> int:
    written = tables()
    page = PAGE.read_text("utf-8")
    current = MARKED.sub(lambda found: f"{found[1]}{written[found[2]]}{found[3]}", page)
    if "--check" in sys.argv:
        if page != current:
            print(f"{PAGE}: its tables of keys are not those of the models; run `python scripts/bench_keys.py`", file=sys.stderr)
        return int(page != current)
    PAGE.write_text(current, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
