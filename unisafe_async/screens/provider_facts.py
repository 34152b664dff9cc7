"""What is known of a vendor, as words: for `unisafe providers NAME` and for the tables of docs/hosted-models.md."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from unisafe_providers.batch_rules import BatchRules
from unisafe_providers.presets import KnownBlock, Preset
from unisafe_providers.price_table import count_prices, describe_table
from unisafe_providers.spec import ProviderSpec

from unisafe_async.text import count

MEDIA = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WebP", "image/gif": "GIF"}
OUTCOMES = {
    "blocked/request": "blocked request",
    "blocked/response": "blocked response",
    "blocked": "blocked, stage not told",
    "refused": "refused by the model",
}
"""What a block counts as, in the words of the report."""


def list_facts(spec: ProviderSpec[Any], today: date) -> Iterator[tuple[str, str]]:
    """A heading and words for each thing that is known of a vendor; nothing of a provider that has no vendor."""
    vendor = spec.vendor
    if vendor is None:
        return
    if vendor.note:
        yield "Note", vendor.note
    yield "Takes", describe_takes(vendor)
    yield "Gives", describe_gives(spec)
    yield "Batch jobs", describe_batches(vendor.batch) if spec.batches else "no"
    wait = spec.options.model_fields.get("job_wait_s")
    if wait is not None and wait.default:
        yield "Jobs", f"each answer is made by a job, which is polled for {wait.default:g} s at most (job_wait_s)"
    if vendor.names:
        yield "Parameters", ", ".join(f"{ours} is sent as {theirs}" for ours, theirs in vendor.names.items())
    for name, words in vendor.headers.items():
        yield "Header", f"{name}: {words}"
    if vendor.no_filter:
        yield "Filter", f"none of its own is known: {vendor.no_filter}; a word such as content_filter would be a block all the same"
    if vendor.limits_source:
        yield "Limits", vendor.limits_source
    if vendor.server is None:
        yield "Prices", describe_prices(spec.name, vendor, today)
    if vendor.source:
        yield "Checked", f"{vendor.checked}, read on {vendor.read}: {vendor.source}"
    if vendor.source and vendor.checked != "called" and vendor.server is None:
        yield (
            "",
            "nobody has called it with this program; `unisafe doctor --record FILE` keeps a cassette of your calls, without keys",
        )
    if vendor.also_called:
        yield "Also called", ", ".join(vendor.also_called)


def describe_batches(rules: BatchRules) -> str:
    """What batch jobs cost and hold, and where that was read."""
    price = "at the full price" if rules.price == 1 else f"at {rules.price:.0%} of the price"
    but = f" ({', '.join(rules.price_of)} cost less)" if rules.price_of else ""
    holds = f"{rules.most_requests:,} requests, {rules.most_bytes / 1e6:,.0f} MB"
    line = f", {rules.most_line_bytes / 1e6:,.0f} MB a request" if rules.most_line_bytes else ""
    images = "" if rules.pictures else "; no images"
    return f"{price}{but}; a job holds at most {holds}{line}{images}; {rules.source}"


def describe_takes(vendor: Preset) -> str:
    """`text, and images (PNG, JPEG; up to 20 MB each, 500 in a request)` where a model sees."""
    limits = vendor.images
    sizes = [
        f"up to {limits.max_bytes / 1e6:g} MB each" if limits.max_bytes else "",
        f"{limits.max_edge} px an edge" if limits.max_edge else "",
        f"{limits.max_count} in a request" if limits.max_count else "",
    ]
    types = ", ".join(MEDIA.get(kind, kind.removeprefix("image/")) for kind in limits.types)
    inside = "; ".join(filter(None, (types, ", ".join(filter(None, sizes)))))
    return f"text, and images where the model does{f' ({inside})' if inside else ''}"


def describe_gives(spec: ProviderSpec[Any]) -> str:
    """`text`, `text and images` or `images`."""
    vendor = spec.vendor
    gives = ("image",) if spec.judges_not else vendor.gives if vendor is not None else ()
    return " and ".join({"text": "text", "image": "images"}[kind] for kind in gives)


def describe_prices(name: str, vendor: Preset, today: date) -> str:
    """How many models have a price, and from when it is."""
    found = count_prices(name)
    if not found:
        return "none known: give price_in and price_out, or price_image"
    own = f", {len(vendor.prices)} of them in {vendor.prices_source}, read on {vendor.prices_read}" if vendor.prices else ""
    return f"of {count(found, 'model')}: {describe_table(today)}{own}"


def describe_block(block: KnownBlock) -> tuple[str, str, str]:
    """The outcome, how it looks, and how that is known with its source."""
    return OUTCOMES[block.means], block.looks.replace("`", ""), f"{block.checked}: {block.source}"


PLACES = {"region": "us-east-1", "project": "my-project"}
"""Keys from which an address follows, each with an example."""


def usual_variable(spec: ProviderSpec[Any]) -> str | None:
    """The variable that usually holds a vendor's key."""
    vendor = spec.vendor
    if vendor is None or (vendor.key_env is None and not vendor.key_header):
        return None
    return vendor.usual_variable(spec.name)


def write_example(spec: ProviderSpec[Any]) -> list[str]:
    """A section of bench.toml for a vendor's model."""
    vendor = spec.vendor
    if vendor is None or vendor.server is not None:
        return []
    lines = ["[[models]]", 'name = "My model"', f'provider = "{spec.name}"', f'model = "{_example_model(vendor)}"']
    places = [key for key in PLACES if key in spec.keys]
    lines += [f'{key} = "{PLACES[key]}"' for key in places]
    if not places and vendor.base_url is None and vendor.address is not None:
        lines += [f'base_url = "{vendor.address}"', f'key_env = "{vendor.key_env}"']
    if vendor.key_header:
        lines.append(f'headers_env = {{ "{vendor.key_header}" = "{usual_variable(spec)}" }}')
    draws = describe_gives(spec) == "images"
    lines.append('takes = ["text", "image"]')
    if draws:
        return [*lines, 'gives = ["image"]']
    apart = "image" in vendor.gives and vendor.image_wire
    return [*lines, '# gives = ["image"]               # for one of its models that draws'] if apart else lines


def _example_model(vendor: Preset) -> str:
    return "VENDOR/NAME" if vendor.gateway else "NAME"
