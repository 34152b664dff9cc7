"""Write the tables of vendors in docs/hosted-models.md from their files; with --check, say whether they are current.

A table stands between `<!-- vendors: NAME -->` and `<!-- end of vendors -->`; NAME is one of those in `tables`.

uv run python scripts/vendor_tables.py [--check]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from unisafe_providers.presets import list_presets
from unisafe_providers.registry import built_in_spec
from unisafe_providers.spec import ProviderSpec

from unisafe_async.screens.provider_facts import describe_gives
from unisafe_async.screens.providers import describe_provider

PAGE = Path(__file__).parents[1] / "docs" / "hosted-models.md"
MARKED = re.compile(r"(<!-- vendors: (\w+) -->\n).*?(<!-- end of vendors -->)", re.S)
Spec = ProviderSpec[Any]
SLASHED = r"\|"
OUTCOMES = ("refused", "blocked/request", "blocked/response", "blocked")


def tables() -> dict[str, str]:
    """Every table of the page by name, in Markdown."""
    specs = [built_in_spec(name) for name in list_presets()]
    groups = {group: [spec for spec in specs if describe_provider(spec).group == group] for group in ("chat", "image", "gateway")}
    return {
        **{f"{group}s": table(HEADINGS, map(describe_vendor, some)) for group, some in groups.items()},
        "servers": table(("provider", "address"), (server(spec) for spec in specs if describe_provider(spec).group == "server")),
        "headers": table(("gateway", "header", "what it is for"), (row for spec in groups["gateway"] for row in headers(spec))),
        "blocks": table(
            ("vendor", "refused by the model", "blocked request", "blocked response", "block at an unknown stage"),
            (row for spec in specs if (row := describe_blocks(spec))),
        ),
    }


HEADINGS = ("provider", "key variable", "address", "protocol", "gives", "batch jobs", "checked", "what is special")


def describe_vendor(spec: Spec) -> list[str]:
    vendor = spec.vendor
    assert vendor is not None
    return [
        f"`{spec.name}`",
        f"`{vendor.key_env}`" if vendor.key_env else "",
        f"`{vendor.base_url or vendor.address or ''}`",
        vendor.wire,
        describe_gives(spec),
        "yes" if spec.batches else "",
        f"{vendor.checked} {vendor.read}".strip(),
        vendor.note,
    ]


def server(spec: Spec) -> list[str]:
    vendor = spec.vendor
    assert vendor is not None
    return [f"`{spec.name}`", f"port {urlsplit(vendor.base_url or '').port}"]


def headers(spec: Spec) -> Iterable[list[str]]:
    vendor = spec.vendor
    assert vendor is not None
    return ([f"`{spec.name}`", f"`{name}`", words] for name, words in vendor.headers.items())


def describe_blocks(spec: Spec) -> list[str]:
    """How a vendor's blocks look, a cell for each outcome; empty where none is listed."""
    vendor = spec.vendor
    if vendor is None or not vendor.blocks:
        return []
    cells = ["; ".join(block.looks for block in vendor.blocks if block.means == means) for means in OUTCOMES]
    return [f"`{spec.name}`", *cells]


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(headings)
    lines = [head, ["---"] * len(head), *(list(row) for row in rows)]
    return "".join(f"| {' | '.join(cell.replace('|', SLASHED) for cell in line)} |\n" for line in lines)


def main() -> int:
    written = tables()
    page = PAGE.read_text("utf-8")
    current = MARKED.sub(lambda found: f"{found[1]}{written[found[2]]}{found[3]}", page)
    if "--check" in sys.argv:
        if page != current:
            print(f"{PAGE}: its tables are not those of the vendors' files; run `python scripts/vendor_tables.py`", file=sys.stderr)
        return int(page != current)
    PAGE.write_text(current, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
