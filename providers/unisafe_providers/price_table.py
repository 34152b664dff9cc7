"""Prices of models by vendor, from one table: model_prices.json, which scripts/refresh_prices.py writes from LiteLLM's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from unisafe_providers.presets import load_preset
from unisafe_providers.prices import Price

FILE = "model_prices.json"
OLD_AFTER = 90
"""Days after which a price is called old."""
REFRESH = "a newer unisafe-async has newer ones (in a checkout: `python scripts/refresh_prices.py`), or give price_in, price_out"
"""What brings newer prices."""
REGION = re.compile(r"^(us|eu|apac|au|jp|ca|in|global|us-gov)\.")
"""What Amazon puts before a model that answers from several regions."""
DATED = re.compile(r"[-@](20\d\d-\d\d-\d\d|20\d{6}|default)$")
"""The date of one version of a model, after its name."""

LONGER = {"stability": "stable-image-"}
"""What the table puts before a name that stands alone in the vendor's addresses."""
SAME = {"bedrock-openai": "bedrock"}
"""Who has the prices of another entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A price that bench.toml does not give.

    Args:
        price: of one request at the standard tier, without caching.
        read: the day on which it was read, as `2026-11-27`.
        source: where it was read.
    """

    price: Price
    read: str
    source: str

    def describe_age(self, today: date) -> str:
        """What to say of an old price; empty where it is none."""
        days = (today - date.fromisoformat(self.read)).days
        return f"read on {self.read}, {days} days ago: {REFRESH}" if days > OLD_AFTER else ""


def find_price(vendor: str, model: str) -> Quote | None:
    """The price of a vendor's model: what the vendor's own file says of it, else the table's; None where neither has one."""
    preset = load_preset(vendor)
    if preset is not None and model in preset.prices:
        return Quote(price=preset.prices[model], read=preset.prices_read, source=preset.prices_source)
    table, prices = _load_table(), _prices_of(vendor)
    spellings = [*spell_names(model), f"{LONGER.get(vendor, '')}{model}"]
    figures = next((prices[name] for name in spellings if name in prices), None) or _price_of_versions(vendor, model)
    return None if figures is None else Quote(price=Price(*figures), read=table["read"], source=table["source"])


def spell_names(model: str) -> list[str]:
    """How the table may spell a model's name, the nearest first: as it stands, without its region, without its date."""
    bare = REGION.sub("", model)
    return list(dict.fromkeys([model, bare, DATED.sub("", model), DATED.sub("", bare)]))


def count_prices(vendor: str) -> int:
    """How many models of a vendor have a price."""
    preset = load_preset(vendor)
    own = preset.prices if preset is not None else {}
    return len(own.keys() | _prices_of(vendor).keys())


def describe_table(today: date) -> str:
    """Where the table's prices are from, and whether they are old."""
    table = _load_table()
    old = Quote(price=Price(), read=table["read"], source=table["source"]).describe_age(today)
    return f"{table['source']}, " + (old or f"read on {table['read']}")


def _price_of_versions(vendor: str, model: str) -> list[float | None] | None:
    """The price of a name that the table has with dates only, if all its versions cost the same."""
    found = _index_versions(vendor).get(model, [])
    return found[0] if found and all(figures == found[0] for figures in found) else None


@cache
def _index_versions(vendor: str) -> dict[str, list[list[float | None]]]:
    """The prices of dated versions by the name without the date."""
    found: dict[str, list[list[float | None]]] = {}
    for name, figures in _prices_of(vendor).items():
        if DATED.search(name):
            found.setdefault(DATED.sub("", name), []).append(figures)
    return found


def _prices_of(vendor: str) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = _load_table()["prices"].get(SAME.get(vendor, vendor), {})
    return found


@cache
def _load_table() -> dict[str, Any]:
    table: dict[str, Any] = orjson.loads(files("unisafe_providers").joinpath(FILE).read_bytes())
    return table
