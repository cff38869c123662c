import errno
import fcntl
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callreel.domain.errors import StoreError
from callreel.store.files.blobs import BlobExistsError, BlobInfo, BlobStore
from callreel.store.files.data_folder import check_writable, free_bytes
from callreel.store.files.temporary_files import remove_stale_parts

KEY = "twilio_recordings/CA1_RE1.wav"
SOUND = bytes(range(256)) * 1000


def info_of(data: bytes, key: str = KEY) -> BlobInfo:
    return BlobInfo(key, len(data), hashlib.sha256(data).hexdigest())


def files_in(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "data")


def test_stored_file_is_readable(store: BlobStore) -> None:
    assert store.stat(KEY) is None
    assert store.put(KEY, [SOUND[:1000], b"", SOUND[1000:]]) == info_of(SOUND)
    assert b"".join(store.open_range(KEY)) == store.path(KEY).read_bytes() == SOUND
    assert store.digest(KEY) == info_of(SOUND).sha256
    known = store.stat(KEY)
    assert known is not None and known.size_bytes == len(SOUND)
    assert stat.S_IMODE(store.path(KEY).stat().st_mode) == 0o600
    assert files_in(store.root) == [KEY]


def test_repeated_put_is_accepted_and_other_bytes_are_refused(store: BlobStore) -> None:
    store.put(KEY, [SOUND])
    assert store.put(KEY, [SOUND]) == info_of(SOUND)
    with pytest.raises(BlobExistsError, match="already exists with other bytes"):
        store.put(KEY, [b"other"])
    assert store.path(KEY).read_bytes() == SOUND
    assert files_in(store.root) == [KEY]


def test_failing_source_leaves_no_file(store: BlobStore) -> None:
    def broken() -> Iterator[bytes]:
        yield SOUND
        raise ConnectionResetError(errno.ECONNRESET, "cut")

    with pytest.raises(ConnectionResetError):
        store.put(KEY, broken())
    assert files_in(store.root) == []


def test_one_of_many_concurrent_writers_wins(store: BlobStore) -> None:
    bodies = [bytes([number]) * 100_000 for number in range(8)]
    kept: list[BlobInfo] = []
    refused: list[StoreError] = []

    def write(body: bytes) -> None:
        try:
            kept.append(store.put(KEY, [body]))
        except BlobExistsError as error:
            refused.append(error)

    writers = [threading.Thread(target=write, args=(body,)) for body in bodies]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert (len(kept), len(refused)) == (1, 7)
    assert store.digest(KEY) == kept[0].sha256
    assert files_in(store.root) == [KEY]


def test_download_is_resumed_and_committed(store: BlobStore) -> None:
    part = store.part_file(KEY).path
    part.write_bytes(SOUND[:1000])
    assert store.stat(KEY) is None
    with store.part_file(KEY).path.open("ab") as file:
        file.write(SOUND[1000:])
    assert store.commit_part(KEY) == info_of(SOUND)
    assert store.commit_part(KEY) == info_of(SOUND)
    assert files_in(store.root) == [KEY]
    assert stat.S_IMODE(store.path(KEY).stat().st_mode) == 0o600


def test_differing_download_is_refused(store: BlobStore) -> None:
    store.put(KEY, [SOUND])
    store.part_file(KEY).path.write_bytes(b"other")
    with pytest.raises(BlobExistsError):
        store.commit_part(KEY)
    assert store.path(KEY).read_bytes() == SOUND


def test_commit_without_a_download_fails(store: BlobStore) -> None:
    store.part_file(KEY)
    with pytest.raises(StoreError, match="cannot be stored: there is no downloaded file"):
        store.commit_part(KEY)


def test_kill_between_link_and_unlink_leaves_the_file_unchanged(store: BlobStore) -> None:
    """Both names are then one file; a resumed download would overwrite the stored one."""
    store.put(KEY, [SOUND])
    os.link(store.path(KEY), store.path(KEY + ".part"))
    with store.part_file(KEY).path.open("ab") as file:
        file.write(b"more")
    assert store.path(KEY).read_bytes() == SOUND


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, len(SOUND)), st.none() | st.integers(0, len(SOUND)))
def test_range_returns_the_slice(store: BlobStore, start: int, end: int | None) -> None:
    store.put(KEY, [SOUND])
    if end is not None and end < start:
        with pytest.raises(StoreError, match="expected a range"):
            store.open_range(KEY, start, end)
    else:
        assert b"".join(store.open_range(KEY, start, end)) == SOUND[start:end]


def test_invalid_range_and_missing_file_raise_before_reading(store: BlobStore) -> None:
    with pytest.raises(StoreError, match="there is no file"):
        store.open_range(KEY)
    store.put(KEY, [b"abc"])
    for start, end in [(-1, 2), (0, 4), (4, None)]:
        with pytest.raises(StoreError, match="within the 3 bytes"):
            store.open_range(KEY, start, end)


@pytest.mark.parametrize("key", ["", ".", "/etc/passwd", "..", "a/../../b", "a/..", "a\0b", "..\\b"])
def test_key_outside_the_root_is_refused(store: BlobStore, key: str) -> None:
    with pytest.raises(StoreError, match="expected a relative path"):
        store.path(key)


def test_link_out_of_the_root_is_refused(store: BlobStore, tmp_path: Path) -> None:
    store.root.mkdir()
    (store.root / "elsewhere").symlink_to(tmp_path)
    with pytest.raises(StoreError, match="symbolic link"):
        store.put("elsewhere/file", [b"x"])


def test_root_may_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert BlobStore(tmp_path / "link").put("a/b", [b"x"]).size_bytes == 1


def test_check_writable_leaves_nothing(store: BlobStore) -> None:
    check_writable(store.root)
    assert free_bytes(store.root) > 0
    assert files_in(store.root) == []
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700


def test_unusable_folder_gives_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    unusable = [tmp_path / "file", tmp_path / "file" / "below"]
    if Path("/proc/self").is_dir():
        unusable.append(Path("/proc/callreel"))
    for root in unusable:
        with pytest.raises(StoreError, match="the data folder .* cannot be used: ") as caught:
            check_writable(root)
        assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="the data folder .* cannot be used: "):
        free_bytes(tmp_path / "none")


def test_next_writer_removes_parts_of_killed_processes(tmp_path: Path) -> None:
    """The part of a living process stays."""
    store = BlobStore(tmp_path)
    folder = store.part_file(KEY).path.parent
    name = store.path(KEY).name
    dead, living, other = (
        folder / file for file in (f".{name}.dead.part", f".{name}.alive.part", ".other.part")
    )
    for path in (dead, living, other):
        path.touch()
    with living.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        store.put(KEY, [SOUND])
    assert [path.exists() for path in (dead, living, other)] == [False, True, True]
    assert store.digest(KEY) == info_of(SOUND).sha256


def test_startup_removes_stale_parts_beside_finished_files(tmp_path: Path) -> None:
    """A process was killed between the link and the end of the temporary name; no later writer cleans up."""
    store = BlobStore(tmp_path)
    store.put(KEY, [SOUND])
    folder = store.path(KEY).parent
    dead, living = folder / f".{store.path(KEY).name}.dead.part", folder / ".other.alive.part"
    dead.hardlink_to(store.path(KEY))
    living.touch()
    with living.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        remove_stale_parts(folder)
    assert (dead.exists(), living.exists()) == (False, True)
    assert store.digest(KEY) == info_of(SOUND).sha256
    remove_stale_parts(tmp_path / "a folder that is not there")
