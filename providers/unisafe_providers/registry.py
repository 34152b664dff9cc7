"""Every provider that bench.toml can name: ours, vendors on the wires of ours, and those of installed packages.

All are entry points of the group `unisafe.providers`. An entry point names a ProviderSpec (spec.py), or a plain callable,
`(settings: ProviderSettings, **options) -> Provider`, most often a provider's class. A vendor of vendors/ needs none: it is the
provider that speaks its wire, with the vendor's data. Each is imported when bench.toml names it.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache, lru_cache, partial
from typing import Annotated, Any, Literal

from pydantic import Field

from unisafe_providers.base import Provider
from unisafe_providers.endpoint_options import EndpointOptions
from unisafe_providers.near_names import find_nearest
from unisafe_providers.options import check_options
from unisafe_providers.own_entries import read_own_entries
from unisafe_providers.plugins import Plugin, PluginError, discover_plugins
from unisafe_providers.presets import list_presets, load_preset, load_presets
from unisafe_providers.replicas import Replicas
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.soundness import find_provider_fault
from unisafe_providers.spec import AnswersFrom, Options, ProviderSpec

GROUP = "unisafe.providers"
SERVER = "server"
"""The room of servers that a run can start itself."""


class CallableOptions(EndpointOptions):
    """The keys of a plugin that is a plain callable: what else it takes stands in a table of its own."""

    devices: list[str] = Field([], description="of a model that the plugin runs on this machine: its devices, told to the plugin")
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field("auto", description="of such a model: requests in a batch")
    structured: bool = Field(True, description="whether a judge is asked for JSON by schema")
    extra: dict[str, Any] = Field({}, description="more arguments of every request; the plugin puts them into its identity")
    options: dict[str, Any] = Field(
        {},
        description="what a plugin takes beyond these keys (`unisafe providers` lists them; [providers](providers.md)); part of "
        "what is stored, so no secrets",
    )


@cache
def read_rooms() -> dict[str, Plugin]:
    """The entry points of our own providers by name."""
    return {entry.name: entry for entry in read_own_entries(GROUP)}


def list_built_in() -> list[str]:
    """The names that need no other package."""
    return list(dict.fromkeys([*list_presets(), *read_rooms()]))


def list_plugins() -> dict[str, Plugin]:
    """Every installed plugin by name, also those that cannot be used."""
    return discover_plugins(GROUP, list_built_in())


def plugin_of(name: str) -> Plugin | None:
    """The plugin that provides `name`; None for a built-in provider's name or an unknown name."""
    return None if name in list_built_in() else list_plugins().get(name)


def list_names() -> list[str]:
    """All names that `provider = ...` may have."""
    return list(dict.fromkeys([*list_built_in(), *list_plugins()]))


def find_spec(name: str) -> ProviderSpec[Any] | None:
    """What the provider `name` says of itself; None for a name that nobody has.

    A plugin that cannot be loaded is taken for a plain callable here: `build_provider` says what is wrong with it.
    """
    if name in list_built_in():
        return built_in_spec(name)
    plugin = list_plugins().get(name)
    return None if plugin is None else _plugin_spec(plugin, tuple(sys.path))


def describe_unknown(name: str) -> str:
    """What to say of a name that no provider has: whose name or other name it is near to, else all names."""
    owners: dict[str, list[str]] = {known: [known] for known in list_names()}
    for known, preset in load_presets().items():
        for other in preset.also_called:
            owners.setdefault(other, []).append(known)
    near = find_nearest(name.lower(), owners)
    if near:
        return f"{name!r} is no provider; `unisafe providers` lists them; did you mean {' or '.join(owners[near])}?"
    return f"{name!r} is no provider; providers are {', '.join(list_names())}"


def find_takers(key: str) -> list[ProviderSpec[Any]]:
    """Our own providers whose option `key` is; all of them are imported for that."""
    return [spec for spec in map(built_in_spec, list_built_in()) if key in spec.keys]


def answers_from(name: str) -> AnswersFrom:
    """Where the answers of the provider `name` come from, without importing a plugin; `name` may be of an older run."""
    return built_in_spec(name).answers_from if name in list_built_in() else "endpoint"


def build_provider(spec: ProviderSpec[Any], settings: ProviderSettings, options: Options) -> Provider:
    """The provider of one section. Raises PluginError, with the key of bench.toml, where a plugin cannot make it."""
    if not isinstance(options, EndpointOptions) or not options.replicas:
        return _build_one(spec, settings, options)
    providers = [
        _build_one(spec, replace(settings, base_url=address), options.model_copy(update={"base_url": address, "replicas": []}))
        for address in options.addresses
    ]
    return Replicas(providers, options.addresses, settings.max_connections)


def _build_one(spec: ProviderSpec[Any], settings: ProviderSettings, options: Options) -> Provider:
    if spec.plugin is None:
        return spec.build(settings, options)
    if spec.answers_from not in ("endpoint", "device"):  # a report could not tell that once the package is gone
        raise PluginError(f"the plugin {spec.name!r} of {spec.plugin.origin} answers from a {spec.answers_from}, as only ours may")
    return _guarded(spec.plugin, settings, partial(spec.build, settings, options))


@cache
def built_in_spec(name: str) -> ProviderSpec[Any]:
    """What the built-in provider `name` says of itself."""
    vendor = load_preset(name)
    room = _room(name if vendor is None else SERVER if vendor.server is not None else vendor.wire)
    if vendor is None:
        return room
    known: dict[str, Any] = {"max_concurrency": vendor.max_concurrency}
    if vendor.image_api != "images":
        known["image_api"] = vendor.image_api
    if vendor.api != "chat":
        known["api"] = vendor.api
    defaults = {key: value for key, value in known.items() if value is not None}
    return replace(
        room,
        name=name,
        title=vendor.title,
        vendor=vendor,
        batches=room.batches and vendor.batches,
        defaults={**room.defaults, **defaults},
    )


def _room(name: str) -> ProviderSpec[Any]:
    spec = read_rooms()[name].load()
    assert isinstance(spec, ProviderSpec), f"{read_rooms()[name].target} is no ProviderSpec"
    return spec


@lru_cache(maxsize=64)
def _plugin_spec(plugin: Plugin, _path: tuple[str, ...]) -> ProviderSpec[Any]:
    """What a plugin says of itself; read once for each import path, also where it cannot be loaded."""
    try:
        loaded = plugin.load()
    except PluginError:
        loaded = None
    if isinstance(loaded, ProviderSpec) and isinstance(loaded.options, type) and issubclass(loaded.options, Options):
        return replace(loaded, name=plugin.name, plugin=plugin)
    return ProviderSpec(name=plugin.name, title=plugin.name, options=CallableOptions, build=partial(_call, plugin), plugin=plugin)


def _call(plugin: Plugin, settings: ProviderSettings, options: CallableOptions) -> Provider:
    """The provider that a plain callable makes."""
    make = plugin.load()
    try:
        arguments = check_options(make, options.options)
    except PluginError as error:
        whose = f"the plugin {plugin.name!r} of {plugin.origin}"
        raise PluginError(str(error) if error.key != "provider" else f"{whose} cannot be used: {error}", error.key) from None
    provider: Provider = make(settings, **arguments)
    return provider


def _guarded(plugin: Plugin, settings: ProviderSettings, make: Any) -> Provider:  # noqa: ANN401 a callable without arguments
    """What `make` gives, if it is a provider. Raises PluginError for whatever keeps it from being one."""
    whose = f"the plugin {plugin.name!r} of {plugin.origin}"
    try:
        provider = make()
    except (KeyboardInterrupt, PluginError):
        raise
    except BaseException as error:  # SystemExit and a CancelledError of its own too: nothing is awaited here
        words = _without(settings.key, " ".join(f"{type(error).__name__}: {error}".split()))
        raise PluginError(f"{whose} made no provider: {words}") from None
    wrong = find_provider_fault(provider, settings.key)
    if wrong:
        raise PluginError(f"{whose} made no provider: {wrong}")
    return provider  # type: ignore[no-any-return]


def _without(key: str | None, words: str) -> str:
    return words.replace(key, "[key]") if key else words
