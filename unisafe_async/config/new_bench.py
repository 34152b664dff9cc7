"""Writes a new bench.toml: an example of the package, or one made of models in one word."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from unisafe_providers.registry import find_spec

EXAMPLES = {
    "sample": "models and judge are simulated: it needs no key and no network",
    "commercial-and-open": "a model that is bought, beside one on a server of your own",
    "paper": "the sixteen models of the paper's table",
}
SIMULATED_JUDGE = {"provider": "simulated", "model": "judge"}
HEAD = """\
# `unisafe plan` says what this costs, `unisafe doctor` whether it would work, `unisafe run` starts it.
# Every key: docs/bench.md. A key of a vendor never stands here: it is in the variable that key_env names.

[dataset]
source = {source}{gated}

[generation]
max_tokens = 1024                    # of an answer

# [run]
# budget_usd = 10.0                  # no call is made that could exceed it; needs the price of every model

# [gate]                             # bounds for `unisafe gate`
# max_c_u = 5
"""
GATED = '                    # mild items of our own; or a folder, a .jsonl file, "hf:Hades2002/Uni-SafeBench" (gated)'
JUDGE_GUESSES = (
    "# Simulated: it knows the simulated models' answers only, and guesses at others. Name a real one before you trust a figure."
)


def read_example(name: str) -> str:
    """An example of the package, as text."""
    folder = files("unisafe_async") / "data"
    file = folder / "paper" / "bench.toml" if name == "paper" else folder / "examples" / f"{name}.toml"
    return file.read_text("utf-8")


def write_bench(models: Sequence[dict[str, Any]], judge: dict[str, Any] | None, source: str = "sample") -> str:
    """The text of a bench.toml with these sections; without a judge, one that guesses stands there."""
    parts = [HEAD.format(source=json.dumps(source), gated=GATED if source == "sample" else "")]
    if judge is None:
        parts.append(f"{JUDGE_GUESSES}\n[judge]\n{_write_keys({**SIMULATED_JUDGE, 'simulation': {'guess': 0.2}})}")
    else:
        parts.append(f"[judge]\n{_write_keys(judge)}{_describe_key(judge)}")
    parts += [f"[[models]]\n{_write_keys(model)}{_describe_key(model)}" for model in models]
    return "\n".join(parts)


def _write_keys(section: dict[str, Any]) -> str:
    return "".join(f"{key} = {_write_value(value)}\n" for key, value in section.items())


def _write_value(value: Any) -> str:  # noqa: ANN401 what TOML can hold
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_write_value(one)}" for key, one in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _describe_key(section: dict[str, Any]) -> str:
    """A comment that names the variable of the vendor's key."""
    spec = find_spec(section["provider"])
    variable = spec.vendor.key_env if spec is not None and spec.vendor is not None else None
    if variable is None or "base_url" in section:
        return ""
    return f"# its key: export {variable}=...; another variable: key_env\n"
