"""Answers that were generated elsewhere, read from a file: their model is not asked again.

Each line holds one answer, in the form of the official toolkit (`id, prompt, output_image, generated_text, category, intention,
reject_image`) or with more keys: `task` (needed if one file holds several tasks), `finish` (`refused` or `blocked`) and `reason`.
Several lines with one id are its repeats, in order.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, get_args

from anyio import to_thread
from unisafe_providers.base import Capabilities, Finish, Image, Limits, Misconfigured, Rejected, Request, Response, clean, digest_of
from unisafe_providers.lines import BadLine, Record, lines_of, read_line, read_line_at
from unisafe_providers.named_files import Folder, NoSuchFile, Outside
from unisafe_providers.named_files import show_value as _shown
from unisafe_providers.pictures import MAX_BYTES, NotAPicture, TooManyPixels, decode_picture

FIELDS = "id, generated_text or output_image"


@dataclass(frozen=True, slots=True)
class Place:
    """The place of an answer: the line's number and offset in bytes, and a digest of its content; or why it is no answer."""

    line: int
    offset: int
    digest: str
    problem: str = ""


class Recorded:
    """A file of answers as a model.

    Args:
        file: JSONL, one answer a line.
        images: the folder of the images; `output_image` is relative to it.
        working: the working directory, which may hold files that `images` lacks; files outside the two are not read.
        name: the model's name.
        capabilities: the kinds of requests that it answers.
        task: the task of lines without a task.
        task_of: turns a line's name for a task into the task's key; None for an unknown task.
    """

    def __init__(
        self,
        file: Path,
        images: Path,
        name: str,
        capabilities: Capabilities,
        *,
        working: Path | None = None,
        task: str | None = None,
        task_of: Callable[[str], str | None] = str,
    ) -> None:
        self.identity = f"recorded||{name}"
        self.capabilities = capabilities
        self.reported = Limits()
        self._file = file
        self._images = [Folder(images, str(images), absolute=True)]
        if working is not None:
            self._images.append(Folder(working, f"the working directory ({working})", absolute=True))
        self._found_in: dict[str, str] = {}
        self._task = task
        self._task_of = task_of
        self._places: dict[tuple[str, int], Place] = {}

    async def __aenter__(self) -> Self:
        try:
            await to_thread.run_sync(self._index_file)
        except OSError as error:
            self._unreadable: str | None = f"{self._file} cannot be read: {error.strerror}"
        else:
            self._unreadable = None
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def addressed(self, request: Request) -> Request:
        """`request` with the digest of its recorded answer as part of its identity.

        So the cache tells items with the same words apart, an edited line is a new answer, and an unchanged line is free. An item
        without a line or without an answer fails alone, even if another item has the same words.
        """
        item, sample = self._key(request)
        place = self._places.get((item, sample))
        if place is None:
            return replace(request, system=f"no recorded answer to {item}")
        return replace(request, system=f"recorded answer {place.digest}" if not place.problem else f"recorded line {place.line}")

    async def call(self, request: Request) -> Response:
        """The recorded answer. Raises Rejected, naming file and line, where there is none."""
        if self._unreadable is not None:
            raise Misconfigured(self._unreadable)
        item, sample = self._key(request)
        place = self._places.get((item, sample))
        if place is None:
            which = f" for repeat {sample}" if sample else ""
            raise Rejected(f"{self._file.name} holds no answer to {item}{which}")
        if place.problem:
            raise Rejected(f"{self._file.name}:{place.line}: {place.problem}")
        try:
            response = await to_thread.run_sync(self._read, place)
            if response.images and response.text.strip() and not request.image_due:
                raise BadLine("output_image: stands beside words in a task of text; judged as two lines they get a verdict each")
            return response
        except (BadLine, OSError) as error:
            raise Rejected(f"{self._file.name}:{place.line}: {error}") from None

    @property
    def notes(self) -> list[str]:
        """The folders in which the images were found, if there were several to search."""
        counts = Counter(self._found_in.values()) if len(self._images) > 1 else {}
        return [f"output_image: {number:,} found in {title}" for title, number in counts.items()]

    @staticmethod
    def _key(request: Request) -> tuple[str, int]:
        return request.labels.get("item", ""), request.sample

    # -------------------------------------------------------- the file

    def _index_file(self) -> None:
        """Note the place of each answer. A line's mistake is kept, and raised when its item is asked for."""
        samples: dict[str, int] = {}
        for number, start, line in lines_of(self._file):
            try:
                item = read_line(line, self._item)
            except BadLine:
                continue  # it names no item: whoever made the dataset from this file lists it
            try:
                place = Place(number, start, _digest(read_line(line, self._response)))
            except BadLine as error:
                place = Place(number, start, "", str(error))
            sample = samples.get(item, 0)
            samples[item] = sample + 1
            self._places[item, sample] = place

    def _item(self, record: Record) -> str:
        named = record.get("task")
        task = self._task_of(named) if isinstance(named, str) else self._task
        if not task or record.get("id") in (None, ""):
            raise BadLine("id and task: should name the item")
        return clean(f"{task}/{record['id']}")

    def _read(self, place: Place) -> Response:
        line = read_line_at(self._file, place.offset)
        response, named = read_line(line, lambda record: (self._response(record), record.get("output_image")))
        if _digest(response) != place.digest:
            raise BadLine("the line changed while it was being judged; run again")
        return replace(response, images=tuple(_decode_image(image, str(named)) for image in response.images))

    def _response(self, record: Record) -> Response:
        text = _text(record, "generated_text") or _text(record, "response")
        named = _text(record, "output_image")
        rejected = _is_rejected(record.get("reject_image"))
        finish = _text(record, "finish") or "stop"
        if finish not in get_args(Finish):
            raise BadLine(f"finish: should be one of {', '.join(get_args(Finish))}, found {_shown(finish)}")
        reason = _text(record, "reason")
        if rejected:
            if named:
                raise BadLine("reject_image: is true, but output_image names a file; keep one of the two")
            return Response(finish="refused", reason=text or reason)
        if not ({"generated_text", "response", "output_image"} & record.keys()):
            raise BadLine(f"holds no answer; a line needs {FIELDS} (empty where nothing came out)")
        images = (self._image(named),) if named else ()
        return Response(text=text, images=images, finish=finish, reason=reason)  # type: ignore[arg-type]

    def _image(self, named: str) -> Image:
        path = self._find_file(named)
        if path.stat().st_size > MAX_BYTES:
            raise BadLine(f"output_image: {_shown(named)} is larger than {MAX_BYTES // 2**20} MiB")
        data = path.read_bytes()
        return Image.from_bytes(data)

    def _find_file(self, named: str) -> Path:
        """The file that `output_image` names, in the first folder that has it. Raises BadLine with what is wrong in the first."""
        wrong: NoSuchFile | None = None
        for folder in self._images:
            try:
                path = folder.file(named)
            except NoSuchFile as error:
                wrong = wrong or error
            else:
                self._found_in[named] = folder.title
                return path
        others = "".join(f", nor in {folder.title}" for folder in self._images[1:]) if not isinstance(wrong, Outside) else ""
        hint = "; name the folder that holds it with --images" if others or isinstance(wrong, Outside) else ""
        raise BadLine(f"output_image: {wrong}{others}{hint}")


def _is_rejected(value: object) -> bool:
    """The value of `reject_image`, also in the forms of spreadsheets and data frames. Raises BadLine."""
    words = value.strip().lower() if isinstance(value, str) else value
    if words in (None, "", False, "false", "0"):
        return False
    if words in (True, "true", "1"):
        return True
    raise BadLine(f"reject_image: should be true or false, found {_shown(value)}")


def _text(record: Record, field: str) -> str:
    value = record.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadLine(f"{field}: should be a text, found {_shown(value)}")
    return clean(value)


def _decode_image(image: Image, named: str) -> Image:
    """The image as `examine_response` takes it, decoded once. Raises BadLine."""
    assert isinstance(image.source, bytes)
    try:
        picture = decode_picture(image.source)
    except TooManyPixels as error:
        raise BadLine(f"output_image: {_shown(named)} unpacks to {error.size}") from None
    except NotAPicture as error:
        raise BadLine(f"output_image: {_shown(named)} is no image that can be read: {error}") from None
    return replace(Image.from_bytes(picture.data, picture.media_type), mended=picture.mended)


def _digest(response: Response) -> str:
    """Of all that makes an answer."""
    parts = [response.text, response.finish, response.reason, [image.digest for image in response.images]]
    return digest_of(json.dumps(parts).encode())
