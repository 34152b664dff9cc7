"""Finding a model's files, telling models apart, and saying what is wrong; nothing is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants
from unisafe_providers.base import Misconfigured
from unisafe_providers.local.settings import LocalSettings, estimate_least_memory
from unisafe_providers.local.weights import find_weights


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def folder_of(path: Path, weights: bytes = b"weights" * 1_000_000) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text('{"model_type": "llama"}')
    (path / "model.safetensors").write_bytes(weights)
    (path / "README.md").write_text("about")
    return path


def test_a_copy_of_a_folder_is_the_same_model_and_a_changed_one_is_not(tmp_path: Path) -> None:
    first = find_weights(LocalSettings(library="transformers", model=str(folder_of(tmp_path / "a"))))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "README.md").write_text("about something else")
    assert find_weights(LocalSettings(library="transformers", model=str(tmp_path / "b"))).identity == first.identity
    changed = bytearray(b"weights" * 1_000_000)
    changed[3_000_000] ^= 1
    (tmp_path / "b" / "model.safetensors").write_bytes(changed)
    assert find_weights(LocalSettings(library="transformers", model=str(tmp_path / "b"))).identity != first.identity
    assert first.size == 7_000_000


def test_files_that_were_read_once_are_remembered_by_time_and_size(tmp_path: Path) -> None:
    settings = LocalSettings(library="transformers", model=str(folder_of(tmp_path / "a")))
    first = find_weights(settings)
    remembered = tmp_path / "cache" / "unisafe" / "digests.json"
    remembered.write_text(remembered.read_text().replace('": "', '": "0'))
    assert find_weights(settings).identity != first.identity, "the remembered digest was used"
    remembered.write_text("not JSON")
    assert find_weights(settings).identity == first.identity, "and without it the files are read again"


def test_a_folder_with_the_same_weights_in_several_formats_counts_them_once(tmp_path: Path) -> None:
    folder = tmp_path / "pipeline"
    for name in ("unet/model.safetensors", "unet/model.fp16.safetensors", "unet/model.bin", "all_in_one.safetensors"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * 1_000)
    (folder / "model_index.json").write_text("{}")
    settings = LocalSettings(library="diffusers", model=str(folder), dtype="float16")
    weights = find_weights(settings)
    assert weights.size == 1_000
    assert estimate_least_memory(weights.size, settings) == 500, "they may be stored in 32 bits"


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("nowhere", {}, "there is no such folder"),
        ("/nowhere/at-all", {}, "there is no such folder"),
        ("./nowhere", {}, "there is no such folder"),
        ("../nowhere", {}, "there is no such folder"),
        ("{folder}/config.json", {}, "is a file; name the model's folder, a GGUF file or a hub id"),
        ("{folder}", {"revision": "main"}, "only hub ids have a revision"),
        ("{folder}", {"library": "diffusers"}, "has no model_index.json, so it is no folder that diffusers saved"),
        ("{folder}", {"gguf_file": "b.gguf"}, "there is no GGUF file 'b.gguf' in it; there: a.gguf"),
        (
            "{ggufs}",
            {},
            'has no config.json, so it is no folder that transformers saved; for the GGUF file there put gguf_file = "a.gguf"',
        ),
        ("org/name", {}, "run `hf download org/name` where there is a network"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(tmp_path: Path, model: str, options: dict[str, str], words: str) -> None:
    folder = folder_of(tmp_path / "a")
    (folder / "a.gguf").write_bytes(b"GGUF")
    (tmp_path / "ggufs").mkdir()
    (tmp_path / "ggufs" / "a.gguf").write_bytes(b"GGUF")
    path = model.format(folder=folder, ggufs=tmp_path / "ggufs")
    with pytest.raises(Misconfigured) as raised:
        find_weights(LocalSettings(**{"library": "transformers", "model": path, **options}))
    assert words in str(raised.value)
    assert path in str(raised.value)


def test_a_model_in_the_hub_s_cache_is_named_by_its_commit_and_needs_no_network(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    base = tmp_path / "hub" / "models--org--name"
    folder_of(base / "snapshots" / commit)
    (base / "refs").mkdir()
    (base / "refs" / "main").write_text(commit)
    for revision in (None, commit):
        weights = find_weights(LocalSettings(library="transformers", model="org/name", revision=revision))
        assert (weights.model, weights.revision) == ("org/name", commit)
        assert weights.identity == f"org/name@{commit}"
        assert weights.size == 7_000_000
