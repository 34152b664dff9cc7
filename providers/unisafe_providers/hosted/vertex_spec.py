"""The spec of Vertex AI: its keys in bench.toml, and which of its three ways a model is asked by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from unisafe_providers.base import Provider
from unisafe_providers.endpoint_options import VendorOptions
from unisafe_providers.hosted.gemini_spec import find_safety_mistakes
from unisafe_providers.hosted.google_tokens import SIGNING
from unisafe_providers.hosted.vendor_arguments import build_hosted_options
from unisafe_providers.presets import Preset, load_presets
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Declared, ProviderSpec

Family = Literal["gemini", "claude", "imagen"]
NO_PROJECT = (
    "project: missing; put the id of your Google Cloud project, as GOOGLE_CLOUD_PROJECT has it "
    "(only an API key of express mode, in a variable named by key_env, needs none)"
)
ADDRESS = "https://aiplatform.googleapis.com/v1"
GOOGLE = ".googleapis.com"
HERE = frozenset({"localhost", "127.0.0.1", "::1"})
OWN_KEYS: dict[str, tuple[Family, ...]] = {
    "safety": ("gemini",),
    "safety_method": ("gemini",),
    "model_armor": ("gemini",),
    "person_generation": ("gemini", "imagen"),
    "safety_setting": ("imagen",),
}
"""Keys that some families have only."""


def locate(location: str) -> str:
    """The address of a location: `global`, a multi-region (`us`, `eu`) or a region such as `europe-west4`."""
    if location == "global":
        return ADDRESS
    if location in ("us", "eu"):
        return f"https://aiplatform.{location}.rep.googleapis.com/v1"
    return f"https://{location}-aiplatform.googleapis.com/v1"


class VertexOptions(VendorOptions):
    """The keys of a model at Vertex AI."""

    KEY_EVERYWHERE: ClassVar[bool] = False

    project: str = Field(
        "",
        pattern=r"^[a-z0-9.:-]*$",
        examples=["my-project"],
        description="the id of your Google Cloud project; not needed with an API key of express mode",
    )
    location: str = Field(
        "global", pattern=r"^[a-z0-9-]+$", examples=["europe-west4"], description="where the model is asked; the address follows it"
    )
    family: Family | None = Field(
        None,
        description="how the model is asked: `gemini` (generateContent), `claude` (rawPredict) or `imagen` (predict); unless set, "
        "its name tells",
    )
    safety: dict[str, str] = Field({}, description="of Gemini: threshold by harm category ([hosted models](hosted-models.md))")
    safety_method: Literal["SEVERITY", "PROBABILITY"] | None = Field(
        None, description="of Gemini: what the thresholds of `safety` are compared with; else Google's choice"
    )
    model_armor: dict[Literal["prompt", "response"], str] = Field(
        {},
        examples=['{ prompt = "projects/P/locations/L/templates/T" }'],
        description="of Gemini: names of Model Armor templates that check prompts and responses",
    )
    person_generation: Literal["dont_allow", "allow_adult", "allow_all"] | None = Field(
        None, description="of models that draw: whether they draw people; else Google's choice"
    )
    safety_setting: Literal["block_low_and_above", "block_medium_and_above", "block_only_high", "block_none"] | None = Field(
        None, description="of Imagen: how strictly its pictures are filtered; else Google's choice"
    )

    @model_validator(mode="before")
    @classmethod
    def _place_address(cls, given: Any) -> Any:  # noqa: ANN401 whatever stands in the file
        """The address of `location`, unless the file names another one."""
        if (
            not isinstance(given, dict)
            or given.get("base_url") not in (None, "", ADDRESS)
            or not isinstance(given.get("location"), str)
        ):
            return given
        return {**given, "base_url": locate(given["location"])}

    def stands_at(self, vendor: Preset | None) -> bool:
        return super().stands_at(vendor) or self.base_url == locate(self.location)

    def find_family(self, model: str) -> Family:
        """How `model` is asked."""
        name = model.rpartition("/")[2].lower()
        return self.family or ("claude" if name.startswith("claude") else "imagen" if name.startswith("imagen") else "gemini")

    def _mistake_of_address(self, vendor: Preset | None) -> str:
        wrong = super()._mistake_of_address(vendor)
        signs = self.key_env is not None or any(name.lower() in SIGNING for name in self.headers_env)
        if wrong or signs:
            return wrong
        host = urlsplit(self.base_url).hostname or ""
        if not host.endswith(GOOGLE) and host not in HERE:
            return f"key_env: missing; the Google credentials of this machine go to Google's own addresses only, not to {host}"
        return "" if self.project or "/projects/" in self.base_url else NO_PROJECT

    def _find_more(self, declared: Declared) -> Iterator[str]:
        family = self.find_family(declared.model)
        if family == "claude" and "image" in declared.gives:
            yield 'gives: Anthropic\'s models write text only; put gives = ["text"]'
        if family == "imagen" and "text" in declared.gives:
            yield 'gives: Imagen draws only; put gives = ["image"]'
        if family == "imagen" and declared.judges:
            yield "model: Imagen draws only, so it cannot judge"
        yield from find_safety_mistakes(self.safety, declared.vendor)
        if self.safety_method and not self.safety:
            yield "safety_method: says what the thresholds of `safety` are compared with, and there are none"
        for key, families in OWN_KEYS.items():
            if getattr(self, key) and family not in families:
                yield f"{key}: goes with models of {' and '.join(families)} only; {declared.model!r} is asked as {family}"


def build(settings: ProviderSettings, options: VertexOptions) -> Provider:
    """A model that is asked in the way of its family."""
    from unisafe_providers.hosted import vertex

    family = options.find_family(settings.model)
    if family == "claude":
        settings = replace(settings, vendor=load_presets()["anthropic"])  # whose limits of images hold there too
    place = (settings.model, options.base_url, settings.key or "" if options.key_env else "", settings.capabilities)
    known: dict[str, Any] = {
        **build_hosted_options(settings, options),
        "project": options.project,
        "location": options.location,
    }
    match family:
        case "claude":
            return vertex.VertexClaude(*place, **known)
        case "imagen":
            known |= {"safety_setting": options.safety_setting or "", "person_generation": options.person_generation or ""}
            return vertex.VertexImagen(*place, **known)
        case "gemini":
            return vertex.VertexGemini(
                *place,
                safety=options.safety,
                safety_method=options.safety_method or "",
                model_armor={str(stage): template for stage, template in options.model_armor.items()},
                person_generation=options.person_generation or "",
                **known,
            )


VERTEX = ProviderSpec(
    name="vertex",
    title="Google Vertex AI",
    options=VertexOptions,
    build=build,
    key_header="authorization",
    unlisted="Vertex AI lists no models",
)
