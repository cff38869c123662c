from dataclasses import replace

import numpy as np
import pytest

from callreel.audio import wav
from callreel.domain.call import CallState, Role
from callreel.domain.consent import Answer as ConsentAnswer
from callreel.domain.consent import Mode, Stamp
from callreel.domain.events import EventKind, Json
from callreel.domain.ids import CallId, RecordingSid, StreamSid
from callreel.domain.recording import CloudState, Layer, LayerState
from callreel.domain.transcript import TranscriptKind, Turn, Word
from callreel.domain.verdict import Verdict
from callreel.review.summary import live_offset_ms
from callreel.store.calls import calls, consents, layers, streams
from callreel.store.calls.streams import EndedBy
from callreel.store.files.growing_wav import GrowingWav
from callreel.store.files.sound_files import read_wav
from callreel.store.transcripts import live_scores, transcripts
from tests.support.installation import NOON, Installation, silence, speech
from tests.support.recorded_call import (
    AGENT_SAYS,
    LATE_MS,
    MEDIA,
    SID,
    TECHNICIAN_SAYS,
    Recorded,
    mono_wav,
    recorded_call,
    two_channel_wav,
)
from tests.support.rest_server import Answer


def fetched(recorded: Recorded, body: bytes | None = None) -> None:
    if body is not None:
        recorded.server.put(MEDIA, Answer(body=body))
    recorded.downloading().download(SID)
    recorded.downloading().split(SID)


def codes(recorded: Recorded) -> list[str]:
    return [reason.code for reason in recorded.call.reasons]


def test_two_captures_that_agree_are_verified(recorded: Recorded) -> None:
    fetched(recorded)
    assert recorded.comparing().compare(recorded.call_id) == 0
    call = recorded.call
    assert (call.verdict, call.state, call.closed_at) == (
        Verdict.VERIFIED,
        CallState.CLOSED,
        recorded.installation.clock.now(),
    )
    assert [comparison.role for comparison in call.comparisons] == list(Role)
    for comparison in call.comparisons:
        assert comparison.offset_ms == LATE_MS and comparison.correlation == pytest.approx(1.0)
        assert (comparison.unmatched_ms, comparison.live_only_ms) == (0, 0)
    verdict, closed = recorded.installation.stored_events()[-2:]
    assert (verdict.kind, verdict.data) == (EventKind.VERDICT, {"verdict": "verified", "reasons": []})
    assert closed.data == {"state": "closed"}


def test_judging_twice_is_judging_once(recorded: Recorded) -> None:
    fetched(recorded)
    recorded.comparing().compare(recorded.call_id)
    before = recorded.call
    recorded.installation.clock.step(60)
    recorded.comparing().compare(recorded.call_id)
    assert recorded.call == before


def test_sound_that_the_live_layers_lack_is_suspect(recorded: Recorded) -> None:
    more = AGENT_SAYS.copy()
    more[2_500 * 8 : 3_500 * 8] = speech(1_000, seed=9)
    fetched(recorded, two_channel_wav(more, TECHNICIAN_SAYS))
    recorded.comparing().compare(recorded.call_id)
    assert recorded.call.verdict is Verdict.SUSPECT and "unmatched_sound" in codes(recorded)


def test_recording_of_somebody_else_is_suspect(recorded: Recorded) -> None:
    other = np.concatenate([silence(300), speech(3_000, seed=11), silence(1_200)])
    fetched(recorded, two_channel_wav(other, TECHNICIAN_SAYS))
    recorded.comparing().compare(recorded.call_id)
    assert recorded.call.verdict is Verdict.SUSPECT and "low_correlation" in codes(recorded)


SHAPE = two_channel_wav(AGENT_SAYS, TECHNICIAN_SAYS)
MIXED = np.clip(AGENT_SAYS.astype(np.int32) + TECHNICIAN_SAYS[: AGENT_SAYS.size], -32_768, 32_767).astype(
    np.int16
)


@pytest.mark.parametrize(
    ("body", "code", "offset_ms"),
    [
        (two_channel_wav(TECHNICIAN_SAYS, AGENT_SAYS), "channels_swapped", 0),
        (two_channel_wav(MIXED, MIXED), "channels_equal", LATE_MS),
        (two_channel_wav(speech(4_000, seed=11), speech(4_000, seed=12)), "unrelated_recording", 0),
        (two_channel_wav(silence(4_000), silence(4_000)), "unrelated_recording", 0),
    ],
    ids=["swapped", "equal", "other call", "silent"],
)
def test_recording_with_unusable_channels_keeps_the_live_text(
    recorded: Recorded, body: bytes, code: str, offset_ms: int
) -> None:
    fetched(recorded, body)
    recorded.transcribing().from_recording(recorded.call_id)
    recorded.comparing().compare(recorded.call_id)
    assert (recorded.call.verdict, codes(recorded)) == (Verdict.SUSPECT, [code])
    live, final = recorded.transcript(TranscriptKind.LIVE), recorded.transcript(TranscriptKind.FINAL)
    assert live is not None and final is not None
    assert final.turns == live.turns and [turn.role for turn in final.turns] == [Role.AGENT, Role.TECHNICIAN]
    assert live_offset_ms(recorded.call) == offset_ms


def test_good_recording_replaces_the_live_text(recorded: Recorded) -> None:
    fetched(recorded)
    recorded.transcribing().from_recording(recorded.call_id)
    final = recorded.transcript(TranscriptKind.FINAL)
    assert final is not None and final.engine == "final"


@pytest.mark.parametrize("behaviour", ["silence", "skip"])
def test_pause_explains_what_the_recording_lacks(recorded: Recorded, behaviour: str) -> None:
    paused = slice((LATE_MS + 900) * 8, (LATE_MS + 1_700) * 8)
    lanes = np.stack(
        [np.concatenate([silence(LATE_MS), lane, silence(200)]) for lane in (AGENT_SAYS, TECHNICIAN_SAYS)], 1
    )
    if behaviour == "silence":
        lanes[paused] = 0
    else:
        lanes = np.delete(lanes, paused, axis=0)
    recorded.report(CloudState.IN_PROGRESS, status="paused")
    fetched(recorded, wav.header(lanes.nbytes, 8_000, 2) + lanes.tobytes())
    recorded.comparing().compare(recorded.call_id)
    assert (recorded.call.verdict, codes(recorded)) == (Verdict.EXPLAINED, ["paused"])


OTHER = RecordingSid("RE" + "0" * 32)


def lanes_between(first_ms: int, last_ms: int) -> bytes:
    """The carrier's recording from one moment to another, as a file of its own."""
    samples = np.frombuffer(SHAPE[44:], "<i2").reshape(-1, 2)[first_ms * 8 : last_ms * 8]
    return wav.header(samples.nbytes, 8_000, 2) + samples.tobytes()


@pytest.mark.parametrize("other_first", [False, True])
@pytest.mark.parametrize(
    ("first", "second", "start_s", "verdict"),
    [
        (SHAPE, lanes_between(2_000, 5_000), 2, Verdict.VERIFIED),
        (SHAPE, mono_wav(np.concatenate([silence(LATE_MS), MIXED, silence(200)])), 0, Verdict.VERIFIED),
        (lanes_between(0, 1_500), lanes_between(2_100, 5_000), 2, Verdict.EXPLAINED),
        (lanes_between(0, 1_500), lanes_between(2_100, 5_000), 0, Verdict.EXPLAINED),
    ],
    ids=["whole and part", "two channels and one", "stopped and started", "started later than reported"],
)
def test_two_recordings_give_one_verdict_in_any_order(
    recorded: Recorded, first: bytes, second: bytes, start_s: int, verdict: Verdict, other_first: bool
) -> None:
    recorded.server.put(MEDIA, Answer(body=first))
    recorded.server.put(MEDIA.replace(SID, OTHER), Answer(body=second))
    recorded.report(CloudState.COMPLETED, OTHER, start_s=start_s)
    for sid in (OTHER, SID) if other_first else (SID, OTHER):
        recorded.downloading().download(sid)
        recorded.downloading().split(sid)
        recorded.transcribing().from_recording(recorded.call_id)
        recorded.comparing().compare(recorded.call_id)
    assert recorded.call.verdict is verdict, codes(recorded)
    assert codes(recorded) == ([] if verdict is Verdict.VERIFIED else ["paused"])
    final = recorded.transcript(TranscriptKind.FINAL)
    assert final is not None
    assert [(turn.role, turn.start_ms) for turn in final.turns] == [
        (Role.AGENT, 172),
        (Role.TECHNICIAN, 2_188),
    ]


def test_wrong_duration_is_suspect(recorded: Recorded) -> None:
    recorded.installation.clock.step(1)
    with recorded.installation.database.write() as conn:
        conn.exec_driver_sql("UPDATE recordings SET duration_s = 50")
    fetched(recorded)
    recorded.comparing().compare(recorded.call_id)
    assert recorded.call.verdict is Verdict.SUSPECT and "duration_differs" in codes(recorded)


def test_mono_recording_is_explained(recorded: Recorded) -> None:
    fetched(recorded, mono_wav(np.concatenate([silence(LATE_MS), AGENT_SAYS, silence(200)])))
    recorded.comparing().compare(recorded.call_id)
    assert (recorded.call.verdict, codes(recorded)) == (Verdict.EXPLAINED, ["mono_recording"])


@pytest.mark.parametrize(
    ("state", "error_code", "verdict", "code"),
    [
        (CloudState.FAILED, None, Verdict.EXPLAINED, "cloud_failed"),
        (CloudState.ABSENT, 16102, Verdict.SUSPECT, "absent_despite_speech"),
        (CloudState.ABSENT, 20001, Verdict.EXPLAINED, "cloud_absent"),
        (CloudState.MISSING, None, Verdict.SUSPECT, "cloud_missing"),
    ],
)
def test_call_without_a_recording(
    installation: Installation, state: CloudState, error_code: int | None, verdict: Verdict, code: str
) -> None:
    with recorded_call(installation, state=CloudState.EXPECTED) as recorded:
        recorded.report(state, error_code=error_code)
        recorded.comparing().compare(recorded.call_id)
        assert (recorded.call.verdict, codes(recorded)) == (verdict, [code])
        assert recorded.call.state is CallState.CLOSED


@pytest.mark.parametrize(
    ("stamp", "code"),
    [
        (Stamp(call_id=CallId(""), mode=Mode.OFF, policy_version=1, skipped=True), "do_not_record"),
        (
            Stamp(call_id=CallId(""), mode=Mode.ASK, policy_version=1, answer=ConsentAnswer.DECLINED),
            "consent_declined",
        ),
        (Stamp(call_id=CallId(""), mode=Mode.ASK, policy_version=1), "consent_missing"),
    ],
)
def test_call_that_is_not_to_be_recorded_is_explained(
    installation: Installation, stamp: Stamp, code: str
) -> None:
    with recorded_call(installation, state=CloudState.EXPECTED) as recorded:
        with installation.database.write() as conn:
            consents.insert(conn, replace(stamp, call_id=recorded.call_id))
        recorded.report(CloudState.MISSING)
        recorded.comparing().compare(recorded.call_id)
        assert (recorded.call.verdict, codes(recorded)) == (Verdict.EXPLAINED, [code])


def test_recorded_call_without_its_notice_says_so(recorded: Recorded) -> None:
    stamp = Stamp(call_id=recorded.call_id, mode=Mode.ANNOUNCE, policy_version=1, capture_at=NOON)
    with recorded.installation.database.write() as conn:
        consents.insert(conn, stamp)
        calls.set_answered(conn, recorded.call_id, NOON)
    fetched(recorded)
    recorded.comparing().compare(recorded.call_id)
    assert (recorded.call.verdict, codes(recorded)) == (Verdict.EXPLAINED, ["notice_missing"])


def test_recording_that_could_not_be_fetched_is_suspect(recorded: Recorded) -> None:
    recorded.downloading().park(SID, "the carrier refused our credentials (401)")
    recorded.comparing().compare(recorded.call_id)
    assert (recorded.call.verdict, codes(recorded)) == (Verdict.SUSPECT, ["cloud_parked"])


def test_one_track_alone_is_explained(recorded: Recorded) -> None:
    fetched(recorded)
    recorded.comparing(tracks=1).compare(recorded.call_id)
    assert (recorded.call.verdict, codes(recorded)) == (Verdict.EXPLAINED, ["single_track"])


def test_a_step_that_runs_twice_tells_its_verdict_once(recorded: Recorded) -> None:
    fetched(recorded)
    recorded.comparing().compare(recorded.call_id)
    recorded.comparing().compare(recorded.call_id)
    reported = [event for event in recorded.installation.stored_events() if event.kind is EventKind.VERDICT]
    assert len(reported) == 1


def test_call_whose_process_died_between_its_files_and_their_stream_is_judged(recorded: Recorded) -> None:
    """Found by `benchmarks/chaos`: live layers with a head and nothing else, and no row of the stream they are from."""
    with recorded.installation.database.write() as conn:
        conn.exec_driver_sql("DELETE FROM streams")
    for file in recorded.files(Layer.LIVE_8K) + recorded.files(Layer.LIVE_16K):
        path = recorded.installation.blobs.path(file.path)
        path.unlink()
        GrowingWav.open(path, file.rate_hz).close()
    fetched(recorded)
    recorded.comparing().compare(recorded.call_id)
    assert recorded.call.state is CallState.CLOSED
    assert (recorded.call.verdict, set(codes(recorded))) == (Verdict.EXPLAINED, {"stream_cut"})


def test_a_live_layer_in_parts_is_judged_as_one(recorded: Recorded) -> None:
    """Its streams went to two machines; a third file lies on one that is away."""
    fetched(recorded)
    whole = next(file for file in recorded.files(Layer.LIVE_8K) if file.role is Role.AGENT)
    path = recorded.installation.blobs.path(whole.path)
    samples = read_wav(path)[0][:, 0]
    cut = samples.size // 3
    later = whole.path.replace("_8000Hz", "9_8000Hz")
    for name, part in (
        (whole.path, samples[:cut]),
        (later, np.concatenate([np.zeros(cut, np.int16), samples[cut:]])),
    ):
        recorded.installation.blobs.path(name).write_bytes(mono_wav(part))
    away = replace(whole, path="audio_recordings/away_8000Hz.wav", state=LayerState.RECORDING, sha256=None)
    with recorded.installation.database.write() as conn:
        for file in (replace(whole, path=later), away):
            layers.upsert(conn, recorded.call_id, file)
    assert recorded.comparing().compare(recorded.call_id) == 0
    assert recorded.call.verdict is Verdict.VERIFIED


def test_what_a_killed_process_lost_before_the_next_stream_is_explained(recorded: Recorded) -> None:
    """The end of its stream is unknown; its layers are silent from there to the start of the next one."""
    fetched(recorded)
    speaking = np.abs(AGENT_SAYS.astype(np.int32))
    lost = [int(speaking[at : at + 3_200].sum()) for at in range(8_000, AGENT_SAYS.size - 16_000, 800)]
    first = 8_000 + 800 * int(np.argmax(lost))
    origin_ms = first // 8 + 400
    with recorded.installation.database.write() as conn:
        (stream,) = streams.of_call(conn, recorded.call_id)
        conn.exec_driver_sql("UPDATE streams SET ended_by = 'server', counts = '{}'")
        second = replace(stream, sid=StreamSid("MZ" + "2" * 32), origin_ms=origin_ms, counts={})
        streams.insert(conn, second)
        reached: dict[str, Json] = {role: {"end_ms": AGENT_SAYS.size // 8} for role in Role}
        streams.finish(conn, second.sid, recorded.installation.clock.now(), EndedBy.STOP, reached)
    for file in recorded.files(Layer.LIVE_8K):
        path = recorded.installation.blobs.path(file.path)
        samples = read_wav(path)[0][:, 0].copy()
        samples[first : first + 3_200] = 0
        path.write_bytes(mono_wav(samples))
    recorded.comparing().compare(recorded.call_id)
    (reason,) = recorded.call.reasons
    assert (recorded.call.verdict, reason.code) == (Verdict.EXPLAINED, "stream_interrupted")
    assert "2 streams, with 4" in reason.detail, "some 400 ms, as the layers show"


def test_mono_recording_reports_the_time_between_streams(recorded: Recorded) -> None:
    fetched(recorded, mono_wav(AGENT_SAYS))
    with recorded.installation.database.write() as conn:
        (stream,) = streams.of_call(conn, recorded.call_id)
        conn.exec_driver_sql(
            """UPDATE streams SET ended_by = 'socket', counts = '{"agent":{"end_ms":1000},"technician":{"end_ms":1000}}'"""
        )
        streams.insert(conn, replace(stream, sid=StreamSid("MZ" + "2" * 32), origin_ms=1_500, counts={}))
    recorded.comparing().compare(recorded.call_id)
    reported = {reason.code: reason.detail for reason in recorded.call.reasons}
    assert reported["stream_interrupted"] == "the call had 2 streams, with 500 ms between them"


def test_the_live_text_is_scored_where_the_verdict_has_placed_it(recorded: Recorded) -> None:
    word = Word("hello", 400, 700)
    later = Word("hello", 400 + LATE_MS, 700 + LATE_MS)
    with recorded.installation.database.write() as conn:
        for kind, said in ((TranscriptKind.LIVE, word), (TranscriptKind.FINAL, later)):
            turn = Turn(Role.AGENT, said.start_ms, said.end_ms, said.text, None, (said,))
            transcripts.put(conn, recorded.call_id, kind, "e", "", [turn])
    fetched(recorded)
    recorded.comparing().compare(recorded.call_id)
    with recorded.installation.database.read() as conn:
        score = live_scores.of_call(conn, recorded.call_id)
    assert score is not None and (score.words, score.same) == (1, 1)
