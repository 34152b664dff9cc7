"""The spec of servers that a run can start: the keys of OpenAI's protocol, `serve`, and the devices that the server takes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from unisafe_providers.base import Provider
from unisafe_providers.hosted.openai_spec import OPENAI, OpenAIOptions, build_openai
from unisafe_providers.named_files import expand_path
from unisafe_providers.presets import Preset, ServerCommand, load_preset
from unisafe_providers.served.command import (
    Start,
    build_environment,
    fill_command,
    find_weights,
    place_program,
)
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Declared, ProviderSpec

DEVICES = "auto, cpu, mps, cuda, cuda:0, xpu:0 or npu:0"
DeviceName = Annotated[str, Field(pattern=r"^(auto|cpu|mps|(cuda|xpu|npu)(:\d+)?)$")]


class Serve(BaseModel):
    """How a section's server is started; what is left out is the preset's."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    command: list[str] = Field([], description="its command line, with `{model}`, `{name}`, `{host}` and `{port}`")
    args: list[str] = Field([], description="more words of the command line; part of the cache key")
    env: list[str] = Field([], description="names of variables that it gets beside the usual few")
    python: str | None = Field(None, description="the interpreter of the environment that holds the server")
    ready: str | None = Field(None, pattern="^/", description="the path that answers 200 once it takes requests")
    patience_s: float = Field(600.0, gt=0, description="seconds without a word in its log before a start counts as failed")


def _read_serve(given: Any) -> Any:  # noqa: ANN401 whatever stands in the file
    """`true` is a table without keys, and `false` none."""
    if isinstance(given, bool):
        return {} if given else None
    return given


class ServerOptions(OpenAIOptions):
    """The keys of a model behind a server that the run can start."""

    FROM_SECTION: ClassVar[frozenset[str]] = frozenset({"provider"})
    STORED_IF_SET: ClassVar[frozenset[str]] = OpenAIOptions.STORED_IF_SET | {"serve"}

    provider: str = ""
    serve: Annotated[Serve | None, BeforeValidator(_read_serve)] = Field(
        None,
        examples=["true or a table"],
        description="the run starts the server, and stops it: `true`, or a table with any of `command`, `args`, `env`, `python`, "
        "`ready`, `patience_s` ([servers](servers.md))",
    )
    device: DeviceName = Field("auto", examples=[DEVICES], description="of a server that the run starts: the device it may see")
    devices: list[DeviceName] = Field(
        [], examples=[DEVICES], description="several devices for one server, which lays the model over them"
    )

    @property
    def runs_here(self) -> bool:
        return self.serve is not None

    @property
    def places(self) -> list[str]:
        """The devices of the server."""
        return self.devices or [self.device]

    def list_commands(self, model: str) -> list[list[str]]:
        preset = load_preset(self.provider)
        if self.serve is None or preset is None or preset.server is None:
            return []
        words = self.list_words(preset.server)
        weights = _list_weights(preset.server, model, model)
        return [fill_command(words, model=model, name=model, weights=weights, count=len(self.places), port="PORT")]

    def list_variables(self) -> list[str]:
        return self.serve.env if self.serve is not None else []

    def list_words(self, server: ServerCommand, python: str | None = None) -> list[str]:
        """The server's command line before its words in braces are filled in; `python` is its interpreter's path, found."""
        assert self.serve is not None
        command = self.serve.command or server.command
        parallel = server.parallel if len(self.devices) > 1 and not self.serve.command else ()
        return [place_program(command[0], python or self.serve.python), *command[1:], *parallel, *self.serve.args]

    def _mistake_of_address(self, vendor: Preset | None) -> str:
        if self.serve is None:
            return super()._mistake_of_address(vendor)
        return (
            "base_url: stands beside `serve`, whose server is at an address of its own; keep one of the two"
            if self.base_url
            else ""
        )

    def _find_more(self, declared: Declared) -> Iterator[str]:
        yield from super()._find_more(declared)
        if self.serve is None:
            for key in sorted({"device", "devices"} & self.model_fields_set):
                yield f"{key}: goes with `serve` only: another server has chosen its devices already"
            return
        if {"device", "devices"} <= self.model_fields_set:
            yield "devices: stands beside `device`; keep one of the two"
        if len(set(self.devices)) < len(self.devices):
            yield "devices: names a device twice"
        if declared.in_batches:
            yield 'mode: no batch jobs with a server that the run starts; put mode = "online"'
        yield from self._find_mistakes_of_command(declared)

    def _find_mistakes_of_command(self, declared: Declared) -> Iterator[str]:
        assert self.serve is not None
        command = self.serve.command or (declared.vendor.server.command if declared.vendor and declared.vendor.server else ())
        if not command:
            yield f"serve: needs `command`, the command line that starts the server of {declared.model}"
        elif not any("{port}" in word for word in (*command, *self.serve.args)):
            yield "serve.command: has no {port}: the run chooses a free port, and the server has to listen there"
        for name in self.serve.env:
            if not name.replace("_", "a").isalnum() or name[0].isdigit():
                yield f"serve.env: should be names of variables, found {name.partition('=')[0]!r}; `export` it before the run"


def _list_weights(server: ServerCommand, model: str, given: str) -> list[str]:
    """The words for `{weights}`; a model that was found as a file here differs from what the section says, or ends as one."""
    if not server.weights:
        return [model]
    here, hub = server.weights
    return [here if model != given or model.endswith(".gguf") else hub, model]


def build_server(settings: ProviderSettings, options: ServerOptions) -> Provider:
    """A model behind a server: one that runs already, or one that the run starts."""
    if options.serve is None:
        return build_openai(settings, options)
    from unisafe_providers.served.provider import ServedProvider

    vendor = settings.vendor
    server = vendor.server if vendor is not None else None
    assert server is not None, "whoever can be started has a preset"
    start = build_start(settings, options, server)

    def ask_at(url: str) -> Provider:
        """The provider that asks the server at `url`."""
        named = replace(settings, model=start.model, base_url=url, direct=True)
        return build_openai(named, options.model_copy(update={"base_url": url}))

    answering = build_openai(settings, options.model_copy(update={"base_url": f"served:{options.provider}"})).identity
    args = f"|{json.dumps(options.serve.args, ensure_ascii=False)}" if options.serve.args else ""
    return ServedProvider(
        identity=answering + args,
        name=settings.model,
        capabilities=settings.capabilities,
        devices=options.places,
        start=start,
        ask_at=ask_at,
        weights=Path(found) if os.path.isabs(found := find_weights(settings.model, settings.folder)) else None,
    )


def build_start(settings: ProviderSettings, options: ServerOptions, server: ServerCommand) -> Start:
    """What is started for a section."""
    serve = options.serve
    assert serve is not None
    python = None if serve.python is None else str(expand_path(settings.folder, serve.python))
    words = options.list_words(server, python)
    model = find_weights(settings.model, settings.folder)
    filled = fill_command(
        words,
        model=model,
        name=settings.model,
        weights=_list_weights(server, model, settings.model),
        count=len(options.places),
    )
    return Start(
        command=tuple(filled),
        model=settings.model if any("{name}" in word for word in words) else model,
        ready=serve.ready or server.ready,
        patience=serve.patience_s,
        environment=build_environment(serve.env, python, options.places),
        folder=settings.folder.absolute(),
    )


SERVER = ProviderSpec(
    name="server",
    title="A server that the run starts",
    options=ServerOptions,
    build=build_server,
    services=OPENAI.services,
    key_header=OPENAI.key_header,
)
