"""Calls of a browser through the stand-in carrier, over its real signalling socket and real WebRTC on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import numpy as np
import pytest

from callreel.audio import mulaw
from callreel.domain.call import Track
from callreel.domain.errors import SettingsError
from callreel.simulator.carrier import CarrierConfig, SimulatedCarrier
from callreel.simulator.scenario import CallOutcome, Technician
from callreel.simulator.signalling import messages as messages
from callreel.simulator.signalling.browser_leg import BrowserTimeouts
from callreel.twilio.access_token import mint
from tests.simulator.browser_client import BrowserClient, best_lag, page, pieces_heard
from tests.simulator.calling import carrier_for, run, voice
from tests.simulator.receiver import Receiver, receiving

AGENT = voice(11, 1200)
PAUSE = np.zeros(8000, np.int16)
MOST = 8  # pieces of a second that came as they were said; a busy machine may be late with the others
TECHNICIAN = np.concatenate([voice(12, 1000), PAUSE, voice(13, 800), PAUSE])


def token_for(carrier: SimulatedCarrier, identity: str = "ada", **options: Any) -> str:
    account = carrier.account
    wanted: dict[str, Any] = {"now": datetime.now(UTC) - timedelta(seconds=2)} | options
    application = wanted.pop("application_sid", CarrierConfig(voice_url="").application_sid)
    return mint(account.sid, account.api_key_sid, account.api_key_secret, identity, application, **wanted)


@contextlib.asynccontextmanager
async def house(
    receiver: dict[str, Any] | None = None, agent: Any = AGENT, **carrier: Any
) -> AsyncIterator[tuple[SimulatedCarrier, BrowserClient, Receiver]]:
    """An application, a stand-in that lets browsers in, and a page that is connected to it."""
    options: dict[str, Any] = {
        "signalling": True,
        "technician": Technician(voice=TECHNICIAN, ring_s=0.5),
        "recording_delay_s": 0.1,
    } | carrier
    async with receiving(**receiver or {}) as got, carrier_for(got, **options) as stand_in:
        async with page(stand_in.signal_host, token_for(stand_in), agent) as client:
            yield stand_in, client, got


async def outcome_of(carrier: SimulatedCarrier) -> CallOutcome:
    async with asyncio.timeout(20):
        await carrier.wait_for_calls()
    return carrier.browser_outcomes[-1]


async def hang_up_by_rest(carrier: SimulatedCarrier, sid: str) -> None:
    account = carrier.account
    url = f"{carrier.api_url}/2010-04-01/Accounts/{account.sid}/Calls/{sid}.json"
    async with httpx2.AsyncClient(auth=(account.sid, account.auth_token), trust_env=False) as rest:
        assert (await rest.post(url, data={"Status": "completed"})).status_code == 200


async def newest_parent(carrier: SimulatedCarrier) -> str:
    """The leg that runs the TwiML of the newest call."""
    account = carrier.account
    url = f"{carrier.api_url}/2010-04-01/Accounts/{account.sid}/Calls.json"
    async with httpx2.AsyncClient(auth=(account.sid, account.auth_token), trust_env=False) as rest:
        calls = (await rest.get(url)).json()["calls"]
    return next(str(call["sid"]) for call in calls if call["parent_call_sid"] is None)


async def answered(client: BrowserClient, **parameters: str) -> messages.Answered:
    """A call that is answered, its sound flowing."""
    await client.call(**{"To": "+14155550123"} | parameters)
    ringing = await client.until(messages.Ringing)
    await client.take_sdp(ringing.payload.sdp)
    return await client.until(messages.Answered)


def test_a_call_from_a_browser_goes_the_way_of_every_call() -> None:
    async def work() -> tuple[CallOutcome, Receiver, messages.Answered, BrowserClient]:
        async with house() as (carrier, client, got):
            answer = await answered(client, ticket="42", note="a b&c")
            await client.hears(3)
            await client.send(messages.Hangup(messages.HangupBody(answer.payload.callsid)))
            return await outcome_of(carrier), got, answer, client

    outcome, got, answer, client = run(work)
    form = got.forms("/voice")[0]
    assert (form["From"], form["To"]) == ("client:ada", "+14155550123")
    assert (form["ticket"], form["note"]) == ("42", "a b&c")
    assert form["CallSid"] == answer.payload.callsid == outcome.call_sid
    assert all(hook.valid for hook in got.webhooks) and got.sockets[0].valid
    assert [leg["CallStatus"] for leg in got.forms("/leg")] == [
        "initiated",
        "ringing",
        "in-progress",
        "completed",
    ]
    assert got.forms("/call")[0]["CallStatus"] == outcome.status == "completed"
    assert outcome.recordings[0].status == "completed"
    assert outcome.duration_ms > 3000

    # The person's voice is on the inbound track and channel 1, as it was said.
    inbound = mulaw.decode(outcome.sent[Track.INBOUND])
    said = mulaw.decode(mulaw.encode(AGENT))
    assert len(pieces_heard(said[:8000], inbound)) >= MOST
    cloud = outcome.cloud
    assert cloud is not None
    begins = 8 * (outcome.streams[0].start_ms - outcome.recordings[0].start_ms)
    length = min(len(inbound), len(cloud) - begins)
    assert (cloud[begins : begins + length, 0] == inbound[:length]).all()

    # The technician's first line is on the outbound track, on channel 2, and was heard by the person, as it was said.
    outbound = mulaw.decode(outcome.sent[Track.OUTBOUND])
    assert (cloud[begins : begins + length, 1] == outbound[:length]).all()
    line = mulaw.decode(mulaw.encode(TECHNICIAN[:8000]))
    assert best_lag(line, outbound)[1] > 0.999
    found = pieces_heard(line, client.heard)
    assert len(found) >= MOST and found == sorted(found)


def test_before_the_answer_the_person_hears_it_ring() -> None:
    async def work() -> Any:
        technician = Technician(voice=TECHNICIAN, ring_s=30)
        async with house(technician=technician) as (carrier, client, _):
            await client.call(To="+14155550123")
            ringing = await client.until(messages.Ringing)
            await client.take_sdp(ringing.payload.sdp)
            await client.hears(1)
            await client.send(messages.Hangup(messages.HangupBody(ringing.payload.callsid)))
            return client.heard, await outcome_of(carrier)

    heard, outcome = run(work)
    spectrum = np.abs(np.fft.rfft(heard[-4000:].astype(float)))
    assert sorted(np.argsort(spectrum)[-2:] * 2) == [440, 480]
    assert (outcome.status, outcome.answered_ms) == ("no-answer", None)


def test_a_technician_who_does_not_answer() -> None:
    async def work() -> tuple[CallOutcome, messages.Ended]:
        technician = Technician(voice=TECHNICIAN, ring_s=0.3, answers=False)
        async with house(technician=technician) as (carrier, client, _):
            await client.call(To="+14155550123")
            ended = await client.until(messages.Ended)
            return await outcome_of(carrier), ended

    outcome, ended = run(work)
    assert outcome.status == "no-answer"
    assert ended.payload.error is None


def test_the_voice_waits_for_the_persons_pauses_and_hangs_up_when_all_is_said() -> None:
    speaks = np.concatenate([np.zeros(8000, np.int16), voice(21, 3000), np.zeros(80000, np.int16)])

    async def work() -> CallOutcome:
        async with house(agent=speaks) as (carrier, client, _):
            await answered(client)
            await client.until(messages.Ended)
            return await outcome_of(carrier)

    outcome = run(work)
    outbound, inbound = (mulaw.decode(outcome.sent[track]) for track in (Track.OUTBOUND, Track.INBOUND))
    second = best_lag(mulaw.decode(mulaw.encode(TECHNICIAN[16000:22400])), outbound)
    ends = best_lag(mulaw.decode(mulaw.encode(speaks[28000:32000])), inbound)
    assert second[1] > 0.99 and ends[1] > 0.99
    assert len(pieces_heard(mulaw.decode(mulaw.encode(speaks[8000:32000])), inbound)) >= 24
    assert 0.8 < (second[0] - ends[0] - 4000) / 8000 < 1.6


def test_keys_mute_and_a_message_of_the_page() -> None:
    async def work() -> tuple[CallOutcome, messages.Ack]:
        async with house() as (carrier, client, _):
            sid = (await answered(client)).payload.callsid
            await client.send(messages.Dtmf(messages.DtmfBody(sid, "12#")))
            await client.send(messages.Dtmf(messages.DtmfBody(sid, "*9")))
            body = messages.UserMessageBody(sid, "KX1", {"a": 1}, "application/json", "user-defined-message")
            await client.send(messages.UserMessage(body))
            ack = await client.until(messages.Ack)
            client.voice.muted = True
            await client.hears(1.5)
            await client.send(messages.Hangup(messages.HangupBody(sid)))
            return await outcome_of(carrier), ack

    outcome, ack = run(work)
    assert outcome.keys == "12#*9"
    assert (ack.payload.ack_type, ack.payload.voice_event_sid) == ("message", "KX1")
    inbound = mulaw.decode(outcome.sent[Track.INBOUND])
    assert inbound[: len(inbound) // 2].any() and not inbound[-8000:].any()


def test_the_carrier_hangs_up() -> None:
    async def work() -> tuple[CallOutcome, messages.Ended, str]:
        async with house() as (carrier, client, _):
            sid = (await answered(client)).payload.callsid
            await client.hears(0.5)
            await hang_up_by_rest(carrier, sid)
            ended = await client.until(messages.Ended)
            return await outcome_of(carrier), ended, sid

    outcome, ended, sid = run(work)
    assert (ended.payload.callsid, ended.payload.error) == (sid, None)
    assert outcome.status == "completed"


def test_a_call_that_is_left_by_its_temporary_id() -> None:
    async def work() -> tuple[CallOutcome, Receiver]:
        async with house() as (carrier, client, got):
            await client.send(messages.Hangup(messages.HangupBody("TJSnever-asked-for")))
            sid = await client.call(To="+14155550123")
            await client.send(messages.Hangup(messages.HangupBody(sid)))
            await client.register()
            await client.until(messages.Ready)
            return await outcome_of(carrier), got

    outcome, got = run(work)
    assert len(got.forms("/voice")) == 1
    assert outcome.answered_ms is None


def test_an_application_that_refuses() -> None:
    async def work() -> messages.Ended:
        async with house(receiver={"answers": {"/voice": [500]}}) as (carrier, client, _):
            await client.call(To="+14155550123")
            ended = await client.until(messages.Ended)
            assert (await outcome_of(carrier)).status == "failed"
            return ended

    ended = run(work)
    assert ended.payload.error is not None and ended.payload.error.code == 31002
    assert ended.payload.callsid.startswith("TJS")


def test_an_offer_without_sound() -> None:
    async def work() -> messages.Ended:
        async with house() as (carrier, client, got):
            await client.send(messages.Invite(messages.InviteBody("TJS1", "v=0\r\nno sdp")))
            ended = await client.until(messages.Ended)
            await carrier.wait_for_calls()
            assert not got.webhooks
            return ended

    ended = run(work)
    assert (ended.payload.callsid, ended.payload.error is not None) == ("TJS1", True)


def test_a_lost_socket_is_resumed_and_the_call_goes_on() -> None:
    async def work() -> tuple[CallOutcome, str]:
        async with house() as (carrier, client, _):
            payload = (await answered(client)).payload
            await client.hears(0.5)
            await client.drop()
            await client.hears(0.3)  # sound does not go over the socket
            await client.open(token_for(carrier))
            await client.until(messages.Connected)
            await client.send(messages.Invite(messages.InviteBody(payload.callsid, "v=0", "wrong")))
            wrong = await client.until(messages.Ended)
            assert wrong.payload.error is not None and wrong.payload.error.code == 31404
            await client.send(messages.Invite(messages.InviteBody(payload.callsid, "v=0", payload.reconnect)))
            again = await client.until(messages.Answered)
            assert (again.payload.callsid, again.payload.sdp) == (payload.callsid, "")
            await client.hears(0.5)
            await client.send(messages.Hangup(messages.HangupBody(payload.callsid)))
            outcome = await outcome_of(carrier)
            await client.send(messages.Invite(messages.InviteBody(payload.callsid, "v=0", payload.reconnect)))
            assert (await client.until(messages.Ended)).payload.error is None
            return outcome, payload.callsid

    outcome, sid = run(work)
    assert (outcome.call_sid, outcome.status) == (sid, "completed")
    assert outcome.duration_ms - (outcome.answered_ms or 0) > 1000


def test_a_lost_socket_that_stays_lost_ends_the_call() -> None:
    async def work() -> CallOutcome:
        async with house(browser_timeouts=BrowserTimeouts(resume_s=0.3)) as (carrier, client, _):
            await answered(client)
            await client.drop()
            return await outcome_of(carrier)

    assert run(work).status == "completed"


def test_sound_that_never_comes_ends_the_call() -> None:
    async def work() -> messages.Ended:
        async with house(browser_timeouts=BrowserTimeouts(media_s=0.3)) as (_, client, _):
            await client.call(To="+14155550123")
            await client.until(messages.Answered)  # and its SDP is not taken
            return await client.until(messages.Ended)

    ended = run(work)
    assert ended.payload.error is not None and ended.payload.error.code == 53405


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"now": datetime(2020, 1, 1, tzinfo=UTC)}, 31205),
        ({"incoming": False}, 31201),
    ],
)
def test_a_token_that_does_not_let_register(options: dict[str, Any], code: int) -> None:
    async def work() -> int:
        async with receiving() as got, carrier_for(got, signalling=True) as carrier:
            client = BrowserClient(carrier.signal_host, AGENT)
            await client.open(token_for(carrier, **options))
            await client.register()
            fault = await client.until(messages.Fault)
            await client.close()
            return fault.payload.error.code

    assert run(work) == code


def test_text_that_is_no_token_and_what_comes_before_one() -> None:
    async def work() -> list[int]:
        async with receiving() as got, carrier_for(got, signalling=True) as carrier:
            client = BrowserClient(carrier.signal_host, AGENT)
            await client.open("not-a-jwt")
            first = await client.until(messages.Fault)
            await client.register()
            second = await client.until(messages.Fault)
            await client.send(messages.Listen(messages.ListenBody(token_for(carrier))))
            await client.until(messages.Connected)
            await client.close()
            return [fault.payload.error.code for fault in (first, second)]

    assert run(work) == [31204, 31204]


def test_a_token_of_another_application_places_no_call() -> None:
    async def work() -> messages.Ended:
        async with receiving() as got, carrier_for(got, signalling=True) as carrier:
            token = token_for(carrier, application_sid="AP" + "f" * 32)
            async with page(carrier.signal_host, token, AGENT) as client:
                await client.call(To="+14155550123")
                ended = await client.until(messages.Ended)
                assert not got.webhooks
                return ended

    ended = run(work)
    assert ended.payload.error is not None and ended.payload.error.code == 31201


def test_a_new_token_heartbeats_and_going_offline() -> None:
    async def work() -> BrowserClient:
        async with house(heartbeat_s=0.05) as (carrier, client, _):
            await client.register()
            await client.until(messages.Ready)
            await client.send(messages.Listen(messages.ListenBody(token_for(carrier))))
            await client.until(messages.Connected)
            await client.send(messages.Listen(messages.ListenBody(token_for(carrier, "eve"))))
            assert (await client.until(messages.Fault)).payload.error.code == 31204
            await client.register(False)
            await client.until(messages.Offline)
            with pytest.raises(SettingsError):
                await carrier.ring_client("ada", "+14155550199")
            return client

    assert run(work).beats > 0


def test_a_browser_is_rung_and_answers() -> None:
    async def work() -> tuple[CallOutcome, messages.Offer, BrowserClient]:
        async with house(receiver={"direction": "incoming"}) as (carrier, client, _):
            await client.register()
            await client.until(messages.Ready)
            # The document of the test's application rings `agent`, who is somebody else.
            async with page(carrier.signal_host, token_for(carrier, "agent"), AGENT) as agent:
                await agent.register()
                await agent.until(messages.Ready)
                ringing = asyncio.create_task(carrier.ring_client("agent", "+14155550199"))
                offer = await agent.until(messages.Offer)
                await agent.accept(offer)
                await agent.hears(3)
                await agent.send(messages.Hangup(messages.HangupBody(offer.payload.callsid)))
                return await ringing, offer, agent

    outcome, offer, agent = run(work)
    assert offer.payload.callsid == outcome.child_sid
    assert offer.payload.parameters["To"] == "client:agent"
    assert (outcome.status, outcome.recordings[0].status) == ("completed", "completed")
    said = mulaw.decode(mulaw.encode(AGENT))
    assert len(pieces_heard(said[:8000], mulaw.decode(outcome.sent[Track.OUTBOUND]))) >= MOST
    line = mulaw.decode(mulaw.encode(TECHNICIAN[:8000]))
    assert best_lag(line, mulaw.decode(outcome.sent[Track.INBOUND]))[1] > 0.999
    found = pieces_heard(line, agent.heard)
    assert len(found) >= MOST and found == sorted(found)


@pytest.mark.parametrize("way", ["declines", "ignores", "is too late"])
def test_a_browser_is_rung_and_does_not_answer(way: str) -> None:
    async def work() -> tuple[CallOutcome, Receiver, bool]:
        twiml = (
            "<Response><Dial timeout='1'><Client statusCallback='/leg'"
            " statusCallbackEvent='completed'>ada</Client></Dial></Response>"
        )
        async with house(
            receiver={"twiml": lambda receiver: twiml.replace("/leg", f"{receiver.url}/leg")}
        ) as (
            carrier,
            client,
            got,
        ):
            await client.register()
            await client.until(messages.Ready)
            ringing = asyncio.create_task(carrier.ring_client("ada", "+14155550199"))
            offer = await client.until(messages.Offer)
            sid = offer.payload.callsid
            if way == "declines":
                await client.send(messages.Reject(messages.CallReference(sid)))
            outcome = await ringing
            if way == "is too late":
                await client.accept(offer)
            cancelled = any(isinstance(message, messages.Cancel) for message in client.said)
            return outcome, got, cancelled

    outcome, got, cancelled = run(work)
    assert got.forms("/leg")[0]["CallStatus"] == ("busy" if way == "declines" else "no-answer")
    assert outcome.answered_ms is None
    assert cancelled is (way != "declines")


def test_two_pages_call_at_once() -> None:
    async def work() -> tuple[CallOutcome, ...]:
        async with house() as (carrier, first, _):
            async with page(carrier.signal_host, token_for(carrier, "bob"), voice(31, 2000)) as second:
                sids = [(await answered(client)).payload.callsid for client in (first, second)]
                await asyncio.gather(first.hears(1), second.hears(1))
                # Nobody can end another's call.
                await second.send(messages.Hangup(messages.HangupBody(sids[0])))
                await second.send(messages.Hangup(messages.HangupBody(sids[1])))
                await first.hears(0.5)
                assert len(carrier.browser_outcomes) <= 1
                await first.send(messages.Hangup(messages.HangupBody(sids[0])))
                await outcome_of(carrier)
                return carrier.browser_outcomes

    outcomes = run(work)
    assert {outcome.status for outcome in outcomes} == {"completed"}
    assert len({outcome.call_sid for outcome in outcomes}) == 2


def test_a_stand_in_that_ends_in_mid_call_leaves_nothing_behind() -> None:
    async def work() -> tuple[list[messages.CarrierMessage], Receiver]:
        async with receiving() as got:
            client: BrowserClient
            async with carrier_for(got, signalling=True) as carrier:
                client = BrowserClient(carrier.signal_host, AGENT)
                await client.open(token_for(carrier))
                await client.until(messages.Connected)
                await answered(client)
                await client.hears(0.5)
            await client.close()
            return client.said, got

    said, got = run(work)
    assert isinstance(said[-1], messages.Ended)
    assert not got.forms("/call")


def test_browsers_are_let_in_on_loopback_only() -> None:
    with pytest.raises(SettingsError):
        SimulatedCarrier(CarrierConfig(voice_url="http://127.0.0.1:1/", host="0.0.0.0", signalling=True))
