"""A model in an environment of its own as a provider like any other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import orjson
from anyio import to_thread

from unisafe_providers.base import Capabilities, Misconfigured, Request, Response, digest_of
from unisafe_providers.command.lines import Ready
from unisafe_providers.command.settings import CommandSettings
from unisafe_providers.command.worker import CommandWorker
from unisafe_providers.file_digests import digest_each
from unisafe_providers.named_files import check_regular, expand_path
from unisafe_providers.workers.pool import PooledProvider
from unisafe_providers.workers.worker import Worker

LEFT_OUT = frozenset({"__pycache__", ".git", ".venv"})
"""Folders whose files say nothing about how a model answers."""


class CommandProvider(PooledProvider):
    """A command for each device, which the first call starts.

    The identity is known before anything starts: the model's name, `version`, the digests of `files`, and the options. Where the
    command is and what variables it gets is no part of it, so that the answers in a cache hold on another machine too.

    Args:
        settings: how to start and speak to it.
        capabilities: what bench.toml says that it takes and gives.
        devices: a command is started for each; none where the command finds its device itself.
        model, version, files: what tells its answers from others'. `files` are relative to the settings' folder.

    Attributes:
        described: what the command said of itself when it was ready, as canonical JSON; empty before that.
        expected, on_described: as of unisafe_providers.base.Described.
    """

    def __init__(
        self,
        settings: CommandSettings,
        capabilities: Capabilities,
        devices: Sequence[str] = (),
        *,
        model: str,
        version: str = "",
        files: Sequence[str] = (),
    ) -> None:
        self._known: dict[str, Any] = {"model": model, "version": version, "options": dict(settings.options)}
        super().__init__(_identify(self._known, {}), capabilities, devices)
        self._settings = settings
        self._files = tuple(files)
        self.described = ""
        self.expected = ""
        self.on_described: Callable[[], Awaitable[None]] | None = None
        self._told = anyio.Lock()

    async def prepare(self) -> None:
        digests = await to_thread.run_sync(digest_files, self._settings.folder, self._files)
        self.identity = _identify(self._known, digests)

    async def call(self, request: Request) -> Response:
        response = await super().call(request)
        if self.on_described is not None:
            async with self._told:
                if self.on_described is not None:
                    await self.on_described()
                    self.on_described = None
        return response

    def launch(self, device: str) -> Worker:
        return CommandWorker(self._settings, device, self.note_event, self._accept)

    def _accept(self, ready: Ready) -> str:
        """Why a command that is ready will not do; empty if it will."""
        wrong = self._find_missing(ready)
        if wrong:
            return wrong
        said = ready.described
        if self.expected and said != self.expected:
            return (
                f"it says {_differences(self.expected, said)}, so its answers are not those in the cache; "
                "give the section another `version`, and it is asked anew"
            )
        self.described = self.expected = said
        return ""

    def _find_missing(self, ready: Ready) -> str:
        able = self.capabilities
        if not ready.kinds:
            return ""
        for kind, declared, key in (
            ("chat", able.text_out, "gives"),
            ("image", able.image_out, "gives"),
            ("edit", able.edit, "takes"),
        ):
            if declared and kind not in ready.kinds:
                what = {"chat": "answers no chats", "image": "draws no pictures", "edit": "edits no pictures"}[kind]
                return f"it {what} (its kinds are {', '.join(sorted(ready.kinds))}); change `{key}` or `tasks` of the section"
        if able.image_in and able.text_out and ready.sees is False:
            return "its chats take no images (`sees` is false); change `takes` of the section"
        return ""


def _identify(known: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    given = {name: value for name, value in {**known, "files": dict(digests)}.items() if value}
    return f"command:{orjson.dumps(given, option=orjson.OPT_SORT_KEYS).decode()}"


def _differences(before: str, now: str) -> str:
    """What changed between two descriptions, in words."""
    old, new = orjson.loads(before), orjson.loads(now)
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return ", ".join(f"`{name}` is {_show(new.get(name))} and was {_show(old.get(name))}" for name in changed)


def _show(value: object) -> str:
    return orjson.dumps(value).decode()[:100]


def digest_files(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """The digest of each file or folder by its name as written. Raises Misconfigured for one that cannot be read."""
    digests = {}
    for name in names:
        path = expand_path(folder, name)
        try:
            if path.is_dir():
                digests[name] = _digest_folder(path)
            else:
                check_regular(path)
                digests[name] = digest_each([path])[0]
        except OSError as error:
            raise Misconfigured(
                f"files: {name} cannot be read ({error.strerror or error}); paths are relative to bench.toml"
            ) from None
    return digests


def _digest_folder(folder: Path) -> str:
    """The digest of all files in a folder, by their names and contents."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not LEFT_OUT & set(path.relative_to(folder).parts))
    digests = zip(found, digest_each(found), strict=True)
    lines = "\n".join(f"{path.relative_to(folder).as_posix()} {digest}" for path, digest in digests)
    return digest_of(lines.encode("utf-8", "surrogateescape"))
