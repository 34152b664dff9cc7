"""Odd files, and the commands that read them: one function for each kind of input writes a folder and returns its commands."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from unisafe_judger import rubrics

from benchmarks.fuzz import stored
from benchmarks.fuzz.odd import TEXTS, broken_bytes, json_text, mutated, odd_value, toml_text
from benchmarks.fuzz.server import Answers

Commands = list[tuple[str, ...]]
RUBRICS = Path(rubrics.__file__).parent / "rubrics"
MODEL = {"name": "M", "provider": "simulated", "model": "balanced", "takes": ["text", "image"], "gives": ["text", "image"]}
JUDGE = {"provider": "simulated", "model": "judge", "simulation": {"guess": 0.5}}
LIMIT = ("--limit", "4")


@dataclass(frozen=True)
class Given:
    """What an input is made from: the sound files of `base`, and the server whose answers are odd."""

    base: Path
    answers: Answers


def bench(folder: Path, **sections: Any) -> None:
    (folder / "bench.toml").write_text(toml_text({"judge": JUDGE, "models": [MODEL], **sections}), "utf-8", "surrogatepass")


def write_lines(path: Path, lines: list[Any], random: Random) -> None:
    """JSON lines; now and then the bytes of the whole file are broken too."""
    data = "\n".join(map(json_text, lines)).encode("utf-8", "surrogatepass") + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(broken_bytes(random, data) if random.random() < 0.15 else data)


# ---------------------------------------------------------------- what a user writes


def dataset(random: Random, folder: Path, given: Given) -> Commands:
    """A few lines of a dataset, and files that are no pictures."""
    write_odd_pictures(random, folder / "images")
    item = {
        "id": 1,
        "task": "dual_unsafe_vqa",
        "prompt": "What is this?",
        "image": _picture(random, "images/"),
        "category": "Politics",
    }
    lines = [{**item, "id": 0, "image": "images/good.png"}, mutated(random, item, random.randrange(1, 4))]
    if random.random() < 0.3:
        lines.append(odd_value(random))
    write_lines(folder / "data.jsonl", lines, random)
    bench(folder, dataset={"source": "data.jsonl"})
    return [("data", "check", "data.jsonl"), random.choice((("run",), ("plan",), ("run", "--task", "dual_unsafe_vqa")))]


def configuration(random: Random, folder: Path, given: Given) -> Commands:
    table = {
        "dataset": {"source": "sample", "tasks": ["malicious_text_generation"], "categories": ["Privacy Leak"], "limit": 4},
        "generation": {"repeats": 1, "max_tokens": 64, "temperature": 0.5, "top_p": 0.9, "seed": 1, "image_size": "512x512"},
        "cache": {"path": "unisafe.duckdb", "patience_s": 5.0},
        "run": {"budget_usd": 1.0},
        "judge": {**JUDGE, "structured": True, "max_tokens": 256, "temperature": 0.0, "thoughts": True},
        "models": [
            {**MODEL, "rpm": 6000, "timeout_s": 5.0, "price_in": 1.0, "extra": {"a": {"b": 1}}, "utility": 50, "backbone": "M"}
        ],
    }
    data = toml_text(mutated(random, table, random.randrange(1, 4))).encode("utf-8", "surrogatepass")
    (folder / "bench.toml").write_bytes(broken_bytes(random, data) if random.random() < 0.1 else data)
    return [
        ("plan",),
        random.choice((("run", "--limit", "1", "--repeats", "1"), ("report",), ("doctor", "--free", "--yes"), ("runs",))),
    ]


def rubric_files(random: Random, folder: Path, given: Given) -> Commands:
    shutil.copytree(RUBRICS, folder / "rubrics")
    path = random.choice(sorted((folder / "rubrics").iterdir()))
    what = random.random()
    if what < 0.2:
        path.unlink()
    elif what < 0.6:
        path.write_bytes(broken_bytes(random, path.read_bytes()))
    else:
        path.write_text(path.read_text() + str(random.choice(TEXTS)) + "{" + str(random.choice(TEXTS)) + "}", "utf-8", "replace")
    bench(folder, judge={**JUDGE, "rubrics": "rubrics"})
    return [("run", "--limit", "2")]


def arguments(random: Random, folder: Path, given: Given) -> Commands:
    """Odd arguments to commands that read a sound cache."""
    shutil.copy(given.base / "unisafe.duckdb", folder)
    bench(folder)
    odd = random.choice(TEXTS).replace("\0", "").encode("utf-8", "replace").decode()
    forms = (
        ("report", odd),
        ("report", "--model", odd),
        ("report", "--category", odd),
        ("report", "--sort", odd),
        ("report", "--by", odd),
        ("compare", odd, "A"),
        ("compare", "A", f"{odd}:B"),
        ("show", odd),
        ("show", odd, "--run", odd),
        ("browse", "--text", odd),
        ("browse", "--contextual", odd),
        ("tables", "-f", "latex", "--by", odd),
        ("rows", "-o", odd or "x"),
        ("rows", "-o", f"{odd}.csv"),
        ("export", "-o", f"{odd}.zip"),
        ("export-official", "-o", odd or "x"),
        ("cache", "prune", "--run", odd, "--yes"),
        ("cache", "export", odd or "x"),
        ("data", "check", odd),
        ("new-provider", odd),
        ("run", "--limit", odd),
        ("run", "--model", odd),
        ("plan", "-c", odd),
        ("runs", "--cache", odd),
        ("agree", odd),
        ("judge", odd, "--plan"),
        ("simulate", "--fault", odd),
        ("batches", "--cancel", odd, "--yes"),
    )
    return [random.choice(forms)]


# ---------------------------------------------------------------- files of others


def responses(random: Random, folder: Path, given: Given) -> Commands:
    """A file of responses for `unisafe judge`."""
    write_odd_pictures(random, folder / "out")
    line = {
        "id": 1,
        "task": random.choice(("malicious_text_generation", "unsafe_t2i_generation")),
        "prompt": "Write a line.",
        "generated_text": "A line.",
        "output_image": _picture(random),
        "category": "Politics",
        "intention": "a line",
        "reject_image": False,
        "finish": "stop",
        "reason": "",
    }
    write_lines(folder / "responses.jsonl", [{**line, "id": 0}, mutated(random, line, random.randrange(1, 4))], random)
    bench(folder)
    return [("judge", "responses.jsonl", "--images", "out", *(("--plan",) if random.random() < 0.3 else ())), ("report",)]


def verdicts(random: Random, folder: Path, given: Given) -> Commands:
    lines = [
        {"id": number, "context_safety": random.choice("012"), "init_safety": random.choice(("0", "1", "NA"))}
        for number in range(1, 4)
    ]
    path = Path("eval") / random.choice(("T2I", "VQA", "Text Generation", "odd")) / "uni_model_numeric.jsonl"
    write_lines(folder / path, [*lines[:1], *(mutated(random, line, random.randrange(1, 3)) for line in lines[1:])], random)
    bench(folder)
    task = ("--task", "unsafe_t2i_generation") if random.random() < 0.5 else ()
    return [("import-verdicts", str(path), *task), ("report",)]


def labels(random: Random, folder: Path, given: Given) -> Commands:
    shutil.copy(given.base / "unisafe.duckdb", folder)
    bench(folder)
    known = json.loads((given.base / "labels.json").read_text())
    write_lines(folder / "labels.jsonl", [known[0], *(mutated(random, one, random.randrange(1, 4)) for one in known[1:4])], random)
    return [("agree", "labels.jsonl"), ("label", "-o", "labels.jsonl", "--limit", "1")]


def plugin(random: Random, folder: Path, given: Given) -> Commands:
    """A package whose entry point raises an error or returns nonsense at one of its calls."""
    place, nonsense = random.choice(stored.PLACES), random.choice(stored.NONSENSE)
    stored.write_plugin(folder / "site", place, nonsense, random)
    bench(folder, models=[{"name": "P", "provider": "odd", "model": "m"}])
    return [("providers",), ("run", *LIMIT), ("doctor", "--yes")]


def archive(random: Random, folder: Path, given: Given) -> Commands:
    stored.odd_archive(random, given.base / "run.unisafe.zip", folder / "odd.zip")
    bench(folder)
    return [("import", "odd.zip"), random.choice((*READERS, *READERS, ("run", *LIMIT)))]


def cache_file(random: Random, folder: Path, given: Given) -> Commands:
    stored.odd_cache(random, given.base / "unisafe.duckdb", folder / "unisafe.duckdb")
    bench(folder)
    return [random.choice(READERS), random.choice((*READERS, ("run", *LIMIT)))]


READERS: tuple[tuple[str, ...], ...] = (
    ("report",),
    ("report", "--by", "category", "--ci", "--blocks"),
    ("report", "--html", "page.html"),
    ("report", "--svg", "figure.svg"),
    ("runs",),
    ("compare", "A", "B"),
    ("compare", "--backbone"),
    ("compare", "--paper"),
    ("tables", "-f", "latex"),
    ("tables", "-f", "parquet", "-o", "t.parquet"),
    ("rows", "-o", "rows.csv"),
    ("rows", "-o", "rows.parquet"),
    ("export", "-o", "again.zip"),
    ("export-official", "-o", "official"),
    ("browse",),
    ("show", "malicious_text_generation/1"),
    ("cache", "stats"),
    ("cache", "export", "tables"),
    ("batches",),
    ("plan",),
)


# ---------------------------------------------------------------- what is answered


def answers(random: Random, folder: Path, given: Given) -> Commands:
    """A model whose server answers oddly."""
    wire = random.choice(("openai", "openai", "anthropic", "gemini"))
    url = given.answers.odd(random, wire)
    model = {
        **MODEL,
        "provider": wire,
        "gives": ["text"],
        "base_url": url,
        "key_env": "FUZZ_KEY",
        "timeout_s": 2.0,
        "max_tries": 2,
        "max_wait_s": 3.0,
    }
    bench(folder, models=[model])
    return [("run", "--limit", "2"), random.choice((("report",), ("browse",), ("report", "--html", "page.html")))]


def judge_replies(random: Random, folder: Path, given: Given) -> Commands:
    url = given.answers.odd(random, "openai", judge=True)
    judge = {
        "provider": "openai",
        "model": "j",
        "takes": ["text", "image"],
        "base_url": url,
        "key_env": "FUZZ_KEY",
        "timeout_s": 2.0,
        "max_tries": 2,
        "max_wait_s": 3.0,
    }
    bench(folder, judge=judge)
    return [("run", "--limit", "2"), ("report",)]


# ---------------------------------------------------------------- pictures


def _picture(random: Random, folder: str = "") -> Any:
    return random.choice((*(f"{folder}{name}" for name in (*PICTURES, *SPECIAL, "good.png")), odd_value(random)))


def png(width: int, height: int, rows: int | None = None) -> bytes:
    """A grey PNG with a given declared size and a given number of rows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress(b"".join(b"\0" + b"\x80" * min(width, 64) for _ in range(height if rows is None else rows)))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


PICTURES: dict[str, bytes] = {
    "small.png": png(1, 1),
    "bomb.png": png(60_000, 60_000, 1),
    "flat.png": png(0, 0),
    "cut.png": png(32, 32)[:60],
    "empty.png": b"",
    "text.png": b"not a picture",
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
    "half.gif": b"GIF89a\x10\x00\x10\x00\xf7\x00\x00",
    "half.jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01",
    "half.webp": b"RIFF\x24\x00\x00\x00WEBPVP8X",
    "page.pdf": b"%PDF-1.4\n",
}
SPECIAL = ("folder.png", "loop.png", "zero.png", "pipe.png")
"""Paths that are no files: a folder, a link to itself, a device, a pipe that nobody writes to."""


def write_odd_pictures(random: Random, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "good.png").write_bytes(png(16, 16))
    for name, data in PICTURES.items():
        (folder / name).write_bytes(broken_bytes(random, data) if data and random.random() < 0.3 else data)
    (folder / SPECIAL[0]).mkdir()
    os.symlink(SPECIAL[1], folder / SPECIAL[1])
    os.symlink("/dev/zero", folder / SPECIAL[2])
    os.mkfifo(folder / SPECIAL[3])


KINDS: dict[str, Callable[[Random, Path, Given], Commands]] = {
    "dataset lines and pictures": dataset,
    "bench.toml": configuration,
    "files of responses": responses,
    "files of verdicts": verdicts,
    "files of labels": labels,
    "rubrics": rubric_files,
    "archives": archive,
    ".duckdb files": cache_file,
    "plugins": plugin,
    "answers of models": answers,
    "replies of judges": judge_replies,
    "arguments": arguments,
}
