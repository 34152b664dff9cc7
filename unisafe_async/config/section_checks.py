"""What must hold within one model's or judge's section of bench.toml; what goes with one provider alone, that provider says."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from unisafe_providers.near_names import suggest
from unisafe_providers.registry import built_in_spec, find_takers, list_built_in

from unisafe_async.config.addition_checks import mistakes_of_additions
from unisafe_async.config.endpoint_sections import EndpointSection
from unisafe_async.config.sections import ModelSection

FEW = 4
"""Providers that are all named where a key goes with them."""


def mistakes_of(endpoint: EndpointSection) -> list[str]:
    """Each mistake with its key in the section."""
    found = [*mistakes_of_additions(endpoint), *(f"{key}: {_words_of_foreign(endpoint, key)}" for key in endpoint.foreign)]
    if isinstance(endpoint, ModelSection):
        found += _mistakes_of_batching(endpoint)
    elif endpoint.spec.judges_not:
        return [*found, f"provider: {endpoint.spec.judges_not}"]
    return [*found, *endpoint.find_mistakes_of_options()]


def _mistakes_of_batching(endpoint: ModelSection) -> Iterator[str]:
    """Keys that do not go with batch jobs, and keys for batch jobs without batch mode."""
    if endpoint.mode == "online":
        for key in sorted(endpoint.model_fields_set & {"batch_poll_s", "batch_discount", "batch_size"} - {*endpoint.spec.keys}):
            yield f'{key}: goes with mode = "batch" only' + (f", or with {describe_takers(key)}" if key == "batch_size" else "")
        return
    if not endpoint.spec.batches:
        able = [name for name in list_built_in() if built_in_spec(name).batches]
        yield f'mode: no batch jobs with provider = "{endpoint.provider}"; they go with {", ".join(able)}'
    elif "image" in endpoint.takes and endpoint.dialect is not None and not endpoint.dialect.batch.pictures:
        yield (
            f'takes: batch jobs of {endpoint.dialect.title} hold no images; put takes = ["text"], and ask about images in an entry '
            "of its own, online"
        )
    if "image" in endpoint.gives:
        yield 'gives: batch jobs carry chats only; put gives = ["text"], and ask for images in an entry of its own, online'


OPTIONS = (
    'goes with provider = "command", or with a provider of another package that has no keys of its own; '
    "`unisafe providers` lists them"
)
"""Of the table `options`: what commands and plain callables take."""


def _words_of_foreign(endpoint: EndpointSection, key: str) -> str:
    """With whom a key goes that this provider has not."""
    takers = describe_takers(key)
    if not takers or key == "options":
        return OPTIONS
    return f"goes with {takers} only{suggest(key, endpoint.spec.keys)}{describe_extra(key, endpoint.spec.keys)}"


def describe_extra(key: str, keys: Collection[str]) -> str:
    """Where a field of a vendor's own requests goes, to end a message about `key` with; empty where no key takes such fields."""
    return f"; a field of the endpoint's own requests goes into `extra`: extra = {{ {key} = ... }}" if "extra_chat" in keys else ""


def describe_takers(key: str) -> str:
    """The providers of ours that take the option `key`, in words such as `provider = "azure"`; empty if none takes it."""
    takers = find_takers(key)
    if not takers:
        return ""
    vendors = sorted((spec for spec in takers if spec.vendor is not None), key=lambda spec: spec.name != "openai")
    few = takers if len(takers) <= FEW else [*vendors[:1], *(spec for spec in takers if spec.vendor is None)]
    others = " or another hosted one" if len(few) < len(takers) else ""
    return "provider = " + " or ".join(f'"{spec.name}"' for spec in few) + others
