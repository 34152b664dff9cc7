"""A model in one word, `PROVIDER:MODEL` or `PROVIDER:MODEL@ADDRESS`, as options take it: `openai:gpt-5-mini`."""

from __future__ import annotations

import os
import re
from typing import Any

from unisafe_providers.near_names import suggest
from unisafe_providers.registry import find_spec, list_names
from unisafe_providers.spec import ProviderSpec

from unisafe_async.errors import UsageError

SPEC = re.compile(r"(?P<provider>[\w.-]+):(?P<model>.+?)(?:@(?P<address>https?://\S+))?")
EXAMPLE = "openai:gpt-5-mini or vllm:Qwen/Qwen3-VL-8B-Instruct@http://localhost:8000/v1"
DRAWS = re.compile(r"image|dall-?e|flux|imagen|stable-diffusion|\bsd3|seedream|recraft|ideogram|photon|canvas|wan2|kolors", re.I)
"""Names of models that give images and no text; a model that gives both is written into bench.toml."""


def read_model_spec(words: str, option: str) -> dict[str, Any]:
    """The section of bench.toml for a model in one word, without its name. Raises UsageError with the option.

    A hosted model is taken to see images, and one whose name says so to draw them.
    """
    found = SPEC.fullmatch(words.strip())
    if found is None:
        raise UsageError(f"{option}: should look like {EXAMPLE}, found {words!r}")
    provider = found["provider"]
    spec = find_spec(provider)
    if spec is None:
        raise UsageError(f"{option}: {provider!r} is no provider; `unisafe providers` lists them{suggest(provider, list_names())}")
    section: dict[str, Any] = {"provider": provider, "model": found["model"]}
    if found["address"]:
        section["base_url"] = found["address"]
    section |= _read_place(spec, section, option)
    if spec.answers_from in ("endpoint", "simulation"):
        section["takes"] = ["text", "image"]
    if provider == "diffusers" or (spec.answers_from == "endpoint" and DRAWS.search(found["model"])):
        section["gives"] = ["image"]
    return section


PLACES = {"region": ("AWS_REGION", "AWS_DEFAULT_REGION"), "project": ("GOOGLE_CLOUD_PROJECT",)}
"""Keys from which a vendor's address follows, and the variables that say them for other tools too."""


def _read_place(spec: ProviderSpec[Any], section: dict[str, Any], option: str) -> dict[str, Any]:
    """Further keys without which a vendor's model cannot be asked: where it is, and the variable with its key.

    Raises UsageError if a word cannot say them and the environment does not.
    """
    vendor, address = spec.vendor, section.get("base_url")
    if vendor is None:
        return {}
    if address is not None:
        return {"key_env": vendor.key_env} if vendor.key_env and vendor.holds(address) else {}
    places = {key: next(filter(None, map(os.environ.get, names)), "") for key, names in PLACES.items() if key in spec.keys}
    words = f"{section['provider']}:{section['model']}"
    for key, found in places.items():
        if not found:
            raise UsageError(f"{option}: {words} needs a {key}: set {PLACES[key][0]}, or write `{key}` into bench.toml yourself")
    if not places and vendor.base_url is None and vendor.address is not None:
        raise UsageError(f"{option}: {vendor.title} has an address for each customer: {words}@{vendor.address} with yours in it")
    return {**places, "headers_env": {vendor.key_header: vendor.usual_variable(spec.name)}} if vendor.key_header else places


def name_models(sections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sections of `[[models]]` with a name each: the model's last part, with a number where two are alike."""
    named: list[dict[str, Any]] = []
    for section in sections:
        name = str(section["model"]).rstrip("/").rsplit("/", 1)[-1][:70]
        alike = sum(str(one["name"]).partition(" (")[0] == name for one in named)
        named.append({"name": f"{name} ({alike + 1})" if alike else name, **section})
    return named
