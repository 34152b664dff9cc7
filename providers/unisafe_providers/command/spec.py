"""The spec of a model in an environment of its own, which a command runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from unisafe_providers.base import Provider
from unisafe_providers.gpus import TOGETHER
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import ONE, SEVERAL, Declared, Options, ProviderSpec
from unisafe_providers.workers.places import list_devices, names_twice, tell_number

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PlaceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.:/-]{0,79}$")]
CommandPlace = Annotated[
    Annotated[PlaceName, Tag(ONE)] | Annotated[list[PlaceName], Field(min_length=1), Tag(SEVERAL)], Discriminator(tell_number)
]


class CommandOptions(Options):
    """The keys of a model that a command runs."""

    command: list[str] = Field(
        min_length=1, description="the program and its arguments, started in the folder of bench.toml; no shell reads them"
    )
    devices: list[CommandPlace] = Field(
        [],
        examples=["auto, cpu, cuda:0"],
        description="a command is started for each, and sees no other GPU; a list inside it holds the devices of one command; "
        "models on one device take turns",
    )
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="requests in a line, at most, for a command that takes batches (8 unless set)"
    )
    images: Literal["paths", "inline"] = Field(
        "paths", description='`"inline"` puts pictures into the lines, for a command that runs on another machine or in a container'
    )
    files: list[str] = Field([], description="files and folders whose content is part of the cache key, such as the script")
    options: dict[str, Any] = Field({}, description="told to the command in its first line; part of the cache key, so no secrets")
    version: str = Field("", description="part of the cache key: change it when the model behind the command changes")
    env: list[str] = Field([], description="names of further variables that the command gets; it gets no key that is not named")
    patience_s: float = Field(1_800.0, gt=0, description="seconds without a sign of life (a line of its log) that end it")

    def find_mistakes(self, declared: Declared) -> Iterator[str]:
        if not self.command[0].strip() or any("\0" in word for word in self.command):
            yield "command: should begin with a program, such as python, and hold no NUL"
        if names_twice([name for place in self.devices for name in list_devices(place)]):
            yield "devices: names a device twice"
        for name in self.env:
            if not VARIABLE.fullmatch(name):
                yield "env: should hold names of variables, such as HF_TOKEN; their values never stand in this file"

    def list_commands(self, model: str) -> list[list[str]]:
        return [self.command]

    def list_variables(self) -> list[str]:
        return self.env


def build_command(settings: ProviderSettings, options: CommandOptions) -> Provider:
    """A model behind a command, started at its first call."""
    from unisafe_providers.command.provider import CommandProvider
    from unisafe_providers.command.worker import CommandSettings

    started = CommandSettings(
        name=settings.model,
        command=(os.path.expanduser(options.command[0]), *options.command[1:]),
        folder=settings.folder.absolute(),
        options=options.options,
        images=options.images,
        variables=tuple(options.env),
        batch_size=None if options.batch_size == "auto" else options.batch_size,
        patience=options.patience_s,
    )
    return CommandProvider(
        started,
        settings.capabilities,
        [TOGETHER.join(list_devices(place)) for place in options.devices],
        model=settings.model,
        version=options.version,
        files=options.files,
    )


COMMAND = ProviderSpec(
    name="command",
    title="a command with an environment of its own",
    options=CommandOptions,
    build=build_command,
    answers_from="device",
    model_is_name=True,
)
