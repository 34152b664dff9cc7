"""Files that lines and users name: the written path must lie inside a folder, and the file must be regular so that reading ends."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from unisafe_providers.errors import UnisafeError

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
LONGEST_NAME = 255
"""The most bytes of a file name on common file systems."""
BEGINNINGS = ("data:", "iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")
"""How a picture's content begins if a user gives it instead of a file name: a data URL, or base64 of PNG, JPEG, GIF and WebP."""
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.I)


class NoSuchFile(UnisafeError, ValueError):
    """A name that leads to no file that may be read; the message holds the name and the reason."""


class Outside(NoSuchFile):
    """A name that leaves the folder."""


def check_regular(path: Path) -> os.stat_result:
    """The system's information about a file. Raises OSError, also for a pipe or a device, because reading it may never end."""
    try:
        known = os.stat(path)
    except ValueError:
        raise OSError(errno.EINVAL, "its name holds a NUL or half a character, as no file's name can") from None
    if not stat.S_ISREG(known.st_mode):
        raise OSError(errno.EINVAL, f"it is {KINDS.get(stat.S_IFMT(known.st_mode), 'no file')}, and only files are read")
    return known


def open_regular(path: Path) -> BinaryIO:
    """Opens a file to read bytes. Raises OSError, also if the path is no regular file."""
    check_regular(path)
    return path.open("rb")


def expand_path(base: Path, written: str) -> Path:
    """A user's path, relative to `base`; `~` is the home folder, and `~NAME` stays as it is if there is no such user."""
    return base / os.path.expanduser(written)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, and the rule which named files in it may be read.

    The written name decides whether it is inside; `..` is resolved first. Links inside may lead anywhere, because the person who
    named the folder put them there.

    Args:
        path: the folder.
        title: what messages call it.
        repository: for a folder from a stranger's repository at the Hub, that repository's folder in the Hub's cache. Links may
            then lead into its `blobs` or stay inside `path`, and nowhere else.
        absolute: whether an absolute path inside the folder is allowed.
    """

    path: Path
    title: str
    repository: Path | None = None
    absolute: bool = False

    def file(self, name: str) -> Path:
        """The file that `name` means. Raises NoSuchFile."""
        path = self.locate(name)
        self._check_links(path, name)
        try:
            check_regular(path)
        except (FileNotFoundError, NotADirectoryError):
            raise NoSuchFile(f"there is no file {show_value(name)} in {self.title}{_suggest(name)}") from None
        except OSError as error:
            raise NoSuchFile(f"{show_value(name)} cannot be read: {error.strerror}{_suggest(name)}") from None
        return path

    def locate(self, name: str) -> Path:
        """The path that `name` means as it is written, without looking at the disk. Raises NoSuchFile."""
        if "\0" in name or not _is_encodable(name):
            raise NoSuchFile(f"{show_value(name)} holds a NUL or half a character, as no file's name can")
        if os.path.isabs(name) or os.path.splitdrive(name)[0]:
            inside = self._resolve_absolute(name) if self.absolute else None
        else:
            root = os.path.abspath(self.path)
            inside = _below(root, os.path.normpath(os.path.join(root, name)))
        if inside is None:
            raise Outside(f"{show_value(name)} leaves {self.title}{_suggest(name)}")
        return self.path / inside

    def _resolve_absolute(self, name: str) -> str | None:
        """An absolute name relative to the folder, as both are written or as both are on disk; None if it is elsewhere."""
        inside = _below(os.path.abspath(self.path), os.path.normpath(name))
        return inside if inside is not None else _below(os.path.realpath(self.path), os.path.realpath(name))

    def _check_links(self, path: Path, name: str) -> None:
        if self.repository is None:
            return
        real = os.path.realpath(path)
        if all(_below(os.path.realpath(place), real) is None for place in (self.path, self.repository / "blobs")):
            raise Outside(f"{show_value(name)} is a link that leads out of the repository")


def show_value(value: object) -> str:
    """A value from a line as JSON, at most 60 characters."""
    if value is None:
        return "nothing"
    text = json.dumps(value[:100] if isinstance(value, str) else value, ensure_ascii=True)
    return text if len(text) <= 60 else text[:57] + "..."


def _below(root: str, path: str) -> str | None:
    """`path` relative to `root`; None if it is not below it. Both are absolute and hold no `..`."""
    if os.path.splitdrive(root)[0].lower() != os.path.splitdrive(path)[0].lower():
        return None
    inside = os.path.relpath(path, root)
    return None if inside == os.pardir or inside.startswith(os.pardir + os.sep) else inside


def _is_encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _suggest(name: str) -> str:
    """Advice for a value that is no file name at all."""
    longest = max(map(len, name.split("/")))
    if name.startswith(BEGINNINGS) or (longest > LONGEST_NAME and re.fullmatch(r"[\w+/=\s-]+", name)):
        return "; it seems to be a picture itself: write that to a file, and name the file here"
    if ADDRESS.match(name):
        return "; it is an address: download the file, and name it here"
    return ""
