import hashlib
import json
import sqlite3
import threading
from pathlib import Path

import pytest

from callreel.domain.call import Role
from callreel.domain.errors import StoreError
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.ops import backup
from callreel.ops.backup import make_backup, restore, verify
from callreel.store.calls import facts, layers
from callreel.store.db.database import Database
from callreel.store.db.snapshot import copy_sqlite
from callreel.store.files.blobs import BlobStore
from callreel.store.files.growing_wav import GrowingWav
from tests.support.installation import NOON, Installation, a_call, speech
from tests.support.rows import all_calls


def quiet(_: str) -> None:
    """Prints nothing."""


def with_files(installation: Installation) -> dict[str, bytes]:
    """A call with a finished and a growing file; returns their bytes."""
    call = a_call(installation)
    blob = installation.blobs.put("twilio_recordings/one.wav", [b"the carrier's"])
    finished = LayerFile(
        Layer.CLOUD, None, blob.key, 8_000, 2, 5, blob.size_bytes, blob.sha256, LayerState.CLOSED
    )
    key = "audio_recordings/live.wav"
    with GrowingWav.open(installation.blobs.root / key, 8_000) as wav:
        wav.append(speech(200))
    growing = LayerFile(Layer.LIVE_8K, Role.AGENT, key, 8_000, 1, 200, 44, None, LayerState.RECORDING)
    with installation.database.write() as conn:
        layers.upsert(conn, call.id, finished)
        layers.upsert(conn, call.id, growing)
    return {key: (installation.blobs.root / key).read_bytes() for key in (blob.key, key)}


def copied(installation: Installation, target: Path) -> backup.Backup:
    return make_backup([installation.folder / "callreel.db"], installation.blobs, target, NOON, say=quiet)


def test_restore_reproduces_the_installation(installation: Installation, tmp_path: Path) -> None:
    bytes_of = with_files(installation)
    made = copied(installation, tmp_path / "copy")
    assert made.not_copied == () and verify(tmp_path / "copy") == []
    new = tmp_path / "new"
    restore(tmp_path / "copy", new, new, say=quiet)
    assert {key: (new / key).read_bytes() for key in bytes_of} == bytes_of
    assert BlobStore(new).digest("twilio_recordings/one.wav") == installation.blobs.digest(
        "twilio_recordings/one.wav"
    )
    database = Database.open(str(new / "callreel.db"))
    with database.read() as conn, installation.database.read() as before:
        assert all_calls(conn) == all_calls(before)
        assert layers.all_files(conn) == layers.all_files(before)
    database.close()


def test_copy_under_load_is_one_snapshot(installation: Installation, tmp_path: Path) -> None:
    """A writer keeps adding pairs of rows; the copy never holds half a pair, and it ends."""
    ended = threading.Event()

    def add_pairs() -> None:
        while not ended.is_set():
            with installation.database.write() as conn:
                facts.note(conn, "digit", {}, NOON)
                facts.note(conn, "digit", {}, NOON)

    adding = threading.Thread(target=add_pairs)
    adding.start()
    try:
        for number in range(5):
            copy_sqlite(installation.folder / "callreel.db", tmp_path / f"{number}.db")
    finally:
        ended.set()
        adding.join()
    for number in range(5):
        conn = sqlite3.connect(tmp_path / f"{number}.db")
        assert conn.execute("SELECT count(*) FROM facts").fetchone()[0] % 2 == 0
        conn.close()


def test_file_that_differs_from_its_row_is_reported(installation: Installation, tmp_path: Path) -> None:
    with_files(installation)
    (installation.blobs.root / "twilio_recordings/one.wav").write_bytes(b"something else")
    assert copied(installation, tmp_path / "a").not_copied == ("twilio_recordings/one.wav",)
    (installation.blobs.root / "twilio_recordings/one.wav").unlink()
    assert copied(installation, tmp_path / "b").not_copied == ("twilio_recordings/one.wav",)


def test_damaged_backup_restores_nothing(installation: Installation, tmp_path: Path) -> None:
    with_files(installation)
    copied(installation, tmp_path / "copy")
    (tmp_path / "copy/files/twilio_recordings/one.wav").write_bytes(b"the carrier'S")
    assert verify(tmp_path / "copy") == ["files/twilio_recordings/one.wav: changed since the backup"]
    with pytest.raises(StoreError, match="damaged"):
        restore(tmp_path / "copy", tmp_path / "new", tmp_path / "new", say=quiet)
    assert not (tmp_path / "new").exists()


def test_non_empty_folders_are_refused(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/letter").touch()
    with pytest.raises(StoreError, match="not empty"):
        copied(installation, tmp_path / "full")
    copied(installation, tmp_path / "copy")
    with pytest.raises(StoreError, match="not empty"):
        restore(tmp_path / "copy", tmp_path / "full", tmp_path / "full", say=quiet)


def test_interrupted_backup_is_refused(installation: Installation, tmp_path: Path) -> None:
    copied(installation, tmp_path / "copy")
    (tmp_path / "copy/manifest.json").unlink()
    with pytest.raises(StoreError, match="not a backup"):
        verify(tmp_path / "copy")
    (tmp_path / "copy/manifest.json").write_text(json.dumps({"format": "callreel-backup-9", "files": []}))
    with pytest.raises(StoreError, match="another version"):
        verify(tmp_path / "copy")


@pytest.mark.parametrize("name", ["files//{outside}", "files/../{outside}", "../outside.txt", "{outside}", "files/", "",
                                  "config/x", "files/a\0b", "files/a\\b", "files/./a"])  # fmt: skip
def test_manifest_that_names_a_path_outside_is_refused(
    name: str, installation: Installation, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_bytes(b"secret")
    copied(installation, tmp_path / "copy")
    _name_in_manifest(tmp_path / "copy", name.replace("{outside}", str(outside)), b"secret")
    with pytest.raises(StoreError, match="outside|path|names"):
        verify(tmp_path / "copy")
    outside.unlink()
    with pytest.raises(StoreError):
        restore(tmp_path / "copy", tmp_path / "new", tmp_path / "new", say=quiet)
    assert not outside.exists() and not (tmp_path / "new").exists()


def test_backup_with_a_link_is_refused(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    copied(installation, tmp_path / "copy")
    (tmp_path / "copy/files").mkdir(exist_ok=True)
    (tmp_path / "copy/files/link").symlink_to(tmp_path / "secret")
    _name_in_manifest(tmp_path / "copy", "files/link", b"secret")
    with pytest.raises(StoreError, match="symbolic link"):
        restore(tmp_path / "copy", tmp_path / "new", tmp_path / "new", say=quiet)


def _name_in_manifest(folder: Path, name: str, content: bytes) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    entry = {"path": name, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest["files"].append(entry)
    (folder / "manifest.json").write_text(json.dumps(manifest))
