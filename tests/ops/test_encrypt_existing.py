"""An installation that was plain is encrypted in place: nothing plain remains, and nothing changes for its readers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import String, select, type_coerce

from callreel.domain.errors import StoreError
from callreel.ops.encrypt_existing import encrypt_files, encrypt_rows
from callreel.ops.integrity_check import IntegrityCheck
from callreel.store.calls import call_list, layers
from callreel.store.calls.call_list import CallFilter
from callreel.store.db.database import Database
from callreel.store.db.tables import metadata, turn_index
from callreel.store.db.types import SealedJson, SealedText
from callreel.store.files.blobs import BlobStore
from callreel.store.files.encryption_in_place import encrypt_file
from callreel.store.files.object_store import object_name
from callreel.store.files.stored_file import is_sealed
from callreel.store.transcripts.search_query import parse
from tests.support.encryption import MASTER, Keys, files_with, keyring_of
from tests.support.s3_server import s3_server
from tests.support.seed import DONE, NOON, NUMBER, Seed, seed, wav_bytes

KEY = "twilio_recordings/CA1_RE1.wav"
WORDS = [b"pressure", b"gauge", b"falling", NUMBER.encode()]


def every_value(database: Database) -> dict[str, list[tuple[object, ...]]]:
    with database.read() as conn:
        return {
            table.name: [
                tuple(row)
                for row in conn.execute(select(*columns, *table.primary_key).order_by(*table.primary_key))
            ]
            for table in metadata.sorted_tables
            if (columns := [c for c in table.columns if isinstance(c.type, SealedText | SealedJson)])
        }


@pytest.fixture
def place(tmp_path: Path, empty_url: str) -> Iterator[Seed]:
    place = seed(tmp_path, empty_url)
    yield place
    place.database.close()


def test_rows_are_encrypted_once_and_read_the_same(place: Seed, tmp_path: Path) -> None:
    database = place.database
    before = every_value(database)
    keyring = keyring_of(database, MASTER)
    assert encrypt_rows(database) > 20
    assert encrypt_rows(database) == 0
    after = every_value(database)
    assert after == before and before["turns"] and before["live_events"] and before["turn_index"]
    with database.read() as conn:
        for query in ("pressure", '"left gauge"', "fall*"):
            assert [row.id for row in call_list.page(conn, CallFilter(parse(query)), 10)] == [DONE]
    if database.dialect == "sqlite":
        assert files_with(tmp_path, WORDS) == []
    database.use_cipher(keyring.text_cipher(searchable=False))
    assert encrypt_rows(database) == 0
    with database.read() as conn:
        assert set(conn.execute(select(type_coerce(turn_index.c.tokens, String))).scalars()) == {""}


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
def test_files_are_encrypted_once_and_read_the_same(place: Seed) -> None:
    database, blobs = place.database, place.blobs
    with database.read() as conn:
        live = set(layers.growing_paths(conn))
    plain = {file.key: blobs.path(file.key).read_bytes() for file in blobs.local_files("audio_recordings")}
    times = {key: blobs.path(key).stat().st_mtime_ns for key in plain}
    blobs.keys = keyring_of(database, MASTER)
    encrypted, skipped = encrypt_files(database, blobs)
    assert encrypted >= 2 and skipped >= len(live) > 0
    assert encrypt_files(database, blobs) == (0, skipped)
    for key, data in plain.items():
        assert is_sealed(blobs.path(key)) is (key not in live)
        assert b"".join(blobs.open_range(key)) == data
        assert blobs.path(key).stat().st_mtime_ns == times[key]
    found = IntegrityCheck(database, blobs, NOON, repair=False).run().findings
    assert [finding for finding in found if finding.kind == "damaged"] == []


def test_file_that_grows_is_left_alone(tmp_path: Path) -> None:
    from callreel.store.files.growing_wav import GrowingWav

    blobs = BlobStore(tmp_path, keys=Keys())
    with GrowingWav.open(tmp_path / "audio_recordings/a.wav", 8_000):
        assert encrypt_file(blobs, "audio_recordings/a.wav") is False
    assert encrypt_file(blobs, "audio_recordings/a.wav") is True
    assert encrypt_file(blobs, "audio_recordings/none.wav") is False
    plain = BlobStore(tmp_path / "other")
    plain.put(KEY, [b"sound"])
    with pytest.raises(StoreError, match="there is no master key"):
        encrypt_file(plain, KEY)


def test_objects_are_encrypted_in_their_store(tmp_path: Path) -> None:
    data = wav_bytes(2_000, 8_000, 2)
    with s3_server() as server:
        objects = server.store()
        info = BlobStore(tmp_path / "before", objects).put(KEY, [data])
        assert [found.name for found in objects.list_folder("twilio_recordings")] == [
            object_name(KEY, info.sha256)
        ]
        store = BlobStore(tmp_path / "spool", server.store(), Keys())
        assert b"".join(store.open_range(KEY, 100, 200)) == data[100:200]
        assert (encrypt_file(store, KEY), encrypt_file(store, KEY)) == (True, False)
        (found,) = objects.list_folder("twilio_recordings")
        assert found.name.endswith(".sealed")
        assert (found.size_bytes, found.sha256) == (len(data), info.sha256)
        stored = b"".join(objects.read(found, 0, found.stored_bytes))
        assert b"RIFF" not in stored and data[5_000:5_016] not in stored
        assert b"".join(store.open_range(KEY, 101, 20_001)) == data[101:20_001]
        assert store.digest(KEY) == info.sha256 and store.put(KEY, [data]) == info
        assert len(list(objects.list_folder("twilio_recordings"))) == 1
        assert store.delete(KEY) and store.stat(KEY) is None
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
