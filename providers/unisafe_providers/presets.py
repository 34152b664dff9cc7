"""Vendors and local servers that bench.toml can name; vendors/NAME.toml holds the data about each."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal
from urllib.parse import urlsplit

from unisafe_providers.batch_rules import BatchRules, read_batch_rules
from unisafe_providers.images import ImageLimits
from unisafe_providers.prices import Price as Price

Checked = Literal["called", "recorded", "documented"]
"""How a vendor's ways are known: by calls of ours, by somebody else's recorded answers, or by its documents."""
Means = Literal["blocked/request", "blocked/response", "blocked", "refused"]
"""The outcome of an answer that a filter stopped, with the stage where it is told, or of one that the model refused."""
FOLDER = files("unisafe_providers").joinpath("vendors")
ADDRESS = re.compile(r'^base_url = "([^"]+)"', re.M)
"""The address in a vendor's file, for who looks for hosts alone: to parse all files would take ten times as long."""
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]+")
"""What each customer fills in where an address has a form only."""


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
        means: the outcome that it has.
        checked: how it is known.
        source: where it was read.
        status, body: an answer of that kind, as JSON, which tests play; empty where a test of the vendor's own plays it.
        asks: what such an answer was for: words, or an image.
        section: further keys of a section that is answered so, such as its `model`.
    """

    looks: str
    means: Means
    checked: Checked = "documented"
    source: str = ""
    status: int = 200
    body: str = ""
    asks: Literal["text", "image"] = "text"
    section: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One vendor.

    Args:
        title: what people call it.
        wire: the protocol that it speaks: the name of the provider whose room speaks it (unisafe_providers/registry.py).
        gateway: whether it passes requests on to other vendors.
        note: what somebody who chooses it should know first.
        base_url: its address; None if each customer has an address of their own, and then `address` shows its form.
        source, read: where and when that was read.
        checked: how its ways are known.
        also_called: other names that people try.
        key_env: the variable that usually holds the key; None for a server that needs no key.
        key_hosts: hosts of its own that get the key too: one by its name, or all below `.name`.
        headers: headers that it takes and what each is for, by name; `headers` or `headers_env` of bench.toml send them.
        api: how its models are asked for words.
        gives: what its models give: `text`, `image`.
        image_api: how its models are asked for images.
        image_wire, image_base_url: protocol and address of its models that give images only, if chats have others; else empty.
        edit_body: how it takes images to edit: `form` (an upload, as OpenAI does) or `json` (data URLs).
        names: its own names of parameters, if they differ.
        image_leaves_out: fields of a request for images that it refuses.
        limits_per: the window of the limits in its rate headers, if the headers do not say it.
        limits_source: where that was read.
        batches: whether it takes batch jobs that we can hand over.
        batch: what it says of them.
        max_concurrency: calls at once that such a server takes well; None leaves it to the default.
        images: the limits of images in requests.
        safety_categories, safety_thresholds: the values that `safety` may have; empty if the vendor has no such settings.
        blocks: how each of its blocks looks.
        no_filter: why none is listed, if no filter of its own is known.
        server: how a run can start it, if it is a server that runs on this machine.
        prices: the prices of models that the common table lacks (price_table.py), by their names at the vendor, as
            `prices_source` gave them on `prices_read`.
    """

    title: str
    wire: str
    gateway: bool = False
    note: str = ""
    base_url: str | None = None
    address: str | None = None
    source: str = ""
    read: str = ""
    checked: Checked = "documented"
    also_called: tuple[str, ...] = ()
    key_env: str | None = None
    key_hosts: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    api: Literal["chat", "responses"] = "chat"
    gives: tuple[Literal["text", "image"], ...] = ("text",)
    image_api: Literal["images", "chat"] = "images"
    image_wire: str = ""
    image_base_url: str = ""
    edit_body: Literal["form", "json"] = "form"
    names: dict[str, str] = field(default_factory=dict)
    image_leaves_out: tuple[Literal["seed", "size"], ...] = ()
    limits_per: Literal["minute", "requests a day", "unknown"] = "minute"
    limits_source: str = ""
    batches: bool = False
    batch: BatchRules = field(default_factory=BatchRules)
    max_concurrency: int | None = None
    images: ImageLimits = field(default_factory=ImageLimits)
    safety_categories: tuple[str, ...] = ()
    safety_thresholds: tuple[str, ...] = ()
    blocks: tuple[KnownBlock, ...] = ()
    no_filter: str = ""
    server: ServerCommand | None = None
    prices: dict[str, Price] = field(default_factory=dict)
    prices_read: str = ""
    prices_source: str = ""

    @property
    def is_own_server(self) -> bool:
        """Whether it is a server that people run themselves: its usual address is this machine, and it asks nobody else."""
        return self.base_url is not None and urlsplit(self.base_url).hostname == "localhost" and not self.gateway

    @property
    def key_header(self) -> str:
        """The header of its own that takes the key, where no `key_env` does; empty for none."""
        own = (name for name, words in self.headers.items() if "headers_env" in words and self.key_env is None)
        return next(own, "")

    def usual_variable(self, name: str) -> str:
        """The variable that usually holds the key of the vendor that bench.toml calls `name`."""
        return self.key_env or f"{name.upper().replace('-', '_')}_API_KEY"

    def find_blank(self, address: str) -> str:
        """The first word that each customer fills in and that `address` has still, such as `WORKSPACE`; empty for none."""
        words = PLACEHOLDER.findall(self.address or "")
        return next((word for word in words if word in re.split(r"[./]", address)), "")

    def holds(self, address: str) -> bool:
        """Whether `address` is the vendor's own: its one address, or of the form that its customers' addresses have."""
        if self.base_url is not None or self.address is None:
            return address.rstrip("/") == self.base_url
        form = "[^/]+".join(re.escape(part) for part in PLACEHOLDER.split(self.address))
        return re.fullmatch(form, address.rstrip("/")) is not None


def list_presets() -> list[str]:
    """The names of all presets, in their order, without a look into their files."""
    return list(_list_files())


@cache
def load_preset(name: str) -> Preset | None:
    """The preset of that name; None for another name."""
    file = _list_files().get(name)
    return None if file is None else _read_preset(tomllib.loads(file.read_text("utf-8")))


def load_presets() -> dict[str, Preset]:
    """All presets by name, in the order of their names."""
    return {name: preset for name in list_presets() if (preset := load_preset(name)) is not None}


def find_preset(address: str) -> Preset | None:
    """The vendor whose host `address` names; None for other hosts, and for those of this machine."""
    try:
        host = urlsplit(address).hostname
    except ValueError:
        return None
    name = _index_hosts().get(host or "")
    return None if name is None else load_preset(name)


@cache
def _list_files() -> dict[str, Traversable]:
    return dict(sorted((file.name.removesuffix(".toml"), file) for file in FOLDER.iterdir() if file.name.endswith(".toml")))


@cache
def _index_hosts() -> dict[str, str]:
    """The names of presets by their hosts."""
    found = {name: ADDRESS.search(file.read_text("utf-8")) for name, file in _list_files().items()}
    hosts = {urlsplit(address[1]).hostname or "": name for name, address in found.items() if address is not None}
    return {host: name for host, name in hosts.items() if host not in ("", "localhost")}


def _read_preset(entry: dict[str, Any]) -> Preset:
    images, prices, server = entry.pop("images", {}), entry.pop("prices", {}), entry.pop("server", None)
    blocks = tuple(KnownBlock(**block) for block in entry.pop("blocks", []))
    batch = read_batch_rules(entry.pop("batch", {}))
    return Preset(
        **_with_tuples(entry),
        blocks=blocks,
        batch=batch,
        server=None if server is None else ServerCommand(**_with_tuples(server)),
        images=ImageLimits(**images | {"types": tuple(images.get("types", ()))}),
        prices={model: Price(*figures) for model, figures in prices.get("models", {}).items()},
        prices_read=prices.get("read", ""),
        prices_source=prices.get("source", ""),
    )


def _with_tuples(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
