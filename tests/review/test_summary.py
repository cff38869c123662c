"""The summary of a call, beyond the tests of the API."""

from dataclasses import replace

from callreel.asr.delivery import Delivered
from callreel.domain.call import Role
from callreel.domain.cost import Prices
from callreel.domain.ids import CallId, RecordingSid
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.domain.transcript import TranscriptKind, Turn
from callreel.review.live_score import save_delivery, text_score
from callreel.review.summary import call_summary, layer_names
from callreel.store.calls import calls, legs, live_events, recordings
from callreel.store.transcripts import live_scores, transcripts
from tests.support.seed import ABSENT, DONE, LIVE, SUSPECT, Seed, at


def a_file(layer: Layer, role: Role | None) -> LayerFile:
    return LayerFile(layer, role, "x.wav", 8000, 1, 0, 44, None, LayerState.RECORDING)


def test_names_of_layers_are_distinct() -> None:
    files = [
        a_file(Layer.LIVE_8K, Role.AGENT),
        a_file(Layer.LIVE_8K, Role.AGENT),
        a_file(Layer.CLOUD, None),
        a_file(Layer.CLOUD_CHANNEL, Role.TECHNICIAN),
    ]
    assert layer_names(files) == ["live_8k-agent", "live_8k-agent-2", "cloud", "cloud_channel-technician"]


def test_missing_call_has_no_summary(place: Seed) -> None:
    with place.database.read() as conn:
        assert call_summary(conn, CallId("f" * 12)) is None


def test_without_prices_there_is_no_cost(place: Seed) -> None:
    with place.database.read() as conn:
        summary = call_summary(conn, DONE)
        assert summary is not None and summary["cost"] is None
        live = call_summary(conn, LIVE, Prices())
        assert live is not None and live["cost"] is None


def test_carrier_leg_durations_override_our_clock(place: Seed) -> None:
    with place.database.write() as conn:
        call = calls.get(conn, DONE)
        assert call is not None
        parent = next(leg for leg in legs.of_call(conn, call.id) if leg.sid == call.leg_sid)
        legs.upsert(conn, replace(parent, status="completed", duration_s=121))
        summary = call_summary(conn, DONE, Prices())
    assert summary is not None and isinstance(summary["cost"], dict)
    items = summary["cost"]["items"]
    assert isinstance(items, list) and isinstance(items[0], dict)
    assert (items[0]["name"], items[0]["minutes"]) == ("browser leg", 3)


def test_stored_recording_is_preferred_to_a_failed_one(place: Seed) -> None:
    later = RecordingSid("RE" + "f" * 32)
    with place.database.write() as conn:
        call = calls.get(conn, DONE)
        assert call is not None
        recordings.upsert(
            conn, recordings.RecordingRow(later, DONE, call.leg_sid, CloudState.FAILED, at(9999))
        )
        summary = call_summary(conn, DONE)
    assert summary is not None and isinstance(summary["recording"], dict)
    assert summary["recording"]["state"] == "stored"


def test_live_transcript_replaces_its_finals(place: Seed) -> None:
    turns = [Turn(Role.AGENT, 0, 900, "merged", None)]
    with place.database.write() as conn:
        transcripts.put(conn, LIVE, TranscriptKind.LIVE, "faster-whisper", "tiny.en", turns)
        summary = call_summary(conn, LIVE)
    assert summary is not None
    assert summary["live_turns"] == [
        {
            "role": "agent",
            "start_ms": 0,
            "end_ms": 900,
            "text": "merged",
            "confidence": None,
            "fallback_engine": "",
        }
    ]


def test_duration_counts_from_the_answer(place: Seed) -> None:
    with place.database.read() as conn:
        for call_id, duration_ms in ((DONE, 79_250), (SUSPECT, 3_719_000), (ABSENT, 2_000)):
            summary = call_summary(conn, call_id)
            assert summary is not None and summary["duration_ms"] == duration_ms


def test_last_event_id_is_the_newest(place: Seed) -> None:
    with place.database.read() as conn:
        assert live_events.last_id(conn) == 8


def test_live_score_is_null_until_known(place: Seed) -> None:
    with place.database.write() as conn:
        summary = call_summary(conn, DONE)
        assert summary is not None and summary["live_score"] is None
        save_delivery(conn, DONE, Delivered(words=9, late=2, retracted=3))
        summary = call_summary(conn, DONE)
        assert summary is not None
        assert summary["live_score"] == {
            "live_words": 9, "late": 2, "retracted": 3, "words": None, "same": None, "replaced": None,
            "missing": None, "added": None, "word_error_rate": None,
        }  # fmt: skip
        live, final = (
            [Turn(Role.AGENT, 0, 3000, text, None)] for text in ("send the bump", "send the pump now")
        )
        transcripts.put(conn, DONE, TranscriptKind.LIVE, "a", "", live)
        transcripts.put(conn, DONE, TranscriptKind.FINAL, "b", "", final)
        row = calls.get(conn, DONE)
        assert row is not None
        live_scores.put(conn, DONE, text_score(conn, row))
        summary = call_summary(conn, DONE)
    assert summary is not None and isinstance(summary["live_score"], dict)
    score = summary["live_score"]
    assert (score["live_words"], score["words"], score["word_error_rate"]) == (9, 4, 0.5)


def test_a_call_with_one_text_has_no_score(place: Seed) -> None:
    with place.database.write() as conn:
        row = calls.get(conn, LIVE)
        assert row is not None and text_score(conn, row) == {}
        live_scores.put(conn, LIVE, {})
        summary = call_summary(conn, LIVE)
    assert summary is not None and summary["live_score"] is None
