"""The timeline of a call: every step with its time and duration, in order, from rows and stored events."""

from typing import Any

import pytest

from callreel.domain.call import Role
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId, LegSid, StreamSid
from callreel.domain.recording import CloudState, Layer, LayerState
from callreel.review.timeline import call_timeline
from callreel.store.calls import calls, live_events, stream_tokens, streams
from callreel.store.calls.streams import EndedBy, StreamRow
from callreel.store.db.tables import live_events as events_table
from tests.support.seed import LIVE, Seed, at

CALL = LIVE


@pytest.fixture
def place(place: Seed) -> Seed:
    with place.database.write() as conn:
        conn.execute(events_table.delete())
    return place


def event(place: Seed, kind: EventKind, second: float, **data: Json) -> None:
    with place.database.write() as conn:
        live_events.append(conn, LiveEvent(CALL, kind, data), at(second))


def steps(place: Seed, call: CallId = CALL) -> list[Any]:
    with place.database.read() as conn:
        row = calls.get(conn, call)
        assert row is not None
        return call_timeline(conn, row)


def test_steps_after_a_call_have_their_times_and_durations(place: Seed) -> None:
    before = {entry["step"] for entry in steps(place)}
    assert "placed" in before
    assert before.isdisjoint({"callback", "fetched", "transcribed", "verdict"})
    for role in Role:
        event(place, EventKind.LAYER, 100, layer=Layer.LIVE_8K, role=role, state=LayerState.RECORDING)
        event(place, EventKind.LAYER, 160, layer=Layer.LIVE_8K, role=role, state=LayerState.CLOSED)
    event(place, EventKind.LAYER, 170, layer=Layer.CLOUD, role=None, state=LayerState.CLOSED)
    event(place, EventKind.RECORDING, 101, recording_sid="RE1", state=CloudState.IN_PROGRESS, error_code=None)
    event(place, EventKind.RECORDING, 165, recording_sid="RE1", state=CloudState.COMPLETED, error_code=None)
    event(place, EventKind.RECORDING, 168, recording_sid="RE1", state=CloudState.STORED, error_code=None)
    event(place, EventKind.STAGE, 166, stage="download", state="running", reason=None)
    event(place, EventKind.STAGE, 168.5, stage="download", state="done", reason=None)
    event(place, EventKind.STAGE, 169, stage="transcribe", state="running", reason=None)
    event(place, EventKind.STAGE, 172, stage="transcribe", state="parked", reason="no engine")
    event(place, EventKind.VERDICT, 175, verdict="verified", reasons=[])
    found = steps(place)
    assert [entry["at"] for entry in found] == sorted(entry["at"] for entry in found)
    shown = [
        (entry["step"], entry["duration_ms"], entry["detail"])
        for entry in found
        if entry["step"] in ("layers", "callback", "fetched", "transcribed", "verdict")
    ]
    assert shown == [
        ("layers", 60_000, None),
        ("callback", None, "in_progress"),
        ("callback", None, "completed"),
        ("fetched", 2500, None),
        ("transcribed", 3000, "parked"),
        ("verdict", None, "verified"),
    ]


def test_twiml_and_each_stream_are_listed(place: Seed) -> None:
    with place.database.write() as conn:
        row = calls.get(conn, CALL)
        assert row is not None
        stream_tokens.issue(conn, "hash", row.leg_sid, CALL, row.created_at, 300)
        second = StreamRow(
            StreamSid("MZ" + "9" * 32), CALL, LegSid(row.leg_sid), 0, at(500), at(507), EndedBy.SOCKET
        )
        streams.insert(conn, second)
    found = steps(place)
    after = {entry["step"]: entry["after_ms"] for entry in found}
    assert (after["placed"], after["twiml"]) == (0, 0)
    assert [entry["step"] for entry in found].index("placed") + 1 == [e["step"] for e in found].index("twiml")
    [ended] = [entry for entry in found if entry["detail"] == EndedBy.SOCKET]
    assert (ended["step"], ended["duration_ms"]) == ("stream", 7000)
