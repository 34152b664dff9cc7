"""One fact, one home: what is written down in one file is taken from there by all others, so that nothing changes by halves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import unisafe_cache
import unisafe_judger
import unisafe_providers

import unisafe_async

FILES = [
    file
    for package in (unisafe_providers, unisafe_judger, unisafe_cache, unisafe_async)
    for file in sorted(Path(package.__path__[0]).rglob("*.py"))
]


@pytest.mark.parametrize(
    ("fact", "pattern", "homes"),
    [
        ("the word of a label", r'"(?:unsafe|safe|refusal)": ?[012]\b|\b[012]: ?"(?:unsafe|safe|refusal)|UNSAFE: "', {"scales.py"}),
        ("a label's number in SQL", r"\b(?:contextual|intrinsic|y_ctx|y_int|label) (?:=|<>|IN) \(?[012]\b", {"domains.py"}),
        ("the digest in a fence", r"unisafe-fence", {"fences.py"}),
        ("a quotation mark in SQL", r"""replace\("'", "''"\)""", {"sql_texts.py"}),
        ("the name of the configuration", r'^[^#"]*(?:\(|= ?)"bench\.toml"', {"default_paths.py"}),
        ("the name of the cache", r'"unisafe\.duckdb"', {"default_paths.py"}),
        ("which names are near", r"get_close_matches\(.*, 1, ", {"near_names.py", "harms.py"}),
        ("where a line of a file stands", r'f"\{self\.file\}:\{self\.line\}', {"lines.py"}),
        (
            "which end of a score is better",
            r'"(?:c_u|b_s)": (?:-?1|True|False)\b|better ?= ?(?:max|min) if|better=-?1',
            {"measures.py"},
        ),
        ("the price of tokens and images", r"^class \w*Prices?\b", {"prices.py"}),
    ],
)
def test_a_fact_has_one_home(fact: str, pattern: str, homes: set[str]) -> None:
    found = {
        f"{file.name}:{number}: {line.strip()}"
        for file in FILES
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if re.search(pattern, line) and not line.startswith("result")  # the examples at the head of the package
    }
    assert {place.partition(":")[0] for place in found} == homes, f"{fact} stands in {found}"
