"""The REST API, as Callreel asks it: during a call and after it."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile

from callreel.domain.recording import CloudState
from callreel.simulator.carrier import SimulatedCarrier
from callreel.simulator.scenario import CallOutcome, Progress, Stage
from callreel.twilio.rest_resources import RecordingResource, recordings_of
from tests.simulator.calling import carrier_for, run, script
from tests.simulator.receiver import Receiver, receiving


@contextlib.asynccontextmanager
async def client_of(carrier: SimulatedCarrier) -> AsyncIterator[httpx2.AsyncClient]:
    account = carrier.account
    base = f"{carrier.api_url}/2010-04-01/Accounts/{account.sid}/"
    auth = (account.api_key_sid, account.api_key_secret)
    async with httpx2.AsyncClient(base_url=base, auth=auth, trust_env=False, verify=False) as client:
        yield client


Asking = Callable[[httpx2.AsyncClient, CallOutcome, SimulatedCarrier], Awaitable[None]]
Acting = Callable[[httpx2.AsyncClient, str, Receiver], Awaitable[None]]


def after_a_call(asking: Asking, *faults: str, calls: int = 1, **options: Any) -> None:
    """Ask when `calls` calls are over; the last one's outcome is handed on."""

    async def work() -> None:
        async with receiving() as got, carrier_for(got, **options) as carrier, client_of(carrier) as client:
            outcomes = [await carrier.place(script(*faults, voice_ms=300, ring_s=0.2)) for _ in range(calls)]
            await asking(client, outcomes[-1], carrier)

    run(work)


def during_a_call(
    acting: Acting, *, until: Stage = Stage.ANSWERED, **options: Any
) -> tuple[CallOutcome, Receiver]:
    """Act as soon as a call is so far, and then end it: it would last a minute otherwise."""

    async def work() -> tuple[CallOutcome, Receiver]:
        async with (
            receiving() as got,
            carrier_for(got, **{"speed": 10.0} | options) as carrier,
            client_of(carrier) as client,
        ):
            reached = asyncio.Event()

            def seen(progress: Progress) -> None:
                if progress.stage is until:
                    reached.set()

            call = asyncio.create_task(carrier.place(script(voice_ms=60000), seen))
            await reached.wait()
            call_sid = got.forms("/voice")[0]["CallSid"]
            await acting(client, call_sid, got)
            await client.post(f"Calls/{call_sid}.json", data={"Status": "completed"})
            return await call, got

    return run(work)


def test_the_door_is_shut_without_credentials() -> None:
    async def ask(client: httpx2.AsyncClient, outcome: CallOutcome, carrier: SimulatedCarrier) -> None:
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

    after_a_call(ask)


def test_a_completed_recording_reads_as_the_carriers() -> None:
    async def ask(client: httpx2.AsyncClient, outcome: CallOutcome, carrier: SimulatedCarrier) -> None:
        body = (await client.get(f"Recordings/{outcome.recording_sid}.json")).json()
        recording = RecordingResource.from_json(body)
        assert recording.cloud_state is CloudState.COMPLETED
        assert (recording.leg_sid, recording.channels, recording.duration_s) == (outcome.call_sid, 2, 1)
        assert recording.price == -0.0025
        assert recording.media_url == f"{carrier.api_url}{body['uri'].removesuffix('.json')}"
        below = (await client.get(f"Calls/{outcome.call_sid}/Recordings/{outcome.recording_sid}.json")).json()
        assert below["track"] == "both"
        assert "media_url" not in below

    after_a_call(ask)


@pytest.mark.parametrize("ending", ["", ".wav"])
def test_the_file_holds_what_was_recorded(ending: str) -> None:
    async def ask(client: httpx2.AsyncClient, outcome: CallOutcome, carrier: SimulatedCarrier) -> None:
        answer = await client.get(f"Recordings/{outcome.recording_sid}{ending}?RequestedChannels=2")
        assert answer.headers["content-type"] == "audio/x-wav"
        samples, rate_hz = soundfile.read(io.BytesIO(answer.content), dtype="int16")
        assert rate_hz == 8000
        assert outcome.cloud is not None
        assert np.array_equal(samples, outcome.cloud)

    after_a_call(ask)


def test_an_mp3_where_it_can_be_written() -> None:
    if "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile writes no MP3")

    async def ask(client: httpx2.AsyncClient, outcome: CallOutcome, carrier: SimulatedCarrier) -> None:
        answer = await client.get(f"Recordings/{outcome.recording_sid}.mp3")
        assert answer.headers["content-type"] == "audio/mpeg"
        assert soundfile.info(io.BytesIO(answer.content)).channels == 2

    after_a_call(ask)


def test_channels_that_are_not_there_are_a_bad_request() -> None:
    async def ask(client: httpx2.AsyncClient, outcome: CallOutcome, carrier: SimulatedCarrier) -> None:
        path = f"Recordings/{outcome.recording_sid}.wav?RequestedChannels="
        assert (await client.get(path + "2")).status_code == 400
        assert soundfile.info(io.BytesIO((await client.get(path + "1")).content)).channels == 1

    after_a_call(ask, "mono")


def test_nothing_to_fetch_before_it_is_ready() -> None:
    async def act(client: httpx2.AsyncClient, call_sid: str, got: Receiver) -> None:
        (recording,), _ = recordings_of((await client.get(f"Recordings.json?CallSid={call_sid}")).json())
        assert (recording.status, recording.duration_s, recording.price) == ("processing", None, None)
        answer = await client.get(f"Recordings/{recording.sid}.wav")
        assert (answer.status_code, answer.json()["code"]) == (404, 20404)
        assert (await client.delete(f"Recordings/{recording.sid}.json")).status_code == 400

    during_a_call(act)


def test_the_list_comes_in_pages_newest_first() -> None:
    async def ask(client: httpx2.AsyncClient, outcome: CallOutcome, carrier: SimulatedCarrier) -> None:
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

    after_a_call(ask, calls=3)


def test_the_list_is_filtered_by_call_and_day() -> None:
    async def ask(client: httpx2.AsyncClient, outcome: CallOutcome, carrier: SimulatedCarrier) -> None:
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

    after_a_call(ask, calls=2)


def test_a_deleted_recording_is_gone_but_remembered() -> None:
    async def ask(client: httpx2.AsyncClient, outcome: CallOutcome, carrier: SimulatedCarrier) -> None:
        path = f"Recordings/{outcome.recording_sid}"
        assert (await client.delete(f"{path}.json")).status_code == 204
        assert (await client.get(f"{path}.wav")).status_code == 404
        assert (await client.get(f"{path}.json")).status_code == 404
        kept = (await client.get(f"{path}.json?IncludeSoftDeleted=true")).json()
        assert kept["status"] == "deleted"
        assert recordings_of((await client.get("Recordings.json")).json())[0] == ()
        assert (await client.delete(f"{path}.json")).status_code == 404

    after_a_call(ask)


@pytest.mark.parametrize(("fault", "status"), [("media-404", 404), ("media-429", 429), ("media-500", 500)])
def test_downloads_fail_twice_and_then_succeed(fault: str, status: int) -> None:
    async def ask(client: httpx2.AsyncClient, outcome: CallOutcome, carrier: SimulatedCarrier) -> None:
        answers = [await client.get(f"Recordings/{outcome.recording_sid}.wav") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [status, status, 200]
        assert answers[0].json()["status"] == status
        if status == 429:
            assert answers[0].json()["code"] == 20429

    after_a_call(ask, fault)


def test_a_truncated_download_breaks_off_and_the_next_is_whole() -> None:
    async def ask(client: httpx2.AsyncClient, outcome: CallOutcome, carrier: SimulatedCarrier) -> None:
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

    after_a_call(ask, "media-truncated")


def test_a_download_is_resumed_only_where_that_is_switched_on() -> None:
    async def ask(client: httpx2.AsyncClient, outcome: CallOutcome, carrier: SimulatedCarrier) -> None:
        path = f"Recordings/{outcome.recording_sid}.wav"
        whole = (await client.get(path)).content
        rest = await client.get(path, headers={"Range": "bytes=1000-"})
        assert rest.status_code == 206
        assert rest.content == whole[1000:]
        assert rest.headers["content-range"] == f"bytes 1000-{len(whole) - 1}/{len(whole)}"
        assert (await client.get(path, headers={"Range": f"bytes={len(whole)}-"})).status_code == 416

    async def without(client: httpx2.AsyncClient, outcome: CallOutcome, carrier: SimulatedCarrier) -> None:
        answer = await client.get(f"Recordings/{outcome.recording_sid}.wav", headers={"Range": "bytes=1000-"})
        assert answer.status_code == 200

    after_a_call(ask, ranges=True)
    after_a_call(without)


def test_a_recording_is_paused_resumed_and_stopped() -> None:
    async def act(client: httpx2.AsyncClient, call_sid: str, got: Receiver) -> None:
        path = f"Calls/{call_sid}/Recordings/Twilio.CURRENT.json"
        for status in ("paused", "in-progress", "stopped"):
            answer = await client.post(path, data={"Status": status})
            assert (answer.status_code, answer.json()["status"]) == (200, status)
            await asyncio.sleep(0.03)  # 300 ms of the call
        assert (await client.post(path, data={"Status": "paused"})).status_code == 404

    outcome, got = during_a_call(act)
    assert outcome.cloud is not None
    assert len(outcome.cloud) < outcome.duration_ms * 8
    silent_ms = np.flatnonzero(~outcome.cloud[500 * 8 :, 0].astype(bool)).size / 8
    assert silent_ms > 200, "the pause left silence in the agent's channel"
    assert got.forms("/recording")[-1]["RecordingStatus"] == "completed"


def test_a_skipped_pause_shortens_the_recording() -> None:
    async def act(client: httpx2.AsyncClient, call_sid: str, got: Receiver) -> None:
        path = f"Calls/{call_sid}/Recordings/Twilio.CURRENT.json"
        await client.post(path, data={"Status": "paused", "PauseBehavior": "skip"})
        await asyncio.sleep(0.03)
        assert (await client.post(path, data={"Status": "nonsense"})).status_code == 400
        await client.post(path, data={"Status": "in-progress"})

    outcome, _ = during_a_call(act)
    assert outcome.cloud is not None
    assert len(outcome.cloud) < (outcome.duration_ms - 200) * 8


def test_a_second_recording_and_its_callback() -> None:
    async def act(client: httpx2.AsyncClient, call_sid: str, got: Receiver) -> None:
        data = {"RecordingStatusCallback": f"{got.url}/second", "RecordingChannels": "dual"}
        answer = await client.post(f"Calls/{call_sid}/Recordings.json", data=data)
        assert (answer.status_code, answer.json()["source"]) == (201, "StartCallRecordingAPI")
        several = await client.get(f"Calls/{call_sid}/Recordings/Twilio.CURRENT.json")
        assert several.status_code == 404

    outcome, got = during_a_call(act)
    first, second = outcome.recordings
    assert second.start_ms > first.start_ms
    assert first.samples is not None
    assert second.samples is not None
    assert np.array_equal(first.samples[second.start_ms * 8 :], second.samples)
    assert [form["RecordingSid"] for form in got.forms("/second")] == [second.sid]


def test_a_stream_is_started_and_stopped_over_rest() -> None:
    async def act(client: httpx2.AsyncClient, call_sid: str, got: Receiver) -> None:
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

    outcome, got = during_a_call(act)
    second = got.sockets[1]
    assert second.valid
    assert second.messages[1]["start"]["customParameters"] == {"token": "another"}
    assert second.messages[1]["start"]["tracks"] == ["outbound"]
    assert second.messages[-1]["event"] == "stop"
    assert second.times_s[-1] < got.sockets[0].times_s[-1] - 0.05
    assert len(outcome.stream_sids) == 2


def test_a_call_is_ended_over_rest() -> None:
    async def act(client: httpx2.AsyncClient, call_sid: str, got: Receiver) -> None:
        answer = await client.post(f"Calls/{call_sid}.json", data={"Status": "completed"})
        assert answer.status_code == 200
        assert (await client.post(f"Calls/{call_sid}.json", data={"Url": "http://x"})).status_code == 400

    outcome, got = during_a_call(act)
    assert outcome.status == "completed"
    assert outcome.duration_ms < 60000
    assert outcome.cloud is not None
    assert len(outcome.cloud) == outcome.duration_ms * 8
    assert got.sockets[0].messages[-1]["event"] == "stop"


def test_calls_are_listed_and_fetched() -> None:
    async def ask(client: httpx2.AsyncClient, outcome: CallOutcome, carrier: SimulatedCarrier) -> None:
        call = (await client.get(f"Calls/{outcome.call_sid}.json")).json()
        assert (call["status"], call["from"], call["direction"]) == ("completed", "client:agent", "inbound")
        children = (await client.get(f"Calls.json?ParentCallSid={outcome.call_sid}")).json()["calls"]
        assert [child["sid"] for child in children] == [outcome.child_sid]
        assert children[0]["direction"] == "outbound-dial"
        assert len((await client.get("Calls.json")).json()["calls"]) == 2
        over = await client.post(f"Calls/{outcome.call_sid}.json", data={"Status": "completed"})
        assert (over.status_code, over.json()["code"]) == (400, 21220)

    after_a_call(ask)


def test_what_is_not_there_is_said_in_the_carriers_envelope() -> None:
    paths = (
        "Calls/CA0.json",
        "Recordings/RE0.json",
        "Recordings/RE0.wav",
        "Calls/CA0/Recordings/RE0.json",
        "Nothing.json",
    )

    async def work() -> None:
        async with receiving() as got, carrier_for(got) as carrier, client_of(carrier) as client:
            for path in paths:
                answer = await client.get(path)
                body = answer.json()
                assert (answer.status_code, body["status"]) == (404, 404)
                assert set(body) == {"code", "message", "more_info", "status"}

    run(work)
