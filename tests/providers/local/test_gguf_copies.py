"""A GGUF file is expanded once: the next load takes the copy, and answers alike."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_models.gguf_file import build_gguf
from unisafe_providers.base import Request, Text
from unisafe_providers.local.gguf_copies import is_whole, name_copies
from unisafe_providers.local.settings import LocalSettings
from unisafe_providers.local.telling import listening
from unisafe_providers.local.weights import find_weights

REQUESTS = [Request(kind="chat", parts=(Text(text),), max_tokens=12, temperature=0.0) for text in ("rain", "a boat")]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalSettings:
    """What a worker is told of a GGUF file: where its copies are kept, too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    build_gguf(tmp_path / "tiny.gguf")
    weights = find_weights(LocalSettings(library="transformers", model=str(tmp_path / "tiny.gguf")))
    return LocalSettings(
        library="transformers",
        model=weights.model,
        gguf_file=weights.gguf_file,
        expanded=name_copies(weights.identity, weights.gguf_file),
    )


def load(settings: LocalSettings) -> tuple[list[str], list[str]]:
    """What the model answers, and what was said while it was loaded."""
    from unisafe_providers.local.device import Device
    from unisafe_providers.local.worker import load_engine

    said: list[str] = []
    with listening(said.append):
        engine = load_engine(settings, Device("cpu"))
    return [engine.answer([engine.prepare(request)])[0].text for request in REQUESTS], said


def copy_of(settings: LocalSettings, dtype: str = "float32") -> Path:
    return Path(f"{settings.expanded}-{dtype}")


def was_expanded(said: list[str]) -> bool:
    return any("de-quantizing" in words for words in said)


def test_the_second_load_takes_the_copy_and_answers_alike(settings: LocalSettings) -> None:
    answers, said = load(settings)
    assert was_expanded(said)
    assert said[-1].startswith("the expanded weights, 0.")
    assert said[-1].endswith(f"are kept in {copy_of(settings)}"), "its place and size are said"
    assert len(set(answers)) == len(answers)
    again, said = load(settings)
    assert again == answers
    assert not was_expanded(said)
    (Path(settings.model) / "tiny.gguf").unlink()
    assert load(settings)[0] == answers, "the file is not even read"


@pytest.mark.parametrize("harm", ["half", "unlisted", "another version", "broken"])
def test_a_copy_that_is_not_whole_is_made_again(harm: str, settings: LocalSettings) -> None:
    answers, _ = load(settings)
    copy = copy_of(settings)
    weights, listed = copy / "model.safetensors", copy / "unisafe.json"
    match harm:
        case "half":
            os.truncate(weights, weights.stat().st_size // 2)
        case "unlisted":
            listed.unlink()
        case "another version":
            listed.write_text(listed.read_text().replace('"transformers": "', '"transformers": "0.'))
        case "broken":
            weights.write_bytes(b"\xff" * weights.stat().st_size)
    assert is_whole(copy) == (harm == "broken")
    again, said = load(settings)
    assert again == answers
    assert was_expanded(said)
    assert is_whole(copy)
    assert [path.name for path in copy.parent.iterdir()] == [copy.name], "nothing half is left beside it"


def test_each_dtype_has_its_copy(settings: LocalSettings) -> None:
    load(replace(settings, dtype="bfloat16"))
    assert not copy_of(settings).exists()
    assert is_whole(copy_of(settings, "bfloat16"))


def test_copies_can_be_switched_off(settings: LocalSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UNISAFE_GGUF_COPIES", "0")
    assert name_copies("a", "tiny.gguf") == ""
    monkeypatch.delenv("UNISAFE_GGUF_COPIES")
    assert name_copies("a", "tiny.gguf").startswith(str(tmp_path / "cache" / "unisafe" / "gguf"))
    assert name_copies("a", None) == ""
    load(replace(settings, expanded=""))
    assert not (tmp_path / "cache" / "unisafe" / "gguf").exists()


def test_a_cache_folder_that_cannot_be_written_is_no_failure(settings: LocalSettings, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(exist_ok=True)
    (tmp_path / "file").write_text("")
    answers, said = load(replace(settings, expanded=str(tmp_path / "file" / "gguf")))
    assert all(answers)
    assert said[-1].startswith("no room for a copy")


def test_the_expanded_size_is_checked_before_anything_is_expanded(tmp_path: Path, settings: LocalSettings) -> None:
    """A file of eight bits a weight takes four times its size in float32, and twice in bfloat16."""
    from unisafe_providers.local.device import GIB, Device, NotEnoughMemory
    from unisafe_providers.local.gguf_loading import measure_expanded
    from unisafe_providers.local.worker import load_engine

    elements = build_gguf(tmp_path / "again.gguf")
    assert measure_expanded(replace(settings, dtype="float32")) == 4 * elements
    assert measure_expanded(replace(settings, dtype="bfloat16")) == 2 * elements
    size = (tmp_path / "tiny.gguf").stat().st_size
    assert size < 2 * elements
    with pytest.raises(NotEnoughMemory, match="its weights need at least"):
        load_engine(settings, Device("cpu", memory_gb=1.5 * size / GIB))
