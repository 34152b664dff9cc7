"""Where a cache is, is not, or is no longer: the message says which, and nothing is left behind that looks like a cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import duckdb
import pytest
from unisafe_cache import CacheError, Store, read_file
from unisafe_cache.errors import explain_error
from unisafe_cache.file import CacheFile
from unisafe_providers.base import Response

from tests.cache.older_files import OlderFile
from tests.cache.test_store import paid

COUNT = "SELECT count(*) FROM responses"
WORK = """
import os
import sys
from pathlib import Path
from unisafe_cache import CacheError, read_file
from unisafe_cache.file import CacheFile

def fill(connection):
    connection.execute("INSERT INTO responses (id, text) SELECT range, repeat('x', 1000) || hash(range) FROM range(20000)")

if os.environ.pop("AS_NOBODY", ""):  # only now, since nobody may read where this is imported from
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

for doing, path in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        if doing == "read":
            print("read", read_file(Path(path), lambda c: c.execute("SELECT count(*) FROM responses").fetchone()[0]))
        else:
            file = CacheFile(Path(path))
            file.work(fill if doing == "fill" else lambda _: None)
            file.close()
            print("written")
    except CacheError as error:
        print(error)
"""


def made(path: Path) -> Path:
    """A cache without anything in it."""
    file = CacheFile(path)
    file.work(lambda _: None)
    file.close()
    return path


def said(*command: str, before: Sequence[str] = (), shell: str = "") -> list[str]:
    """What `WORK` says to each (what to do, path), in a process of its own; `shell` is run before it, and gives it its place.

    Python writes no bytecode there: a limit of a file's size would cut it short for every process that comes after.
    """
    arguments = [sys.executable, "-B", "-c", WORK, *command]
    if shell:
        arguments = ["sh", "-c", f'{shell}; exec "$@"', "sh", *arguments]
    done = subprocess.run([*before, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


# ---------------------------------------------------------------- under a run


def delete(path: Path) -> None:
    path.unlink()


def delete_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def move_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def replace(path: Path) -> None:
    other = made(path.with_name("other.duckdb"))
    other.replace(path)


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize(
    ("act", "words", "left"),
    [
        (delete, "was deleted or moved", False),
        (delete_folder, "folder", False),
        (move_folder, "folder", False),
        (replace, "replaced", True),
    ],
)
def test_a_cache_that_goes_away_under_a_run_is_told_and_not_made_anew(
    tmp_path: Path, act: Callable[[Path], None], words: str, left: bool, held: bool
) -> None:
    path = tmp_path / "kept" / "c.duckdb"

    async def run() -> None:
        async with Store(path) as store:
            await store.commit(paid(store, "k", Response(text="x")))
            if not held:
                store._file.close()
            act(path)
            await store.commit(paid(store, "l", Response(text="y")))

    with pytest.raises(CacheError, match=words):
        anyio.run(run)
    assert path.exists() == left
    assert path.parent.exists() == (act in (delete, replace))
    assert [one.name for one in tmp_path.rglob("*.wal") if "elsewhere" not in str(one)] == []


def test_a_new_run_begins_anew_where_the_file_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "c.duckdb"

    async def run(interrupt: Callable[[Path], None]) -> None:
        async with Store(path) as store:
            await store.commit(paid(store, "k", Response(text="x")))
            interrupt(path)
            await store.commit(paid(store, "k", Response(text="y")))

    with pytest.raises(CacheError, match="is gone"):
        anyio.run(run, delete)
    anyio.run(run, lambda _: None)
    assert read_file(path, lambda connection: connection.execute(COUNT).fetchone()) == (2,)


# ---------------------------------------------------------------- no place for a cache


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder", "is a folder; name a file in it"),
        ("text/c.duckdb", "text is a file, not a folder"),
        ("pipe", "is no ordinary file"),
        ("empty", "is empty, and no cache"),
        ("text", "is not a DuckDB file"),
        ("sqlite", "is not a DuckDB file"),
        ("table.parquet", "is not a DuckDB file"),
        ("l" * 300, "too long for a file's name"),
        ("dangling", "dangling is a link that leads nowhere"),
        ("loop/c.duckdb", "loop is a link that leads nowhere"),
        ("a\0b", "is no name of a file"),
        ("cut", "is damaged, or was cut short"),
        ("broken", "is damaged, or was cut short"),
    ],
)
def test_what_is_no_cache_is_named_and_left_as_it_is(tmp_path: Path, name: str, words: str, read_only: bool) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("no database" * 100)
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "sqlite").write_bytes(b"SQLite format 3\0" + bytes(4080))
    duckdb.execute(f"COPY (SELECT 1 AS a) TO '{tmp_path / 'table.parquet'}'")
    (tmp_path / "dangling").symlink_to("nowhere/c.duckdb")
    (tmp_path / "loop").symlink_to("loop")
    whole = made(tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(whole[:9_000])
    (tmp_path / "broken").write_bytes(whole[:5_000] + b"\xff" * 100 + whole[5_100:])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(CacheError) as caught:
        CacheFile(tmp_path / name, read_only=read_only).work(lambda _: None)
    assert words in str(caught.value)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file() and not path.name.endswith(".lock")}
    assert after == {name: content for name, content in before.items() if not name.endswith(".lock")}


def test_a_link_to_a_file_that_is_not_there_yet_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "c.duckdb").symlink_to(tmp_path / "disk" / "c.duckdb")
    made(tmp_path / "c.duckdb")
    assert (tmp_path / "disk" / "c.duckdb").is_file()
    assert (tmp_path / "c.duckdb").is_symlink()


def test_a_file_system_without_locks_is_told_and_is_not_another_program() -> None:
    error = duckdb.IOException('IO Error: Could not set lock on file "/net/c.duckdb": No locks available')
    assert "cannot be locked, as on some network file systems" in str(explain_error(error, Path("/net/c.duckdb")))
    assert "cannot be locked" in str(explain_error(OSError(37, "No locks available"), Path("/net/c.duckdb")))


# ---------------------------------------------------------------- disks


def test_a_new_cache_on_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    (words,) = said("make", str(tmp_path / "c.duckdb"), shell="ulimit -f 8")
    assert "the disk is full" in words
    assert not list(tmp_path.glob("c.duckdb")), "an empty file would pass for a cache"


def test_what_was_committed_before_the_disk_was_full_is_read(tmp_path: Path) -> None:
    path = made(tmp_path / "c.duckdb")
    (words,) = said("fill", str(path), shell="ulimit -f 3000")
    assert "the disk is full; what was committed is kept" in words
    assert read_file(path, lambda connection: connection.execute(COUNT).fetchone()) == (0,)


def pairs(folder: Path, expected: Sequence[tuple[str, str, str]]) -> list[str]:
    return [word for name, doing, _ in expected for word in (doing, str(folder / name))]


OWN_MOUNTS = ("unshare", "-rm")
mountable = pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*OWN_MOUNTS, "mount", "-t", "tmpfs", "x", "/mnt"], capture_output=True).returncode != 0,
    reason="this user mounts nothing",
)


@mountable
def test_a_file_system_that_is_mounted_read_only_can_be_read_and_is_named_where_it_is_to_be_written(tmp_path: Path) -> None:
    made(tmp_path / "c.duckdb")
    OlderFile(tmp_path / "old.duckdb", 2)
    shell = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,bind,ro {tmp_path}"
    expected = (
        ("c.duckdb", "read", "read 0"),
        ("c.duckdb", "make", "its file system is mounted read-only"),
        ("new.duckdb", "make", "its file system is mounted read-only"),
        ("folder/new.duckdb", "make", "its file system is mounted read-only"),
        ("old.duckdb", "read", "is of an older format, and has to be brought up to date"),
    )
    told = said(*pairs(tmp_path, expected), before=OWN_MOUNTS, shell=shell)
    assert [words for (*_, words), line in zip(expected, told, strict=True) if words not in line] == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root becomes nobody")
def test_who_may_not_read_or_write_is_told_what_he_may_not(tmp_path: Path) -> None:
    place = Path(
        subprocess.run(["mktemp", "-d", "/tmp/unisafe-places-XXXX"], capture_output=True, text=True, check=True).stdout.strip()
    )
    try:
        place.chmod(0o755)
        made(place / "c.duckdb").chmod(0o644)
        made(place / "mine.duckdb").chmod(0o600)
        made(place / "shut" / "c.duckdb")
        (place / "shut").chmod(0o700)
        expected = (
            ("c.duckdb", "read", "read 0"),
            ("c.duckdb", "make", "the file is read-only for this user"),
            ("mine.duckdb", "read", "cannot be read: this user has no permission"),
            ("new.duckdb", "make", f"folder {place} is read-only for this user"),
            ("shut/c.duckdb", "read", f"no permission to look into {place / 'shut'}"),
            ("shut/new.duckdb", "make", f"no permission to look into {place / 'shut'}"),
        )
        told = said(*pairs(place, expected), before=("env", "AS_NOBODY=1"))
        assert [words for (*_, words), line in zip(expected, told, strict=True) if words not in line] == []
    finally:
        shutil.rmtree(place)
