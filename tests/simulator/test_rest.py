"""The simulated carrier's REST API, during a call and after it."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile

from callreel.domain.recording import CloudState
from callreel.simulator.carrier import SimulatedCarrier
from callreel.simulator.faults import Fault
from callreel.simulator.scenario import CallOutcome, Technician
from callreel.twilio.rest_resources import RecordingResource
from tests.simulator.calling import carrier_for, client_of, running_call, script, voice
from tests.simulator.receiver import receiving
from tests.support.rest_server import recordings_of


@contextlib.asynccontextmanager
async def finished_call(
    *faults: str, calls: int = 1, **options: Any
) -> AsyncIterator[tuple[httpx2.AsyncClient, CallOutcome, SimulatedCarrier]]:
    """The outcome of the last of `calls` calls, and a client of the carrier's REST API."""
    async with (
        receiving() as got,
        carrier_for(got, **options) as carrier,
        client_of(carrier) as client,
    ):
        outcomes = [await carrier.place(script(*faults, voice_ms=300, ring_s=0.2)) for _ in range(calls)]
        yield client, outcomes[-1], carrier


async def test_requests_without_credentials_are_refused() -> None:
    async with finished_call() as (client, outcome, carrier):
        account = carrier.account
        for auth in (None, (account.sid, "wrong"), (account.api_key_sid, account.auth_token)):
            async with httpx2.AsyncClient(
                base_url=client.base_url, auth=auth, trust_env=False, verify=False
            ) as stranger:
                for path in ("Recordings.json", f"Recordings/{outcome.recording_sid}.wav", "Calls.json"):
                    answer = await stranger.get(path)
                    assert (answer.status_code, answer.json()["code"]) == (401, 20003)
        answer = await client.get("Recordings.json", auth=(account.sid, account.auth_token))
        assert answer.status_code == 200


async def test_completed_recording_has_the_carriers_fields() -> None:
    async with finished_call() as (client, outcome, carrier):
        body = (await client.get(f"Recordings/{outcome.recording_sid}.json")).json()
        recording = RecordingResource.from_json(body)
        assert recording.cloud_state is CloudState.COMPLETED
        assert (recording.leg_sid, recording.channels, recording.duration_s) == (outcome.call_sid, 2, 1)
        assert recording.price == -0.0025
        assert recording.media_url == f"{carrier.api_url}{body['uri'].removesuffix('.json')}"
        below = (await client.get(f"Calls/{outcome.call_sid}/Recordings/{outcome.recording_sid}.json")).json()
        assert below["track"] == "both"
        assert "media_url" not in below


@pytest.mark.parametrize("ending", ["", ".wav"])
async def test_file_contains_the_recorded_samples(ending: str) -> None:
    async with finished_call() as (client, outcome, carrier):
        answer = await client.get(f"Recordings/{outcome.recording_sid}{ending}?RequestedChannels=2")
        assert answer.headers["content-type"] == "audio/x-wav"
        samples, rate_hz = soundfile.read(io.BytesIO(answer.content), dtype="int16")
        assert rate_hz == 8000
        assert outcome.cloud is not None
        assert np.array_equal(samples, outcome.cloud)


async def test_mp3_has_both_channels() -> None:
    if "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile writes no MP3")

    async with finished_call() as (client, outcome, carrier):
        answer = await client.get(f"Recordings/{outcome.recording_sid}.mp3")
        assert answer.headers["content-type"] == "audio/mpeg"
        assert soundfile.info(io.BytesIO(answer.content)).channels == 2


async def test_missing_channels_are_a_bad_request() -> None:
    async with finished_call("mono") as (client, outcome, carrier):
        path = f"Recordings/{outcome.recording_sid}.wav?RequestedChannels="
        assert (await client.get(path + "2")).status_code == 400
        assert soundfile.info(io.BytesIO((await client.get(path + "1")).content)).channels == 1


async def test_recording_in_progress_has_no_file() -> None:
    async with running_call() as call:
        client, call_sid = call.client, call.sid
        (recording,), _ = recordings_of((await client.get(f"Recordings.json?CallSid={call_sid}")).json())
        assert (recording.status, recording.duration_s, recording.price) == ("processing", None, None)
        answer = await client.get(f"Recordings/{recording.sid}.wav")
        assert (answer.status_code, answer.json()["code"]) == (404, 20404)
        assert (await client.delete(f"Recordings/{recording.sid}.json")).status_code == 400


async def test_list_has_pages_newest_first() -> None:
    async with finished_call(calls=3) as (client, outcome, carrier):
        path: str | None = "Recordings.json?PageSize=2"
        sids: list[str] = []
        sizes = []
        while path is not None:
            answer = await client.get(path if path.startswith("Rec") else carrier.api_url + path)
            page, path = recordings_of(answer.json())
            sids += [recording.sid for recording in page]
            sizes.append(len(page))
        assert sizes == [2, 1]
        assert len(set(sids)) == 3
        assert sids[0] == outcome.recording_sid


async def test_list_is_filtered_by_call_and_day() -> None:
    async with finished_call(calls=2) as (client, outcome, carrier):
        today = datetime.now(UTC).date()
        tomorrow = today + timedelta(days=1)

        async def count(query: str) -> int:
            return len(recordings_of((await client.get(f"Recordings.json?{query}")).json())[0])

        assert await count(f"CallSid={outcome.call_sid}") == 1
        assert await count("CallSid=CA0") == 0
        assert await count(f"DateCreated>={today}") == 2
        assert await count(f"DateCreated<={today}&DateCreated>={today}") == 2
        assert await count(f"DateCreated>={tomorrow}") == 0
        assert await count(f"DateCreated={tomorrow}") == 0
        assert await count("Nonsense=1") == 2


async def test_deleted_recording_is_soft_deleted() -> None:
    async with finished_call() as (client, outcome, carrier):
        path = f"Recordings/{outcome.recording_sid}"
        assert (await client.delete(f"{path}.json")).status_code == 204
        assert (await client.get(f"{path}.wav")).status_code == 404
        assert (await client.get(f"{path}.json")).status_code == 404
        kept = (await client.get(f"{path}.json?IncludeSoftDeleted=true")).json()
        assert kept["status"] == "deleted"
        assert recordings_of((await client.get("Recordings.json")).json())[0] == ()
        assert (await client.delete(f"{path}.json")).status_code == 404


@pytest.mark.parametrize(("fault", "status"), [("media-404", 404), ("media-429", 429), ("media-500", 500)])
async def test_media_faults_fail_two_downloads(fault: str, status: int) -> None:
    async with finished_call(fault) as (client, outcome, carrier):
        answers = [await client.get(f"Recordings/{outcome.recording_sid}.wav") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [status, status, 200]
        assert answers[0].json()["status"] == status
        if status == 429:
            assert answers[0].json()["code"] == 20429


async def test_truncated_download_is_followed_by_a_whole_one() -> None:
    async with finished_call("media-truncated") as (client, outcome, carrier):
        path = f"Recordings/{outcome.recording_sid}.wav"
        received = bytearray()
        with pytest.raises(httpx2.RemoteProtocolError):
            async with client.stream("GET", path) as answer:
                promised = int(answer.headers["content-length"])
                async for part in answer.aiter_bytes():
                    received += part
        assert 0 < len(received) < promised
        whole = (await client.get(path)).content
        assert len(whole) == promised
        assert whole.startswith(received)


async def test_download_is_resumed_only_if_configured() -> None:
    async with finished_call(ranges=True) as (client, outcome, carrier):
        path = f"Recordings/{outcome.recording_sid}.wav"
        whole = (await client.get(path)).content
        rest = await client.get(path, headers={"Range": "bytes=1000-"})
        assert rest.status_code == 206
        assert rest.content == whole[1000:]
        assert rest.headers["content-range"] == f"bytes 1000-{len(whole) - 1}/{len(whole)}"
        assert (await client.get(path, headers={"Range": f"bytes={len(whole)}-"})).status_code == 416
    async with finished_call() as (client, outcome, carrier):
        answer = await client.get(f"Recordings/{outcome.recording_sid}.wav", headers={"Range": "bytes=1000-"})
        assert answer.status_code == 200


async def test_recording_is_paused_resumed_and_stopped() -> None:
    async with running_call() as call:
        client, call_sid, got = call.client, call.sid, call.receiver
        path = f"Calls/{call_sid}/Recordings/Twilio.CURRENT.json"
        for status in ("paused", "in-progress", "stopped"):
            answer = await client.post(path, data={"Status": status})
            assert (answer.status_code, answer.json()["status"]) == (200, status)
            await asyncio.sleep(0.03)  # 300 ms of the call
        assert (await client.post(path, data={"Status": "paused"})).status_code == 404
    outcome = call.outcome
    assert outcome.cloud is not None
    assert len(outcome.cloud) < outcome.duration_ms * 8
    silent_ms = np.flatnonzero(~outcome.cloud[500 * 8 :, 0].astype(bool)).size / 8
    assert silent_ms > 200, "the pause left silence in the agent's channel"
    assert got.forms("/recording")[-1]["RecordingStatus"] == "completed"


async def test_skipped_pause_shortens_the_recording() -> None:
    async with running_call() as call:
        client, call_sid = call.client, call.sid
        path = f"Calls/{call_sid}/Recordings/Twilio.CURRENT.json"
        await client.post(path, data={"Status": "paused", "PauseBehavior": "skip"})
        await asyncio.sleep(0.03)
        assert (await client.post(path, data={"Status": "nonsense"})).status_code == 400
        await client.post(path, data={"Status": "in-progress"})
    outcome = call.outcome
    assert outcome.cloud is not None
    assert len(outcome.cloud) < (outcome.duration_ms - 200) * 8


async def test_second_recording_has_its_own_callback() -> None:
    async with running_call() as call:
        client, call_sid, got = call.client, call.sid, call.receiver
        data = {"RecordingStatusCallback": f"{got.url}/second", "RecordingChannels": "dual"}
        answer = await client.post(f"Calls/{call_sid}/Recordings.json", data=data)
        assert (answer.status_code, answer.json()["source"]) == (201, "StartCallRecordingAPI")
        several = await client.get(f"Calls/{call_sid}/Recordings/Twilio.CURRENT.json")
        assert several.status_code == 404
    outcome = call.outcome
    first, second = outcome.recordings
    assert second.start_ms > first.start_ms
    assert first.samples is not None
    assert second.samples is not None
    assert np.array_equal(first.samples[second.start_ms * 8 :], second.samples)
    assert [form["RecordingSid"] for form in got.forms("/second")] == [second.sid]


async def test_stream_is_started_and_stopped_over_rest() -> None:
    async with running_call() as call:
        client, call_sid, got = call.client, call.sid, call.receiver
        data = {
            "Url": f"wss://127.0.0.1:{got.port}/media",
            "Track": "outbound_track",
            "Name": "again",
            "Parameter1.Name": "token",
            "Parameter1.Value": "another",
        }
        answer = await client.post(f"Calls/{call_sid}/Streams.json", data=data)
        assert answer.json()["status"] == "in-progress"
        await asyncio.sleep(0.05)
        stopped = await client.post(f"Calls/{call_sid}/Streams/again.json", data={"Status": "stopped"})
        assert stopped.json()["status"] == "stopped"
        await asyncio.sleep(0.1)
        for bad in ({"Url": "http://x"}, data | {"Track": "sideways"}):
            assert (await client.post(f"Calls/{call_sid}/Streams.json", data=bad)).status_code == 400
        assert (
            await client.post(f"Calls/{call_sid}/Streams/other.json", data={"Status": "stopped"})
        ).status_code == 404
    outcome = call.outcome
    second = got.sockets[1]
    assert second.valid
    assert second.messages[1]["start"]["customParameters"] == {"token": "another"}
    assert second.messages[1]["start"]["tracks"] == ["outbound"]
    assert second.messages[-1]["event"] == "stop"
    assert second.times_s[-1] < got.sockets[0].times_s[-1] - 0.05
    assert len(outcome.stream_sids) == 2


async def test_call_is_ended_over_rest() -> None:
    async with running_call() as call:
        client, call_sid, got = call.client, call.sid, call.receiver
        answer = await client.post(f"Calls/{call_sid}.json", data={"Status": "completed"})
        assert answer.status_code == 200
        assert (await client.post(f"Calls/{call_sid}.json", data={"Url": "http://x"})).status_code == 400
    outcome = call.outcome
    assert outcome.status == "completed"
    assert outcome.duration_ms < 60000
    assert outcome.cloud is not None
    assert len(outcome.cloud) == outcome.duration_ms * 8
    assert got.sockets[0].messages[-1]["event"] == "stop"


async def test_calls_are_listed_and_fetched() -> None:
    async with finished_call() as (client, outcome, carrier):
        call = (await client.get(f"Calls/{outcome.call_sid}.json")).json()
        assert (call["status"], call["from"], call["direction"]) == ("completed", "client:agent", "inbound")
        children = (await client.get(f"Calls.json?ParentCallSid={outcome.call_sid}")).json()["calls"]
        assert [child["sid"] for child in children] == [outcome.child_sid]
        assert children[0]["direction"] == "outbound-dial"
        assert len((await client.get("Calls.json")).json()["calls"]) == 2
        over = await client.post(f"Calls/{outcome.call_sid}.json", data={"Status": "completed"})
        assert (over.status_code, over.json()["code"]) == (400, 21220)


async def test_unknown_resources_are_404_in_the_carriers_envelope() -> None:
    paths = (
        "Calls/CA0.json",
        "Recordings/RE0.json",
        "Recordings/RE0.wav",
        "Calls/CA0/Recordings/RE0.json",
        "Nothing.json",
    )
    async with receiving() as got, carrier_for(got) as carrier, client_of(carrier) as client:
        for path in paths:
            answer = await client.get(path)
            body = answer.json()
            assert (answer.status_code, body["status"]) == (404, 404)
            assert set(body) == {"code", "message", "more_info", "status"}
            assert (await client.get(path, auth=("unknown", "wrong"))).status_code == 401


INVALID_RECORDINGS = [
    {"RecordingTrack": "sideways"},
    {"RecordingChannels": "3"},
    {"RecordingChannels": "dual", "RecordingTrack": "inbound"},
    {"Trim": "yes"},
    {"RecordingStatusCallback": "/relative"},
    {"RecordingStatusCallback": "http://127.0.0.1:1/r", "RecordingStatusCallbackEvent": "started"},
    {"RecordingStatusCallback": "http://127.0.0.1:1/r", "RecordingStatusCallbackMethod": "PUT"},
]


async def test_invalid_recording_parameters_do_not_end_the_call() -> None:
    async with running_call() as call:
        path = f"Calls/{call.sid}/Recordings.json"
        for data in INVALID_RECORDINGS:
            assert (await call.client.post(path, data=data)).status_code == 400, data
        current = f"Calls/{call.sid}/Recordings/Twilio.CURRENT.json"
        paused = {"Status": "paused", "PauseBehavior": "loudly"}
        assert (await call.client.post(current, data=paused)).status_code == 400
        assert (await call.client.get(current)).status_code == 200
    assert call.outcome.status == "completed"
    assert len(call.outcome.recordings) == 1


async def test_second_rest_recording_is_the_running_one() -> None:
    async with running_call() as call:
        path = f"Calls/{call.sid}/Recordings.json"
        first = await call.client.post(path, data={"RecordingTrack": "inbound"})
        second = await call.client.post(path)
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json()["sid"] == second.json()["sid"]
        assert (first.json()["track"], first.json()["channels"]) == ("inbound", 1)


async def test_stream_limits_apply_over_rest() -> None:
    async with running_call() as call:
        path = f"Calls/{call.sid}/Streams.json"
        url = f"wss://127.0.0.1:{call.receiver.port}/media"
        started = await call.client.post(path, data={"Url": url, "Name": "one", "Track": "outbound_track"})
        body = started.json()
        assert body["sid"].startswith("MZ") and body["name"] == "one" and body["date_updated"]
        assert (await call.client.post(path, data={"Url": url, "Name": "one"})).status_code == 400
        assert (await call.client.post(path, data={"Url": url, "Track": "both_tracks"})).status_code == 400
        stopped = await call.client.post(f"Calls/{call.sid}/Streams/one.json", data={"Status": "stopped"})
        assert {**body, "status": "stopped", "date_updated": ""} == {**stopped.json(), "date_updated": ""}


async def test_page_token_is_stable_while_the_list_grows() -> None:
    async with finished_call(calls=3) as (client, outcome, carrier):
        first = (await client.get("Recordings.json?PageSize=2")).json()
        assert "PageToken=PARE" in first["next_page_uri"]
        seen_sids = [recording["sid"] for recording in first["recordings"]]
        newest = seen_sids[0]
        assert (await client.delete(f"Recordings/{newest}.json")).status_code == 204
        following = (await client.get(carrier.api_url + first["next_page_uri"])).json()
        assert len(following["recordings"]) == 1
        assert following["recordings"][0]["sid"] not in seen_sids


async def test_head_is_get_without_a_body() -> None:
    async with finished_call() as (client, outcome, carrier):
        for path in ("Recordings.json", f"Recordings/{outcome.recording_sid}.wav"):
            head = await client.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == (await client.get(path)).headers["content-length"]


async def test_deleted_recording_keeps_duration_and_price() -> None:
    async with finished_call() as (client, outcome, carrier):
        path = f"Recordings/{outcome.recording_sid}.json"
        before = (await client.get(path)).json()
        await client.delete(path)
        after = (await client.get(f"{path}?IncludeSoftDeleted=true")).json()
        assert (
            (after["duration"], after["price"]) == (before["duration"], before["price"]) == ("1", "-0.0025")
        )


async def test_leg_duration_is_the_same_in_callback_and_rest() -> None:
    async with receiving() as got, carrier_for(got) as carrier, client_of(carrier) as client:
        outcome = await carrier.place(script(voice_ms=700))
        for sid, path in ((outcome.call_sid, "/call"), (outcome.child_sid, "/leg")):
            resource = (await client.get(f"Calls/{sid}.json")).json()
            assert resource["duration"] == got.forms(path)[-1]["CallDuration"]
        today = datetime.now(UTC).date()
        for name, days, count in (("StartTime", 0, 2), ("EndTime>", 0, 2), ("EndTime<", -1, 0)):
            query = {name: str(today + timedelta(days=days))}
            assert len((await client.get("Calls.json", params=query)).json()["calls"]) == count


async def test_mp3_has_the_documented_rate() -> None:
    if "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile writes no MP3")
    async with receiving() as got, carrier_for(got) as carrier, client_of(carrier) as client:
        outcome = await carrier.place(script(voice_ms=20000))
        assert outcome.cloud is not None
        answer = await client.get(f"Recordings/{outcome.recording_sid}.mp3")
        assert 8 * len(answer.content) / (len(outcome.cloud) / 8000) == pytest.approx(32000, rel=0.03)


@pytest.mark.parametrize(
    ("fault", "method", "statuses"),
    [
        ("list-429", "GET", [429, 429, 200]),
        ("list-500=1", "GET", [500, 200]),
        ("fetch-429=1", "GET", [429, 200]),
        ("fetch-500", "GET", [500, 500, 200]),
        ("delete-429", "DELETE", [429, 429, 204]),
        ("delete-500=1", "DELETE", [500, 204]),
    ],
)
async def test_rest_faults_fail_the_next_requests(fault: str, method: str, statuses: list[int]) -> None:
    async with finished_call(fault) as (client, outcome, carrier):
        path = "Recordings.json" if fault.startswith("list") else f"Recordings/{outcome.recording_sid}.json"
        assert [(await client.request(method, path)).status_code for _ in statuses] == statuses


@pytest.mark.parametrize("fault", ["list-slow=0.2", "fetch-slow=0.2", "delete-slow=0.2"])
async def test_slow_rest_faults_delay_one_request(fault: str) -> None:
    async with finished_call(fault) as (client, outcome, carrier):
        path = "Recordings.json" if fault.startswith("list") else f"Recordings/{outcome.recording_sid}.json"
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        assert (await client.request("DELETE" if "delete" in fault else "GET", path)).is_success
        assert loop.time() - began_s >= 0.2


async def test_odd_rows_are_listed_before_the_others() -> None:
    async with finished_call("list-odd-rows=1") as (client, outcome, carrier):
        conference, unknown, ours = (await client.get("Recordings.json")).json()["recordings"]
        assert (conference["call_sid"], unknown["status"]) == (None, "archived")
        assert ours["sid"] == outcome.recording_sid
        assert len((await client.get("Recordings.json")).json()["recordings"]) == 1


async def test_call_continues_with_the_twiml_of_an_update() -> None:
    async with running_call() as call:
        path = f"Calls/{call.sid}.json"
        assert (await call.client.post(path, data={"Twiml": "x" * 4001})).status_code == 400
        updated = await call.client.post(path, data={"Twiml": "<Response><Pause length='2'/></Response>"})
        assert updated.status_code == 200
        await call.hung_up.wait()
        assert (await call.client.delete(path)).status_code == 204
        assert (await call.client.get(path)).status_code == 404
    assert call.outcome.status == "completed"
    assert call.outcome.duration_ms < 60000
    assert [form["CallStatus"] for form in call.receiver.forms("/leg")][-1] == "completed"
    assert call.receiver.sockets[0].messages[-1]["event"] == "stop"
    assert len(call.outcome.streams) == 1, "the stream survives the redirection"
    streamed_ms = call.outcome.streams[0].start_ms + 20 * len(call.receiver.sockets[0].media("inbound"))
    assert streamed_ms > call.outcome.duration_ms - 40, "to the end of the call"


async def test_call_continues_with_the_document_at_a_url() -> None:
    async with running_call() as call:
        data = {"Url": f"{call.receiver.url}/action", "Method": "POST"}
        assert (await call.client.post(f"Calls/{call.sid}.json", data=data)).status_code == 200
        await call.hung_up.wait()
        assert call.receiver.forms("/action")[0]["CallStatus"] == "in-progress"
    assert call.outcome.status == "completed"


async def test_time_limit_and_callback_of_an_update() -> None:
    async with running_call() as call:
        path = f"Calls/{call.sid}.json"
        for refused in ({"TimeLimit": "0"}, {"TimeLimit": "1e3"}, {"StatusCallback": "relative"}, {}):
            assert (await call.client.post(path, data=refused)).status_code == 400
        data = {"TimeLimit": "20", "StatusCallback": f"{call.receiver.url}/elsewhere"}
        assert (await call.client.post(path, data=data)).status_code == 200
        await call.hung_up.wait()
    assert call.outcome.answered_ms is not None
    assert call.outcome.duration_ms == call.outcome.answered_ms + 20000
    assert [form["CallStatus"] for form in call.receiver.forms("/elsewhere")] == ["completed"]
    assert call.receiver.forms("/call") == []


async def test_created_call_is_recorded_and_limited() -> None:
    technician = Technician(voice=voice(2, 300), ring_s=0.2)
    async with (
        receiving() as got,
        carrier_for(got, technician=technician) as carrier,
        client_of(carrier) as client,
    ):
        data = {"To": "+14155550123", "From": "+14155550100", "TimeLimit": "5", "Record": "true"}
        data |= {
            "Twiml": "<Response><Pause length='60'/></Response>",
            "Trim": "do-not-trim",
            "RecordingChannels": "dual",
            "RecordingStatusCallback": f"{got.url}/made",
        }
        created = (await client.post("Calls.json", data=data)).json()
        await carrier.wait_for_calls()
        (form,) = got.forms("/made")
        assert (form["RecordingSource"], form["RecordingChannels"]) == ("OutboundAPI", "2")
        assert (form["CallSid"], form["RecordingDuration"]) == (created["sid"], "5")
        assert (await client.get(f"Calls/{created['sid']}.json")).json()["duration"] == "5"


async def test_call_is_created_over_rest() -> None:
    technician = Technician(voice=voice(2, 300), ring_s=0.2)
    async with (
        receiving() as got,
        carrier_for(got, technician=technician) as carrier,
        client_of(carrier) as client,
    ):
        events = {"StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"]}
        data = {
            "To": "+14155550123",
            "From": "+14155550100",
            "StatusCallback": f"{got.url}/progress",
        } | events
        by_url = await client.post("Calls.json", data={**data, "Url": got.voice_url})
        assert (by_url.status_code, by_url.json()["status"]) == (201, "queued")
        await carrier.wait_for_calls()
        form = got.forms("/voice")[0]
        assert (form["Direction"], form["CallStatus"]) == ("outbound-api", "in-progress")
        progress = [form["CallStatus"] for form in got.forms("/progress")]
        assert progress == ["initiated", "ringing", "in-progress", "completed"]
        resource = (await client.get(f"Calls/{by_url.json()['sid']}.json")).json()
        assert (resource["direction"], resource["status"]) == ("outbound-api", "completed")
        assert len(got.sockets) == 1 and got.forms("/leg")[-1]["CallStatus"] == "completed"
        carrier.set_technician(Technician(voice=voice(2, 300), ring_s=0.2, faults=(Fault("busy"),)))
        by_twiml = await client.post("Calls.json", data={**data, "Twiml": "<Response><Pause/></Response>"})
        await carrier.wait_for_calls()
        assert (await client.get(f"Calls/{by_twiml.json()['sid']}.json")).json()["status"] == "busy"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"From": "+14155550100", "Url": "http://127.0.0.1:1/"}, 21201),
        ({"To": "someone", "From": "+14155550100", "Url": "http://127.0.0.1:1/"}, 21211),
        ({"To": "+14155550123", "Url": "http://127.0.0.1:1/"}, 21212),
        ({"To": "+14155550123", "From": "+14155550100"}, 21205),
        ({"To": "+14155550123", "From": "+14155550100", "Url": "relative"}, 21609),
        ({"To": "+14155550123", "From": "+14155550100", "Twiml": "<Response/>", "Timeout": "0"}, 20001),
    ],
)
async def test_invalid_outgoing_call_is_refused(data: dict[str, str], code: int) -> None:
    async with receiving() as got, carrier_for(got) as carrier, client_of(carrier) as client:
        refused = await client.post("Calls.json", data=data)
        assert (refused.status_code, refused.json()["code"]) == (400, code)
        assert (await client.get("Calls.json")).json()["calls"] == []
