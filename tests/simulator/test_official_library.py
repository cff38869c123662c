"""The official `twilio` library against the simulated carrier: every call of it that Callreel or its users need."""

import asyncio
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from callreel.simulator.carrier import SimulatedCarrier
from tests.simulator.calling import running_call
from tests.simulator.official_client import LocalHttpClient
from tests.simulator.receiver import Receiver


def client_of(carrier: SimulatedCarrier) -> Any:
    account = carrier.account
    http = LocalHttpClient(carrier.api_url)
    return Client(account.api_key_sid, account.api_key_secret, account.sid, http_client=http)


def use_running_call(client: Any, call_sid: str, got: Receiver) -> None:
    """Streams and recordings of a running call."""
    call = client.calls(call_sid)
    assert call.fetch().status == "in-progress"
    recording = call.recordings.create(
        recording_channels="dual",
        recording_status_callback=f"{got.url}/second",
        recording_status_callback_event=["in-progress", "completed"],
    )
    assert (recording.status, recording.source) == ("in-progress", "StartCallRecordingAPI")
    assert call.recordings(recording.sid).update(status="paused", pause_behavior="skip").status == "paused"
    assert call.recordings(recording.sid).update(status="in-progress").status == "in-progress"
    assert call.recordings(recording.sid).update(status="stopped").status == "stopped"
    assert len(call.recordings.list()) == 2
    stream = call.streams.create(
        url=f"wss://127.0.0.1:{got.port}/media",
        name="second",
        track="outbound_track",
        parameter1_name="token",
        parameter1_value="x",
    )
    assert (stream.status, stream.name) == ("in-progress", "second")
    assert call.streams("second").update(status="stopped").sid == stream.sid
    with pytest.raises(TwilioRestException) as refused:
        call.recordings.create(recording_track="sideways")
    assert (refused.value.status, refused.value.code) == (400, 20001)
    assert call.update(twiml="<Response><Hangup/></Response>").sid == call_sid


def use_finished_call(client: Any, call_sid: str) -> None:
    """Lists, pages, downloading and deletion after a call."""
    assert [call.sid for call in client.calls.list(parent_call_sid=call_sid)] != []
    assert {call.status for call in client.calls.list(status="completed", limit=5)} == {"completed"}
    recordings = client.recordings.list(call_sid=call_sid, page_size=1)
    assert len(recordings) == 2
    assert len({recording.sid for recording in recordings}) == 2
    first = client.recordings(recordings[0].sid).fetch()
    assert (first.status, first.call_sid, first.channels) == ("completed", call_sid, 2)
    assert float(first.price) < 0
    assert client.recordings(first.sid).transcriptions.list() == []
    assert client.recordings(first.sid).delete()
    deleted = client.recordings(first.sid).fetch(include_soft_deleted=True)
    assert (deleted.status, deleted.duration) == ("deleted", first.duration)
    with pytest.raises(TwilioRestException) as missing:
        client.recordings(first.sid).fetch()
    assert (missing.value.status, missing.value.code) == (404, 20404)
    assert client.calls(call_sid).delete()


def use_conference(client: Any, call_sid: str) -> None:
    """A running call is moved into a conference, held, muted and removed."""
    client.calls(call_sid).update(twiml="<Response><Dial><Conference>room</Conference></Dial></Response>")
    while not (found := client.conferences.list(friendly_name="room", status="init")):
        pass
    conference = client.conferences(found[0].sid)
    assert (conference.fetch().friendly_name, conference.fetch().region) == ("room", "us1")
    assert [each.call_sid for each in conference.participants.list(muted=False, hold=False)] == [call_sid]
    participant = conference.participants(call_sid)
    assert participant.update(hold=True, hold_url="https://x.example/music").hold is True
    resumed = participant.update(hold=False, muted=True, end_conference_on_exit=True)
    assert (resumed.hold, resumed.muted, resumed.end_conference_on_exit) == (False, True, True)
    fetched = participant.fetch()
    assert (fetched.status, fetched.conference_sid) == ("connected", found[0].sid)
    assert participant.delete()
    ended = conference.update(status="completed")
    assert (ended.status, ended.call_sid_ending_conference) == ("completed", call_sid)
    with pytest.raises(TwilioRestException) as missing:
        participant.fetch()
    assert (missing.value.status, missing.value.code) == (404, 20404)


async def test_surface_of_the_official_library() -> None:
    async with running_call() as call:
        client = client_of(call.carrier)
        await asyncio.to_thread(use_running_call, client, call.sid, call.receiver)
        assert (await call.placing).status == "completed"
        reported = [form["RecordingStatus"] for form in call.receiver.forms("/second")]
        assert reported == ["in-progress", "completed"]
        await asyncio.to_thread(use_finished_call, client, call.sid)


async def test_conferences_are_read_by_the_official_library() -> None:
    async with running_call() as call:
        await asyncio.to_thread(use_conference, client_of(call.carrier), call.sid)
        assert (await call.placing).status == "completed"
