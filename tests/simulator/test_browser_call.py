"""Calls of a browser through the simulated carrier, over its signalling socket and real WebRTC on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from callreel.audio import mulaw
from callreel.domain.call import Track
from callreel.domain.errors import SettingsError
from callreel.simulator.carrier import CarrierConfig, SimulatedCarrier
from callreel.simulator.scenario import Technician
from callreel.simulator.signalling import messages as messages
from callreel.simulator.signalling.browser_leg import BrowserTimeouts
from tests.simulator.browser_client import (
    BrowserClient,
    best_lag,
    hang_up_by_rest,
    outcome_of,
    page,
    pieces_received,
    token_for,
)
from tests.simulator.calling import carrier_for, voice
from tests.simulator.receiver import Receiver, receiving
from tests.support.installation import eventually

AGENT = voice(11, 1200)
PAUSE = np.zeros(8000, np.int16)
MOST = 8  # pieces of a second that came as they were said; a busy machine may be late with the others
TECHNICIAN = np.concatenate([voice(12, 1000), PAUSE, voice(13, 800), PAUSE])


@contextlib.asynccontextmanager
async def house(
    receiver: dict[str, Any] | None = None, agent: Any = AGENT, **carrier: Any
) -> AsyncIterator[tuple[SimulatedCarrier, BrowserClient, Receiver]]:
    """An application, a simulated carrier with signalling, and a page connected to it."""
    options: dict[str, Any] = {
        "signalling": True,
        "technician": Technician(voice=TECHNICIAN, ring_s=0.5),
        "recording_delay_s": 0.1,
    } | carrier
    async with receiving(**receiver or {}) as got, carrier_for(got, **options) as simulated:
        async with page(simulated.signal_host, token_for(simulated), agent) as client:
            yield simulated, client, got


async def answered(client: BrowserClient, **parameters: str) -> messages.Answered:
    """A call that is answered, its sound flowing."""
    await client.call(**{"To": "+14155550123"} | parameters)
    ringing = await client.until(messages.Ringing)
    await client.take_sdp(ringing.payload.sdp)
    return await client.until(messages.Answered)


async def test_browser_call_is_streamed_and_recorded() -> None:
    async with house() as (carrier, client, got):
        answer = await answered(client, ticket="42", note="a b&c")
        await client.receive_for(3)
        await client.send(messages.Hangup(messages.HangupBody(answer.payload.callsid)))
        outcome, got, answer, client = await outcome_of(carrier), got, answer, client
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
    assert len(pieces_received(said[:8000], inbound)) >= MOST
    cloud = outcome.cloud
    assert cloud is not None
    begins = 8 * (outcome.streams[0].start_ms - outcome.recordings[0].start_ms)
    length = min(len(inbound), len(cloud) - begins)
    assert (cloud[begins : begins + length, 0] == inbound[:length]).all()

    # The technician's first line is on the outbound track, on channel 2, and was received by the person, as it was said.
    outbound = mulaw.decode(outcome.sent[Track.OUTBOUND])
    assert (cloud[begins : begins + length, 1] == outbound[:length]).all()
    line = mulaw.decode(mulaw.encode(TECHNICIAN[:8000]))
    assert best_lag(line, outbound)[1] > 0.999
    found = pieces_received(line, client.received)
    assert len(found) >= MOST and found == sorted(found)


async def test_browser_receives_ringback_before_the_answer() -> None:
    technician = Technician(voice=TECHNICIAN, ring_s=30)
    async with house(technician=technician) as (carrier, client, _):
        await client.call(To="+14155550123")
        ringing = await client.until(messages.Ringing)
        await client.take_sdp(ringing.payload.sdp)
        await client.receive_for(1)
        await client.send(messages.Hangup(messages.HangupBody(ringing.payload.callsid)))
        received, outcome = client.received, await outcome_of(carrier)
    spectrum = np.abs(np.fft.rfft(received[-4000:].astype(float)))
    assert sorted(np.argsort(spectrum)[-2:] * 2) == [440, 480]
    assert (outcome.status, outcome.answered_ms) == ("no-answer", None)


async def test_technician_does_not_answer() -> None:
    technician = Technician(voice=TECHNICIAN, ring_s=0.3, answers=False)
    async with house(technician=technician) as (carrier, client, _):
        await client.call(To="+14155550123")
        ended = await client.until(messages.Ended)
        outcome, ended = await outcome_of(carrier), ended
    assert outcome.status == "no-answer"
    assert ended.payload.error is None


async def test_technician_waits_for_pauses_and_hangs_up_at_the_end() -> None:
    speaks = np.concatenate([np.zeros(8000, np.int16), voice(21, 3000), np.zeros(80000, np.int16)])

    async with house(agent=speaks) as (carrier, client, _):
        await answered(client)
        await client.until(messages.Ended)
        outcome = await outcome_of(carrier)
    outbound, inbound = (mulaw.decode(outcome.sent[track]) for track in (Track.OUTBOUND, Track.INBOUND))
    line, said = (mulaw.decode(mulaw.encode(part)) for part in (TECHNICIAN[16000:22400], speaks[8000:32000]))
    # A busy machine may lose frames on the way, and so single pieces, but neither the rest nor the pause of the audio.
    assert len(pieces_received(line, outbound)) >= 6
    assert len(pieces_received(said, inbound)) >= 24
    line_start, said_end = best_lag(line, outbound)[0], best_lag(said[-4000:], inbound)[0] + 4000
    assert 0.8 < (line_start - said_end) / 8000 < 1.6


async def test_dtmf_mute_and_user_defined_message() -> None:
    async with house() as (carrier, client, _):
        sid = (await answered(client)).payload.callsid
        await client.send(messages.Dtmf(messages.DtmfBody(sid, "12#")))
        await client.send(messages.Dtmf(messages.DtmfBody(sid, "*9")))
        body = messages.UserMessageBody(sid, "KX1", {"a": 1}, "application/json", "user-defined-message")
        await client.send(messages.UserMessage(body))
        ack = await client.until(messages.Ack)
        await eventually(lambda: client.voice.frames_given >= 30)
        client.voice.muted = True
        muted = client.voice.frames_given
        await eventually(lambda: client.voice.frames_given >= muted + 75)
        await client.send(messages.Hangup(messages.HangupBody(sid)))
        outcome, ack = await outcome_of(carrier), ack
    assert outcome.keys == "12#*9"
    assert (ack.payload.ack_type, ack.payload.voice_event_sid) == ("message", "KX1")
    inbound = mulaw.decode(outcome.sent[Track.INBOUND])
    assert inbound.any() and not inbound[-4000:].any()  # a busy machine may lose or delay some of the 1.5 s


async def test_carrier_hangs_up() -> None:
    async with house() as (carrier, client, _):
        sid = (await answered(client)).payload.callsid
        await client.receive_for(0.5)
        await hang_up_by_rest(carrier, sid)
        ended = await client.until(messages.Ended)
        outcome, ended, sid = await outcome_of(carrier), ended, sid
    assert (ended.payload.callsid, ended.payload.error) == (sid, None)
    assert outcome.status == "completed"


async def test_browser_hangs_up_by_temporary_id() -> None:
    async with house() as (carrier, client, got):
        await client.send(messages.Hangup(messages.HangupBody("TJSunknown")))
        sid = await client.call(To="+14155550123")
        await client.send(messages.Hangup(messages.HangupBody(sid)))
        await client.register()
        await client.until(messages.Ready)
        outcome, got = await outcome_of(carrier), got
    assert len(got.forms("/voice")) == 1
    assert outcome.answered_ms is None


async def test_application_refuses_the_call() -> None:
    async with house(receiver={"answers": {"/voice": [500]}}) as (carrier, client, _):
        await client.call(To="+14155550123")
        ended = await client.until(messages.Ended)
        assert (await outcome_of(carrier)).status == "failed"
    assert ended.payload.error is not None and ended.payload.error.code == 31002
    assert ended.payload.callsid.startswith("TJS")


async def test_invalid_sdp_offer_is_refused() -> None:
    async with house() as (carrier, client, got):
        await client.send(messages.Invite(messages.InviteBody("TJS1", "v=0\r\nno sdp")))
        ended = await client.until(messages.Ended)
        await carrier.wait_for_calls()
        assert not got.webhooks
    assert (ended.payload.callsid, ended.payload.error is not None) == ("TJS1", True)


async def test_call_is_resumed_after_a_closed_socket() -> None:
    async with house() as (carrier, client, _):
        payload = (await answered(client)).payload
        await client.receive_for(0.5)
        await client.drop()
        await client.receive_for(0.3)  # sound does not go over the socket
        await client.open(token_for(carrier))
        await client.until(messages.Connected)
        await client.send(messages.Invite(messages.InviteBody(payload.callsid, "v=0", "wrong")))
        wrong = await client.until(messages.Ended)
        assert wrong.payload.error is not None and wrong.payload.error.code == 31404
        await client.send(messages.Invite(messages.InviteBody(payload.callsid, "v=0", payload.reconnect)))
        again = await client.until(messages.Answered)
        assert (again.payload.callsid, again.payload.sdp) == (payload.callsid, "")
        await client.receive_for(0.5)
        await client.send(messages.Hangup(messages.HangupBody(payload.callsid)))
        outcome = await outcome_of(carrier)
        await client.send(messages.Invite(messages.InviteBody(payload.callsid, "v=0", payload.reconnect)))
        assert (await client.until(messages.Ended)).payload.error is None
        outcome, sid = outcome, payload.callsid
    assert (outcome.call_sid, outcome.status) == (sid, "completed")
    assert outcome.duration_ms - (outcome.answered_ms or 0) > 1000


async def test_call_ends_without_resumption() -> None:
    async with house(browser_timeouts=BrowserTimeouts(resume_s=0.3)) as (carrier, client, _):
        await answered(client)
        await client.drop()
        result = await outcome_of(carrier)
    assert result.status == "completed"


async def test_call_without_media_ends() -> None:
    async with house(browser_timeouts=BrowserTimeouts(media_s=0.3)) as (_, client, _):
        await client.call(To="+14155550123")
        await client.until(messages.Answered)  # and its SDP is not taken
        ended = await client.until(messages.Ended)
    assert ended.payload.error is not None and ended.payload.error.code == 53405


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"now": datetime(2020, 1, 1, tzinfo=UTC)}, 31205),
        ({"incoming": False}, 31201),
    ],
)
async def test_token_without_registration_grant_is_refused(options: dict[str, Any], code: int) -> None:
    async with receiving() as got, carrier_for(got, signalling=True) as carrier:
        client = BrowserClient(carrier.signal_host, AGENT)
        await client.open(token_for(carrier, **options))
        await client.register()
        fault = await client.until(messages.Fault)
        await client.close()
        result = fault.payload.error.code
    assert result == code


async def test_invalid_token_and_message_before_a_token() -> None:
    async with receiving() as got, carrier_for(got, signalling=True) as carrier:
        client = BrowserClient(carrier.signal_host, AGENT)
        await client.open("not-a-jwt")
        first = await client.until(messages.Fault)
        await client.register()
        second = await client.until(messages.Fault)
        await client.send(messages.Listen(messages.ListenBody(token_for(carrier))))
        await client.until(messages.Connected)
        await client.close()
        result = [fault.payload.error.code for fault in (first, second)]
    assert result == [31204, 31204]


async def test_token_of_another_application_is_refused() -> None:
    async with receiving() as got, carrier_for(got, signalling=True) as carrier:
        token = token_for(carrier, application_sid="AP" + "f" * 32)
        async with page(carrier.signal_host, token, AGENT) as client:
            await client.call(To="+14155550123")
            ended = await client.until(messages.Ended)
            assert not got.webhooks
    assert ended.payload.error is not None and ended.payload.error.code == 31201


async def test_token_renewal_heartbeats_and_unregistration() -> None:
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
        result = client
    assert result.beats > 0


async def test_browser_is_rung_and_answers() -> None:
    async with house(receiver={"direction": "incoming"}) as (carrier, client, _):
        await client.register()
        await client.until(messages.Ready)
        # The document of the test's application rings `agent`, another identity.
        async with page(carrier.signal_host, token_for(carrier, "agent"), AGENT) as agent:
            await agent.register()
            await agent.until(messages.Ready)
            ringing = asyncio.create_task(carrier.ring_client("agent", "+14155550199"))
            offer = await agent.until(messages.Offer)
            await agent.accept(offer)
            await agent.receive_for(3)
            await agent.send(messages.Hangup(messages.HangupBody(offer.payload.callsid)))
            outcome, offer, agent = await ringing, offer, agent
    assert offer.payload.callsid == outcome.child_sid
    assert offer.payload.parameters["To"] == "client:agent"
    assert (outcome.status, outcome.recordings[0].status) == ("completed", "completed")
    said = mulaw.decode(mulaw.encode(AGENT))
    assert len(pieces_received(said[:8000], mulaw.decode(outcome.sent[Track.OUTBOUND]))) >= MOST
    line = mulaw.decode(mulaw.encode(TECHNICIAN[:8000]))
    assert best_lag(line, mulaw.decode(outcome.sent[Track.INBOUND]))[1] > 0.999
    found = pieces_received(line, agent.received)
    assert len(found) >= MOST and found == sorted(found)


@pytest.mark.parametrize("way", ["declines", "ignores", "is too late"])
async def test_browser_is_rung_and_does_not_answer(way: str) -> None:
    twiml = (
        "<Response><Dial timeout='1'><Client statusCallback='/leg'"
        " statusCallbackEvent='completed'>ada</Client></Dial></Response>"
    )
    async with house(receiver={"twiml": lambda receiver: twiml.replace("/leg", f"{receiver.url}/leg")}) as (
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
    assert got.forms("/leg")[0]["CallStatus"] == ("busy" if way == "declines" else "no-answer")
    assert outcome.answered_ms is None
    assert cancelled is (way != "declines")


async def test_first_of_two_rung_browsers_to_accept_is_bridged() -> None:
    def twiml(got: Receiver) -> str:
        report = f"statusCallbackEvent='ringing completed' statusCallback='{got.url}"
        clients = f"<Client {report}/a'>ada</Client><Client {report}/b'>bob</Client>"
        return f"<Response><Dial timeout='20'>{clients}</Dial></Response>"

    async with house(receiver={"twiml": twiml}) as (carrier, ada, got):
        async with page(carrier.signal_host, token_for(carrier, "bob"), AGENT) as bob:
            for client in (ada, bob):
                await client.register()
                await client.until(messages.Ready)
            ringing = asyncio.create_task(carrier.ring_client("bob", "+14155550199"))
            await ada.until(messages.Offer)
            offer = await bob.until(messages.Offer)
            await bob.accept(offer)
            await ada.until(messages.Cancel)
            await bob.receive_for(1)
            await bob.send(messages.Hangup(messages.HangupBody(offer.payload.callsid)))
            outcome = await ringing
    assert outcome.child_sid == offer.payload.callsid
    assert [form["CallStatus"] for form in got.forms("/a")] == ["ringing", "canceled"]
    assert [form["CallStatus"] for form in got.forms("/b")] == ["ringing", "completed"]


async def test_two_browsers_call_concurrently() -> None:
    async with house() as (carrier, first, _):
        async with page(carrier.signal_host, token_for(carrier, "bob"), voice(31, 2000)) as second:
            sids = [(await answered(client)).payload.callsid for client in (first, second)]
            await asyncio.gather(first.receive_for(1), second.receive_for(1))
            # A browser cannot end the call of another one.
            await second.send(messages.Hangup(messages.HangupBody(sids[0])))
            await second.send(messages.Hangup(messages.HangupBody(sids[1])))
            await first.receive_for(0.5)
            assert len(carrier.browser_outcomes) <= 1
            await first.send(messages.Hangup(messages.HangupBody(sids[0])))
            await outcome_of(carrier)
            outcomes = carrier.browser_outcomes
    assert {outcome.status for outcome in outcomes} == {"completed"}
    assert len({outcome.call_sid for outcome in outcomes}) == 2


async def test_carrier_that_stops_during_a_call_leaves_no_task() -> None:
    async with receiving() as got:
        client: BrowserClient
        async with carrier_for(got, signalling=True) as carrier:
            client = BrowserClient(carrier.signal_host, AGENT)
            await client.open(token_for(carrier))
            await client.until(messages.Connected)
            await answered(client)
            await client.receive_for(0.5)
        await client.close()
        said, got = client.said, got
    assert isinstance(said[-1], messages.Ended)
    assert not got.forms("/call")


def test_signalling_is_available_on_loopback_only() -> None:
    with pytest.raises(SettingsError):
        SimulatedCarrier(CarrierConfig(voice_url="http://127.0.0.1:1/", host="0.0.0.0", signalling=True))
