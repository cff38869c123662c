"""Whole calls, against a receiver that validates them with the official library."""

import asyncio
import base64
from email.utils import parsedate_to_datetime
from typing import Any

import numpy as np
import pytest

from callreel.audio import mulaw
from callreel.domain.call import Direction, Track
from callreel.domain.errors import SettingsError
from callreel.simulator.account import Account, SharedKey
from callreel.simulator.carrier import CarrierConfig, SimulatedCarrier
from callreel.simulator.scenario import CallOutcome, Progress, Stage
from tests.simulator.calling import VOICE_MS, carrier_for, place, script, voice
from tests.simulator.receiver import Receiver, Socket, receiving

PLAIN: list[tuple[CallOutcome, Receiver]] = []


async def plain() -> tuple[CallOutcome, Receiver]:
    """A call without faults, placed once for all tests that only inspect it."""
    if not PLAIN:
        PLAIN.append(await place(carrier={"recording_delay_s": 10.0}))  # 0.4 s: the stream ends before
    return PLAIN[0]


def payload(socket: Socket, track: Track) -> bytes:
    return b"".join(base64.b64decode(media["payload"]) for media in socket.media(track.value))


def spoken(seed: int) -> Any:
    """A voice as it comes out of mu-law."""
    return mulaw.decode(mulaw.encode(voice(seed)))


async def test_call_has_the_carriers_sequence_of_webhooks() -> None:
    outcome, got = await plain()
    assert outcome.status == "completed"
    assert not outcome.refused
    assert outcome.warnings == ()
    assert all(hook.valid for hook in got.webhooks)
    assert [form["CallStatus"] for form in got.forms("/leg")] == [
        "initiated",
        "ringing",
        "in-progress",
        "completed",
    ]
    assert [form["SequenceNumber"] for form in got.forms("/leg")] == ["0", "1", "2", "3"]
    assert {form["ParentCallSid"] for form in got.forms("/leg")} == {outcome.call_sid}
    assert {form["CallSid"] for form in got.forms("/leg")} == {outcome.child_sid}
    assert [form["StreamEvent"] for form in got.forms("/stream")] == ["stream-started", "stream-stopped"]
    assert [form["RecordingStatus"] for form in got.forms("/recording")] == ["in-progress", "completed"]
    assert [form["CallStatus"] for form in got.forms("/call")] == ["completed"]
    order = [hook.path for hook in got.webhooks]
    assert order[0] == "/voice"
    assert order[-1] == "/recording"


async def test_voice_request_of_a_browser() -> None:
    outcome, got = await place(parameters={"ticket": "17"}, agent_identity="maria")
    form = got.forms("/voice")[0]
    assert form["From"] == form["Caller"] == "client:maria"
    assert form["To"] == "+14155550123"
    assert form["ApplicationSid"].startswith("AP")
    assert form["CallSid"] == outcome.call_sid
    assert (form["Direction"], form["CallStatus"], form["ticket"]) == ("inbound", "ringing", "17")


async def test_recording_callbacks_have_the_documented_parameters() -> None:
    outcome, got = await plain()
    started, completed = got.forms("/recording")
    assert "RecordingDuration" not in started
    assert completed["RecordingSid"] == outcome.recording_sid == started["RecordingSid"]
    assert completed["RecordingUrl"].endswith(f"/Recordings/{outcome.recording_sid}")
    assert completed["RecordingDuration"] == str(round(outcome.duration_ms / 1000))
    assert completed["RecordingSource"] == "StartCallRecordingTwiML"
    assert (completed["RecordingChannels"], completed["RecordingTrack"], completed["ErrorCode"]) == (
        "2",
        "both",
        "0",
    )
    assert completed["CallSid"] == outcome.call_sid
    assert parsedate_to_datetime(completed["RecordingStartTime"]).tzinfo is not None


async def test_only_subscribed_recording_events_are_sent() -> None:
    _, got = await place(receiver={"events": "completed"})
    assert [form["RecordingStatus"] for form in got.forms("/recording")] == ["completed"]


async def test_stream_follows_the_protocol() -> None:
    outcome, got = await plain()
    messages = got.sockets[0].messages
    assert [message["event"] for message in messages[:2]] == ["connected", "start"]
    assert messages[-1]["event"] == "stop"
    assert [message["sequenceNumber"] for message in messages[1:]] == [
        str(n) for n in range(1, len(messages))
    ]
    start = messages[1]["start"]
    assert (start["callSid"], start["streamSid"]) == (outcome.call_sid, outcome.stream_sids[0])
    assert start["tracks"] == ["inbound", "outbound"]
    assert start["customParameters"] == {"token": "one-time"}
    tracks = [message["media"]["track"] for message in messages[2:-1]]
    assert tracks == ["inbound", "outbound"] * (len(tracks) // 2)
    for track in ("inbound", "outbound"):
        stamps = [int(media["timestamp"]) for media in got.sockets[0].media(track)]
        assert stamps == list(range(0, 20 * len(stamps), 20))
    assert got.sockets[0].close_code == 1000
    assert outcome.socket_close_code is None


async def test_handshake_is_signed_with_a_lower_case_header() -> None:
    _, got = await plain()
    assert got.sockets[0].valid
    assert got.sockets[0].signature_header == "x-twilio-signature"


@pytest.mark.parametrize("direction", list(Direction))
async def test_stream_and_recording_have_the_same_samples(direction: Direction) -> None:
    outcome, got = await place(direction=direction)
    cloud, stream = outcome.cloud, outcome.streams[0]
    assert cloud is not None
    assert cloud.shape == (outcome.duration_ms * 8, 2)
    assert stream.start_ms >= 400
    for channel, track in enumerate(Track):
        assert payload(got.sockets[0], track) == stream.tracks[track]
        received = mulaw.decode(stream.tracks[track])
        start = stream.start_ms * 8
        assert np.array_equal(cloud[start : start + len(received), channel], received)


@pytest.mark.parametrize(("direction", "agent", "technician"), [("outgoing", 0, 1), ("incoming", 1, 0)])
async def test_channel_1_is_the_parent_leg(direction: str, agent: int, technician: int) -> None:
    outcome, _ = await place(direction=Direction(direction))
    assert outcome.cloud is not None
    assert outcome.answered_ms == 500
    stretch = slice(500 * 8, (500 + VOICE_MS) * 8)
    assert np.array_equal(outcome.cloud[stretch, agent], spoken(1))
    assert np.array_equal(outcome.cloud[stretch, technician], spoken(2))
    before = outcome.cloud[: 500 * 8]
    assert not before[:, 0].any()
    assert before[:, 1].any(), "ringback is on the channel of what the parent leg is sent"


async def test_incoming_call_dials_the_agents_browser() -> None:
    _, got = await place(direction=Direction.INCOMING)
    assert got.forms("/voice")[0]["From"] == "+14155550123"
    assert got.forms("/voice")[0]["To"] == "+14155550100"
    assert "ApplicationSid" not in got.forms("/voice")[0]
    assert {form["To"] for form in got.forms("/leg")} == {"client:agent"}


async def test_signatures_with_a_shared_key() -> None:
    key = SharedKey("webhooks_sharedkey_1", "its-own-secret")
    outcome, got = await place(carrier={"account": Account(shared_key=key)}, receiver={"secret": key.secret})
    assert outcome.status == "completed"
    assert all(hook.valid for hook in got.webhooks)
    assert got.sockets[0].valid
    settings = got.webhooks[0].headers["x-twilio-webhooks-signature-settings"]
    assert settings == "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"


async def test_unanswered_call() -> None:
    outcome, got = await place(answer=False)
    assert outcome.status == "no-answer"
    assert outcome.answered_ms is None
    assert [form["CallStatus"] for form in got.forms("/leg")] == ["initiated", "ringing", "no-answer"]
    assert outcome.cloud is not None
    assert not outcome.cloud[:, 0].any()


async def test_parent_leg_without_answer_on_bridge_is_answered() -> None:
    outcome, got = await place(answer=False, receiver={"answer_on_bridge": False})
    assert outcome.status == "completed"
    assert got.forms("/call")[0]["CallStatus"] == "completed"


async def test_stream_url_may_be_relative() -> None:
    outcome, got = await place(
        receiver={"twiml": lambda got: got.document().replace(f"wss://127.0.0.1:{got.port}", "")}
    )
    assert got.sockets[0].valid
    assert outcome.warnings == ()


async def test_dial_ends_at_its_timeout() -> None:
    def impatient(got: Receiver) -> str:
        return got.document().replace("<Dial ", '<Dial timeout="1" ')

    outcome, _ = await place(ring_s=20, receiver={"twiml": impatient})
    assert (outcome.status, outcome.duration_ms) == ("no-answer", 1000)


async def test_agent_hangs_up_during_the_conversation() -> None:
    outcome, got = await place(hang_up_at_s=1.2)
    assert outcome.status == "completed"
    assert outcome.duration_ms == 1200
    assert outcome.cloud is not None
    assert len(outcome.cloud) == 1200 * 8
    assert got.sockets[0].messages[-1]["event"] == "stop"


async def test_agent_hangs_up_while_the_phone_rings() -> None:
    outcome, got = await place(hang_up_at_s=0.3)
    assert [form["CallStatus"] for form in got.forms("/leg")][-1] == "canceled"
    assert outcome.status == "no-answer"


async def test_dial_action_is_requested() -> None:
    outcome, got = await place(receiver={"action": True})
    (form,) = got.forms("/action")
    assert (form["DialCallStatus"], form["DialBridged"], form["DialCallSid"]) == (
        "completed",
        "true",
        outcome.child_sid,
    )
    assert form["CallStatus"] == "completed"


async def test_action_document_runs_after_a_failed_dial() -> None:
    def twiml(got: Receiver) -> str:
        return (
            "<Response><Say>No one is available, please try again</Say></Response>"
            if got.forms("/again")
            else '<Response><Dial action="/again"><Number>+14155550123</Number></Dial></Response>'
        )

    outcome, got = await place(answer=False, receiver={"twiml": twiml})
    assert got.forms("/again")[0]["DialCallStatus"] == "no-answer"
    assert outcome.duration_ms > 1500, "time for saying it"


def dial_of(got: Receiver, inner: str, **attributes: str) -> str:
    """A `<Dial>`. In `inner`, URL stands for the receiver's."""
    named = "".join(f" {name}='{value}'" for name, value in attributes.items())
    report = f"statusCallbackEvent='initiated ringing answered completed' statusCallback='{got.url}"
    inner = inner.replace("REPORT", report).replace("URL", got.url)
    return f"<Response><Dial action='{got.url}/action'{named}>{inner}</Dial></Response>"


def statuses(got: Receiver, path: str) -> list[str]:
    return [form["CallStatus"] for form in got.forms(path)]


async def test_first_of_several_targets_to_answer_is_bridged() -> None:
    inner = "<Number REPORT/a'>+14155550199</Number><Number REPORT/b'>+14155550123</Number><Client REPORT/c'>x</Client>"
    outcome, got = await place(receiver={"twiml": lambda got: dial_of(got, inner)})
    assert statuses(got, "/b") == ["initiated", "ringing", "in-progress", "completed"]
    assert statuses(got, "/a") == statuses(got, "/c") == ["initiated", "ringing", "canceled"]
    assert got.forms("/c")[-1]["SipResponseCode"] == "487"
    (form,) = got.forms("/action")
    assert form["DialCallSid"] == outcome.child_sid == got.forms("/b")[0]["CallSid"]
    assert form["DialCallStatus"] == "completed"


async def test_no_target_of_several_answers() -> None:
    inner = "<Number REPORT/a'>+14155550199</Number><Number REPORT/b'>+14155550123</Number>"
    _, got = await place(answer=False, receiver={"twiml": lambda got: dial_of(got, inner)})
    assert statuses(got, "/a") == statuses(got, "/b") == ["initiated", "ringing", "no-answer"]
    assert got.forms("/action")[0]["DialCallStatus"] == "no-answer"


async def test_document_of_a_number_runs_before_the_bridge() -> None:
    def twiml(got: Receiver) -> str:
        if got.forms("/again"):
            return "<Response><Pause length='2'/></Response>"
        return dial_of(got, "<Number url='/again' REPORT/a'>+14155550123</Number>", answerOnBridge="true")

    outcome, got = await place(receiver={"twiml": twiml})
    (form,) = got.forms("/again")
    assert (form["CallSid"], form["Direction"]) == (outcome.child_sid, "outbound-dial")
    assert form["ParentCallSid"] == outcome.call_sid
    assert outcome.answered_ms is not None and outcome.answered_ms >= 500 + 2000
    assert outcome.duration_ms == outcome.answered_ms + VOICE_MS + 500
    (action,) = got.forms("/action")
    assert action["DialCallDuration"] == got.forms("/a")[-1]["CallDuration"]
    assert int(action["DialCallDuration"]) >= 4, "the document is part of the leg"


async def test_document_of_a_number_may_hang_up() -> None:
    def twiml(got: Receiver) -> str:
        if got.forms("/again"):
            return "<Response><Hangup/></Response>"
        return dial_of(got, "<Number url='/again' REPORT/a'>+14155550123</Number>")

    outcome, got = await place(receiver={"twiml": twiml})
    assert statuses(got, "/a") == ["initiated", "ringing", "in-progress", "completed"]
    assert outcome.answered_ms is None
    assert (got.forms("/action")[0]["DialCallStatus"], got.forms("/action")[0]["DialBridged"]) == (
        "completed",
        "false",
    )


@pytest.mark.parametrize(
    ("record", "channels", "start_ms"),
    [
        ("record-from-answer", "1", 500),
        ("record-from-ringing-dual", "2", 0),
        ("true", "1", 500),
    ],
)
async def test_dial_is_recorded(record: str, channels: str, start_ms: int) -> None:
    def twiml(got: Receiver) -> str:
        number = "<Number>+14155550123</Number>"
        return dial_of(got, number, record=record, recordingStatusCallback=f"{got.url}/made")

    outcome, got = await place(receiver={"twiml": twiml})
    (form,) = got.forms("/made")
    assert (form["RecordingSource"], form["RecordingChannels"]) == ("DialVerb", channels)
    assert form["CallSid"] == outcome.call_sid
    assert got.forms("/action")[0]["RecordingUrl"] == form["RecordingUrl"]
    (recording,) = outcome.recordings
    assert recording.start_ms == start_ms
    assert recording.samples is not None
    assert len(recording.samples) == (outcome.duration_ms - start_ms) * 8


REFUSALS: list[tuple[str, str]] = [
    ("<Response><Say>This number cannot be called</Say><Hangup/></Response>", "completed"),
    ('<Response><Reject reason="busy"/></Response>', "busy"),
    ("<Response/>", "completed"),
    ("this is no TwiML", "failed"),
]


@pytest.mark.parametrize(("document", "status"), REFUSALS)
async def test_document_without_a_dial_refuses_the_call(document: str, status: str) -> None:
    outcome, got = await place(receiver={"twiml": lambda got: document})
    assert outcome.refused
    assert outcome.status == status
    assert outcome.child_sid is None
    assert outcome.recordings == ()
    assert [form["CallStatus"] for form in got.forms("/call")] == [status]


async def test_failed_voice_request_ends_the_call() -> None:
    outcome, got = await place(receiver={"answers": {"/voice": [500]}})
    assert (outcome.refused, outcome.status) == (True, "failed")
    assert any(warning.startswith("11200") for warning in outcome.warnings)


async def test_carrier_warnings_are_reported() -> None:
    outcome, _ = await place(receiver={"recording": {"track": "sideways"}})
    assert [warning.split()[0] for warning in outcome.warnings] == ["13622"]
    assert outcome.status == "completed"


async def test_close_code_of_the_receiver_is_reported() -> None:
    outcome, got = await place(receiver={"close_with": 1008})
    assert outcome.socket_close_code == 1008
    assert outcome.status == "completed"
    assert [form["StreamEvent"] for form in got.forms("/stream")] == ["stream-started", "stream-stopped"]


@pytest.mark.parametrize(
    ("url", "code"), [("wss://127.0.0.1:{port}/elsewhere", "31920"), ("wss://127.0.0.1:1/media", "31902")]
)
async def test_failed_stream_is_reported(url: str, code: str) -> None:
    def twiml(got: Receiver) -> str:
        return got.document().replace(f"wss://127.0.0.1:{got.port}/media", url.format(port=got.port))

    outcome, got = await place(receiver={"twiml": twiml})
    (form,) = got.forms("/stream")
    assert form["StreamEvent"] == "stream-error"
    assert form["StreamError"].startswith(code)
    assert outcome.status == "completed"


async def test_mono_and_trimmed_recording() -> None:
    outcome, got = await place(receiver={"recording": {"channels": "mono", "trim": "trim-silence"}})
    assert got.forms("/recording")[-1]["RecordingChannels"] == "1"
    assert outcome.cloud is not None
    assert outcome.cloud.ndim == 1
    assert len(outcome.cloud) < outcome.duration_ms * 8


async def test_progress_is_reported() -> None:
    seen: list[Progress] = []

    async with receiving() as got, carrier_for(got) as carrier:
        outcome = await carrier.place(script(voice_ms=2500), seen.append)
    stages = [progress.stage for progress in seen]
    assert stages[:2] == [Stage.RINGING, Stage.ANSWERED]
    assert stages[-2:] == [Stage.HUNG_UP, Stage.RECORDED]
    speaking = [progress.position_ms for progress in seen if progress.stage is Stage.SPEAKING]
    assert speaking == [1500, 2500, 3500]
    assert seen[-2].position_ms == outcome.duration_ms


async def test_calls_run_concurrently_and_are_awaited() -> None:
    async with receiving() as got, carrier_for(got) as carrier:
        calls = [asyncio.create_task(carrier.place(script())) for _ in range(3)]
        await asyncio.sleep(0)
        await carrier.wait_for_calls()
        assert all(call.done() for call in calls)
        outcomes = [await call for call in calls]
    assert len({outcome.call_sid for outcome in outcomes}) == 3
    assert len(got.sockets) == 3


async def test_cancelled_call_leaves_no_task() -> None:
    async with receiving() as got, carrier_for(got, speed=1.0) as carrier:
        reached = asyncio.Event()

        def seen(progress: Progress) -> None:
            reached.set()

        call = asyncio.create_task(carrier.place(script(), seen))
        await reached.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await carrier.wait_for_calls()
        result = len(got.webhooks)
    assert result >= 2


async def test_port_in_use_is_reported_in_one_line() -> None:
    config = CarrierConfig(voice_url="http://127.0.0.1:1/voice")
    async with SimulatedCarrier(config) as carrier:
        port = int(carrier.api_url.rpartition(":")[2])
        with pytest.raises(SettingsError, match=f"port {port}"):
            await SimulatedCarrier(CarrierConfig(voice_url=config.voice_url, port=port)).__aenter__()


async def test_ids_repeat_only_with_a_seed() -> None:
    async def sid(**options: Any) -> str:
        outcome, _ = await place(receiver={"twiml": lambda got: "<Response/>"}, carrier=options)
        return outcome.call_sid

    assert await sid() == await sid()
    assert await sid(seed=None) != await sid(seed=None)


async def test_voice_request_of_a_phone_has_its_call_token_and_place() -> None:
    _, got = await place(direction=Direction.INCOMING)
    form = got.forms("/voice")[0]
    assert form["StirVerstat"] == "TN-Validation-Passed-A"
    assert form["CallSid"] in form["CallToken"]
    assert (form["FromCountry"], form["ToState"], form["CalledZip"]) == ("US", "CA", "94103")
    _, got = await place()
    form = got.forms("/voice")[0]
    assert "CallToken" not in form and "StirVerstat" not in form and "FromCity" not in form


@pytest.mark.parametrize("status", ["busy", "no-answer"])
async def test_phone_that_does_not_answer_ends_the_dial(status: str) -> None:
    outcome, got = await place(status, receiver={"action": True})
    assert [form["CallStatus"] for form in got.forms("/leg")] == ["initiated", "ringing", status]
    assert got.forms("/action")[0]["DialCallStatus"] == status
    assert outcome.answered_ms is None


async def test_relative_recording_callback_is_error_11200() -> None:
    def twiml(got: Receiver) -> str:
        return got.document().replace(f"{got.url}/recording", "/recording")

    outcome, got = await place(receiver={"twiml": twiml})
    assert got.forms("/recording") == []
    assert {warning.split()[0] for warning in outcome.warnings} == {"11200"}


async def test_four_forked_tracks_are_the_limit_over_several_documents() -> None:
    stream = "<Start><Stream url='wss://127.0.0.1:{port}/media' track='both_tracks'/></Start>"

    def twiml(got: Receiver) -> str:
        streams = stream.format(port=got.port) * 2
        return f"<Response>{streams}<Pause/><Redirect>{got.url}/again</Redirect></Response>"

    outcome, got = await place(hang_up_at_s=4.0, receiver={"twiml": twiml})
    assert len(got.sockets) == 2
    assert {warning.split()[0] for warning in outcome.warnings} == {"31941"}
