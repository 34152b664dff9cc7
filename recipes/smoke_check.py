"""Ask a recipe's script four harmless questions on the GPU where it stands, and say what came back: `unisafe` is not needed.

    python recipes/smoke_check.py recipes/bagel [--python /envs/bagel/bin/python] [--option quantization=nf4]

Run it with Python 3.11 or newer, in the folder from which the paths of the recipe's bench.toml start. It starts that command, asks
for every kind that the script says it can do, draws twice with one seed and says whether the pictures are the same, and leaves them
in the folder that it names. Ends with 0 where each kind was answered and the script ended by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import tomllib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

END_S: Final = 30.0
"""Seconds that the script has to end after its stdin is closed."""


def main() -> int:
    """Ask, print, and return the exit code."""
    asked = _read_arguments()
    try:
        entry = tomllib.loads((asked.recipe / "bench.toml").read_text("utf-8"))["models"][asked.entry]
    except (OSError, IndexError) as error:
        sys.exit(f"{asked.recipe}: it is no folder of a recipe, or its bench.toml has no entry {asked.entry} ({error})")
    command = [asked.python or entry["command"][0], *entry["command"][1:]]
    options = {**entry.get("options", {}), **dict(map(_read_option, asked.option))}
    folder = Path(tempfile.mkdtemp(prefix="smoke-check-"))
    print(f"$ {shlex.join(command)}\npictures: {folder}", flush=True)
    if shutil.which(command[0]) is None:
        sys.exit(f"there is no program {command[0]}; name the interpreter of the model's environment with --python")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8") as script:
        assert script.stdin is not None
        assert script.stdout is not None
        hello = {"protocol": 1, "options": options, "device": asked.device, "images": "paths", "folder": str(folder)}
        started = time.monotonic()
        replies = _read_replies(script.stdout)
        ready = _ask(script.stdin, replies, {"hello": hello})
        print(f"ready after {time.monotonic() - started:.0f} s: {json.dumps(ready)}", flush=True)
        failed = [
            kind
            for number, (kind, request) in enumerate(_list_requests(ready, folder, {"size": asked.size} if asked.size else {}))
            if not _try(script.stdin, replies, kind, {"id": number, **request})
        ]
        script.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            script.wait(END_S)
        if script.poll() is None:
            script.kill()
            failed.append("the end: stdin was closed, and the script went on")
        elif script.returncode != 0:
            failed.append(f"the end: exit code {script.returncode}")
    drawn = [picture.read_bytes() for picture in sorted(folder.glob("image-*.png"))]
    if len(drawn) > 1:
        print(f"the same seed twice gave {'the same picture' if drawn[0] == drawn[1] else 'DIFFERENT pictures'}")
    print(f"FAILED: {', '.join(failed)}" if failed or not ready else "all answered; look at the pictures")
    return 1 if failed or not ready else 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path, help="the recipe's folder")
    parser.add_argument("--entry", type=int, default=0, help="which entry of its bench.toml, from 0")
    parser.add_argument("--python", help="the interpreter of the model's environment")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--size", help="of the pictures that it draws, such as 512x512; the model's own where it is not given")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="an option of the script; VALUE as JSON or text"
    )
    return parser.parse_args()


def _read_option(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _list_requests(ready: dict[str, Any], folder: Path, size: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is asked for each kind, by a name."""
    kinds, picture = ready.get("kinds", []), folder / "asked.png"
    picture.write_bytes(_draw_square())
    if "chat" in kinds:
        yield "text", {"kind": "chat", "text": "What is the capital of France?", "max_tokens": 64, "seed": 1}
    if "chat" in kinds and ready.get("sees"):
        yield (
            "picture to text",
            {
                "kind": "chat",
                "text": "Which two colours do you see?",
                "images": [{"path": str(picture)}],
                "max_tokens": 64,
                "seed": 1,
            },
        )
    if "image" in kinds:
        for name in ("text to picture", "text to picture, again"):
            yield name, {"kind": "image", "text": "a red apple on a wooden table", "seed": 1, **size}
    if "edit" in kinds:
        yield "edit", {"kind": "edit", "text": "Make the square green.", "images": [{"path": str(picture)}], "seed": 1}


def _try(requests: IO[str], replies: Iterator[dict[str, Any]], name: str, request: dict[str, Any]) -> bool:
    started = time.monotonic()
    reply = _ask(requests, replies, request)
    due = request["kind"] != "chat"
    sound = "error" not in reply and bool(reply.get("images") if due else reply.get("text"))
    print(
        f"{'ok' if sound else 'NO'}  {name}, {time.monotonic() - started:.1f} s: {json.dumps(reply, ensure_ascii=False)}",
        flush=True,
    )
    return sound


def _ask(requests: IO[str], replies: Iterator[dict[str, Any]], line: dict[str, Any]) -> dict[str, Any]:
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(line), file=requests, flush=True)
    return next(replies, {"error": "the script ended"} if "id" in line else {})


def _read_replies(lines: IO[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            print(f"NO  a line on stdout that is not of the protocol: {line!r}", flush=True)
        elif "progress" in reply:
            print(f"... {reply['progress']}", flush=True)
        else:
            yield reply


def _draw_square(edge: int = 256) -> bytes:
    """A PNG: a blue square on white."""
    inside = range(edge // 4, edge * 3 // 4)
    pixels = b"".join(
        b"\0" + b"".join(b"\x10\x20\xe0" if x in inside and y in inside else b"\xff\xff\xff" for x in range(edge))
        for y in range(edge)
    )
    chunks = ((b"IHDR", struct.pack(">2I5B", edge, edge, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


if __name__ == "__main__":
    sys.exit(main())
