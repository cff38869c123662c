"""Conferences over TwiML and REST: joining, mixing, hold, and ending."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np
import soundfile
from starlette.websockets import WebSocket

from callreel.audio import mulaw
from callreel.simulator.carrier import SimulatedCarrier
from callreel.simulator.scenario import Technician
from tests.simulator.calling import carrier_for, client_of, voice
from tests.simulator.receiver import Receiver, receiving

FRAME = 160
WAITING = "<Response><Pause length='600'/></Response>"
EVENTS = 'statusCallbackEvent="start end join leave mute hold"'


@dataclass
class Room:
    """A carrier, its REST API, and the application whose callbacks it requests."""

    carrier: SimulatedCarrier
    client: httpx2.AsyncClient
    got: Receiver
    frames: asyncio.Queue[None]

    @property
    def stream(self) -> str:
        """TwiML that streams what the call says, for `pass_time`."""
        return f'<Start><Stream url="wss://127.0.0.1:{self.got.port}/media"/></Start>'

    def twiml(self, options: str = "", after: str = "", before: str = "", dial: str = "") -> str:
        """A document that joins the conference `room`."""
        callback = f'statusCallback="{self.got.url}/conference" {EVENTS}'
        conference = f"<Conference {callback} {options}>room</Conference>"
        return f"<Response>{before}<Dial {dial}>{conference}</Dial>{after}</Response>"

    async def call(self, samples: Any, twiml: str, **fields: str) -> str:
        """Place a recorded call whose phone says `samples`; returns its sid once it is answered."""
        self.carrier.set_technician(Technician(voice=samples, ring_s=0.2))
        data = {"To": "+14155550123", "From": "+14155550100", "Twiml": twiml, "Record": "true"}
        data |= {"RecordingChannels": "dual", "Trim": "do-not-trim"} | fields
        sid: str = (await self.client.post("Calls.json", data=data)).json()["sid"]
        while (await self.client.get(f"Calls/{sid}.json")).json()["status"] != "in-progress":
            pass
        return sid

    async def conference(self, accept: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
        """The newest conference, once it is accepted."""
        while True:
            found = (await self.client.get("Conferences.json")).json()["conferences"]
            if found and accept(found[0]):
                return dict(found[0])

    async def joined(self, number: int) -> None:
        """Wait until that many participants are in the newest conference."""
        path = f"Conferences/{(await self.conference())['sid']}/Participants.json"
        while len((await self.client.get(path)).json()["participants"]) < number:
            pass

    async def end(self) -> None:
        """End the newest conference, after which its calls have nothing more to do."""
        path = f"Conferences/{(await self.conference())['sid']}.json"
        ended = (await self.client.post(path, data={"Status": "completed"})).json()
        assert (ended["status"], ended["reason_conference_ended"]) == (
            "completed",
            "conference-ended-via-api",
        )
        assert ended["call_sid_ending_conference"] is None

    async def pass_time(self, frames: int) -> None:
        """Wait until that many frames of the streamed call have been received."""
        while not self.frames.empty():
            self.frames.get_nowait()
        for _ in range(frames):
            await self.frames.get()

    async def recorded(self, sid: str) -> Any:
        """Both channels of the call's recording, once all calls are over."""
        await self.carrier.wait_for_calls()
        (recording,) = (await self.client.get(f"Recordings.json?CallSid={sid}")).json()["recordings"]
        body = (await self.client.get(f"Recordings/{recording['sid']}.wav")).content
        return soundfile.read(io.BytesIO(body), dtype="int16")[0]

    def events(self) -> list[dict[str, str]]:
        return sorted(self.got.forms("/conference"), key=lambda form: int(form["SequenceNumber"]))


@contextlib.asynccontextmanager
async def conference_room() -> AsyncIterator[Room]:
    frames: asyncio.Queue[None] = asyncio.Queue()

    async def count(socket: WebSocket, message: dict[str, Any]) -> None:
        if message["event"] == "media":
            frames.put_nowait(None)

    async with (
        asyncio.timeout(60),
        receiving(on_message=count) as got,
        carrier_for(got, speed=10.0) as carrier,
        client_of(carrier) as client,
    ):
        yield Room(carrier, client, got, frames)


def positions(channel: Any, samples: Any) -> list[int | None]:
    """Which frame of `samples` each frame of the channel is, None for silence."""
    spoken = mulaw.decode(mulaw.encode(samples)).reshape(-1, FRAME)
    index = {frame.tobytes(): number for number, frame in enumerate(spoken)}
    whole = channel[: len(channel) // FRAME * FRAME].reshape(-1, FRAME)
    return [index[frame.tobytes()] if frame.any() else None for frame in whole]


def stretches(found: list[int | None]) -> int:
    """The number of audible stretches; fails unless all frames are in their places."""
    shifts = {at - number for at, number in enumerate(found) if number is not None}
    assert len(shifts) == 1, "no frame is lost, repeated or moved"
    audible = [False] + [number is not None for number in found]
    return sum(after and not before for before, after in zip(audible, audible[1:], strict=False))


async def test_moved_call_is_mixed_held_and_resumed() -> None:
    first, second = voice(11, 60000), voice(12, 60000)
    async with conference_room() as room:
        moved = await room.call(first, WAITING)
        other = await room.call(second, room.twiml(before=room.stream))
        answer = await room.client.post(f"Calls/{moved}.json", data={"Twiml": room.twiml()})
        assert answer.status_code == 200
        conference = await room.conference(lambda found: found["status"] == "in-progress")
        path = f"Conferences/{conference['sid']}/Participants/{other}.json"
        await room.pass_time(20)
        for hold in ("true", "false"):
            held = await room.client.post(path, data={"Hold": hold})
            assert (held.status_code, held.json()["hold"]) == (200, hold == "true")
            await room.pass_time(20)
        for sid in (moved, other):
            await room.client.post(f"Calls/{sid}.json", data={"Status": "completed"})
        to_moved, to_other = (await room.recorded(moved))[:, 1], (await room.recorded(other))[:, 1]
        assert (await room.conference())["reason_conference_ended"] == "last-participant-left"
        assert stretches(positions(to_moved, second)) == 2
        assert stretches(positions(to_other, first)) == 2
        events = [form["StatusCallbackEvent"].removeprefix("participant-") for form in room.events()]
        assert events[:5] == ["join", "join", "conference-start", "hold", "unhold"]
        assert [form["Hold"] for form in room.events()[3:5]] == ["true", "false"]
        assert all(hook.valid for hook in room.got.webhooks)


async def test_sum_of_several_voices_is_clipped() -> None:
    loud, silent = np.full(480_000, 20000, np.int16), np.zeros(480_000, np.int16)
    async with conference_room() as room:
        listener = await room.call(silent, room.twiml(before=room.stream))
        for _ in range(2):
            await room.call(loud, room.twiml())
        await room.joined(3)
        await room.pass_time(20)
        await room.end()
        received = (await room.recorded(listener))[:, 1]
        assert received.max() == mulaw.decode(mulaw.encode(np.array([32767], np.int16)))[0]
        assert received.min() == 0


async def test_leaving_participant_ends_the_conference() -> None:
    async with conference_room() as room:
        after = room.twiml(dial=f'action="{room.got.url}/action"')
        stays = await room.call(voice(1, 60000), after)
        leaves = await room.call(voice(2, 60000), room.twiml('endConferenceOnExit="true"'), TimeLimit="3")
        ended = await room.conference(lambda found: found["status"] == "completed")
        await room.carrier.wait_for_calls()
        assert ended["reason_conference_ended"] == "participant-with-end-conference-on-exit-left"
        assert ended["call_sid_ending_conference"] == leaves
        (action,) = room.got.forms("/action")
        assert (action["CallSid"], action["DialCallStatus"]) == (stays, "answered")
        assert "DialCallSid" not in action
        *_, first, second, last = room.events()
        assert [form["StatusCallbackEvent"] for form in (first, second)] == ["participant-leave"] * 2
        assert [form["CallSid"] for form in (first, second)] == [leaves, stays]
        assert last["ReasonConferenceEnded"] == ended["reason_conference_ended"]
        assert (last["ConferenceSid"], last["FriendlyName"]) == (ended["sid"], "room")


async def test_conference_waits_for_a_participant_that_starts_it() -> None:
    waits = 'startConferenceOnEnter="false"'
    async with conference_room() as room:
        document = room.twiml(waits, before=room.stream)
        sids = [await room.call(voice(number, 60000), document) for number in (1, 2)]
        await room.pass_time(20)
        assert (await room.conference())["status"] == "init"
        await room.end()
        for sid in sids:
            assert not (await room.recorded(sid))[:, 1].any()
        assert "conference-start" not in {form["StatusCallbackEvent"] for form in room.events()}


async def test_removed_participant_continues_after_the_dial() -> None:
    async with conference_room() as room:
        sid = await room.call(
            voice(1, 60000), room.twiml(after=f"<Redirect>{room.got.url}/action</Redirect>")
        )
        conference = f"Conferences/{(await room.conference())['sid']}"
        path = f"{conference}/Participants/{sid}.json"
        muted = await room.client.post(path, data={"Muted": "true", "EndConferenceOnExit": "true"})
        assert (muted.json()["muted"], muted.json()["end_conference_on_exit"]) == (True, True)
        assert (await room.client.delete(path)).status_code == 204
        assert (await room.client.delete(path)).status_code == 404
        ended = (await room.client.get(f"{conference}.json")).json()
        assert ended["reason_conference_ended"] == "participant-with-end-conference-on-exit-kicked"
        await room.carrier.wait_for_calls()
        assert room.got.forms("/action")[0]["CallSid"] == sid


async def test_rest_lists_ends_and_refuses_conferences() -> None:
    async with conference_room() as room:
        client = room.client
        sid = await room.call(voice(1, 60000), room.twiml())
        conference = await room.conference()
        path = f"Conferences/{conference['sid']}"
        for query, count in (
            ("FriendlyName=room&Status=init", 1),
            ("FriendlyName=other", 0),
            ("Status=completed", 0),
            ("DateCreated<=2020-01-01", 0),
        ):
            listed = (await client.get(f"Conferences.json?{query}")).json()["conferences"]
            assert len(listed) == count, query
        participants = (await client.get(f"{path}/Participants.json?Hold=false")).json()["participants"]
        assert [participant["call_sid"] for participant in participants] == [sid]
        for missing in ("Conferences/CF0.json", "Conferences/CF0/Participants.json"):
            answer = await client.get(missing)
            assert (answer.status_code, answer.json()["code"]) == (404, 20404)
        assert (await client.get(f"{path}/Participants/CA0.json")).status_code == 404
        assert (await client.post(f"{path}.json", data={"Status": "paused"})).status_code == 400
        for each in ("Conferences.json", f"{path}.json", f"{path}/Participants/{sid}.json"):
            answer = await client.get(each, auth=("AC0", "wrong"))
            assert (answer.status_code, answer.json()["code"]) == (401, 20003)
        await room.end()
        assert (await client.get(f"{path}/Participants.json")).json()["participants"] == []
