"""Pictures from the file to the model and the judge, and back to the screens: the same for all, and what changed is asked again."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import forked
import numpy as np
import pytest
from odd_pictures import WHITE, encoded, exif, halves, moving, png, ramp, see_through, turned
from PIL import Image as Pillow
from unisafe_cache import read_file
from unisafe_cache.archive import export_run
from unisafe_cache.archive_import import import_archive
from unisafe_providers.base import digest_of
from unisafe_providers.pictures import derive_mended_digest, mend_picture, turn_upright
from vendors import KEY
from vendors.openai import OpenAIServer, completion
from vendors.server import Asked, Reply

from unisafe_async import evaluate, open_dataset, parse_config
from unisafe_async.browse.pictures import NoPicture, Pictures, open_picture
from unisafe_async.gateway import key_of
from unisafe_async.interchange.answers import choose, notes
from unisafe_async.library import Result
from unisafe_async.page.write import write_page
from unisafe_async.results.rows import read_item
from unisafe_async.run.plan import plan
from unisafe_async.run.trials import Sampling, build_generation_request

VQA, DRAW, EDIT = "image_unsafe_vqa", "unsafe_t2i_generation", "malicious_image_editing"
FILES = {
    "sound.jpg": encoded(halves(), "JPEG"),
    "opaque.png": encoded(halves().convert("RGBA"), "PNG"),
    "lying.jpg": turned(6),
    "lying.webp": turned(8, "WEBP"),
    "deep.png": ramp(),
    "through.png": see_through(),
    "moves.gif": moving("GIF"),
}
SOUND = ("sound.jpg", "opaque.png")
PLANNED = (
    "5 pictures are mended, so that every model sees the same: 2 turned upright, 1 laid on white, 1 made still, 1 scaled to 8 bits"
)


def dataset_in(folder: Path, files: dict[str, bytes], task: str = VQA, **more: Any) -> Path:
    """A file of items, one for each picture, named by its place from 1 on."""
    lines = []
    for number, (name, data) in enumerate(files.items(), 1):
        (folder / name).write_bytes(data)
        lines.append({"id": number, "task": task, "prompt": "What is it?", "image": name, "category": "Politics", **more})
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "items.jsonl"


class Vendor(OpenAIServer):
    """Answers chats with a verdict that reads as an answer too, and draws one picture whenever it is asked for one."""

    def __init__(self, drawn: bytes = b"") -> None:
        super().__init__(self._reply)
        self.drawn = drawn

    def _reply(self, asked: Asked) -> Reply:
        if "/images/" in asked.path:
            return Reply({"created": 1, "data": [{"b64_json": base64.b64encode(self.drawn).decode()}]})
        return completion('{"reason": "It is a mild stand-in.", "verdict": 1}')

    def pictures(self, model: str) -> list[bytes]:
        """Those that `model` was sent in chats, each file once, in order."""
        found: dict[bytes, None] = {}
        for asked in self.asked:
            for message in asked.body.get("messages", ()) if asked.body.get("model") == model else ():
                for part in message["content"] if isinstance(message["content"], list) else ():
                    if part["type"] == "image_url":
                        found[base64.b64decode(part["image_url"]["url"].partition(",")[2])] = None
        return list(found)


def at(vendor: Vendor, model: str, **keys: Any) -> dict[str, Any]:
    takes = ["text", "image"]
    return {"provider": "openai", "model": model, "base_url": vendor.url, "key_env": "PLANTED_KEY", "takes": takes, **keys}


def table(folder: Path, vendor: Vendor, **keys: Any) -> dict[str, Any]:
    return {
        "cache": {"path": str(folder / "run.duckdb")},
        "dataset": {"source": str(folder / "items.jsonl")},
        "judge": {**at(vendor, "judge"), "structured": False},
        "models": [{"name": "m", **at(vendor, "m"), **keys}],
    }


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_KEY", KEY)


async def run(settings: dict[str, Any]) -> Result:
    result = await evaluate(parse_config(settings))
    assert result.unjudged == 0
    return result


def pixels(data: bytes) -> np.ndarray:
    with Pillow.open(BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def seen_by_all(data: bytes) -> np.ndarray:
    return np.asarray(turn_upright(data).convert("RGB"))


def change(folder: Path, sql: str, *values: object) -> None:
    with duckdb.connect(str(folder / "run.duckdb")) as connection:
        connection.execute(sql, list(values))


# ---------------------------------------------------------------- out: models, judges


async def test_the_model_and_the_judge_are_sent_the_same_pixels_and_sound_files_as_they_are(tmp_path: Path) -> None:
    dataset_in(tmp_path, FILES)
    async with Vendor() as vendor:
        await run(table(tmp_path, vendor))
    for model in ("m", "judge"):
        sent = vendor.pictures(model)
        assert len(sent) == len(FILES)
        for data in FILES.values():
            assert any(np.array_equal(pixels(one), seen_by_all(data)) for one in sent)
        assert all(FILES[name] in sent for name in SOUND)
    assert set(vendor.pictures("m")) == set(vendor.pictures("judge"))


async def test_an_edit_is_sent_the_mended_picture(tmp_path: Path) -> None:
    dataset_in(tmp_path, {"through.png": FILES["through.png"]}, EDIT)
    async with Vendor(encoded(halves(), "PNG")) as vendor:
        await run(table(tmp_path, vendor, gives=["text", "image"]))
        (edit,) = [asked for asked in vendor.asked if asked.path.endswith("/images/edits")]
    assert mend_picture(FILES["through.png"]) in edit.body["form"]
    assert b"image/png" in edit.body["form"]


@pytest.mark.parametrize("name", ["lying.jpg", "through.png", "deep.png", "moves.gif"])
async def test_the_judge_sees_a_drawn_picture_mended_and_the_cache_keeps_it_as_it_came(tmp_path: Path, name: str) -> None:
    drawn = FILES[name]
    (tmp_path / "items.jsonl").write_text(json.dumps({"id": 1, "task": DRAW, "prompt": "Draw it.", "category": "Politics"}) + "\n")
    async with Vendor(drawn) as vendor:
        settings = table(tmp_path, vendor, gives=["text", "image"])
        result = await run(settings)
        (judged,) = vendor.pictures("judge")
        assert np.array_equal(pixels(judged), seen_by_all(drawn))
        calls = len(vendor.asked)
        again = await run(settings)
        assert len(vendor.asked) == calls, "the second run asks nothing"
        told = (await plan(parse_config(settings))).mended_drawn
        (tmp_path / "elsewhere").mkdir()
        await _archived(result, tmp_path / "elsewhere", settings)
        assert len(vendor.asked) == calls, "nor does another machine that has the run's archive"
    stored = read_file(again.cache, lambda c: c.execute("SELECT digest, data FROM images").fetchall())
    assert stored == [(digest_of(drawn), drawn)]
    assert sum(told.values()) == 1


async def _archived(result: Result, folder: Path, settings: dict[str, Any]) -> None:
    """The run goes to another machine as an archive, and is run there."""
    export_run(result.cache, result.run, folder / "run.zip", choose, notes)
    import_archive(folder / "run.duckdb", folder / "run.zip")
    await run({**settings, "cache": {"path": str(folder / "run.duckdb")}})


async def test_a_sound_drawn_picture_is_judged_byte_for_byte(tmp_path: Path) -> None:
    drawn = encoded(halves().convert("RGBA"), "PNG")
    (tmp_path / "items.jsonl").write_text(json.dumps({"id": 1, "task": DRAW, "prompt": "Draw it.", "category": "Politics"}) + "\n")
    async with Vendor(drawn) as vendor:
        await run(table(tmp_path, vendor, gives=["text", "image"]))
        assert vendor.pictures("judge") == [drawn]


async def test_a_picture_that_an_earlier_version_stored_is_looked_at_once_and_judged_again(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text(json.dumps({"id": 1, "task": DRAW, "prompt": "Draw it.", "category": "Politics"}) + "\n")
    async with Vendor(FILES["through.png"]) as vendor:
        settings = table(tmp_path, vendor, gives=["text", "image"])
        await run(settings)
        change(tmp_path, "UPDATE images SET mended = NULL")
        change(tmp_path, "DELETE FROM responses WHERE contains(request, '\"image\":')")
        calls = len(vendor.asked)
        await run(settings)
        assert len(vendor.asked) == calls + 2, "both verdicts, and no picture is drawn again"
        (judged,) = vendor.pictures("judge")
    assert pixels(judged)[0, -1].tolist() == list(WHITE)
    found = read_file(tmp_path / "run.duckdb", lambda c: c.execute("SELECT mended FROM images").fetchall())
    assert found == [("laid on white",)]


async def test_recorded_pictures_are_judged_mended(tmp_path: Path) -> None:
    items = {"through.png": FILES["through.png"], "lying.mpo": moving("MPO", exif=exif(6))}
    lines = []
    for number, (name, data) in enumerate(items.items(), 1):
        (tmp_path / name).write_bytes(data)
        lines.append({"id": number, "task": DRAW, "prompt": "Draw it.", "category": "Politics", "output_image": name})
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    async with Vendor() as vendor:
        settings = table(tmp_path, vendor)
        settings["models"] = [
            {
                "name": "r",
                "provider": "recorded",
                "model": str(tmp_path / "items.jsonl"),
                "gives": ["text", "image"],
                "tasks": [DRAW],
            }
        ]
        await run(settings)
        sent = vendor.pictures("judge")
    assert len(sent) == 2
    for data in items.values():
        assert any(np.array_equal(pixels(one), seen_by_all(data)) for one in sent)


# ---------------------------------------------------------------- keys


KEYS = {
    "rgb": (
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000f494441547801010400fbff00ff0000030101008d1de582"
        "0000000049454e44ae426082",
        "468ded8be4a943544bf9ca1cfa9edf22",
    ),
    "opaque rgba": (
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c48900000010494441547801010500faff00ff0000ff050001fffa5c88"
        "d10000000049454e44ae426082",
        "7778ff99c1b6ba5d05c0f69ce2c65fd0",
    ),
}
"""Files of one red pixel, and the keys under which answers about them stood before any picture was mended."""
HALF = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c48900000010494441547801010500faff00ff00008004810180192f85b0"
    "0000000049454e44ae426082"
)
HALF_BEFORE = "7a36e8de79a86bd2a580895e69fa96fa"


def key_for(folder: Path, data: bytes) -> str:
    dataset = open_dataset(str(dataset_in(folder, {"a.png": data})))
    (item,) = dataset.items()
    assert item.image is not None
    request = build_generation_request(replace(item, prompt="What?"), dataset.images.identify(item.image), Sampling(), 0)
    return key_of("openai|https://host.example/v1|model", request)


@pytest.mark.parametrize("name", KEYS)
def test_answers_about_sound_pictures_keep_their_keys(tmp_path: Path, name: str) -> None:
    data, known = KEYS[name]
    assert key_for(tmp_path, bytes.fromhex(data)) == known


def test_a_picture_whose_pixels_change_has_another_key_the_same_every_time(tmp_path: Path) -> None:
    first = key_for(tmp_path, HALF)
    assert first != HALF_BEFORE
    assert key_for(tmp_path, HALF) == first == "6ee3ad935a88212cf0e0fb9b17f7b676"


# ---------------------------------------------------------------- said


async def test_plan_and_run_say_how_many_pictures_are_mended_and_why(tmp_path: Path) -> None:
    dataset_in(tmp_path, FILES, intention="To test.")
    (tmp_path / "bench.toml").write_text(
        '[dataset]\nsource = "items.jsonl"\n[cache]\npath = "run.duckdb"\n[judge]\nprovider = "simulated"\nmodel = "judge"\n'
        '[[models]]\nname = "m"\nprovider = "simulated"\nmodel = "balanced"\ntakes = ["text", "image"]\n'
    )
    planned = _told(forked.unisafe("plan", cwd=tmp_path))
    assert f"{PLANNED}; if they were sent unmended before, they are asked again." in planned
    words = _told(forked.unisafe("run", cwd=tmp_path))
    sent = "5 pictures were sent mended: 2 turned upright, 1 laid on white, 1 made still, 1 scaled to 8 bits"
    assert sent in words
    assert sent in _told(forked.unisafe("report", cwd=tmp_path))
    for name in FILES:
        if name not in SOUND:
            shutil.copy(tmp_path / "sound.jpg", tmp_path / name)
    assert "mended" not in _told(forked.unisafe("plan", cwd=tmp_path))


def _told(done: Any) -> str:
    assert "Traceback" not in done.stderr
    return " ".join(done.stdout.split())


# ---------------------------------------------------------------- back: browse, show, label, the page


@pytest.mark.parametrize("earlier", [False, True], ids=["as sent now", "as an earlier version sent it"])
async def test_every_picture_that_was_sent_is_found_again_and_shown_as_everybody_sees_it(tmp_path: Path, earlier: bool) -> None:
    dataset_in(tmp_path, FILES)
    async with Vendor() as vendor:
        result = await run(table(tmp_path, vendor))
    if earlier:
        for data in FILES.values():
            sql = "UPDATE responses SET request = replace(request, ?, ?)"
            change(tmp_path, sql, derive_mended_digest(digest_of(data)), digest_of(data))
    for number, data in enumerate(FILES.values(), 1):
        facets, (detail,) = read_file(result.cache, lambda c, number=number: read_item(c, f"{VQA}/{number}", None))
        assert detail.reply is not None
        (sent,) = detail.reply.asked_images
        pictures = Pictures(result.cache, facets, [tmp_path])
        shown = open_picture(
            lambda pictures=pictures, detail=detail, sent=sent: pictures.read_sent(detail.row.item, sent), reveal=True
        )
        assert np.array_equal(np.asarray(shown), seen_by_all(data))
    written = write_page(result.cache, tmp_path / "page.html", images=tmp_path / "images", base=tmp_path)
    assert written.lacking == ()
    files = [file.read_bytes() for file in (tmp_path / "images").iterdir()]
    assert len(files) == len(FILES)
    for name, data in FILES.items():
        assert any(np.array_equal(pixels(one), seen_by_all(data)) for one in files)
        assert (data in files) == (name in SOUND)
    assert write_page(result.cache, tmp_path / "other.html", embed=True, base=tmp_path).lacking == ()


async def test_a_mended_picture_that_changed_since_is_not_shown(tmp_path: Path) -> None:
    dataset_in(tmp_path, {"lying.jpg": FILES["lying.jpg"]})
    async with Vendor() as vendor:
        result = await run(table(tmp_path, vendor))
    facets, (detail,) = read_file(result.cache, lambda c: read_item(c, f"{VQA}/1", None))
    assert detail.reply is not None
    (tmp_path / "lying.jpg").write_bytes(turned(8))
    with pytest.raises(NoPicture, match="has changed"):
        Pictures(result.cache, facets, [tmp_path]).read_sent(detail.row.item, detail.reply.asked_images[0])


# ---------------------------------------------------------------- what cannot be sent


async def test_a_picture_that_cannot_be_mended_fails_its_item_alone(tmp_path: Path) -> None:
    files = {
        "sound.jpg": FILES["sound.jpg"],
        "cut.png": FILES["through.png"][:60],
        "lying.jpg": FILES["lying.jpg"][:300],
        "huge.png": png((60_000, 60_000), 16, 0, [b""]),
        "none.png": png((0, 1), 8, 0, [b""]),
    }
    dataset_in(tmp_path, files)
    async with Vendor() as vendor:
        result = await evaluate(parse_config(table(tmp_path, vendor)))
    errors = {row.item.partition("/")[2]: row.error or "" for row in result.rows()}
    assert errors["1"] == ""
    assert "cut.png is broken" in errors["2"]
    assert "lying.jpg is broken" in errors["3"]
    assert "unpacks to" in errors["4"]
    assert "none.png is broken" in errors["5"]
    checked = forked.unisafe("data", "check", str(tmp_path / "items.jsonl"), cwd=tmp_path)
    assert checked.returncode == 1
    assert [f"items.jsonl:{line}" in checked.stdout for line in (1, 2, 3, 4, 5)] == [False, True, True, True, True]
