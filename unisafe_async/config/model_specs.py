"""A model in one word, `PROVIDER:MODEL` or `PROVIDER:MODEL@ADDRESS`, as options take it: `openai:gpt-5-mini`."""

from __future__ import annotations

import re
from typing import Any

from unisafe_providers.near_names import suggest
from unisafe_providers.registry import find_spec, list_names

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
    if spec.answers_from in ("endpoint", "simulation"):
        section["takes"] = ["text", "image"]
    if provider == "diffusers" or (spec.answers_from == "endpoint" and DRAWS.search(found["model"])):
        section["gives"] = ["image"]
    return section


def name_models(sections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sections of `[[models]]` with a name each: the model's last part, with a number where two are alike."""
    named: list[dict[str, Any]] = []
    for section in sections:
        name = str(section["model"]).rstrip("/").rsplit("/", 1)[-1][:70]
        alike = sum(str(one["name"]).partition(" (")[0] == name for one in named)
        named.append({"name": f"{name} ({alike + 1})" if alike else name, **section})
    return named
