"""What must hold within one model's or judge's section of bench.toml: which keys go together, and with which provider."""

from __future__ import annotations

from urllib.parse import urlsplit

from providers.near_names import suggest
from providers.presets import presets
from providers.registry import RECORDED
from unisafe_async.addition_checks import mistakes_of_additions
from unisafe_async.secret_words import secrets_in
from unisafe_async.sections import EndpointSection, ModelSection

BATCHING = ("openai", "azure", "anthropic")
"""Vendors whose batch jobs we know how to hand over."""

ADDED = frozenset({"extra", "extra_chat", "extra_image", "extra_edit", "headers", "headers_env"})
REMOTE = frozenset({"rpm", "tpm", "images_per_minute"})
HOSTED = REMOTE | {"base_url", "key_env", "image_api", "structured", "timeout_s", "price_in", "price_out", "price_image"} | ADDED
SIMULATED = HOSTED | {"simulation"}
LOADED = frozenset(
    {"revision", "dtype", "device", "devices", "quantization", "trust_remote_code", "batch_size", "memory_gb", "extra"}
)
TRANSFORMERS = LOADED | {"gguf_file", "attn", "batch_tokens"}
DIFFUSERS = LOADED | {"steps", "guidance", "strength"}
OPENAI = HOSTED | {"api"}
AZURE = OPENAI | {"api_version"}
GEMINI = HOSTED - {"image_api"} | {"safety"}
ANTHROPIC = HOSTED - {"image_api"}
PLUGIN = REMOTE | {"base_url", "key_env", "timeout_s", "price_in", "price_out", "price_image", "options"}
OWN = SIMULATED | PLUGIN | AZURE | GEMINI | TRANSFORMERS | DIFFUSERS | {"images"}
"""Keys by the providers that they go with; all other keys go with every provider."""


def mistakes_of(endpoint: EndpointSection) -> list[str]:
    found = [*mistakes_of_additions(endpoint)]
    wires = {"openai": OPENAI, "azure": AZURE, "anthropic": ANTHROPIC, "gemini": GEMINI}
    allowed = {name: wires[preset.wire] for name, preset in presets().items()}
    allowed |= {"simulated": SIMULATED, RECORDED: frozenset({"images"}), "transformers": TRANSFORMERS, "diffusers": DIFFUSERS}
    batched = isinstance(endpoint, ModelSection) and endpoint.mode == "batch"
    if isinstance(endpoint, ModelSection):
        found += _mistakes_of_batching(endpoint)
    for key in sorted(endpoint.model_fields_set & OWN):
        if key == "batch_size" and batched:
            continue
        if key not in allowed.get(endpoint.provider, PLUGIN):
            takers = [name for name, keys in allowed.items() if key in keys]
            listed = " or ".join(f'"{name}"' for name in takers if len(takers) <= 4 or name not in presets() or name == "openai")
            if key == "options":
                found.append("options: goes with a provider of another package only; `unisafe providers` lists them")
                continue
            found.append(f"{key}: goes with provider = {listed}{' or another hosted one' if len(takers) > 4 else ''} only")
    if endpoint.preset is not None:
        found += _mistakes_of_hosted(endpoint)
    elif endpoint.provider == "simulated":
        from providers.simulated import PROFILES

        if endpoint.model not in PROFILES:
            close = suggest(endpoint.model, PROFILES)
            found.append(f"model: {endpoint.model!r} is no simulated profile; profiles are {', '.join(PROFILES)}{close}")
    elif endpoint.provider == RECORDED:
        if not isinstance(endpoint, ModelSection):
            found.append("provider: recorded answers are for models under test; a judge has to be asked")
    elif endpoint.local:
        found += _mistakes_of_local(endpoint)
    else:
        found += _mistakes_of_plugin(endpoint)
    return found


def _mistakes_of_batching(endpoint: ModelSection) -> list[str]:
    """What does not go together with batch jobs, and keys of theirs without them."""
    if endpoint.mode == "online":
        lone = sorted(endpoint.model_fields_set & {"batch_poll_s", "batch_discount"})
        return [f'{key}: goes with mode = "batch" only' for key in lone]
    found = []
    if endpoint.provider not in BATCHING:
        found.append(f'mode: no batch jobs with provider = "{endpoint.provider}"; they go with {", ".join(BATCHING)}')
    if "image" in endpoint.gives:
        found.append('gives: batch jobs carry chats only; put gives = ["text"], and ask for images in an entry of its own, online')
    if endpoint.api == "responses":
        found.append('api: batch jobs carry chat completions; put api = "chat"')
    if endpoint.api_version is not None:
        found.append("base_url: batch jobs go to the address of the whole resource: https://RESOURCE.openai.azure.com/openai/v1")
    return found


def _mistakes_of_hosted(endpoint: EndpointSection) -> list[str]:
    if not endpoint.base_url and endpoint.preset is not None and endpoint.preset.address:
        return [f"base_url: missing; {endpoint.preset.title} has an address for each customer: {endpoint.preset.address}"]
    try:
        url = urlsplit(endpoint.base_url)
    except ValueError:
        url = urlsplit("")
    if url.scheme not in ("http", "https") or not url.hostname:
        return [f"base_url: should be an address such as https://host/v1, found {endpoint.base_url!r}"]
    if url.username or url.password or url.query:
        return ["base_url: holds a user, a password or a query; keys go into a variable named by key_env"]
    if url.hostname == "api.openai.com" and not endpoint.variables:
        return ["key_env: missing; name the variable that holds the key, such as OPENAI_API_KEY"]
    if endpoint.preset is not None and endpoint.preset.wire != "openai" and not endpoint.variables and url.scheme == "https":
        return [f"key_env: missing; name the variable that holds the key for {url.hostname}, such as {endpoint.preset.key_env}"]
    if endpoint.preset is not None and endpoint.preset.wire == "anthropic" and "image" in getattr(endpoint, "gives", ()):
        return ['gives: Anthropic\'s models write text only; put gives = ["text"]']
    if "/deployments/" in url.path and endpoint.api_version is None:
        return [
            "api_version: missing; an address of one deployment needs it, such as 2024-10-21 (one that ends in /openai/v1 does not)"
        ]
    if endpoint.api_version is not None and "/deployments/" not in url.path:
        return [
            "api_version: goes with an address of one deployment only: https://RESOURCE.openai.azure.com/openai/deployments/NAME"
        ]
    return _mistakes_of_safety(endpoint)


def _mistakes_of_safety(endpoint: EndpointSection) -> list[str]:
    """What `safety` says that the vendor does not know."""
    assert endpoint.preset is not None
    categories, thresholds = endpoint.preset.safety_categories, endpoint.preset.safety_thresholds
    found = []
    for category, threshold in endpoint.safety.items():
        if category not in categories:
            near = suggest(f"HARM_CATEGORY_{category.upper().removeprefix('HARM_CATEGORY_')}", categories)
            found.append(f"safety.{category}: is no harm category; categories are {', '.join(categories)}{near}")
        elif threshold not in thresholds:
            near = suggest(threshold.upper(), thresholds)
            found.append(f"safety.{category}: {threshold!r} is no threshold; thresholds are {', '.join(thresholds)}{near}")
    return found


def _mistakes_of_plugin(endpoint: EndpointSection) -> list[str]:
    """What can be said without importing it; its own options are looked at when its provider is made."""
    found = [
        f"{place}: looks like a secret, and `options` is stored with each run; keys go into a variable named by key_env"
        for place in secrets_in(endpoint.options, "options")
    ]
    address = urlsplit(endpoint.base_url)
    if address.username or address.password or address.query:
        found.append("base_url: holds a user, a password or a query; keys go into a variable named by key_env")
    return found


def _mistakes_of_local(endpoint: EndpointSection) -> list[str]:
    found = []
    if {"device", "devices"} <= endpoint.model_fields_set:
        found.append("devices: stands beside `device`; keep one of the two")
    if len(set(endpoint.devices)) < len(endpoint.devices):
        found.append("devices: names a device twice")
    if endpoint.gguf_file and endpoint.quantization:
        found.append("quantization: a GGUF file is quantized already; keep one of the two")
    if endpoint.provider == "diffusers":
        if not isinstance(endpoint, ModelSection):
            found.append('provider: a diffusers pipeline writes no verdicts; judge with "transformers" or "openai"')
        elif "text" in endpoint.gives:
            found.append('gives: a diffusers pipeline gives images only; put gives = ["image"]')
    return found
