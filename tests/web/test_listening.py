"""Listening along: the newest audio of a live call, both parties mixed; who may, how it ends, and its line in the audit trail."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from callreel.audio import mulaw
from callreel.audio.samples import Samples
from callreel.cluster.event_bus import EventBus
from callreel.domain.audit import AuditAction, AuditEvent
from callreel.domain.call import CallState, Role, Track
from callreel.ingest.lane import Lane, LanePaths
from callreel.ingest.paused_time import PausedTime
from callreel.runtime.clock import Clock
from callreel.store.audio.live_audio import MOST_BEHIND_MS, LiveAudio
from callreel.store.audit import accesses
from callreel.store.calls import calls
from callreel.store.encryption.sealed_file import FileKeys
from callreel.store.files.blobs import BlobStore
from callreel.twilio.stream import Frame
from callreel.web.api.listening import Listener
from callreel.web.app import WebOptions
from callreel.web.auth.auditor import Auditor
from tests.ingest.test_lane import Listening
from tests.support.encryption import Keys
from tests.support.installation import eventually, frames, speech
from tests.support.seed import DONE, LIVE, NOON, Seed
from tests.web.conftest import As, MakeApp, browser_of

BEGAN_MS = 1_200
ADDRESS = f"/calls/{LIVE}/listen"


@dataclass
class Capture:
    """The two lanes of the seeded live call, which continue where its files end."""

    lanes: dict[Role, Lane]
    paused: PausedTime
    at_ms: int = BEGAN_MS

    def speak(self, duration_ms: int) -> bytes:
        """Both parties speak; what a listener gets of it."""
        said = {role: speech(duration_ms, seed=self.at_ms + n) for n, role in enumerate(Role)}
        for role, lane in self.lanes.items():
            placed = frames(said[role], first_ms=self.at_ms - BEGAN_MS)
            lane.place([Frame(Track.INBOUND, at_ms, payload) for at_ms, payload in placed])
        self.at_ms += duration_ms
        return mixed(list(said.values()))


def mixed(parties: list[Samples]) -> bytes:
    total = np.sum(parties, axis=0, dtype=np.int32)
    return mulaw.encode(np.clip(total, -32_768, 32_767).astype(np.int16))


@contextmanager
def capturing(place: Seed, keys: FileKeys | None = None) -> Iterator[Capture]:
    paused = PausedTime()
    folder = place.blobs.path("audio_recordings")
    lanes = {}
    for role in Role:
        stem = f"{role}_{LIVE}_20261122T120000Z"
        paths = LanePaths(Path(folder, f"{stem}_8000Hz.wav"), Path(folder, f"{stem}_16000Hz.wav"))
        lanes[role] = Lane(role, paths, Listening(), block_ms=160, paused=paused, keys=keys)
        lanes[role].begin(BEGAN_MS)
    yield Capture(lanes, paused)
    for lane in lanes.values():
        lane.end()


def test_both_parties_are_mixed_from_now_on_and_pauses_are_silent(place: Seed) -> None:
    audio = LiveAudio(place.database, place.blobs, LIVE)
    with capturing(place) as capture:
        assert audio.newest() == b""
        said = capture.speak(480)
        assert (audio.newest(), audio.newest()) == (said, b"")
        capture.paused.begin(capture.at_ms * 8)
        capture.speak(320)
        assert audio.newest() == bytes([mulaw.SILENCE]) * 320 * 8
        with place.database.write() as conn:
            calls.set_state(conn, LIVE, CallState.ENDED, NOON)
        capture.speak(160)
        assert audio.newest() is None


def test_newest_audio_is_given_although_the_growing_files_are_encrypted(place: Seed) -> None:
    keys = Keys()
    folder = place.blobs.path("audio_recordings")
    for path in folder.glob(f"*_{LIVE}_*"):
        path.unlink()
    audio = LiveAudio(place.database, BlobStore(place.blobs.root, keys=keys), LIVE)
    with capturing(place, keys) as capture:
        assert audio.newest() == b""
        for duration_ms in (160, 480, 800):
            said = capture.speak(duration_ms)
            assert audio.newest() == said
        heads = [path.read_bytes()[:4] for path in folder.glob(f"*_{LIVE}_*")]
    assert len(heads) == 4 and b"RIFF" not in heads


async def test_listener_that_does_not_read_neither_delays_frames_nor_gets_old_ones(place: Seed) -> None:
    listener = a_listener(place, place.bus)
    blocks = listener.blocks()
    with capturing(place) as capture:
        listener.audio.newest()
        said = capture.speak(480)
        assert await anext(blocks) == said
        # From here on nothing is read, as when the client's connection takes no more.
        for _ in range(60):
            said = capture.speak(1_000)
        assert {lane.samples for lane in capture.lanes.values()} == {capture.at_ms * 8}
        assert await anext(blocks) == said[-MOST_BEHIND_MS * 8 :]
        with place.database.write() as conn:
            calls.set_state(conn, LIVE, CallState.ENDED, NOON)
        with pytest.raises(StopAsyncIteration):
            await anext(blocks)
    with place.database.read() as conn:
        [access] = accesses.still_open(conn, LIVE, limit=9)
    sent = [[BEGAN_MS, BEGAN_MS + 480], [capture.at_ms - MOST_BEHIND_MS, capture.at_ms]]
    assert (access.action, access.actor, [list(span) for span in access.spans]) == ("listened", "sam", sent)


@pytest.mark.parametrize("end", ["session", "server"])
async def test_stream_ends_with_the_session_and_with_the_server(place: Seed, end: str) -> None:
    bus, allowed = EventBus(), [True]
    listener = a_listener(place, bus, allowed)
    waiting = asyncio.ensure_future(anext(listener.blocks()))
    await eventually(lambda: bus.has_listeners(LIVE))
    allowed[0] = end != "session"
    if end == "session":
        bus.resync()
    else:
        bus.close()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(waiting, 10)


def a_listener(place: Seed, bus: EventBus, allowed: list[bool] | None = None) -> Listener:
    async def still_allowed() -> bool:
        return allowed is None or allowed[0]

    event = AuditEvent(NOON, AuditAction.LISTENED, "sam", call_id=LIVE, subject="live")
    auditor = Auditor(place.database, Clock())
    return Listener(LiveAudio(place.database, place.blobs, LIVE), bus, auditor, event, still_allowed)


def test_refusals_say_why(signed_in: As, make_app: MakeApp, place: Seed) -> None:
    sam = signed_in("sam")
    for person in ("maria", "zoe"):
        assert signed_in(person).get(ADDRESS).status_code in (403, 404)
    assert signed_in("maria").get(ADDRESS).status_code == 403, "also for the agent of the call"
    over = sam.get(f"/calls/{DONE}/listen")
    assert (over.status_code, over.json()["error"]["message"]) == (
        409,
        "The call is over; play its recording instead.",
    )
    strict = browser_of(make_app(WebOptions(playback_reason=True)), place, "sam")
    assert strict.get(ADDRESS).json()["error"]["code"] == "reason_required"
    for path in place.blobs.path("audio_recordings").glob(f"*_{LIVE}_*"):
        path.unlink()
    elsewhere = sam.get(ADDRESS)
    assert (elsewhere.status_code, elsewhere.json()["error"]["message"]) == (
        409, "The audio of this call cannot be read here: another machine records it.",
    )  # fmt: skip
    with place.database.read() as conn:
        assert accesses.still_open(conn, LIVE, limit=9) == []
