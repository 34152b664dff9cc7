"""The spec of recorded answers: a file in the official format as a model under test (recorded.py)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field
from unisafe_providers.base import Provider
from unisafe_providers.named_files import expand_path
from unisafe_providers.settings import ProviderSettings
from unisafe_providers.spec import Options, ProviderSpec


class RecordedOptions(Options):
    """The keys of recorded answers; `name` and `tasks` are those that every model has."""

    FROM_SECTION: ClassVar[frozenset[str]] = frozenset({"name", "tasks"})

    name: str
    tasks: list[str] = Field([])
    images: str | None = Field(None, description="the folder of its images; else that of the file")


def build(settings: ProviderSettings, options: RecordedOptions) -> Provider:
    """The file that `model` names, as a model."""
    from unisafe_async.benchmark.taxonomy import match_task
    from unisafe_async.interchange.recorded import Recorded

    file = expand_path(settings.folder, settings.model)
    return Recorded(
        file,
        expand_path(settings.folder, options.images) if options.images else file.parent,
        options.name,
        settings.capabilities,
        working=None if options.images else _find_working_folder(file),
        task=options.tasks[0] if len(options.tasks) == 1 else None,
        task_of=match_task,
    )


def _find_working_folder(file: Path) -> Path | None:
    """The folder for the official toolkit's relative image paths; None if it is the folder of `file`, or the whole disk."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return None
    return here if here not in (Path(here.anchor), file.parent) else None


RECORDED = ProviderSpec(
    name="recorded",
    title="answers that were recorded before, in a file",
    options=RecordedOptions,
    build=build,
    answers_from="file",
    defaults={"takes": ["text", "image"], "gives": ["text", "image"]},
    judges_not="recorded answers are for models under test; a judge has to be asked",
)
