"""Vendors and local servers that bench.toml can name; vendors/NAME.toml holds the data about each."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import urlsplit

from unisafe_providers.images import ImageLimits
from unisafe_providers.prices import Price as Price

Checked = Literal["called", "recorded", "documented"]
"""How a vendor's ways are known: by calls of ours, by somebody else's recorded answers, or by its documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCommand:
    """How such a server is started on this machine; vendors/README.md says what the words in braces stand for.

    Args:
        command: its command line; empty where whoever writes bench.toml must give one.
        parallel: what follows where one model lies on several devices.
        weights: the options before a file here and before a name at the hub, of a server that tells them apart.
        ready: the path that answers 200 once requests are taken.
        source: where that was read.
    """

    command: tuple[str, ...]
    parallel: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    ready: str = "/health"
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBlock:
    """How one of a vendor's blocks looks.

    Args:
        looks: what the answer says, such as `finish_reason: content_filter`.
        means: the outcome that it has: `blocked/request`, `blocked/response`, `blocked` (stage not told) or `refused`.
        checked: how it is known.
        source: where it was read.
    """

    looks: str
    means: Literal["blocked/request", "blocked/response", "blocked", "refused"]
    checked: Checked = "documented"
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One vendor.

    Args:
        title: what people call it.
        wire: the protocol that it speaks: the name of the provider whose room speaks it (unisafe_providers/registry.py).
        base_url: its address; None if each customer has an address of their own, and then `address` shows its form.
        source, read: where and when that was read.
        checked: how its ways are known.
        also_called: other names that people try.
        key_env: the variable that usually holds the key; None for a server that needs no key.
        key_hosts: hosts of its own that get the key too: one by its name, or all below `.name`.
        image_api: how its models are asked for images.
        image_wire, image_base_url: protocol and address of its models that give images only, if chats have others; else empty.
        edit_body: how it takes images to edit: `form` (an upload, as OpenAI does) or `json` (data URLs).
        names: its own names of parameters, if they differ.
        image_leaves_out: fields of a request for images that it refuses.
        limits_per: the window of the limits in its rate headers, if the headers do not say it.
        limits_source: where that was read.
        batches: whether its batch jobs are known to work as those of its wire.
        max_concurrency: calls at once that such a server takes well; None leaves it to the default.
        images: the limits of images in requests.
        safety_categories, safety_thresholds: the values that `safety` may have; empty if the vendor has no such settings.
        blocks: how each of its blocks looks.
        server: how a run can start it, if it is a server that runs on this machine.
        prices: the prices of some of its models, by their names at the vendor, as `prices_source` gave them on `prices_read`.
    """

    title: str
    wire: str
    base_url: str | None = None
    address: str | None = None
    source: str = ""
    read: str = ""
    checked: Checked = "documented"
    also_called: tuple[str, ...] = ()
    key_env: str | None = None
    key_hosts: tuple[str, ...] = ()
    image_api: Literal["images", "chat"] = "images"
    image_wire: str = ""
    image_base_url: str = ""
    edit_body: Literal["form", "json"] = "form"
    names: dict[str, str] = field(default_factory=dict)
    image_leaves_out: tuple[Literal["seed", "size"], ...] = ()
    limits_per: Literal["minute", "requests a day", "unknown"] = "minute"
    limits_source: str = ""
    batches: bool = False
    max_concurrency: int | None = None
    images: ImageLimits = field(default_factory=ImageLimits)
    safety_categories: tuple[str, ...] = ()
    safety_thresholds: tuple[str, ...] = ()
    blocks: tuple[KnownBlock, ...] = ()
    server: ServerCommand | None = None
    prices: dict[str, Price] = field(default_factory=dict)
    prices_read: str = ""
    prices_source: str = ""

    @property
    def is_own_server(self) -> bool:
        """Whether it is a server that people run themselves: its usual address is this machine."""
        return self.base_url is not None and urlsplit(self.base_url).hostname == "localhost"


@cache
def load_presets() -> dict[str, Preset]:
    """All presets by name, in the order of their names."""
    folder = files("unisafe_providers").joinpath("vendors")
    written = {file.name.removesuffix(".toml"): file for file in folder.iterdir() if file.name.endswith(".toml")}
    return {name: _read_preset(tomllib.loads(file.read_text("utf-8"))) for name, file in sorted(written.items())}


def find_preset(address: str) -> Preset | None:
    """The vendor whose host `address` names; None for other hosts, and for those of this machine."""
    try:
        host = urlsplit(address).hostname
    except ValueError:
        return None
    return _index_hosts().get(host or "")


@cache
def _index_hosts() -> dict[str, Preset]:
    """Vendors by their hosts."""
    hosts = {urlsplit(preset.base_url or "").hostname or "": preset for preset in load_presets().values()}
    return {host: preset for host, preset in hosts.items() if host not in ("", "localhost")}


def _read_preset(entry: dict[str, Any]) -> Preset:
    images, prices, server = entry.pop("images", {}), entry.pop("prices", {}), entry.pop("server", None)
    blocks = tuple(KnownBlock(**block) for block in entry.pop("blocks", []))
    return Preset(
        **_with_tuples(entry),
        blocks=blocks,
        server=None if server is None else ServerCommand(**_with_tuples(server)),
        images=ImageLimits(**images | {"types": tuple(images.get("types", ()))}),
        prices={model: Price(*figures) for model, figures in prices.get("models", {}).items()},
        prices_read=prices.get("read", ""),
        prices_source=prices.get("source", ""),
    )


def _with_tuples(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
