"""The kinds of judges by name: those that come with unisafe-async, and those that other packages bring.

A package brings one by an entry point in the group `unisafe.judges`, whose name is the kind and whose object is called with
`texts`, `images` (what `takes` says), `threshold` (or None) and the judge's `kind_options`, and returns a Classifier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unisafe_providers.plugins import Plugin, PluginError, discover_plugins
from unisafe_providers.settings import Service

from unisafe_judger.classifiers import Classifier, ClassifierError, LlamaGuard, Moderation, ShieldGemma
from unisafe_judger.scales import SAFETY

GROUP = "unisafe.judges"
RUBRIC = "rubric"


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeKind:
    """A kind of judge that comes with unisafe-async, and all that others need to know of it.

    Args:
        takes: the media that it accepts if `takes` of bench.toml does not say.
        build: builds the classifier from whether it takes texts, whether it takes images, and the threshold; None for the judge
            that goes by the rubrics.
        narrow: whether it accepts nothing but `takes`.
        scores: whether it gives a probability, so that a threshold means something.
        service: what it asks its model for.
        needs: why only providers with that service can run it.
        free: whether its calls cost nothing.
    """

    takes: tuple[str, ...]
    build: Callable[[bool, bool, float | None], Classifier] | None = None
    narrow: bool = False
    scores: bool = False
    service: Service = "chat"
    needs: str = ""
    free: bool = False


KINDS: Mapping[str, JudgeKind] = {
    RUBRIC: JudgeKind(takes=("text", "image")),
    "llama_guard": JudgeKind(takes=("text",), build=lambda texts, images, _: LlamaGuard(texts, images)),
    "shieldgemma": JudgeKind(
        takes=("image",),
        build=lambda _texts, _images, threshold: ShieldGemma(threshold=0.5 if threshold is None else threshold),
        narrow=True,
        scores=True,
        service="classification",
        needs="shieldgemma runs on this machine only",
    ),
    "moderation": JudgeKind(
        takes=("text", "image"),
        build=lambda texts, images, threshold: Moderation(texts=texts, images=images, threshold=threshold),
        scores=True,
        service="moderation",
        needs="the moderation endpoint is OpenAI's",
        free=True,
    ),
}
"""The kinds that need no other package, by name."""


def service_of(kind: str) -> Service:
    """What a judge of that kind asks its model for."""
    return KINDS[kind].service if kind in KINDS else "chat"


def discover_kinds() -> dict[str, Plugin]:
    """The kinds that other packages bring; they cannot replace ours."""
    return {name: plugin for name, plugin in discover_plugins(GROUP, KINDS).items() if name not in KINDS}


def classifier_of(
    kind: str, takes: frozenset[str], threshold: float | None = None, options: Mapping[str, Any] | None = None
) -> Classifier:
    """The classifier of a kind. Raises ClassifierError if a package's classifier cannot be built."""
    texts, images = "text" in takes, "image" in takes
    ours = KINDS.get(kind)
    if ours is not None and ours.build is not None:
        return ours.build(texts, images, threshold)
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
        given = type(made).__name__
        raise ClassifierError(f"the plugin {kind!r} of {plugin.origin} should give a unisafe_judger.Classifier, not {given}")
    if not made.scale.labels <= SAFETY.labels:
        words = ", ".join(made.scale.words.values())
        due = "unisafe_judger.SAFETY: unsafe or safe"
        raise ClassifierError(f"the plugin {kind!r} of {plugin.origin} answers {words}; rows hold {due}")
    return made
