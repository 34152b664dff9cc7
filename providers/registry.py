"""Every provider that bench.toml can name: the built-in ones, and those that installed packages bring.

A package names a callable under the entry point group `unisafe.providers`: `(settings: ProviderSettings, **options) -> Provider`,
most often the provider's class. Metadata is read when a name is not built in or when all are listed; a plugin is imported when a
model is made with it.
"""

from __future__ import annotations

from collections.abc import Mapping

from providers.base import Provider
from providers.options import checked_options
from providers.plugins import Plugin, PluginError, found
from providers.presets import presets
from providers.settings import ProviderSettings
from providers.soundness import wrong_with_provider

GROUP = "unisafe.providers"
SIMULATED = "simulated"
RECORDED = "recorded"
ON_DEVICE = ("transformers", "diffusers")


def built_in() -> list[str]:
    """The names that need no other package."""
    return [*presets(), SIMULATED, RECORDED, *ON_DEVICE]


def plugins() -> dict[str, Plugin]:
    """Every installed plugin by name, also those that cannot be used."""
    return found(GROUP, built_in())


def plugin_of(name: str) -> Plugin | None:
    """The plugin that brings `name`; None for a built-in provider's name or one that nobody brings."""
    return None if name in built_in() else plugins().get(name)


def names() -> list[str]:
    """Everything that `provider = ...` may say."""
    return list(dict.fromkeys([*built_in(), *plugins()]))


def made(plugin: Plugin, settings: ProviderSettings, options: Mapping[str, object]) -> Provider:
    """The plugin's provider. Raises PluginError, with the key of bench.toml, for whatever keeps it from being one."""
    make = plugin.load()
    whose = f"the plugin {plugin.name!r} of {plugin.origin}"
    try:
        arguments = checked_options(make, options)
    except PluginError as error:
        raise PluginError(str(error) if error.key != "provider" else f"{whose} cannot be used: {error}", error.key) from None
    try:
        provider = make(settings, **arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and a CancelledError of its own too: nothing is awaited here
        words = _without(settings.key, " ".join(f"{type(error).__name__}: {error}".split()))
        raise PluginError(f"{whose} made no provider: {words}") from None
    wrong = wrong_with_provider(provider, settings.key)
    if wrong:
        raise PluginError(f"{whose} made no provider: {wrong}")
    return provider  # type: ignore[no-any-return]


def _without(key: str | None, words: str) -> str:
    return words.replace(key, "[key]") if key else words
