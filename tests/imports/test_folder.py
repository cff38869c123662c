"""Sound files become calls: once each, with the parties of their channels, through the stages after a call."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile

from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.audit import AuditAction
from callreel.domain.call import CallState, Direction, Role
from callreel.domain.ids import LegSid
from callreel.domain.recording import CloudState, Layer
from callreel.domain.transcript import TranscriptKind
from callreel.domain.verdict import Verdict
from callreel.domain.work import Workflow
from callreel.imports import sound_conversion
from callreel.imports.imported_calls import FACT, ImportedCalls, call_id_of
from callreel.imports.outcome import Outcome, Result
from callreel.postcall.workflows import Dispatcher
from callreel.retention.erasure import Eraser
from callreel.review.summary import call_summary
from callreel.store.audio.layer_audio import open_layer
from callreel.store.audit import trail
from callreel.store.calls import calls, erasures, facts, layers, outbox, recordings
from callreel.store.calls.erasures import ErasureRow
from callreel.store.calls.outbox import MOST_IMPORTED
from callreel.store.files.blobs import BlobInfo, BlobStore
from callreel.store.files.sound_files import SoundFile
from tests.imports.sound_files import importer, orders, two_channels, write_sound
from tests.support.installation import NOON, Installation
from tests.support.recorded_call import Recorded
from tests.support.rest_server import rest_server


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "archive"
    made.mkdir()
    yield made


def import_all(installation: Installation, folder: Path, **options: bool) -> list[Outcome]:
    work = importer(installation, folder, **options)
    return list(work.run([work.without_metadata(name) for name in work.names()]))


def with_metadata(installation: Installation, folder: Path, *rows: dict[str, str]) -> list[Outcome]:
    (folder / "calls.json").write_text(json.dumps(rows))
    work = importer(installation, folder)
    return list(work.run(work.rows(folder / "calls.json")))


def worked_through(installation: Installation, outcome: Outcome) -> Recorded:
    """The imported call after the stages that its order starts."""
    assert outcome.call_id is not None
    with rest_server() as server:
        carrier = CarrierRecordings(CarrierAccess(server.url, "AC1", "SK1", "secret"))
        made = Recorded(installation, server, carrier, outcome.call_id)
        engine = made.engine()
        assert Dispatcher(installation.database, engine, installation.clock).sweep() == 1
        engine.work()
        carrier.close()
        assert server.seen == []
    return made


def test_files_of_all_kinds_are_imported_once(installation: Installation, folder: Path) -> None:
    for number, ending in enumerate(("wav", "mp3", "flac", "ogg")):
        write_sound(folder / f"deep/{number}.{ending}", two_channels(number))
    found = import_all(installation, folder)
    assert [(one.name, one.result) for one in found] == [
        (name, Result.IMPORTED) for name in ("deep/0.wav", "deep/1.mp3", "deep/2.flac", "deep/3.ogg")
    ]
    assert len({one.call_id for one in found}) == 4
    assert [order.workflow for order in orders(installation)] == [Workflow.DOWNLOAD] * 4
    (folder / "copy.wav").write_bytes((folder / "deep/0.wav").read_bytes())
    again = import_all(installation, folder)
    assert [one.result for one in again] == [Result.PRESENT] * 5
    assert len(orders(installation)) == 4


def test_imported_call_goes_through_the_stages(installation: Installation, folder: Path) -> None:
    write_sound(folder / "one.wav")
    row = {"file": "one.wav", "started_at": "2024-03-01T10:00:00+01:00", "agent": "maria", "number": "(212) 555-0123",
           "direction": "incoming", "agent_channel": "1"}  # fmt: skip
    (outcome,) = with_metadata(installation, folder, row)
    made = worked_through(installation, outcome)
    call = made.call
    assert (call.agent, call.remote_number, call.direction) == ("maria", "+12125550123", Direction.INCOMING)
    assert call.created_at == datetime(2024, 3, 1, 9, tzinfo=UTC)
    assert (call.ended_at or NOON) - call.created_at == timedelta(seconds=4.5)
    assert (call.state, call.verdict, call.reasons) == (CallState.CLOSED, Verdict.IMPORTED, ())
    text = made.transcript(TranscriptKind.FINAL)
    assert text is not None and [turn.role for turn in text.turns] == [Role.AGENT, Role.TECHNICIAN]
    assert len(made.files(Layer.CLOUD_CHANNEL)) == 2
    with open_layer(installation.blobs, made.files(Layer.CLOUD)[0]) as sound:
        assert np.array_equal(sound.read(0, sound.samples), two_channels())
    with installation.database.read() as conn:
        document = call_summary(conn, call.id)
        (fact,) = [fact for fact in facts.of_call(conn, call.id) if fact.kind == FACT]
        entry = trail.newest(conn, AuditAction.IMPORTED)
    assert document is not None and (document["imported"], document["verdict"]) == (True, "imported")
    assert fact.data["file_bytes"] == (folder / "one.wav").stat().st_size
    assert entry is not None and (entry.actor, entry.call_id) == ("ada", call.id)


def test_channels_follow_direction_and_setting(installation: Installation, folder: Path) -> None:
    rows = [{"file": f"{d}.wav", "direction": d} for d in ("outgoing", "incoming")]
    for number, row in enumerate(rows):
        write_sound(folder / row["file"], two_channels(number))
    assert [_first_role(installation, one) for one in with_metadata(installation, folder, *rows)] == [
        Role.AGENT, Role.TECHNICIAN,
    ]  # fmt: skip
    write_sound(folder / "swapped.wav", two_channels(9))
    swapped = importer(installation, folder, swapped=True)
    outcome = swapped.one(swapped.without_metadata("swapped.wav"))
    assert _first_role(installation, outcome) is Role.TECHNICIAN


def _first_role(installation: Installation, outcome: Outcome) -> Role:
    assert outcome.call_id is not None, outcome
    return installation.call(outcome.call_id).inbound_role


def test_mono_recording_is_kept_without_text(installation: Installation, folder: Path) -> None:
    write_sound(folder / "mono.wav", two_channels()[:, 0])
    (outcome,) = import_all(installation, folder)
    assert outcome.detail == "one channel: kept without a transcript"
    made = worked_through(installation, outcome)
    assert made.call.verdict is Verdict.IMPORTED
    assert [reason.code for reason in made.call.reasons] == ["mono_recording"]
    text = made.transcript(TranscriptKind.FINAL)
    assert text is None or text.turns == ()


@pytest.mark.parametrize("party", [Role.AGENT, Role.TECHNICIAN])
def test_mono_recording_of_one_party_is_transcribed(
    installation: Installation, folder: Path, party: Role
) -> None:
    write_sound(folder / "mono.wav", two_channels()[:, 0])
    (outcome,) = with_metadata(installation, folder, {"file": "mono.wav", "party": party})
    made = worked_through(installation, outcome)
    text = made.transcript(TranscriptKind.FINAL)
    assert text is not None and [turn.role for turn in text.turns] == [party]
    assert made.call.reasons == ()


def test_bad_files_are_one_line_each(installation: Installation, folder: Path, tmp_path: Path) -> None:
    for ending in ("wav", "mp3", "flac", "ogg"):
        whole = write_sound(tmp_path / f"whole.{ending}").read_bytes()
        (folder / f"cut.{ending}").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.wav").touch()
    (folder / "text.mp3").write_text("no sound at all " * 99)
    soundfile.write(folder / "three.wav", np.zeros((800, 3), np.int16), 8_000)
    soundfile.write(folder / "nothing.wav", np.zeros((0, 2), np.int16), 8_000)
    write_sound(folder / "good.wav")
    (folder / "link.wav").symlink_to(folder / "good.wav")
    found = {one.name: one for one in import_all(installation, folder)}
    assert found.pop("good.wav").result is Result.IMPORTED
    assert {one.result for one in found.values()} == {Result.FAILED} and len(found) == 9
    assert all(one.detail and "\n" not in one.detail for one in found.values())
    assert "truncated" in found["cut.wav"].detail and "truncated" in found["cut.ogg"].detail
    assert "3 channels" in found["three.wav"].detail and "link" in found["link.wav"].detail
    assert list(installation.blobs.root.rglob("*.part*")) == []


@pytest.mark.parametrize(
    "name", ["../outside.wav", "/etc/passwd.wav", "a//b.wav", "sub/../../outside.wav", ""]
)
def test_paths_stay_inside_the_folder(installation: Installation, folder: Path, name: str) -> None:
    write_sound(folder.parent / "outside.wav")
    (outcome,) = with_metadata(installation, folder, {"file": name})
    assert outcome.result is Result.FAILED and outcome.call_id is None


def test_wrong_row_fails_alone(installation: Installation, folder: Path) -> None:
    write_sound(folder / "one.wav")
    found = with_metadata(
        installation, folder, {"file": "one.wav", "started_at": "yesterday"}, {"file": "missing.wav"},
        {"file": "one.wav", "number": "call me"}, {"file": "one.wav", "started_at": "2999-01-01"}, {"file": "one.wav"},
    )  # fmt: skip
    assert [one.result for one in found] == [Result.FAILED] * 4 + [Result.IMPORTED]
    assert "started_at" in found[0].detail and "future" in found[3].detail


@pytest.mark.parametrize(
    "wrong",
    [{"started_at": "9999-12-31T23:59:59"}, {"started_at": "9999-12-31T23:59:59-01:00"}, {"started_at": "0001-01-01"},
     {"file": "\ud800.wav"}],
    ids=["last", "beyond", "first", "surrogate"],
)  # fmt: skip
def test_row_beyond_the_calendar_or_text_fails_alone(
    installation: Installation, folder: Path, wrong: dict[str, str]
) -> None:
    write_sound(folder / "one.wav")
    failed, rest = with_metadata(installation, folder, {"file": "one.wav"} | wrong, {"file": "one.wav"})
    assert (failed.result, rest.result) == (Result.FAILED, Result.IMPORTED)
    assert failed.detail and not failed.passing


def test_dry_run_stores_nothing(installation: Installation, folder: Path) -> None:
    write_sound(folder / "one.wav")
    work = importer(installation, folder)
    (outcome,) = work.run([work.without_metadata("one.wav")], dry_run=True)
    assert outcome.result is Result.IMPORTED and outcome.call_id is None
    assert orders(installation) == [] and list(installation.blobs.root.rglob("*.wav")) == []


def test_erased_call_is_not_imported_again(installation: Installation, folder: Path) -> None:
    write_sound(folder / "one.wav")
    (outcome,) = import_all(installation, folder)
    assert outcome.call_id is not None
    with installation.database.write() as conn:
        erasures.begin(conn, ErasureRow(outcome.call_id, "ada", NOON, {}))
        erasures.delete_call(conn, outcome.call_id, [], {}, NOON)
    assert [one.result for one in import_all(installation, folder)] == [Result.ERASED]
    with installation.database.read() as conn:
        assert calls.get(conn, outcome.call_id) is None


def test_call_erased_during_its_import_leaves_no_file(
    installation: Installation, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sound(folder / "one.wav")
    store = sound_conversion.store

    def erased_meanwhile(blobs: BlobStore, key: str, sound: SoundFile, silent: int | None) -> BlobInfo:
        sid = Path(key).stem.rpartition("_")[2]
        with installation.database.write() as conn:
            erasures.begin(conn, ErasureRow(call_id_of(LegSid(sid)), "ada", NOON, {}))
        return store(blobs, key, sound, silent)

    monkeypatch.setattr(sound_conversion, "store", erased_meanwhile)
    assert [one.result for one in import_all(installation, folder)] == [Result.ERASED]
    assert list(installation.blobs.root.rglob("*.wav")) == []


def test_killed_import_continues_with_other_metadata(
    installation: Installation, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sound(folder / "mono.wav", two_channels()[:, 0])
    with monkeypatch.context() as killed:
        killed.setattr(ImportedCalls, "save", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            import_all(installation, folder)
    (outcome,) = with_metadata(installation, folder, {"file": "mono.wav", "party": "agent"})
    assert outcome.result is Result.IMPORTED and outcome.call_id is not None
    with installation.database.read() as conn:
        (file,) = layers.of_call(conn, outcome.call_id)
    assert file.channels == 2 and installation.blobs.digest(file.path) == file.sha256


def test_erasing_an_imported_call_asks_no_carrier(installation: Installation, folder: Path) -> None:
    write_sound(folder / "one.wav")
    (outcome,) = import_all(installation, folder)
    made = worked_through(installation, outcome)
    with installation.database.write() as conn:
        erasures.begin(conn, ErasureRow(made.call_id, "ada", NOON, {}))
    with rest_server() as server:
        carrier = CarrierRecordings(CarrierAccess(server.url, "AC1", "SK1", "secret"))
        eraser = Eraser(
            installation.database, installation.blobs, carrier, installation.publisher, installation.clock,
            unfinished=lambda *prefixes: [],
        )  # fmt: skip
        done = eraser.erase(made.call_id)
        carrier.close()
        assert server.seen == []
    assert (len(done.files), done.recordings) == (3, {})
    assert list(installation.blobs.root.rglob("*.wav")) == []
    assert [one.result for one in import_all(installation, folder)] == [Result.ERASED]


def test_lost_file_is_restored_by_importing_again(installation: Installation, folder: Path) -> None:
    write_sound(folder / "one.wav")
    (outcome,) = import_all(installation, folder)
    made = worked_through(installation, outcome)
    (file,) = made.files(Layer.CLOUD)
    installation.blobs.delete(file.path)
    with installation.database.write() as conn:
        (row,) = recordings.of_call(conn, made.call_id)
        recordings.download_again(conn, row.sid, NOON)
    assert [one.result for one in import_all(installation, folder)] == [Result.IMPORTED]
    assert made.recording(row.sid).state is CloudState.STORED and installation.blobs.exists(file.path)


def test_redacted_installation_withholds_imported_calls(installation: Installation, folder: Path) -> None:
    write_sound(folder / "one.wav")
    (outcome,) = import_all(installation, folder, redact=True)
    assert outcome.call_id is not None and installation.call(outcome.call_id).withheld


def test_archive_does_not_flood_the_stages(installation: Installation, folder: Path) -> None:
    for number in range(MOST_IMPORTED + 2):
        write_sound(folder / f"{number:02}.wav", two_channels(number)[:4_000])
    import_all(installation, folder)
    first = orders(installation)
    assert len(first) == MOST_IMPORTED
    with installation.database.write() as conn:
        for order in first:
            outbox.remove(conn, order)
    assert orders(installation) == []
    with installation.database.write() as conn:
        assert first[0].call_id is not None
        calls.set_state(conn, first[0].call_id, CallState.CLOSED, NOON)
    assert len(orders(installation)) == 1
