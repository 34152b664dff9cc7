"""The bench.toml of the played vendors."""

from __future__ import annotations

import json

from unisafe_providers.presets import load_presets
from unisafe_providers.registry import list_built_in

from .chats import CHATS, JUDGE
from .jobs import JOBS
from .pictures import PICTURES
from .vendor import Vendor

ALL = (*CHATS, *PICTURES, *JOBS)
PRICES = {"text": "price_in = 2.0\nprice_out = 8.0\n", "image": "price_image = 0.04\n"}


def list_known() -> list[Vendor]:
    """The vendors that this project can ask: the provider is there, and so is the protocol of its images, if that is another."""
    presets = load_presets()
    known = [vendor for vendor in ALL if vendor.provider in list_built_in()]
    return [vendor for vendor in known if not vendor.wire or presets[vendor.provider].image_wire == vendor.wire]


def write_bench(vendors: list[Vendor], url: str, limit: int) -> str:
    """bench.toml: each vendor at its own address, and the judge at another."""
    head = f'[dataset]\nsource = "sample"\nlimit = {limit}\n\n[cache]\npath = "played.duckdb"\n\n'
    judge = f"[judge]\n{_write_section(JUDGE, url)}{PRICES['text']}\n"
    models = [f'[[models]]\nname = "{vendor.name}"\n{_write_section(vendor, url)}{_write_more(vendor)}\n' for vendor in vendors]
    return head + judge + "".join(models)


def _write_section(vendor: Vendor, url: str) -> str:
    keys = {
        "provider": vendor.provider,
        "model": vendor.model,
        "base_url": f"{url}/{vendor.place}{vendor.root}",
        "key_env": vendor.variable,
        "takes": list(vendor.takes),
        **vendor.told,
    }
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())


def _write_more(vendor: Vendor) -> str:
    prices = "".join(PRICES[medium] for medium in vendor.gives)
    return f"gives = {json.dumps(list(vendor.gives))}\n{prices}"
