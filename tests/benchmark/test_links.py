"""Which files a data set may name: by how the name is written; where links lead matters only for a stranger's repository."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from forked import unisafe
from hub_cache import SAMPLE, Hub
from unisafe_cache import read_file
from unisafe_cache.run_shapes import Config, Dataset, Judge, Model
from unisafe_providers.base import Capabilities, Rejected, Request, Text, digest_of
from unisafe_providers.named_files import Folder, NoSuchFile

from unisafe_async import parse_config
from unisafe_async.benchmark import DatasetError, open_dataset
from unisafe_async.browse.pictures import Pictures
from unisafe_async.interchange.official import read_origin
from unisafe_async.interchange.recorded import Recorded
from unisafe_async.results.reopening import reopen
from unisafe_async.results.rows import read_facets
from unisafe_async.run.endpoints import provider_of

BENCH = """
[dataset]
source = "{source}"
[judge]
provider = "simulated"
model = "judge"
[[models]]
name = "Sim"
provider = "simulated"
model = "balanced"
takes = ["text", "image"]
gives = ["text", "image"]
"""
VQA = {"task": "dual_unsafe_vqa", "prompt": "A mild stand-in.", "category": "Politics"}
PICTURE = next(SAMPLE.rglob("*.png")).read_bytes()


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path / "home")


def test_a_data_set_from_the_hub_is_whole(hub: Hub, tmp_path: Path) -> None:
    hub.add_sample()
    checked = unisafe("data", "check", "hf:owner/name", cwd=tmp_path, env=hub.environment)
    assert (checked.returncode, checked.stdout.splitlines()[-1][:23]) == (0, "101 items, 0 problems; "), checked
    (tmp_path / "bench.toml").write_text(BENCH.format(source="hf:owner/name"))
    run = unisafe("run", cwd=tmp_path, env=hub.environment)
    assert run.returncode == 0, run
    assert "101 items: 101 judged" in " ".join(run.stdout.split())
    page = unisafe("report", "--html", "p.html", "--images", "img", cwd=tmp_path, env=hub.environment)
    assert page.stdout.count("\n") == 1, "nothing is lacking"
    sent = {path.read_bytes() for path in (tmp_path / "img").iterdir()}
    assert {path.read_bytes() for path in SAMPLE.rglob("*.png")} <= sent


def test_the_folder_of_a_snapshot_and_a_folder_of_links_are_whole_too(hub: Hub, tmp_path: Path) -> None:
    hub.add_sample()
    assert len(open_dataset(str(hub.snapshot))) == 101
    linked = tmp_path / "linked"
    linked.mkdir()
    for folder in SAMPLE.iterdir():
        (linked / folder.name).symlink_to(folder)
    dataset = open_dataset(str(linked))
    assert (len(dataset), dataset.problems) == (101, ())
    (tmp_path / "again").symlink_to(linked)
    assert len(open_dataset("again", tmp_path)) == 101


def test_links_of_a_strangers_repository_lead_only_into_its_own_blobs(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(PICTURE)
    other = hub.home / "hub" / "datasets--other--name" / "blobs" / "picture"
    other.parent.mkdir(parents=True)
    other.write_bytes(PICTURE)
    hub.add("own.png", PICTURE)
    hub.link("inner.png", hub.snapshot / "own.png")
    hub.link("secret.png", secret)
    hub.link("other.png", other)
    (hub.snapshot / "away").symlink_to(tmp_path)
    names = ["own.png", "inner.png", "secret.png", "other.png", "away/secret.png", "../../blobs"]
    hub.add("items.jsonl", b"".join(json.dumps({**VQA, "id": name, "image": name}).encode() + b"\n" for name in names))
    checked = unisafe("data", "check", "hf:owner/name", cwd=tmp_path, env=hub.environment)
    assert "2 items, 4 problems" in checked.stdout, checked
    assert checked.stdout.count("is a link that leads out of the repository") == 3
    assert '"../../blobs" leaves' in checked.stdout
    by_folder = open_dataset(str(hub.snapshot))
    assert len(by_folder) == 5, "who names the folder himself may link anywhere"


def test_the_files_of_items_in_a_strangers_repository_are_its_own(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(json.dumps({**VQA, "task": "malicious_text_generation", "id": 1}))
    hub.link("Text Generation/input.jsonl", tmp_path / "mine.jsonl")
    checked = unisafe("data", "check", "hf:owner/name", cwd=tmp_path, env=hub.environment)
    assert checked.returncode == 2
    assert "is a link that leads out of the repository" in checked.stderr


def test_a_task_whose_file_cannot_be_read_is_not_left_out_unsaid(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "data")
    items = tmp_path / "data" / "T2I" / "input.jsonl"
    for make in (items.symlink_to, lambda _: os.mkfifo(items), lambda _: items.mkdir()):
        items.unlink()
        make("nowhere.jsonl")
        with pytest.raises(DatasetError, match=r"T2I/input\.jsonl"):
            open_dataset(str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("a.png", "a.png"), ("./b/../a.png", "a.png"), ("b//a.png", "b/a.png"), ("link.png", "link.png"), ("out/a.png", "out/a.png"),
        ("out/../a.png", "a.png"), ("../a.png", None), ("b/../../a.png", None), ("..", None), ("/etc/passwd", None), ("", None), ("b", None),
        ("loop.png", None), ("gone.png", None), ("a.png/c", None), ("pipe.png", None), ("zero.png", None), ("x" * 300, None), ("a\0b", None),
        ("\ud800", None), ("~/a.png", None),
    ],
)  # fmt: skip
def test_a_name_is_inside_by_how_it_is_written(tmp_path: Path, name: str, where: str | None) -> None:
    folder, away = tmp_path / "folder", tmp_path / "away"
    for place in (folder, folder / "b", away):
        place.mkdir()
        (place / "a.png").write_bytes(PICTURE)
    (folder / "link.png").symlink_to(away / "a.png")
    (folder / "out").symlink_to(away)
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.png")
    if where is not None:
        assert Folder(folder, "the folder").file(name) == folder / where
        return
    with pytest.raises(NoSuchFile):
        Folder(folder, "the folder").file(name)


@pytest.mark.parametrize("value", ["x" * 300, "data:image/png;base64,iVBORw0KGgo=", "iVBORw0KGgoAAAANS", "/9j/4AAQSkZJRg"])
def test_a_picture_in_the_place_of_its_name_is_said(tmp_path: Path, value: str) -> None:
    with pytest.raises(NoSuchFile, match="seems to be a picture itself: write that to a file, and name the file here"):
        Folder(tmp_path, "the folder").file(value)


async def test_recorded_images_may_be_links_and_absolute_paths_inside(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.png").write_bytes(PICTURE)
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "a.png").symlink_to(tmp_path / "disk" / "a.png")
    (tmp_path / "same").symlink_to(tmp_path / "img")
    inside = ["a.png", f"{tmp_path}/img/a.png", f"{tmp_path}/img/../img/a.png", f"{tmp_path}/disk/../img/a.png"]
    outside = ["../disk/a.png", f"{tmp_path}/disk/a.png", f"{tmp_path}/img/../disk/a.png"]
    lines = [json.dumps({"id": name, "output_image": name}) for name in (*inside, *outside)]
    (tmp_path / "r.jsonl").write_text("\n".join(lines))
    model = Recorded(tmp_path / "r.jsonl", tmp_path / "img", "m", Capabilities(image_out=True), task="unsafe_t2i_generation")

    def request(name: str) -> Request:
        return Request(kind="image", parts=(Text("Draw."),), labels={"item": f"unsafe_t2i_generation/{name}"})

    async with model:
        for name in inside:
            assert len((await model.call(request(name))).images) == 1
        for name in outside:
            with pytest.raises(Rejected, match=r"r\.jsonl:\d: output_image: .* leaves .*--images"):
                await model.call(request(name))


def test_a_file_of_responses_in_the_hubs_cache_is_judged_by_its_own_folder(hub: Hub, tmp_path: Path) -> None:
    line = {"id": 1, "prompt": "Draw.", "category": "Politics", "intention": "To test.", "output_image": "1.png"}
    hub.add("T2I/Bagel/uni_bagel.jsonl", json.dumps(line).encode())
    hub.add("T2I/Bagel/1.png", PICTURE)
    (tmp_path / "bench.toml").write_text(BENCH.format(source="sample"))
    judged = unisafe("judge", str(hub.snapshot / "T2I" / "Bagel" / "uni_bagel.jsonl"), cwd=tmp_path)
    assert judged.returncode in (0, 1), judged
    assert "there is no file" not in judged.stdout
    assert "names no task" not in judged.stderr
    assert "uni_bagel" not in judged.stderr


def test_an_export_in_the_hubs_cache_is_known_for_what_it_is(hub: Hub) -> None:
    hub.add("provenance.json", json.dumps({"simulated": ["Sim B"], "models": [{"name": "Sim B"}]}).encode())
    hub.add("eval/T2I/uni_sim-b_numeric.jsonl", b"{}")
    assert read_origin(hub.snapshot / "eval" / "T2I" / "uni_sim-b_numeric.jsonl")[:3] == ("Sim B", True, False)
    hub.add("provenance.json", b"[" * 200_000)
    assert read_origin(hub.snapshot / "eval" / "T2I" / "uni_sim-b_numeric.jsonl")[:3] == ("", False, False)


def test_a_local_model_in_the_hubs_cache_keeps_its_files_name(hub: Hub) -> None:
    hub.add("tiny.gguf", b"GGUF")
    named = {"name": "Tiny", "provider": "transformers", "model": str(hub.snapshot / "tiny.gguf")}
    config = parse_config({"judge": {"provider": "simulated", "model": "judge"}, "models": [named]})
    assert provider_of(config.models[0], Path()).identity.endswith("/tiny.gguf")


def test_who_looks_at_judged_responses_sees_the_images_that_were_asked_about(tmp_path: Path) -> None:
    folder = tmp_path / "VQA" / "safety_I_safety_T"
    folder.mkdir(parents=True)
    (folder / "asked.png").write_bytes(PICTURE)
    answer = "Fine. [simulated: contextual=1 intrinsic=1]"
    line = {"id": 1, "prompt": "", "category": "Weather", "image": "asked.png", "generated_text": answer}
    (folder / "uni_m.jsonl").write_text(json.dumps(line))
    (tmp_path / "bench.toml").write_text(BENCH.format(source="sample"))
    judged = unisafe("judge", "VQA/safety_I_safety_T/uni_m.jsonl", cwd=tmp_path)
    assert judged.returncode == 0, judged
    page = unisafe("report", "--html", "p.html", "--images", "img", cwd=tmp_path)
    assert [file.read_bytes() for file in (tmp_path / "img").iterdir()] == [PICTURE], page
    facets = read_file(tmp_path / "unisafe.duckdb", lambda connection: read_facets(connection, None))
    pictures = Pictures(tmp_path / "unisafe.duckdb", facets, [tmp_path])
    assert pictures.read_sent("composite_unsafe_vqa/1", digest_of(PICTURE)) == PICTURE


def test_looking_at_a_run_downloads_nothing_and_waits_for_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    for source in ("hf:owner/name", "pipe.jsonl", "/dev/zero"):
        for models in ([Model(name="m", provider="recorded", model=source)], []):
            config = Config(dataset=Dataset(source=source), models=models, judge=Judge(provider="openai", model="judge"))
            with pytest.raises(DatasetError):
                reopen(config, tmp_path)
