"""Files in a store that speaks S3: a real server process on loopback."""

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from callreel.audio import wav
from callreel.domain.errors import SettingsError, StoreError, StoreUnavailableError
from callreel.store.files.blobs import BlobExistsError, BlobInfo, BlobStore
from callreel.store.files.object_store import ObjectStore, object_name, open_object_store
from callreel.store.files.sound_files import SoundFile
from callreel.store.files.spool import spool_name
from tests.support.s3_server import S3Server

KEY = "twilio_recordings/CA1_RE1.wav"
SOUND = os.urandom(1_000) + bytes(range(256)) * 1_000
DIGEST = hashlib.sha256(SOUND).hexdigest()
LARGE = os.urandom(6 << 20)
"""More than goes in one request."""


@pytest.fixture
def objects(s3: S3Server) -> ObjectStore:
    s3.empty()
    return s3.store()


@pytest.fixture
def store(tmp_path: Path, objects: ObjectStore) -> BlobStore:
    return BlobStore(tmp_path / "spool", objects)


def files_in(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def names_in(objects: ObjectStore, folder: str = "twilio_recordings") -> list[str]:
    return sorted(found.name for found in objects.list_folder(folder))


def test_put_moves_the_file_from_spool_to_object_store(store: BlobStore, objects: ObjectStore) -> None:
    assert store.stat(KEY) is None
    assert store.put(KEY, [SOUND[:100], SOUND[100:]]) == BlobInfo(KEY, len(SOUND), DIGEST)
    assert files_in(store.root) == []
    assert names_in(objects) == [object_name(KEY, DIGEST)]
    stat = store.stat(KEY)
    assert stat is not None and stat.size_bytes == len(SOUND)
    assert b"".join(store.open_range(KEY)) == SOUND
    assert b"".join(store.open_range(KEY, 500, 1_500)) == SOUND[500:1_500]
    assert b"".join(store.open_range(KEY, len(SOUND))) == b""
    assert store.digest(KEY) == DIGEST
    assert not store.path(KEY).exists()


def test_large_file_is_read_with_several_requests(store: BlobStore) -> None:
    assert store.put(KEY, [LARGE]).sha256 == hashlib.sha256(LARGE).hexdigest()
    with store.reader(KEY) as file:
        file.seek(5 << 20)
        assert file.read(1_000) == LARGE[5 << 20 :][:1_000]
        file.seek(-10, os.SEEK_END)
        assert file.read() == LARGE[-10:]


def test_audio_is_read_in_blocks_from_the_object_store(store: BlobStore) -> None:
    samples = (b"\x01\x00" * 4_000, b"\x02\x00" * 4_000)
    store.put(KEY, [wav.header(16_000, 8_000), *samples])
    with SoundFile(store.reader(KEY), KEY) as sound:
        assert sound.samples == 8_000
        assert sound.read(3_999, 4_001).ravel().tolist() == [1, 2]


def test_repeated_put_is_accepted_and_other_bytes_are_refused(store: BlobStore, objects: ObjectStore) -> None:
    store.put(KEY, [SOUND])
    assert store.put(KEY, [SOUND]).sha256 == DIGEST
    with pytest.raises(BlobExistsError, match="already exists with other bytes"):
        store.put(KEY, [b"other"])
    assert names_in(objects) == [object_name(KEY, DIGEST)]
    assert store.digest(KEY) == DIGEST


def test_repeated_commit_stores_one_object(store: BlobStore, objects: ObjectStore) -> None:
    store.part_file(KEY).path.write_bytes(SOUND)
    first = store.commit_part(KEY)
    assert store.commit_part(KEY) == first == BlobInfo(KEY, len(SOUND), DIGEST)
    assert names_in(objects) == [object_name(KEY, DIGEST)]
    with pytest.raises(StoreError, match="there is no downloaded file"):
        store.commit_part("twilio_recordings/other.wav")


def test_delete_removes_spool_file_and_object(store: BlobStore, objects: ObjectStore) -> None:
    store.put(KEY, [SOUND])
    assert store.delete(KEY) and not store.delete(KEY)
    assert store.stat(KEY) is None and names_in(objects) == []
    with pytest.raises(StoreError, match="there is no file"):
        store.open_range(KEY)


def test_file_stays_on_the_spool_while_the_store_is_away(
    s3: S3Server, store: BlobStore, objects: ObjectStore
) -> None:
    s3.wire.cut()
    try:
        with pytest.raises(StoreUnavailableError, match="cannot be"):
            store.put(KEY, [SOUND])
        assert files_in(store.root) == [KEY] and b"".join(store.open_range(KEY, 10, 20)) == SOUND[10:20]
        with pytest.raises(StoreUnavailableError):
            store.upload(KEY)
        with pytest.raises(StoreUnavailableError):
            store.stat("twilio_recordings/unknown.wav")
        with pytest.raises(StoreUnavailableError):
            objects.check()
    finally:
        s3.wire.mend()
    assert store.upload(KEY) == BlobInfo(KEY, len(SOUND), DIGEST)
    assert files_in(store.root) == [] and store.digest(KEY) == DIGEST
    assert store.upload(KEY) is None


def test_wrong_bytes_after_upload_raise(
    store: BlobStore, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(ObjectStore):
        def _digest(self, name: str) -> str:
            return "0" * 64

    bad = BlobStore(store.root, Forgetful(objects._store, objects.where))
    with pytest.raises(StoreError, match="other bytes than it received"):
        bad.put(KEY, [SOUND])
    assert files_in(store.root) == [KEY] and names_in(objects) == []


def test_digest_detects_changed_object_bytes(store: BlobStore, objects: ObjectStore) -> None:
    import obstore

    store.put(KEY, [SOUND])
    obstore.put(objects._store, object_name(KEY, DIGEST), b"rot" * 10)
    assert store.digest(KEY) != DIGEST


def test_concurrent_puts_of_same_bytes_store_one_object(
    store: BlobStore, objects: ObjectStore, tmp_path: Path
) -> None:
    stores = [BlobStore(tmp_path / f"spool-{number}", objects) for number in range(4)]
    threads = [threading.Thread(target=each.put, args=(KEY, [SOUND])) for each in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names_in(objects) == [object_name(KEY, DIGEST)]
    assert all(files_in(each.root) == [] for each in stores)


def test_probe_reports_the_problem(s3: S3Server, objects: ObjectStore) -> None:
    objects.probe()
    objects.check()
    assert [found.name for found in objects.list_folder("callreel-probe")] == []
    missing = open_object_store(
        "s3://no-such-bucket/reel",
        {"endpoint": s3.endpoint, "region": "us-east-1"},
        key_id="somebody",
        secret="anything",
        timeout_s=20,
    )
    with pytest.raises(StoreUnavailableError, match="s3://no-such-bucket/reel cannot be used"):
        missing.probe()


def test_unknown_option_raises_settings_error() -> None:
    with pytest.raises(SettingsError, match="cannot be used as configured"):
        open_object_store("s3://calls", {"colour": "blue"}, key_id=None, secret=None, timeout_s=5)


KILLED = """
import sys
from pathlib import Path
from callreel.store.files import blobs, object_store

url, endpoint, root, at = sys.argv[1:]
objects = object_store.open_object_store(
    url, {"endpoint": endpoint, "region": "us-east-1"}, key_id="somebody", secret="anything", timeout_s=20
)

def die(*_, **__):
    import os
    os.kill(os.getpid(), 9)

if at == "upload":
    object_store.obstore.put = die
elif at == "verify":
    objects._digest = die
elif at == "unlink":
    Path.unlink = die
blobs.BlobStore(Path(root), objects).upload("twilio_recordings/CA1_RE1.wav")
"""


@pytest.mark.parametrize("instant", ["upload", "verify", "unlink"])
def test_kill_during_a_move_loses_and_doubles_nothing(
    s3: S3Server, objects: ObjectStore, tmp_path: Path, instant: str
) -> None:
    spool = BlobStore(tmp_path / "spool")
    spool.put(KEY, [SOUND])
    arguments = [objects.where, s3.endpoint, str(spool.root), instant]
    died = subprocess.run([sys.executable, "-c", KILLED, *arguments], timeout=60)
    assert died.returncode == -9
    store = BlobStore(spool.root, objects)
    assert b"".join(store.open_range(KEY)) == SOUND
    assert store.upload(KEY) == BlobInfo(KEY, len(SOUND), DIGEST)
    assert names_in(objects) == [object_name(KEY, DIGEST)] and files_in(store.root) == []
    assert store.digest(KEY) == DIGEST


def test_spool_keeps_its_name(tmp_path: Path) -> None:
    name = spool_name(tmp_path / "spool")
    assert name and spool_name(tmp_path / "spool") == name
    assert spool_name(tmp_path / "other") != name
