"""Each fault of streams and callbacks, as the receiver observes it."""

import base64
from typing import Any

import pytest

from callreel.domain.call import Track
from callreel.simulator.scenario import CallOutcome
from tests.simulator.calling import SPEED, place
from tests.simulator.receiver import Receiver

LONG: dict[str, Any] = {"voice_ms": 6000, "ring_s": 0.2}


def stamps(got: Receiver, number: int = 0, track: Track = Track.INBOUND) -> list[int]:
    return [int(media["timestamp"]) for media in got.sockets[number].media(track.value)]


def statuses(got: Receiver) -> list[str]:
    return [form["RecordingStatus"] for form in got.forms("/recording")]


def frames(outcome: CallOutcome) -> int:
    return len(outcome.sent[Track.INBOUND]) // 160


def audio_matches(outcome: CallOutcome, got: Receiver) -> bool:
    """Whether each received frame has the audio of its position."""
    return all(
        base64.b64decode(media["payload"])
        == outcome.sent[track][int(media["timestamp"]) * 8 : int(media["timestamp"]) * 8 + 160]
        for track in Track
        for media in got.sockets[0].media(track.value)
    )


async def test_lost_frames_leave_gaps() -> None:
    outcome, got = await place("lost=0.1", **LONG)
    came = stamps(got)
    assert 0.8 * frames(outcome) < len(came) < frames(outcome)
    assert came == sorted(set(came))
    assert audio_matches(outcome, got)


@pytest.mark.parametrize("fault", ["late", "reordered"])
async def test_late_and_reordered_frames_all_arrive_out_of_order(fault: str) -> None:
    outcome, got = await place(fault, **LONG)
    for track in Track:
        came = stamps(got, track=track)
        assert came != sorted(came)
        assert sorted(came) == list(range(0, 20 * frames(outcome), 20))
    assert audio_matches(outcome, got)


async def test_repeated_frames_arrive_twice() -> None:
    outcome, got = await place("repeated=50", **LONG)
    for track in Track:
        came = stamps(got, track=track)
        assert len(set(came)) == frames(outcome)
        assert len(came) > frames(outcome)


async def test_stall_loses_no_frame() -> None:
    """`test_faults.py` checks when the frames are due; when they arrive depends on the machine."""
    outcome, got = await place("stall=1500", carrier={"speed": 20.0}, voice_ms=7000, ring_s=0.2)
    assert stamps(got) == list(range(0, 20 * frames(outcome), 20))


async def test_cut_socket_has_no_stop_and_the_call_continues() -> None:
    outcome, got = await place("socket-cut=0.5", **LONG)
    assert got.sockets[0].messages[-1]["event"] == "media"
    assert got.sockets[0].close_code != 1000
    assert stamps(got)[-1] <= 480
    assert [form["StreamEvent"] for form in got.forms("/stream")] == ["stream-started", "stream-error"]
    assert outcome.status == "completed"
    assert statuses(got) == ["in-progress", "completed"]


async def test_open_socket_outlives_the_call_without_stop() -> None:
    outcome, got = await place("socket-open=5")
    assert got.sockets[0].messages[-1]["event"] == "media"
    assert [form["StreamEvent"] for form in got.forms("/stream")] == ["stream-started"]
    assert (outcome.status, outcome.socket_close_code) == ("completed", None)


async def test_second_stream_follows_a_cut_socket() -> None:
    outcome, got = await place("socket-cut-and-return=0.5", **LONG)
    first, second = got.sockets
    assert second.valid
    assert second.messages[1]["start"]["callSid"] == first.messages[1]["start"]["callSid"]
    assert second.messages[1]["start"]["streamSid"] != first.messages[1]["start"]["streamSid"]
    assert second.messages[1]["start"]["customParameters"] == {"token": "one-time"}
    assert second.messages[-1]["event"] == "stop"
    assert stamps(got, 1)[0] == 0
    assert outcome.streams[1].start_ms >= outcome.streams[0].start_ms + 1500


async def test_late_stream_begins_after_the_recording() -> None:
    outcome, _ = await place("late-stream=2", **LONG)
    assert outcome.streams[0].start_ms >= 2400
    assert outcome.recordings[0].start_ms == 0


async def test_lost_callback_leaves_a_completed_recording() -> None:
    outcome, got = await place("callback-lost")
    assert statuses(got) == ["in-progress"]
    assert outcome.recordings[0].status == "completed"


async def test_repeated_callbacks_have_one_idempotency_token() -> None:
    _, got = await place("callback-repeated=3")
    assert statuses(got) == ["in-progress"] * 3 + ["completed"] * 3
    last = [hook for hook in got.webhooks if hook.path == "/recording"][3:]
    tokens = [hook.headers.get("i-twilio-idempotency-token") for hook in last]
    assert tokens[0] is None
    assert tokens[1] == tokens[2] is not None


async def test_delayed_callback_is_sent_late() -> None:
    outcome, got = await place("callback-delayed=10")
    assert statuses(got) == ["in-progress", "completed"]
    least_s = (outcome.duration_ms / 1000 + 1 + 10) / SPEED
    assert got.webhooks[-1].at_s - got.webhooks[0].at_s > least_s


async def test_reordered_callbacks_are_sent_last_first() -> None:
    _, got = await place("callback-reordered")
    assert statuses(got) == ["completed", "in-progress"]


async def test_callback_reports_a_wrong_duration() -> None:
    outcome, got = await place("wrong-duration=10")
    assert outcome.cloud is not None
    claimed_s = int(got.forms("/recording")[-1]["RecordingDuration"])
    assert claimed_s == round(len(outcome.cloud) / 8000 + 10)


CASES: list[tuple[str, str, str | None]] = [
    ("absent", "absent", "16102"),
    ("absent=16101", "absent", "16101"),
    ("failed", "failed", None),
]


@pytest.mark.parametrize(("fault", "status", "code"), CASES)
async def test_absent_and_failed_recordings(fault: str, status: str, code: str | None) -> None:
    outcome, got = await place(fault)
    last = got.forms("/recording")[-1]
    assert last["RecordingStatus"] == status
    assert "RecordingDuration" not in last
    assert code is None or last["ErrorCode"] == code
    assert outcome.cloud is None
    assert outcome.recordings[0].status == status


async def test_mono_fault_overrides_the_requested_channels() -> None:
    outcome, got = await place("mono")
    assert got.forms("/recording")[-1]["RecordingChannels"] == "1"
    assert outcome.cloud is not None
    assert outcome.cloud.ndim == 1


async def test_every_request_has_a_forged_signature() -> None:
    outcome, got = await place("forged-signature")
    assert outcome.refused
    assert [hook.valid for hook in got.webhooks] == [False] * len(got.webhooks)
    assert {hook.path for hook in got.webhooks} == {"/voice", "/call"}
    assert got.sockets == []


async def test_fault_affects_only_its_own_call() -> None:
    calm: dict[str, Any] = {}
    assert statuses((await place("callback-lost"))[1]) != statuses((await place(**calm))[1])
