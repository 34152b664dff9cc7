"""The kinds of judges by name: those that come with unisafe-async, and those that other packages bring.

A package brings one by an entry point in the group `unisafe.judges`, whose name is the kind and whose object is called with
`texts`, `images` (what `takes` says), `threshold` (or None) and the judge's `kind_options`, and returns a Classifier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from unisafe_providers.plugins import Plugin, PluginError, discover_plugins
from unisafe_providers.settings import Service

from unisafe_judger.classifiers import Classifier, ClassifierError, LlamaGuard, Moderation, ShieldGemma
from unisafe_judger.scales import SAFETY

GROUP = "unisafe.judges"
RUBRIC = "rubric"
BUILT_IN: Mapping[str, tuple[str, ...]] = {
    RUBRIC: ("text", "image"),
    "llama_guard": ("text",),
    "shieldgemma": ("image",),
    "moderation": ("text", "image"),
}
"""The kinds, and what each takes if `takes` does not say."""
SCORED = frozenset({"shieldgemma", "moderation"})
SERVICES: Mapping[str, Service] = {"shieldgemma": "classification", "moderation": "moderation"}
"""What a kind asks its model for, where that is no chat."""


def service_of(kind: str) -> Service:
    """What a judge of that kind asks its model for."""
    return SERVICES.get(kind, "chat")


def discover_kinds() -> dict[str, Plugin]:
    """The kinds that other packages bring; they cannot replace ours."""
    return {name: plugin for name, plugin in discover_plugins(GROUP, BUILT_IN).items() if name not in BUILT_IN}


def classifier_of(
    kind: str, takes: frozenset[str], threshold: float | None = None, options: Mapping[str, Any] | None = None
) -> Classifier:
    """The classifier of a kind. Raises ClassifierError if a package's classifier cannot be built."""
    texts, images = "text" in takes, "image" in takes
    if kind == "llama_guard":
        return LlamaGuard(texts, images)
    if kind == "shieldgemma":
        return ShieldGemma(threshold=0.5 if threshold is None else threshold)
    if kind == "moderation":
        return Moderation(texts=texts, images=images, threshold=threshold)
    plugin = discover_kinds().get(kind)
    if plugin is None:
        raise ClassifierError(f"{kind!r} is no kind of judge")
    try:
        make: Callable[..., object] = plugin.load()
    except PluginError as error:
        raise ClassifierError(str(error)) from error
    try:
        made = make(texts=texts, images=images, threshold=threshold, **(options or {}))
    except Exception as error:
        raise ClassifierError(f"the plugin {kind!r} of {plugin.origin} cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(made, Classifier):
        raise ClassifierError(f"the plugin {kind!r} of {plugin.origin} should give a judger.Classifier, not {type(made).__name__}")
    if not made.scale.labels <= SAFETY.labels:
        words = ", ".join(made.scale.words.values())
        raise ClassifierError(f"the plugin {kind!r} of {plugin.origin} answers {words}; rows hold judger.SAFETY: unsafe or safe")
    return made
