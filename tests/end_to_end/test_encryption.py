"""Whole calls with encryption at rest: nothing plain in the data folder at any time, and everything works as without."""

import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from benchmarks.chaos_audit import keyring_of, read_samples

from callreel.audio import mulaw
from callreel.audio.resample import upsample_all
from callreel.domain.call import Role, Track
from callreel.simulator.faults import Fault
from callreel.simulator.scenario import CallOutcome
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore
from tests.end_to_end.house import TECHNICIAN, House
from tests.end_to_end.live_files import LOST_MS_MAX, codes, live_files, script
from tests.support.encryption import MASTER, OTHER_MASTER, files_with
from tests.support.fault_promises import PROMISES
from tests.support.program import run
from tests.support.s3_server import s3_server

TRACKS = {Role.AGENT: Track.INBOUND, Role.TECHNICIAN: Track.OUTBOUND}
WORDS = [b"boiler", b"cold in here", TECHNICIAN[1:].encode(), b"xylophone", b"Quentin", b"RIFF", b"fLaC"]
FAULTS = ("none", "lost", "callback-lost", "media-truncated", "repeated")


def stored(house: House, master: str = MASTER) -> BlobStore:
    with closing(Database.open(f"sqlite:///{house.data_dir / 'app.db'}")) as database:
        return BlobStore(house.data_dir, keys=keyring_of(database, master))


def loud(samples: npt.NDArray[np.int16]) -> list[bytes]:
    """Short pieces of speech as bytes, from all over `samples`."""
    pieces = [samples[at : at + 12] for at in range(0, samples.size - 12, 400)]
    return [piece.tobytes() for piece in pieces if len(set(piece.tolist())) > 8]


def audible(outcome: CallOutcome) -> list[bytes]:
    """What of a call's audio would be recognized: as 8 and 16 kHz samples, as mu-law, and as the carrier's two channels."""
    found: list[bytes] = []
    for sent in outcome.sent.values():
        samples = mulaw.decode(sent)
        found += loud(samples) + loud(upsample_all(samples))
        found += [
            sent[at : at + 24] for at in range(0, len(sent) - 24, 400) if len(set(sent[at : at + 24])) > 12
        ]
    assert outcome.cloud is not None
    found += loud(outcome.cloud.reshape(-1))  # whole even where a killed server missed most of the stream
    assert len(found) > 100
    return found


def command(house: House, *arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in (house.environment | changes).items() if v is not None}
    return run(arguments, environment, house.folder, timeout_s=100)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(
        tmp_path_factory.mktemp("encryption"), {"CALLREEL_ENCRYPTION_KEYS": MASTER}, speed=2.5
    ) as house:
        yield house


@pytest.fixture(scope="module")
def placed(house: House) -> dict[str, tuple[CallOutcome, dict[str, Any]]]:
    """A call with each of some faults, and what people add to one; the folder is searched while they are live."""
    begun = {name: house.begin(script(8, *([Fault(name)] if name != "none" else []))) for name in FAULTS}
    house.until(lambda: len(live_files(house)) >= 4, 30)
    assert files_with(house.folder, WORDS) == []
    outcomes = {name: future.result() for name, future in begun.items()}
    calls = {name: house.closed_call(outcome.call_sid) for name, outcome in outcomes.items()}
    call_id = calls["none"]["call_id"]
    note = {"kind": "note", "at_ms": 10, "text": "ask for the xylophone"}
    for path, body in (
        (f"/api/v1/calls/{call_id}/notes", note),
        ("/api/v1/technicians", {"name": "Quentin", "number": TECHNICIAN}),
    ):
        answer = house.client.post(path, json=body, headers={"Origin": house.url})
        assert answer.status_code < 300, answer.text
    return {name: (outcomes[name], calls[name]) for name in FAULTS}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_end_as_promised_with_encryption(
    house: House, placed: dict[str, tuple[CallOutcome, dict[str, Any]]], name: str
) -> None:
    outcome, call = placed[name]
    promise = PROMISES[name]
    assert (call["verdict"], codes(call), bool(call["turns"])) == (promise.verdict, promise.codes, True)
    blobs = stored(house)
    for role, track in TRACKS.items():
        if promise.exact:
            kept = read_samples(house.layer(call, "live_8k", role), blobs.keys)
            np.testing.assert_array_equal(kept, mulaw.decode(outcome.sent[track]))
            wide = read_samples(house.layer(call, "live_16k", role), blobs.keys)
            np.testing.assert_array_equal(wide, upsample_all(kept))
    assert all(blobs.digest(layer["path"]) == layer["sha256"] for layer in call["layers"])


def test_nothing_plain_is_in_the_folder_and_pages_show_all(
    house: House, placed: dict[str, tuple[CallOutcome, dict[str, Any]]]
) -> None:
    outcome, call = placed["none"]
    assert (house.data_dir / "app.db-wal").exists() and (house.data_dir / "stages.db").exists()
    assert files_with(house.folder, [*WORDS, *audible(outcome)]) == []
    shown = house.client.get(f"/api/v1/calls/{call['call_id']}").json()
    assert (shown["number"], shown["number_name"]) == (TECHNICIAN, "Quentin")
    assert shown["notes"][0]["text"] == "ask for the xylophone"
    assert "boiler" in str(shown["turns"])
    # Which of its lines the scripted engine gives to which segment depends on the order of the segments of all calls.
    live = {word for turn in shown["live_turns"] for word in turn["text"].split()}
    assert live and live <= set("please check the boiler it is cold in here".split())
    for query in ("boiler", '"the boiler"', "boil*"):
        assert len(house.client.get("/api/v1/calls", params={"q": query}).json()["calls"]) == len(FAULTS), (
            query
        )
    assert not house.client.get("/api/v1/calls", params={"q": '"boiler the"'}).json()["calls"]


@pytest.mark.parametrize("part", [(0, 1), (43, 46), (44, 44), (1_001, 70_003), (65_535, 65_537)])
def test_ranges_are_those_of_the_plain_file(
    house: House, placed: dict[str, tuple[CallOutcome, dict[str, Any]]], part: tuple[int, int]
) -> None:
    for layer in placed["none"][1]["layers"]:
        whole = house.client.get(layer["url"]).content
        assert hashlib.sha256(whole).hexdigest() == layer["sha256"]
        answer = house.client.get(layer["url"], headers={"Range": f"bytes={part[0]}-{part[1]}"})
        assert (answer.status_code, answer.content) == (206, whole[part[0] : part[1] + 1])


def test_archive_backup_and_restore_stay_encrypted(
    house: House, placed: dict[str, tuple[CallOutcome, dict[str, Any]]], tmp_path: Path
) -> None:
    outcome, call = placed["none"]
    for arguments, says in (
        (("archive", call["call_id"]), "1 calls archived"),
        (("unarchive", "--all", "--verify"), "7 files of 1 calls, no calls with differences"),
        (("check",), "all checks passed"),
        (("backup", str(tmp_path / "copy")), "copied"),
        (("backup", "--verify", str(tmp_path / "copy")), "the backup is complete"),
    ):
        done = command(house, *arguments)
        assert done.returncode == 0 and says in done.stdout, done.stdout + done.stderr
    for layer in call["layers"]:
        again = house.client.get(layer["url"])
        assert (again.status_code, hashlib.sha256(again.content).hexdigest()) == (200, layer["sha256"])
    assert (house.data_dir / "derived").is_dir()
    plain = [*WORDS, *audible(outcome)]
    assert files_with(house.folder, plain) == files_with(tmp_path / "copy", plain) == []
    new = {"CALLREEL_DATA_DIR": str(tmp_path / "new")}
    assert (
        command(house, "restore", str(tmp_path / "copy"), CALLREEL_ENCRYPTION_KEYS=None, **new).returncode
        == 0
    )
    checked = command(house, "check", **new)
    assert checked.returncode == 0 and "all checks passed" in checked.stdout, checked.stdout


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (None, "this installation is encrypted with master key 2026a, but none is configured"),
        pytest.param(OTHER_MASTER, "master key 2026a, which is not configured", marks=pytest.mark.long),
        (
            OTHER_MASTER.replace("2026b", "2026a"),
            "master key 2026a is not the key that the data was encrypted with",
        ),
    ],
    ids=["none", "another", "wrong"],
)
def test_missing_and_wrong_keys_are_one_clear_line(
    house: House,
    placed: dict[str, tuple[CallOutcome, dict[str, Any]]],
    keys: str | None,
    says: str,
    tmp_path: Path,
) -> None:
    call_id = placed["none"][1]["call_id"]
    for arguments in (("check",), ("archive", call_id), ("backup", str(tmp_path / "copy")), ("keys", "list")):
        refused = command(house, *arguments, CALLREEL_ENCRYPTION_KEYS=keys)
        if arguments == ("keys", "list") or keys is None or refused.returncode:
            assert refused.returncode == 2 and says in refused.stderr, refused.stderr
            assert len(refused.stderr.splitlines()) == 1
    server = command(house, "work", CALLREEL_ENCRYPTION_KEYS=keys)
    assert server.returncode == 2 and says in server.stderr.splitlines()[-1]


def test_rotation_and_kill_in_the_middle_of_a_call(tmp_path: Path) -> None:
    """Keys are rotated while the call is recorded; then the server is killed, and continues with the new key alone."""
    keys = tmp_path / "master-keys"
    keys.write_text(f"{MASTER}\n")
    with House(tmp_path, {"CALLREEL_ENCRYPTION_KEYS_FILE": str(keys)}, speed=1.0) as house:
        future = house.begin(script(43))
        house.until(lambda: len(live_files(house)) == 2, 30)
        call_id = live_files(house)[0].name.split("_")[1]
        keys.write_text(f"{OTHER_MASTER}\n{MASTER}\n")
        rotated = command(house, "keys", "rotate")
        assert rotated.returncode == 0 and "wrapped 4 data keys with master key 2026b" in rotated.stdout
        keys.write_text(f"{OTHER_MASTER}\n")
        sizes = {path: path.stat().st_size for path in live_files(house)}
        house.until(lambda: all(path.stat().st_size > size + 30_000 for path, size in sizes.items()), 30)
        received_ms = house.kill_server()
        blobs = stored(house, OTHER_MASTER)
        at_the_kill = {path: read_samples(path, blobs.keys).size for path in live_files(house)}
        house.start_server()
        house.hang_up(call_id)
        outcome = future.result()
        call = house.closed_call(outcome.call_sid)
        for role, track in TRACKS.items():
            path = house.layer(call, "live_8k", role)
            kept = read_samples(path, blobs.keys)
            sent = mulaw.decode(outcome.streams[0].tracks[track])
            np.testing.assert_array_equal(kept, sent[: kept.size])
            assert at_the_kill[path] <= kept.size
            assert kept.size >= 8 * (received_ms[outcome.streams[0].sid] - LOST_MS_MAX)
            wide = read_samples(house.layer(call, "live_16k", role), blobs.keys)
            np.testing.assert_array_equal(wide, upsample_all(kept))
        assert {layer["state"] for layer in call["layers"] if layer["layer"].startswith("live")} == {
            "repaired"
        }
        assert files_with(house.data_dir, [*WORDS, *audible(outcome)]) == []
        listed = command(house, "keys", "list")
        assert listed.returncode == 0 and "2026a" not in listed.stdout


@pytest.mark.long
def test_object_store_holds_encrypted_objects_only(tmp_path: Path) -> None:
    with s3_server() as server:
        settings = server.settings | {"CALLREEL_ENCRYPTION_KEYS": MASTER}
        with House(tmp_path, settings) as house:
            outcome = house.place(script(8))
            call = house.closed_call(outcome.call_sid)
            assert call["verdict"] == "verified"
            house.until(lambda: not live_files(house), 60)
            objects = server.store()
            found = [
                each
                for folder in ("audio_recordings", "twilio_recordings", "peaks")
                for each in objects.list_folder(folder)
            ]
            assert len(found) >= 8 and all(each.name.endswith(".sealed") for each in found)
            raw = b"".join(b"".join(objects.read(each, 0, each.stored_bytes)) for each in found)
            assert not any(plain in raw for plain in [*WORDS, *audible(outcome)])
            for layer in call["layers"]:
                whole = house.client.get(layer["url"]).content
                assert hashlib.sha256(whole).hexdigest() == layer["sha256"]
                part = house.client.get(layer["url"], headers={"Range": "bytes=1001-70003"})
                assert (part.status_code, part.content) == (206, whole[1001:70004])
            checked = command(house, "check")
            assert checked.returncode == 0, checked.stdout + checked.stderr
