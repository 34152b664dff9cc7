"""The family of a model, by its name at the vendor: a judge may be too kind to its own family."""

from __future__ import annotations

import re
from functools import cache

FAMILIES = {
    "GPT": r"(?:chat)?gpt(?:-?\d+(?:\.\d+)?[a-z]?)?(?!-?(?:neox?|j|sw3|bigcode)(?![a-z]))(?![a-z0-9])"
    r"|^o[134](?![a-z0-9])|o[134]-(?:mini|pro|preview|deep)|dall-?e|codex-mini",
    "Claude": r"claude",
    "Gemini": r"gemini",
    "Gemma": r"(?:code|med|pali|shield|data|recurrent|embedding|translate|t5)?gemma",
    "Llama": r"(?:code)?llama|vicuna",
    "Mistral": r"mi[sx]tral(?:ai)?|(?:code|dev|pix|mini|magi|math|vox|lean)s?tral",
    "Qwen": r"qwen|qwq|qvq",
    "DeepSeek": r"deepseek",
    "GLM": r"(?:chat)?glm|cogvlm",
    "Kimi": r"kimi|moonshot(?:ai)?",
    "Grok": r"grok",
    "Phi": r"phi-?\d",
    "Command": r"command-(?:r|a|light|nightly)|c4ai|aya",
    "Nova": r"nova-(?:\d|micro|lite|pro|premier|canvas)",
    "Jamba": r"jamba",
    "SmolLM": r"smol(?:lm|vlm)",
    "InternVL": r"intern(?:vl|lm|-s1)",
    "MiniMax": r"minimax(?:ai)?",
    "MiniCPM": r"minicpm",
    "Hunyuan": r"hunyuan",
    "Doubao": r"doubao|seed-oss|seedream",
    "ERNIE": r"ernie",
    "Yi": r"yi-(?:\d|large|lightning|vision|vl|coder)",
    "Step": r"stepfun|step-?\d[ovx]|step-?\d\.\d",
    "Falcon": r"falcon",
    "OLMo": r"(?:m?olmo|tulu)",
    "Granite": r"granite",
    "Nemotron": r"nemotron",
    "Reka": r"reka",
    "Sonar": r"sonar",
    "EXAONE": r"exaone",
    "MiMo": r"mimo",
    "LLaVA": r"llava",
    "LFM": r"lfm",
}
"""How a name, or a word in it, begins; a number may follow, another letter may not (`gptq` is no GPT)."""


def family_of(model: str) -> str | None:
    """The family of `model`, its name at a vendor, a hub or in a file, such as `Qwen`; None if it is not known.

    The first known word decides (a `DeepSeek-R1-Distill-Qwen` is a DeepSeek). The last part of a path is read before the owner.
    """
    name = model.strip().lower()
    parts = [part for part in re.split(r"[/\\]", name) if part]
    owned = len(parts) == 2 and not name.startswith(("/", ".", "~"))
    hub = [part for part in parts if part.startswith("models--")]
    for part in [*parts[-1:], *(parts[:1] if owned else []), *hub]:
        found = _pattern().search(part)
        if found is not None and found.lastgroup is not None:
            return list(FAMILIES)[int(found.lastgroup.removeprefix("family"))]
    return None


@cache
def _pattern() -> re.Pattern[str]:
    """All families in one pattern, a named group each."""
    groups = "|".join(f"(?P<family{index}>{words})" for index, words in enumerate(FAMILIES.values()))
    return re.compile(rf"(?<![a-z0-9])(?:{groups})(?![a-z])")
