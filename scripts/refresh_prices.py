"""Write providers/unisafe_providers/model_prices.json from the price table of LiteLLM's newest release on PyPI.

Only vendors that bench.toml can name, and only chats and images, come in. A price that does not stand in tokens or in images (per
pixel, per second, by size or quality) stays unknown. Prices that changed since the last time are printed: read them before you
commit.

uv run python scripts/refresh_prices.py [TABLE.json]     (with a table, nothing is fetched)
"""

from __future__ import annotations

import io
import json
import re
import sys
import urllib.request
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from unisafe_providers.presets import list_presets

PAGE = "https://pypi.org/pypi/litellm/json"
MEMBER = "litellm/model_prices_and_context_window_backup.json"
FILE = Path(__file__).parents[1] / "providers" / "unisafe_providers" / "model_prices.json"
MODES = frozenset({"chat", "responses", "image_generation", "image_edit"})
IMAGES = frozenset({"image_generation", "image_edit"})
NAMES: dict[str, tuple[str, ...]] = {
    "ark": ("volcengine",),
    "bedrock": ("bedrock_converse", "bedrock"),
    "bfl": ("black_forest_labs",),
    "cohere": ("cohere_chat",),
    "fal": ("fal_ai",),
    "fireworks": ("fireworks_ai",),
    "github": (),
    "nvidia": ("nvidia_nim",),
    "together": ("together_ai",),
    "vercel": ("vercel_ai_gateway",),
    "vertex": (
        "vertex_ai-language-models",
        "vertex_ai-anthropic_models",
        "vertex_ai",
    ),
    "azure": (),
    "cloudflare": (),
    "litellm": (),
}
"""LiteLLM's names of a vendor where they are not ours. A deployment at Azure and an alias at a gateway have names of the
customer's, which tell no model, so these have no prices."""
LATER = ("bedrock", "bfl", "cohere", "fal", "ideogram", "luma", "recraft", "replicate", "stability", "vertex")
"""Vendors whose protocol is a room of its own and whose file may lie elsewhere."""
REGION = re.compile(r"^[a-z]{2}(-gov)?-[a-z]+-\d/")
"""An Amazon region in a model's path: its price is that region's alone."""
VARIANT = re.compile(r"^((low|medium|high|max|standard|hd|auto)/|\d+-x-\d+/|max-x-max/|[\w-]+-steps/)+")
"""A quality or a size in front of a name: the price is of that variant alone."""
Figures = list[float | None]


def main() -> int:
    if len(sys.argv) > 1:
        entries, source = json.loads(Path(sys.argv[1]).read_text("utf-8")), f"LiteLLM, {Path(sys.argv[1]).name}"
    else:
        entries, source = fetch_table()
    before = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {"prices": {}}
    prices = {vendor: found for vendor in list_vendors() if (found := read_vendor(entries, NAMES.get(vendor, (vendor,))))}
    FILE.write_text(write_table({"read": datetime.now(UTC).date().isoformat(), "source": source, "prices": prices}), "utf-8")
    for line in describe_changes(before["prices"], prices):
        print(line)
    print(f"{sum(map(len, prices.values()))} models of {len(prices)} vendors, {FILE.stat().st_size // 1024} KiB: {source}")
    return 0


def list_vendors() -> list[str]:
    return sorted({*list_presets(), *LATER})


def fetch_table() -> tuple[dict[str, Any], str]:
    """The table of the newest release, and what it is called."""
    with urllib.request.urlopen(PAGE) as answer:
        release, base = json.load(answer), answer.url
    wheel = next(file for file in release["urls"] if file["packagetype"] == "bdist_wheel")
    with urllib.request.urlopen(urljoin(base, wheel["url"])) as answer:  # a mirror may give its own address, from there on
        archive = zipfile.ZipFile(io.BytesIO(answer.read()))
    source = f"the price table of LiteLLM {release['info']['version']} of {wheel['upload_time'][:10]}"
    return json.loads(archive.read(MEMBER)), source


def read_vendor(entries: Mapping[str, Any], providers: Iterable[str]) -> dict[str, Figures]:
    """The prices of one vendor's models; the first of LiteLLM's names for the vendor that has a model goes first."""
    found: dict[str, Figures] = {}
    for provider in providers:
        variants: dict[str, set[tuple[float | None, ...]]] = defaultdict(set)
        plain: dict[str, Figures] = {}
        for name, entry in entries.items():
            if entry.get("litellm_provider") != provider or entry.get("mode") not in MODES:
                continue
            bare = strip_provider(name, provider)
            figures = read_price(entry)
            if VARIANT.match(bare):
                variants[strip_provider(VARIANT.sub("", bare), provider)].add(tuple(figures or ()))
            elif figures is not None and not REGION.match(bare):
                plain[bare] = figures
        alike = {name: figures for name, figures in plain.items() if is_alike(name, figures, variants)}
        found = alike | found
    return dict(sorted(found.items()))


def strip_provider(name: str, provider: str) -> str:
    """`gemini/NAME` or `vertex_ai/NAME` without LiteLLM's name of the vendor."""
    return name.removeprefix(f"{provider}/").removeprefix(f"{provider.partition('-')[0]}/")


def is_alike(name: str, figures: Figures, variants: Mapping[str, set[tuple[float | None, ...]]]) -> bool:
    """Whether an image costs the same in every size and quality, or is paid in tokens, which say it themselves."""
    return len(figures) == 2 or variants.get(name, set()) <= {tuple(figures)}


def read_price(entry: Mapping[str, Any]) -> Figures | None:
    """Dollars per million tokens in and out, and per image made; None where the table does not tell them exactly."""
    tokens_in, tokens_out = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    image, image_token = entry.get("output_cost_per_image"), entry.get("output_cost_per_image_token")
    sizes = {value for key, value in entry.items() if key.startswith("output_cost_per_image_") and re.search(r"_\d\.?\d?K$", key)}
    if entry.get("mode") in IMAGES and image is not None:
        return None if len(sizes) > 1 else [per_million(tokens_in), 0.0, round(float(image), 6)]
    if entry.get("mode") in IMAGES:
        if image_token is None or tokens_in is None:
            return None
        dearer = max(tokens_in, entry.get("input_cost_per_image_token") or 0)
        return [per_million(dearer), per_million(max(image_token, tokens_out or 0))]
    if tokens_in is None or tokens_out is None or (not tokens_in and not tokens_out):
        return None
    return [per_million(tokens_in), per_million(tokens_out)]


def per_million(dollars: float | None) -> float:
    return round(float(dollars or 0) * 1e6, 6)


def write_table(table: Mapping[str, Any]) -> str:
    """One model a line, so that a change can be read."""
    vendors = [
        f"  {json.dumps(vendor)}: {{\n"
        + ",\n".join(f"   {json.dumps(name)}: {json.dumps(figures)}" for name, figures in models.items())
        + "\n  }"
        for vendor, models in table["prices"].items()
    ]
    head = f'{{\n "read": {json.dumps(table["read"])},\n "source": {json.dumps(table["source"])},\n "prices": {{\n'
    return head + ",\n".join(vendors) + "\n }\n}\n"


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterable[str]:
    """A line for each price that is another one, or gone."""
    for vendor, models in before.items():
        for name, figures in models.items():
            new = now.get(vendor, {}).get(name)
            if new != figures:
                yield f"{vendor} {name}: {figures} -> {new if new is not None else 'gone'}"


if __name__ == "__main__":
    raise SystemExit(main())
