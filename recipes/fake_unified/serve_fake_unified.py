"""Serves a unified model that knows nothing: it answers, draws a small picture of its own, and edits. For tests and documentation.

It needs Python 3.8 or newer and the standard library alone. The same request with the same seed gives the same answer.
"""

import hashlib
import struct
import sys
import time
import zlib
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # recipes/, where unisafe_serve.py stands

import unisafe_serve

unisafe_serve.take_stdout()

REFUSAL = "I cannot help with that."
EDGE = 64
"""Width and height of its pictures in pixels, where no size is asked for."""


class Model:
    """Options: `seconds` that an answer takes, `batches` to answer several requests at once, `refuses`, a list of words."""

    model, version, kinds, sees = "fake-unified", "1", ["chat", "image", "edit"], True

    def __init__(self, options, device):
        print("loading on", device)  # as research code does: it goes to the log
        self.seconds = float(options.get("seconds", 0))
        self.refuses = [word.lower() for word in options.get("refuses", [])]
        self.batches = bool(options.get("batches", False))
        self.parameters = {"edge": EDGE, "refuses": self.refuses}

    def answer_batch(self, requests):
        time.sleep(self.seconds)
        return [self.answer(request) for request in requests]

    def chat(self, request):
        time.sleep(self.seconds)
        return self.answer(request)

    draw = edit = chat

    def answer(self, request):
        if any(word in request.text.lower() for word in self.refuses):
            return unisafe_serve.Answer(REFUSAL, finish="refused")
        digest = self.digest(request)
        if request.kind != "chat":
            return unisafe_serve.Answer(images=[draw_rings(request.width_and_height((EDGE, EDGE)), digest)])
        words = "You sent {} and {} words; my number for them is {}.".format(
            count(request.image_files, "picture"), len(request.text.split()), int.from_bytes(digest[:2], "big")
        ).split()
        limit = request.max_tokens or len(words)
        return unisafe_serve.Answer(
            " ".join(words[:limit]),
            finish="length" if limit < len(words) else "stop",
            tokens_in=len(request.text.split()),
            tokens_out=min(limit, len(words)),
        )

    def digest(self, request):
        content = hashlib.sha256(repr((request.kind, request.system, request.text, request.seed)).encode("utf-8", "replace"))
        for path in request.image_files:
            content.update(Path(path).read_bytes())
        return content.digest()


def count(things, word):
    return "{} {}{}".format(len(things), word, "" if len(things) == 1 else "s")


def draw_rings(size, digest):
    """A PNG of coloured rings: colours and place come from the digest."""
    width, height = size
    middle_x, middle_y, ring = digest[0] * width // 256, digest[1] * height // 256, 3 + digest[2] % 9
    colours = [digest[3 + 3 * index : 6 + 3 * index] for index in range(8)]
    rows = b"".join(
        b"\x00" + b"".join(colours[(abs(x - middle_x) + abs(y - middle_y)) // ring % len(colours)] for x in range(width))
        for y in range(height)
    )
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


if __name__ == "__main__":
    unisafe_serve.run(Model)
