"""Explanations of incomplete recordings: each state has a line, and problems have advice."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from callreel.domain.call import CallState, Role
from callreel.domain.ids import RecordingSid, StreamSid
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.ops.diagnosis import Mark, explain_call, explain_recording
from callreel.store.calls import calls, layers, recordings, streams
from callreel.store.calls.recordings import RecordingRow
from callreel.store.calls.streams import StreamRow
from callreel.store.db.database import Database
from tests.support.rows import CALL, NOON
from tests.support.rows import PARENT as LEG

ENDED = replace(CALL, state=CallState.ENDED)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(str(tmp_path / "app.db"))
    opened.migrate()
    with opened.write() as conn:
        calls.insert(conn, ENDED)
    yield opened
    opened.close()


def recording(
    state: CloudState, error_code: int | None = None, error: str | None = None, channels: int = 2
) -> RecordingRow:
    return RecordingRow(
        RecordingSid("RE" + "1" * 32),
        CALL.id,
        LEG,
        state,
        NOON,
        error_code=error_code,
        failure=error,
        channels=channels,
    )


@pytest.mark.parametrize("state", list(CloudState))
def test_each_state_has_a_line_and_problems_have_advice(state: CloudState) -> None:
    [finding] = explain_recording(recording(state))
    assert "RE1111" in finding.line
    assert "\n" not in finding.line
    assert finding.mark is Mark.OK or finding.advice


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (recording(CloudState.ABSENT, 16101), "too short to keep (error 16101)"),
        (recording(CloudState.ABSENT, 16102), "check the agent's microphone"),
        (recording(CloudState.ABSENT, 99), "(error 99)"),
        (recording(CloudState.FAILED), "encrypts recordings"),
        (recording(CloudState.PARKED, error="the carrier answered 401"), "TWILIO_API_KEY_SECRET"),
        (recording(CloudState.PARKED, error="the carrier answered 404"), "it was deleted"),
        (recording(CloudState.COMPLETED, error="429 too many"), "retried later"),
        (recording(CloudState.EXPECTED), "CALLREEL_PUBLIC_URL"),
        (recording(CloudState.MISSING), "CALLREEL_RECORD"),
    ],
)
def test_advice_depends_on_the_reason(row: RecordingRow, expected: str) -> None:
    assert expected in explain_recording(row)[0].line


def test_mono_recording_is_a_finding() -> None:
    found = explain_recording(recording(CloudState.STORED, channels=1))
    assert [finding.mark for finding in found] == [Mark.OK, Mark.WARN]
    assert "CALLREEL_RECORDING_CHANNELS=dual" in found[1].advice


def test_call_is_explained_by_id_and_by_leg(database: Database) -> None:
    with database.read() as conn:
        assert explain_call(conn, CALL.id) == explain_call(conn, LEG)
        assert explain_call(conn, "ba9876543210") == []
        assert explain_call(conn, "CA" + "b" * 32) == []


def test_call_without_callbacks_lacks_stream_and_recording(database: Database) -> None:
    with database.read() as conn:
        found = explain_call(conn, CALL.id)
    assert [finding.what for finding in found if finding.mark is Mark.BAD] == ["media stream", "recording"]


def test_streams_and_repaired_layers_are_reported(database: Database) -> None:
    path = "audio_recordings/agent.wav"
    layer = LayerFile(Layer.LIVE_8K, Role.AGENT, path, 8000, 1, 1000, 16044, "ab", LayerState.REPAIRED)
    with database.write() as conn:
        streams.insert(conn, StreamRow(StreamSid("MZ" + "1" * 32), CALL.id, LEG, 0, NOON))
        layers.upsert(conn, CALL.id, layer, repaired_at=NOON)
        recordings.upsert(
            conn, RecordingRow(RecordingSid("RE" + "1" * 32), CALL.id, LEG, CloudState.STORED, NOON)
        )
    with database.read() as conn:
        found = explain_call(conn, CALL.id)
    assert [(finding.what, finding.mark) for finding in found[1:3]] == [
        ("media stream", Mark.OK),
        ("live layers", Mark.WARN),
    ]
    assert found[3].mark is Mark.OK


def test_findings_contain_no_number_and_no_name(database: Database) -> None:
    with database.read() as conn:
        lines = " ".join(finding.line for finding in explain_call(conn, CALL.id))
    assert "555" not in lines
    assert "ada" not in lines
