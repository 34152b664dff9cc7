"""While a GGUF file is loaded it is read once, and afterwards nothing of it is kept."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest
from unisafe_providers.local.gguf_reading import read_gguf_once


def test_a_file_is_read_once_and_let_go(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("mild")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    before = gguf.GGUFReader
    with read_gguf_once():
        first = gguf.GGUFReader(str(path))
        assert gguf.GGUFReader(str(path)) is first
        assert first.fields["general.name"].contents() == "mild"
    assert gguf.GGUFReader is before
    with pytest.raises(FileNotFoundError), read_gguf_once():
        gguf.GGUFReader(str(tmp_path / "none.gguf"))
    assert gguf.GGUFReader is before
