"""Calls whose audio is moved to an object store: a real server process that speaks S3, and an outage of it."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from callreel.audio import mulaw
from callreel.store.files.blobs import BlobStore
from callreel.store.files.sound_files import SoundFile
from tests.end_to_end.house import CALLER_ID, House
from tests.end_to_end.live_files import script
from tests.support.program import run
from tests.support.s3_server import S3Server

VOICE_S = 8
MOVED_S = 60.0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, s3: S3Server) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("object-store"), s3.settings) as house:
        yield house


def spooled(house: House) -> list[str]:
    folders = [house.data_dir / name for name in ("audio_recordings", "twilio_recordings")]
    return sorted(path.name for folder in folders if folder.is_dir() for path in folder.iterdir())


def samples(blobs: BlobStore, key: str) -> Any:
    with SoundFile(blobs.reader(key), key) as sound:
        return sound.read(0, sound.samples)


def command(house: House, s3: S3Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CALLREEL_")}
    environment |= {"CALLREEL_DATA_DIR": str(house.data_dir)}
    return run(arguments, environment | s3.settings, house.folder, timeout_s=100)


def test_call_is_moved_to_the_object_store_and_played(house: House, s3: S3Server, tmp_path: Path) -> None:
    outcome = house.place(script(VOICE_S, our_number=CALLER_ID))
    call = house.closed_call(outcome.call_sid)
    assert (call["verdict"], call["reasons"]) == ("verified", [])
    house.until(lambda: spooled(house) == [], MOVED_S)
    blobs = BlobStore(tmp_path / "elsewhere", s3.store())
    topology = {"agent": 0, "technician": 1}
    for layer in call["layers"]:
        assert blobs.digest(layer["path"]) == layer["sha256"], layer["path"]
        if layer["layer"] == "live_8k":
            track = "inbound" if layer["role"] == "agent" else "outbound"
            sent = {str(key): value for key, value in outcome.sent.items()}[track]
            np.testing.assert_array_equal(samples(blobs, layer["path"])[:, 0], mulaw.decode(sent))
        if layer["layer"] == "cloud_channel":
            assert outcome.cloud is not None
            theirs = outcome.cloud[:, topology[layer["role"]]]
            np.testing.assert_array_equal(samples(blobs, layer["path"])[:, 0], theirs)
        whole = b"".join(blobs.open_range(layer["path"]))
        part = house.client.get(layer["url"], headers={"Range": "bytes=1000-1999"})
        assert (part.status_code, part.content) == (206, whole[1000:2000])
        assert house.client.get(layer["url"]).content == whole
    assert house.client.get(f"/api/v1/calls/{call['call_id']}/peaks").status_code == 200
    checked = command(house, s3, "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    archived = command(house, s3, "archive", call["call_id"])
    assert archived.returncode == 0 and "calls archived" in archived.stdout, archived.stdout + archived.stderr
    assert {found.name.rpartition(".")[2] for found in s3.store().list_folder("audio_recordings")} == {"flac"}
    for layer in call["layers"]:
        again = house.client.get(layer["url"])
        assert (again.status_code, hashlib.sha256(again.content).hexdigest()) == (200, layer["sha256"])
        part = house.client.get(layer["url"], headers={"Range": "bytes=1000-1999"})
        assert (part.status_code, part.content) == (206, again.content[1000:2000])
    backed = command(house, s3, "backup", str(tmp_path / "backup"))
    assert backed.returncode == 0, backed.stdout + backed.stderr
    restored = command(house, s3, "unarchive", "--all")
    assert restored.returncode == 0 and "7 files of 1 calls, no calls with differences" in restored.stdout
    assert all(blobs.digest(layer["path"]) == layer["sha256"] for layer in call["layers"])


def test_object_store_outage_loses_nothing(house: House, s3: S3Server) -> None:
    s3.wire.cut()
    try:
        outcome = house.place(script(VOICE_S, our_number=CALLER_ID))
        house.until(lambda: house.client.get("/health").json()["status"] == "degraded", MOVED_S)
        health = house.client.get("/health")
        assert health.status_code == 200 and health.json()["checks"]["objects"] == "failed"
        call = house.call(outcome.call_sid)
        assert call is not None
        live = [layer for layer in call["layers"] if layer["layer"] == "live_8k"]
        assert len(live) == 2
        for layer in live:
            response = house.client.get(layer["url"])
            assert response.status_code == 200 and len(response.content) > 8_000
        assert len(spooled(house)) >= 4
    finally:
        s3.wire.mend()
    house.until(lambda: spooled(house) == [], 2 * MOVED_S)
    call = house.closed_call(outcome.call_sid)
    house.until(lambda: (house.call(outcome.call_sid) or {}).get("verdict") == "verified", 2 * MOVED_S)
    blobs = BlobStore(house.folder / "elsewhere", s3.store())
    for layer in (house.call(outcome.call_sid) or {})["layers"]:
        assert blobs.digest(layer["path"]) == layer["sha256"], layer["path"]
    house.until(lambda: house.client.get("/health").json()["status"] == "ok", MOVED_S)


def test_moves_interrupted_by_a_kill_are_finished_at_startup(house: House, s3: S3Server) -> None:
    outcome = house.place(script(VOICE_S, our_number=CALLER_ID))
    house.until(lambda: (house.call(outcome.call_sid) or {}).get("state") != "live", MOVED_S)
    house.kill_server()
    house.start_server()
    call = house.closed_call(outcome.call_sid)
    house.until(lambda: spooled(house) == [], MOVED_S)
    objects = s3.store()
    for layer in call["layers"]:
        assert [found.sha256 for found in objects.versions(layer["path"])] == [layer["sha256"]]
