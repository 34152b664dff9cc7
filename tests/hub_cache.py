"""The Hub's cache as `huggingface_hub` leaves it: files under `blobs`, and a snapshot of links to them."""

from __future__ import annotations

import hashlib
import os
from importlib.resources import files
from pathlib import Path

REVISION = "0123456789abcdef0123456789abcdef01234567"
SAMPLE = Path(str(files("unisafe_async").joinpath("data", "sample")))


class Hub:
    """A cache in `home` (HF_HOME) that holds one data set, `owner/name`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.repository = home / "hub" / "datasets--owner--name"
        self.snapshot = self.repository / "snapshots" / REVISION
        for folder in (self.repository / "blobs", self.repository / "refs", self.snapshot):
            folder.mkdir(parents=True)
        (self.repository / "refs" / "main").write_text(REVISION)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "HF_HOME": str(self.home), "HF_HUB_OFFLINE": "1", "COLUMNS": "160"}

    def add(self, name: str, content: bytes) -> None:
        """A file of the data set."""
        blob = self.repository / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        self.link(name, blob)

    def link(self, name: str, target: Path) -> None:
        """A link in the snapshot, relative as the Hub makes it."""
        link = self.snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(target, link.parent))

    def add_sample(self) -> None:
        """The built-in sample."""
        for file in SAMPLE.rglob("*"):
            if file.is_file():
                self.add(str(file.relative_to(SAMPLE)), file.read_bytes())
