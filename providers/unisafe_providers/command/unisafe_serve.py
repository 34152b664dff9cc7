"""Serve one model to unisafe-async over JSON lines: what a script needs for `provider = "command"`, in one file.

Copy this file beside the script. It needs Python 3.8 or newer and the standard library alone, so it runs in the environment of the
model, whatever that pins. Pillow is used where the script gives PIL images or asks for `Request.pictures()`.

    import unisafe_serve
    unisafe_serve.take_stdout()          # before the imports that print: from here on, only the protocol reaches stdout

    class Model:
        model, version, kinds = "my-model", "1", ["chat"]
        def __init__(self, options, device): ...
        def chat(self, request): return "words"

    if __name__ == "__main__":
        unisafe_serve.run(Model)
"""

from __future__ import annotations

import base64
import contextlib
import gc
import importlib
import io
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib
from pathlib import Path
from typing import IO, Any, Iterable, Iterator, Mapping, NoReturn, Sequence  # noqa: UP035 (Python 3.8)

PROTOCOL = 1
"""The version of the protocol that this file speaks."""
METHODS = {"chat": "chat", "image": "draw", "edit": "edit"}
"""The method of a model that answers each kind of request."""
FINISHES = ("stop", "length", "refused", "blocked")
GRACE_S = 2.0
"""Seconds that child processes have to end by themselves before they are killed."""

NO_MEMORY = re.compile(
    r"out of memory|can't allocate memory|not enough memory|failed to allocate"
    r"|(?:CUBLAS|HIPBLAS|CUDNN|MIOPEN|CUSOLVER|CUSPARSE)_STATUS_(?:ALLOC_FAILED|INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)"
    r"|ncclSystemError.{0,200}\balloc",
    re.I | re.S,
)
"""Words with which a device or one of its libraries reports that memory ran out."""
DEVICE_LOST = re.compile(
    r"\b(?:CUDA|HIP|NCCL|RCCL) error\b|device-side assert|illegal memory access|unspecified launch failure|uncorrectable ECC"
    r"|ECC error|CUBLAS_STATUS_(?:EXECUTION_FAILED|NOT_INITIALIZED|INTERNAL_ERROR)|CUDNN_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR)"
    r"|UR_RESULT_ERROR_DEVICE_LOST|ncclUnhandledCudaError|ncclInternalError|device is lost",
    re.I,
)
"""Words of an error after which CUDA answers every later call of the process with the same error, so the process has to end."""


class Rejected(Exception):
    """The model cannot answer this request, and would not at a second try; the message says why."""


class TryAgain(Exception):
    """This request failed for a reason that passes; it is asked again."""


class Answer:
    """What a model gives back.

    Args:
        text: the words of the answer; a picture may have words beside it.
        images: PIL images, the bytes of pictures, or paths of pictures.
        finish: "stop", "length" (cut at the limit of tokens), "refused" or "blocked" (by a filter, which is not the model).
        thoughts: what the model wrote before its answer, where it keeps that apart.
        reason: why it was refused or blocked.
        tokens_in, tokens_out: what was read and written, where the model counts it.
    """

    def __init__(
        self,
        text: str = "",
        images: Sequence[Any] = (),
        finish: str = "stop",
        thoughts: str = "",
        reason: str = "",
        tokens_in: int | None = None,
        tokens_out: int | None = None,
    ) -> None:
        if finish not in FINISHES:
            raise ValueError("finish is {!r}; it is one of {}".format(finish, ", ".join(FINISHES)))
        if not isinstance(text, str):
            raise TypeError(f"text is {type(text).__name__}; it is a str")
        self.text, self.images, self.finish = text, list(images), finish
        self.thoughts, self.reason = thoughts, reason
        self.tokens_in, self.tokens_out = tokens_in, tokens_out


class Request:
    """One request, as the protocol gives it.

    Attributes:
        kind: "chat" (text, perhaps with pictures), "image" (draw) or "edit" (a picture and an instruction).
        text: the prompt; may be empty where a picture stands for it.
        system: the system prompt, or "".
        image_files: paths of the pictures, in order.
        parts: the order of text and pictures: {"text": "..."} or {"image": 0}; pictures first where the request has no order.
        seed, max_tokens, temperature, top_p, size: None where the model's own is wanted; size is "WIDTHxHEIGHT" in pixels.
    """

    def __init__(self, line: Mapping[str, Any], image_files: Sequence[str]) -> None:
        self.id = line.get("id")
        self.kind = _read(line, "kind", str, "chat")
        self.text = _read(line, "text", str, "")
        self.system = _read(line, "system", str, "")
        self.image_files = list(image_files)
        self.seed = _read(line, "seed", int, None)
        self.max_tokens = _read(line, "max_tokens", int, None)
        self.temperature = _read(line, "temperature", (int, float), None)
        self.top_p = _read(line, "top_p", (int, float), None)
        self.size = _read(line, "size", str, None)
        pictures_first = [{"image": index} for index in range(len(self.image_files))] + [{"text": self.text}]
        self.parts = _read(line, "parts", list, None) or pictures_first

    def pictures(self) -> list[Any]:
        """Its pictures as PIL images: RGB, upright by their EXIF tag, white where they were transparent. Raises Rejected."""
        return [open_picture(path) for path in self.image_files]

    def width_and_height(self, default: tuple[int, int] = (1024, 1024)) -> tuple[int, int]:
        """The size in pixels that was asked for, or `default`. Raises Rejected for a size that is none."""
        if self.size is None:
            return default
        found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", self.size)
        if found is None:
            raise Rejected(f"the size {self.size!r} is not WIDTHxHEIGHT in pixels")
        return int(found.group(1)), int(found.group(2))


def _read(line: Mapping[str, Any], key: str, kind: Any, default: Any) -> Any:
    value = line.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Rejected(f"the request's {key} is {value!r:.80}, which is not of the right type")
    return value


def open_picture(path: str) -> Any:
    """The picture of a file as a PIL image: RGB, upright, white where it was transparent. Raises Rejected."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            if "A" in picture.getbands() or "transparency" in picture.info:
                over = picture.convert("RGBA")
                picture = Image.new("RGBA", over.size, "white")
                picture.alpha_composite(over)
            return picture.convert("RGB")
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises many kinds for a damaged file
        raise Rejected(f"a picture of the request cannot be read: {error}") from None


# --- what a script calls beside `run` ---------------------------------------------------------------------------------------


class _Lines:
    """The protocol's two ends: private copies of this process's first stdin and stdout."""

    def __init__(self) -> None:
        self._write = threading.Lock()
        self.asked: IO[str] = open(os.dup(0), encoding="utf-8", errors="replace", newline="\n")  # noqa: SIM115
        self._answers: IO[bytes] = open(os.dup(1), "wb", buffering=0)  # noqa: SIM115
        os.dup2(2, 1)
        silence = os.open(os.devnull, os.O_RDONLY)
        os.dup2(silence, 0)
        os.close(silence)
        sys.stdout.flush()
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(line_buffering=True)  # what is printed shows at once that this process is alive

    def tell(self, line: Mapping[str, Any]) -> None:
        """Write one line. Ends this process when nobody reads it any more."""
        data = json.dumps(line, ensure_ascii=False, default=_plain).encode("utf-8", "replace") + b"\n"
        with self._write:
            try:
                while data:
                    data = data[self._answers.write(data) or 0 :]
            except BrokenPipeError:
                _finish(0)


_lines: _Lines | None = None


def take_stdout() -> _Lines:
    """Keep stdout for the protocol: whatever else is printed, by Python, C or child processes, goes to stderr from now on.

    Stdin is kept as well, so that nothing (a library that asks a question, a child process) can read the requests. Call it before
    the first import that prints; a second call changes nothing.
    """
    global _lines
    if _lines is None:
        _lines = _Lines()
    return _lines


def progress(words: str) -> None:
    """Say how far something is, such as "loading 3 of 8": it is shown, and it shows that this process is alive."""
    take_stdout().tell({"progress": str(words)})


def seed_all(seed: int) -> None:
    """Seed `random`, and numpy and torch where they are imported. `run` does it before each request that has a seed."""
    random.seed(seed)
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and hasattr(numpy, "random"):
        numpy.random.seed(seed % 2**32)
    if torch is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(seed % 2**63)


def break_up(text: str, strings: Iterable[str | re.Pattern[str]]) -> str:
    """`text` with a space inside each control string, so that the tokenizer reads words where a user wrote `<|im_end|>`.

    Args:
        text: what a user or a benchmark wrote.
        strings: the control strings themselves, or compiled patterns for families such as `<I123>`.
    """
    patterns = [one if isinstance(one, re.Pattern) else re.compile(re.escape(one)) for one in strings]
    for _ in range(20):
        before = text
        for pattern in patterns:
            text = pattern.sub(_split, text)
        if text == before:
            return text
    for pattern in patterns:
        text = pattern.sub("", text)
    return text


def _split(found: re.Match[str]) -> str:
    words = found.group()
    return words[0] + " " + words[1:] if len(words) > 1 else ""


# --- the loop ----------------------------------------------------------------------------------------------------------------


def run(model_class: Any) -> NoReturn:
    """Answer requests until stdin ends, then end this process with 0 and its child processes with it.

    Args:
        model_class: called as `model_class(options, device)`. Its instances have `model`, `version`, `kinds`, and may have `sees`
            (whether `chat` reads pictures), `parameters` (every sampling parameter that the script chose), `batches` and
            `close()`. They have `chat`, `draw` or `edit` for their kinds, or, where `batches` is true, `answer_batch(requests)`:
            it gets requests of one kind and returns one answer (or one exception) for each, in order.
    """
    lines = take_stdout()
    _adopt_orphans()
    signal.signal(signal.SIGTERM, lambda number, _: _finish(128 + number))
    try:
        hello = _read_hello(lines)
        if hello is not None:
            model = model_class(dict(hello.get("options") or {}), hello.get("device"))
            _Server(lines, hello, model).serve()
            close = getattr(model, "close", None)
            if close is not None:
                close()
    except KeyboardInterrupt:
        _finish(130)
    except BaseException:
        traceback.print_exc()
        _finish(1)
    _finish(0)


def _read_hello(lines: _Lines) -> dict[str, Any] | None:
    """The first line; None where stdin ended before it."""
    first = lines.asked.readline()
    if not first.strip():
        return None
    try:
        return dict(json.loads(first)["hello"])
    except (ValueError, KeyError, TypeError):
        right = '{"hello": {"protocol": 1, ...}}'
        raise ValueError(f"the first line on stdin was {first!r:.80}, and not {right}: `unisafe check-command` asks so") from None


class _Server:
    """Reads requests one line at a time, and answers each with one line."""

    def __init__(self, lines: _Lines, hello: Mapping[str, Any], model: Any) -> None:
        self._lines, self._model = lines, model
        self._inline = hello.get("images") == "inline"
        self._folder = Path(hello.get("folder") or tempfile.mkdtemp(prefix="unisafe-serve-"))
        self._counter = itertools.count()
        self._kinds, self._batches = list(model.kinds), bool(getattr(model, "batches", False))
        for kind in self._kinds:
            if kind not in METHODS:
                raise ValueError("kinds has {!r}; a kind is one of {}".format(kind, ", ".join(METHODS)))
            if not hasattr(model, "answer_batch" if self._batches else METHODS[kind]):
                raise ValueError(f"kinds has {kind!r}, so the model needs the method {METHODS[kind]} (or answer_batch)")

    def serve(self) -> None:
        """Say that the model is ready, and answer until stdin ends."""
        sees = bool(getattr(self._model, "sees", False))
        ready = {"ready": True, "protocol": PROTOCOL, "model": self._model.model, "version": str(self._model.version)}
        parameters = dict(getattr(self._model, "parameters", None) or {})
        self._lines.tell({**ready, "kinds": self._kinds, "sees": sees, "batches": self._batches, "parameters": parameters})
        for line in self._lines.asked:
            for asked in self._read_line(line):
                self._answer_line(asked)

    def _read_line(self, line: str) -> Iterator[list[Mapping[str, Any]]]:
        """The requests of a line, those that are answered together in one list."""
        if not line.strip():
            return
        try:
            asked = json.loads(line)
        except ValueError as error:
            print(f"a line on stdin is no JSON: {error}", file=sys.stderr, flush=True)
            return
        together = asked.get("batch") if isinstance(asked, dict) and "batch" in asked else [asked]
        listed = together if isinstance(together, list) else []
        sound: list[Mapping[str, Any]] = [one for one in listed if isinstance(one, dict) and "id" in one]
        if not sound:
            print(f"a line on stdin is no request: {line!r:.200}", file=sys.stderr, flush=True)
        if not self._batches:
            yield from ([one] for one in sound)
            return
        for kind in dict.fromkeys(str(one.get("kind")) for one in sound):
            yield [one for one in sound if str(one.get("kind")) == kind]

    def _answer_line(self, asked: list[Mapping[str, Any]]) -> None:
        with contextlib.ExitStack() as kept:
            requests = []
            for line in asked:
                try:
                    requests.append(self._accept(line, kept))
                except Exception as error:
                    self._tell_failure(line["id"], error)
            if requests:
                self._answer(requests)

    def _accept(self, line: Mapping[str, Any], kept: contextlib.ExitStack) -> Request:
        """The request of a line, with its pictures as files. Raises Rejected for one that this model cannot do."""
        request = Request(line, [_file_of(picture, kept) for picture in _read(line, "images", list, [])])
        if request.kind not in self._kinds or request.kind not in METHODS:
            raise Rejected("{} does not do {!r}; it does {}".format(self._model.model, request.kind, ", ".join(self._kinds)))
        if request.kind == "chat" and request.image_files and not getattr(self._model, "sees", False):
            raise Rejected(f"{self._model.model} reads no pictures")
        if request.kind == "edit" and not request.image_files:
            raise Rejected("there is no picture to edit")
        return request

    def _answer(self, requests: list[Request]) -> None:
        """Answer what is asked together; where that fails for another reason than memory, each request by itself."""
        try:
            answers = self._ask(requests)
        except (Exception, SystemExit) as error:
            if len(requests) > 1 and not is_out_of_memory(error) and not is_device_lost(error):
                print(f"a batch of {len(requests)} failed ({error!r:.200}): each is asked alone", file=sys.stderr, flush=True)
                for request in requests:
                    self._answer([request])
                return
            answers = [error] * len(requests)
        for request, answer in zip(requests, answers):  # noqa: B905
            self._tell(request, answer)

    def _ask(self, requests: list[Request]) -> list[Any]:
        if requests[0].seed is not None:
            seed_all(requests[0].seed)
        if not self._batches:
            return [getattr(self._model, METHODS[requests[0].kind])(requests[0])]
        answers = list(self._model.answer_batch(requests))
        if len(answers) != len(requests):
            raise RuntimeError(f"answer_batch gave {len(answers)} answers to {len(requests)} requests")
        return answers

    def _tell(self, request: Request, answer: Any) -> None:
        try:
            if isinstance(answer, BaseException):
                raise answer
            self._lines.tell(self._line_of(request, _answer_of(answer)))
        except (Exception, SystemExit) as error:
            self._tell_failure(request.id, error)

    def _line_of(self, request: Request, answer: Answer) -> dict[str, Any]:
        images = [self._keep(png_of(picture), request) for picture in answer.images]
        line = {"id": request.id, "text": answer.text, "images": images, "finish": answer.finish}
        usage = {"tokens_in": answer.tokens_in, "tokens_out": answer.tokens_out}
        counted = {key: int(value) for key, value in usage.items() if value is not None}
        more = {"thoughts": answer.thoughts, "reason": answer.reason, "usage": counted}
        return {**line, **{key: value for key, value in more.items() if value}}

    def _keep(self, png: bytes, request: Request) -> dict[str, str]:
        if self._inline:
            return {"data": base64.b64encode(png).decode("ascii"), "type": "image/png"}
        path = self._folder / f"{request.kind}-{os.getpid()}-{next(self._counter):06d}.png"
        path.write_bytes(png)
        return {"path": str(path)}

    def _tell_failure(self, number: Any, error: BaseException) -> None:
        """One line for a request that failed. A device that is lost ends the process, whose message stands on stderr."""
        if is_device_lost(error):
            traceback.print_exception(type(error), error, error.__traceback__)
            _finish(1)
        memory = is_out_of_memory(error)
        if not isinstance(error, (Rejected, TryAgain)):
            traceback.print_exception(type(error), error, error.__traceback__)
        words = " ".join(str(error).split())[:2000]
        named = words if isinstance(error, (Rejected, TryAgain)) else f"{type(error).__name__}: {words}"
        line = {"id": number, "error": named or type(error).__name__, "retry": memory or isinstance(error, TryAgain)}
        if memory:
            traceback.clear_frames(error.__traceback__)  # else they hold on to what filled the memory
            _free_memory()
        self._lines.tell({**line, "memory": True} if memory else line)


def _answer_of(given: Any) -> Answer:
    """What a method returned, as an Answer: words, pictures, or neither."""
    if isinstance(given, Answer):
        return given
    if given is None or isinstance(given, str):
        return Answer(given or "")
    if isinstance(given, (list, tuple)):
        return Answer(images=given)
    return Answer(images=[given])


def _file_of(picture: Any, kept: contextlib.ExitStack) -> str:
    """The path of a picture of a request; one that came inside the line is a file as long as `kept` is open. Raises Rejected."""
    if isinstance(picture, dict) and isinstance(picture.get("path"), str):
        if not os.path.isfile(picture["path"]):
            raise Rejected('there is no file {}; on another machine, `images = "inline"` is needed'.format(picture["path"]))
        return str(picture["path"])
    try:
        data = base64.b64decode(picture["data"], validate=True)
    except (TypeError, KeyError, ValueError):
        raise Rejected('a picture of the request is neither {"path": ...} nor {"data": base64}') from None
    folder = kept.enter_context(tempfile.TemporaryDirectory(prefix="unisafe-serve-"))
    path = os.path.join(folder, "picture")
    with open(path, "wb") as file:
        file.write(data)
    return path


# --- pictures ------------------------------------------------------------------------------------------------------------------


def png_of(picture: Any) -> bytes:
    """A PIL image, bytes or a path as the bytes of a PNG that was checked. Raises ValueError for one that is broken."""
    if isinstance(picture, (str, os.PathLike)):
        picture = Path(picture).read_bytes()
    if isinstance(picture, (bytes, bytearray)) and picture[:8] != b"\x89PNG\r\n\x1a\n":
        image = importlib.import_module("PIL.Image")
        with image.open(io.BytesIO(picture)) as opened:
            opened.load()
            picture = opened.convert("RGBA" if "A" in opened.getbands() else "RGB")
    if not isinstance(picture, (bytes, bytearray)):
        content = io.BytesIO()
        picture.save(content, "PNG")
        picture = content.getvalue()
    check_png(bytes(picture))
    return bytes(picture)


def check_png(data: bytes) -> None:
    """Raises ValueError unless `data` is a whole PNG: its chunks with their sums, a size, and pixels that can be unpacked."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("the picture is not a PNG")
    place, pixels, name = 8, zlib.decompressobj(), b""
    size, unpacked = (0, 0), 0
    while name != b"IEND":
        length, name = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        body, total = data[place + 8 : place + 8 + length], data[place + 8 + length : place + 12 + length]
        if len(total) < 4 or zlib.crc32(name + body) != int.from_bytes(total, "big"):
            raise ValueError("the PNG is cut off or damaged")
        if name == b"IHDR":
            size = (int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big"))
        if name == b"IDAT":
            try:
                unpacked += len(pixels.decompress(body))
            except zlib.error as error:
                raise ValueError(f"the PNG's pixels cannot be unpacked: {error}") from None
        place += 12 + length
    if not all(size) or not unpacked or not pixels.eof:
        raise ValueError("the PNG has no pixels")


# --- memory, devices, processes --------------------------------------------------------------------------------------------------


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error means that memory ran out, on any device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and NO_MEMORY.search(str(error)) is not None


def is_device_lost(error: BaseException) -> bool:
    """Whether this process can no longer use its device, so that every later request would fail like this one."""
    if is_out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    return type(error).__name__ == "AcceleratorError" or DEVICE_LOST.search(str(error)) is not None


def _free_memory() -> None:
    gc.collect()
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is not None:
        with contextlib.suppress(Exception):
            cuda.empty_cache()


def _plain(value: Any) -> Any:
    """A value of numpy, torch or a path, for JSON."""
    item = getattr(value, "item", None)
    return item() if item is not None else str(value)


def _finish(code: int) -> NoReturn:
    """End this process at once, whatever threads it has, after the child processes that it started."""
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(Exception):
        _end_children()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def _end_children() -> None:
    deadline = time.monotonic() + GRACE_S
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        children = _list_children()
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(child, number)
        while _list_children() and time.monotonic() < deadline:
            time.sleep(0.02)
        deadline += GRACE_S


def _adopt_orphans() -> None:
    """Have Linux hand us the children of our children when those end (PR_SET_CHILD_SUBREAPER), so that none is lost sight of."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        if sys.platform.startswith("linux"):
            importlib.import_module("ctypes").CDLL(None).prctl(36, 1, 0, 0, 0)


def _list_children() -> list[int]:
    """The living processes below this one, at any depth."""
    own, found = os.getpid(), {os.getpid()}
    listed = list(_list_processes())
    for _ in listed:
        more = {pid for pid, parent in listed if parent in found} - found
        if not more:
            break
        found |= more
    return sorted(found - {own})


def _list_processes() -> Iterator[tuple[int, int]]:
    """Each living process: its number and its parent's."""
    if not os.path.isdir("/proc/self"):
        yield from _ask_ps()
        return
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, ValueError, IndexError):
            status = Path("/proc", name, "stat").read_text(errors="replace").rpartition(")")[2].split()
            # multiprocessing's tracker of shared memory ends by itself after us, and cleans up then
            tracks = b"resource_tracker" in Path("/proc", name, "cmdline").read_bytes()
            if status[0] not in "ZX" and not tracks:
                yield int(name), int(status[1])


def _ask_ps() -> Iterator[tuple[int, int]]:
    if os.name != "posix":
        return
    asked = subprocess.Popen(["ps", "-A", "-o", "pid=,ppid=,stat="], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # noqa: S607
    listed = asked.communicate()[0].decode("ascii", "replace")
    for pid, parent, state in (line.split()[:3] for line in listed.splitlines() if len(line.split()) >= 3):
        if "Z" not in state and int(pid) != asked.pid:
            yield int(pid), int(parent)
