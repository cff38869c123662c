"""Each fault of streams and callbacks, as the receiver sees it."""

import base64
from itertools import pairwise
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


def audio_is_true(outcome: CallOutcome, got: Receiver) -> bool:
    """Whether each frame that came is the truth at its place."""
    return all(
        base64.b64decode(media["payload"])
        == outcome.sent[track][int(media["timestamp"]) * 8 : int(media["timestamp"]) * 8 + 160]
        for track in Track
        for media in got.sockets[0].media(track.value)
    )


def test_lost_frames_leave_gaps_and_the_truth_is_kept() -> None:
    outcome, got = place("lost=0.1", **LONG)
    came = stamps(got)
    assert 0.8 * frames(outcome) < len(came) < frames(outcome)
    assert came == sorted(set(came))
    assert audio_is_true(outcome, got)


@pytest.mark.parametrize("fault", ["late", "reordered"])
def test_late_and_reordered_frames_all_come_but_not_in_order(fault: str) -> None:
    outcome, got = place(fault, **LONG)
    for track in Track:
        came = stamps(got, track=track)
        assert came != sorted(came)
        assert sorted(came) == list(range(0, 20 * frames(outcome), 20))
    assert audio_is_true(outcome, got)


def test_repeated_frames_come_twice() -> None:
    outcome, got = place("repeated=50", **LONG)
    for track in Track:
        came = stamps(got, track=track)
        assert len(set(came)) == frames(outcome)
        assert len(came) > frames(outcome)


def test_a_stall_loses_nothing_and_is_seen_as_a_gap_of_arrival() -> None:
    outcome, got = place("stall=1500", carrier={"speed": 20.0}, voice_ms=7000, ring_s=0.2)
    assert stamps(got) == list(range(0, 20 * frames(outcome), 20))
    gaps_s = [later - earlier for earlier, later in pairwise(got.sockets[0].times_s)]
    assert max(gaps_s) > 0.065  # 1.5 s at speed 20 are 75 ms


def test_a_cut_socket_has_no_stop_and_the_call_goes_on() -> None:
    outcome, got = place("socket-cut=0.5", **LONG)
    assert got.sockets[0].messages[-1]["event"] == "media"
    assert got.sockets[0].close_code != 1000
    assert stamps(got)[-1] <= 480
    assert [form["StreamEvent"] for form in got.forms("/stream")] == ["stream-started", "stream-error"]
    assert outcome.status == "completed"
    assert statuses(got) == ["in-progress", "completed"]


def test_after_a_cut_a_second_stream_of_the_same_call_comes() -> None:
    outcome, got = place("socket-cut-and-return=0.5", **LONG)
    first, second = got.sockets
    assert second.valid
    assert second.messages[1]["start"]["callSid"] == first.messages[1]["start"]["callSid"]
    assert second.messages[1]["start"]["streamSid"] != first.messages[1]["start"]["streamSid"]
    assert second.messages[1]["start"]["customParameters"] == {"token": "one-time"}
    assert second.messages[-1]["event"] == "stop"
    assert stamps(got, 1)[0] == 0
    assert outcome.streams[1].start_ms >= outcome.streams[0].start_ms + 1500


def test_a_late_stream_begins_after_the_recording() -> None:
    outcome, _ = place("late-stream=2", **LONG)
    assert outcome.streams[0].start_ms >= 2400
    assert outcome.recordings[0].start_ms == 0


def test_a_lost_callback_never_comes_but_the_recording_is_there() -> None:
    outcome, got = place("callback-lost")
    assert statuses(got) == ["in-progress"]
    assert outcome.recordings[0].status == "completed"


def test_repeated_callbacks_carry_one_token() -> None:
    _, got = place("callback-repeated=3")
    assert statuses(got) == ["in-progress"] * 3 + ["completed"] * 3
    last = [hook for hook in got.webhooks if hook.path == "/recording"][3:]
    tokens = [hook.headers.get("i-twilio-idempotency-token") for hook in last]
    assert tokens[0] is None
    assert tokens[1] == tokens[2] is not None


def test_a_delayed_callback_comes_later() -> None:
    outcome, got = place("callback-delayed=10")
    assert statuses(got) == ["in-progress", "completed"]
    least_s = (outcome.duration_ms / 1000 + 1 + 10) / SPEED
    assert got.webhooks[-1].at_s - got.webhooks[0].at_s > least_s


def test_reordered_callbacks_come_last_first() -> None:
    _, got = place("callback-reordered")
    assert statuses(got) == ["completed", "in-progress"]


def test_a_wrong_duration_is_claimed() -> None:
    outcome, got = place("wrong-duration=10")
    assert outcome.cloud is not None
    claimed_s = int(got.forms("/recording")[-1]["RecordingDuration"])
    assert claimed_s == round(len(outcome.cloud) / 8000 + 10)


CASES: list[tuple[str, str, str | None]] = [
    ("absent", "absent", "16102"),
    ("absent=16101", "absent", "16101"),
    ("failed", "failed", None),
]


@pytest.mark.parametrize(("fault", "status", "code"), CASES)
def test_a_recording_that_is_not_there(fault: str, status: str, code: str | None) -> None:
    outcome, got = place(fault)
    last = got.forms("/recording")[-1]
    assert last["RecordingStatus"] == status
    assert "RecordingDuration" not in last
    assert code is None or last["ErrorCode"] == code
    assert outcome.cloud is None
    assert outcome.recordings[0].status == status


def test_mono_whatever_was_asked_for() -> None:
    outcome, got = place("mono")
    assert got.forms("/recording")[-1]["RecordingChannels"] == "1"
    assert outcome.cloud is not None
    assert outcome.cloud.ndim == 1


def test_a_forged_signature_is_on_every_request() -> None:
    outcome, got = place("forged-signature")
    assert outcome.refused
    assert [hook.valid for hook in got.webhooks] == [False] * len(got.webhooks)
    assert {hook.path for hook in got.webhooks} == {"/voice", "/call"}
    assert got.sockets == []


def test_a_fault_strikes_its_own_call_only() -> None:
    calm: dict[str, Any] = {}
    assert statuses(place("callback-lost")[1]) != statuses(place(**calm)[1])
