"""`init`: a bench.toml to start from."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from unisafe_async.commands.options import usage_error
from unisafe_async.config.default_paths import DEFAULT_FILE


class Example(StrEnum):
    """The examples of the package."""

    sample = "sample"
    commercial_and_open = "commercial-and-open"
    paper = "paper"


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")] = DEFAULT_FILE,
    example: Annotated[Example | None, typer.Option("--example", help="Write this example of the package.")] = None,
    spec: Annotated[
        list[str] | None,
        typer.Option("--model-spec", metavar="PROVIDER:MODEL", help="A model to evaluate, such as openai:gpt-5-mini (repeatable)."),
    ] = None,
    openai: Annotated[list[str] | None, typer.Option("--openai", metavar="MODEL", help="One of OpenAI's (repeatable).")] = None,
    anthropic: Annotated[list[str] | None, typer.Option("--anthropic", metavar="MODEL", help="One of Anthropic's.")] = None,
    gemini: Annotated[list[str] | None, typer.Option("--gemini", metavar="MODEL", help="One of Google's.")] = None,
    vllm: Annotated[
        list[str] | None, typer.Option("--vllm", metavar="[MODEL@]ADDRESS", help="One behind a vLLM server (repeatable).")
    ] = None,
    local: Annotated[
        list[str] | None, typer.Option("--local", metavar="MODEL", help="One on this machine, by transformers (repeatable).")
    ] = None,
    judge: Annotated[
        str | None, typer.Option("--judge", metavar="PROVIDER:MODEL", help="The judge; else one that guesses.")
    ] = None,
    data: Annotated[str, typer.Option("--data", metavar="SOURCE", help="The items.")] = "sample",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a bench.toml that runs, with comments; asks for the models where none is named."""
    from unisafe_async.config.bench_toml import parse_config
    from unisafe_async.config.model_specs import name_models, read_model_spec
    from unisafe_async.config.new_bench import EXAMPLES, read_example, write_bench
    from unisafe_async.config.toml_values import parse_toml

    specs = [*(spec or []), *_spell_out({"openai": openai, "anthropic": anthropic, "gemini": gemini, "transformers": local})]
    sections = [read_model_spec(words, "--model-spec") for words in specs]
    sections += [_read_vllm(words) for words in vllm or ()]
    judging = read_model_spec(judge, "--judge") if judge else None
    if file.exists() and not force:
        raise usage_error(f"{file} is there already; name another file, or say --force to replace it")
    if example is not None and (sections or judging):
        raise usage_error("--example: stands for a whole file; leave the models and the judge out")
    if example is None and not sections:
        if not sys.stdin.isatty():
            example = Example.sample
        else:
            sections, judging = _ask(judging)
    text = read_example(example.value) if example else write_bench(name_models(sections), _without_takes(judging), data)
    parse_config(parse_toml(text), file.name, file.parent)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise usage_error(f"{file}: cannot be written: {error.strerror}") from None
    print(f"wrote {file}" + (f" ({EXAMPLES[example.value]})" if example else ""))
    named = "" if file == DEFAULT_FILE else f" -c {file}"
    print(f"next: `unisafe plan{named}`, `unisafe doctor{named}`, `unisafe run{named}`")


def _spell_out(given: dict[str, list[str] | None]) -> list[str]:
    return [f"{provider}:{model}" for provider, models in given.items() for model in models or ()]


def _read_vllm(words: str) -> dict[str, Any]:
    """The section of a model behind a vLLM server, whose name the server is asked for where it is not given."""
    from unisafe_async.config.model_specs import read_model_spec

    model, at, address = words.rpartition("@")
    if not at and not words.startswith(("http://", "https://")):
        return read_model_spec(f"vllm:{words}", "--vllm")
    return read_model_spec(f"vllm:{model or _ask_server(address)}@{address}", "--vllm")


def _ask_server(address: str) -> str:
    """The first model that a server lists. Raises UsageError where it lists none."""
    import anyio
    from unisafe_providers.base import ProviderError

    from unisafe_async.run.server_models import list_models_at

    try:
        names = anyio.run(list_models_at, "vllm", address)
    except ProviderError as error:
        raise usage_error(f"--vllm {address}: {error}; name the model too: --vllm MODEL@{address}") from None
    if not names:
        raise usage_error(f"--vllm {address}: lists no model; name it: --vllm MODEL@{address}")
    return names[0]


def _ask(judging: dict[str, Any] | None) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The models and the judge as the user types them; an empty line ends the models. Raises UsageError for none."""
    from unisafe_async.config.model_specs import EXAMPLE, read_model_spec
    from unisafe_async.errors import UsageError

    print(f"Which models? One a line, PROVIDER:MODEL, such as {EXAMPLE}; `unisafe providers` lists all. An empty line ends.")
    sections: list[dict[str, Any]] = []
    while words := _type("model"):
        try:
            sections.append(read_model_spec(words, "model"))
        except UsageError as error:
            print(error)
    if not sections:
        raise usage_error("no model was named; `unisafe init --example sample` writes a file that needs none")
    while judging is None and (words := _type("judge (empty: one that guesses, to try things out)")):
        try:
            judging = read_model_spec(words, "judge")
        except UsageError as error:
            print(error)
    return sections, judging


def _type(prompt: str) -> str:
    return str(typer.prompt(prompt, default="", show_default=False)).strip()


def _without_takes(judge: dict[str, Any] | None) -> dict[str, Any] | None:
    """A judge takes both media unless its section says otherwise."""
    return {key: value for key, value in judge.items() if key not in ("takes", "gives")} if judge else None
