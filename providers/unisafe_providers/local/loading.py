"""Which engine runs a model of transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import transformers
from transformers.models.auto import modeling_auto

from unisafe_providers.local.engine import Engine
from unisafe_providers.local.failures import Unsupported
from unisafe_providers.local.gguf_loading import load_gguf
from unisafe_providers.local.language import LanguageEngine, build_weights_options
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.local.shieldgemma import ShieldGemmaEngine
from unisafe_providers.local.telling import following_bars
from unisafe_providers.local.unified import build_unified_engine

if TYPE_CHECKING:
    from unisafe_providers.local.device import Device


def load_language(settings: LocalSettings, device: Device) -> Engine:
    """Load a model of transformers and its processor. Raises Unsupported, or what transformers raises."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with following_bars():
        return load_gguf(settings, device, _load) if settings.gguf_file else _load(settings, device)


def _load(settings: LocalSettings, device: Device) -> Engine:
    source: dict[str, Any] = {"revision": settings.revision, "trust_remote_code": settings.trust_remote_code}
    if settings.gguf_file:
        source["gguf_file"] = settings.gguf_file
    config = transformers.AutoConfig.from_pretrained(settings.model, **source)
    if config.model_type == "shieldgemma2":
        return ShieldGemmaEngine(settings, device)
    loader = loader_of(config)
    if loader is transformers.AutoModelForCausalLM:
        if settings.sees:
            raise Unsupported(f'model type {config.model_type!r} takes no images; put takes = ["text"]')
        processor, tokenizer = None, transformers.AutoTokenizer.from_pretrained(settings.model, **source)
    else:
        processor = transformers.AutoProcessor.from_pretrained(settings.model, **source)
        tokenizer = getattr(processor, "tokenizer", processor)
    model = loader.from_pretrained(settings.model, config=config, **source, **build_weights_options(settings, device)).eval()
    device.check_placement(getattr(model, "hf_device_map", {}))
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    language = LanguageEngine(settings, device, model, processor, tokenizer)
    return build_unified_engine(language) if settings.draws else language


def loader_of(config: Any) -> Any:
    """The Auto class for a model's configuration. Raises Unsupported."""
    remote = getattr(config, "auto_map", None) or {}
    for loader, known in (
        (transformers.AutoModelForImageTextToText, modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING),
        (transformers.AutoModelForMultimodalLM, modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING),
        (transformers.AutoModelForCausalLM, modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING),
    ):
        if type(config) in known or loader.__name__ in remote:
            return loader
    raise Unsupported(
        f"model type {config.model_type!r} generates no text in transformers {transformers.__version__}; "
        'for a text-to-image pipeline put provider = "diffusers"'
    )
