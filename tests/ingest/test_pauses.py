"""A paused call: silence in its lanes, whatever was on its way; the carrier too, or the row says why not."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
from benchmarks.chaos_audit import read_samples

from callreel.carrier_client.client import CarrierRecordings
from callreel.carrier_client.rest import CarrierAccess
from callreel.domain.call import Role
from callreel.domain.consent import Mode, Stamp
from callreel.domain.errors import StoreError
from callreel.domain.events import EventKind
from callreel.domain.ids import CallId
from callreel.domain.pause import CarrierPause, PauseCause, PauseEnd
from callreel.domain.recording import CloudState
from callreel.ingest import pause_control
from callreel.ingest.live_pauses import EXPECT_S, LivePauses
from callreel.ingest.pause_control import PauseControl, PauseError, PauseServices
from callreel.ingest.paused_time import PausedTime
from callreel.store.calls import consents, pauses, recordings
from callreel.store.calls.pauses import PauseRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.calls.streams import EndedBy
from callreel.store.encryption.sealed_file import FileKeys
from callreel.twilio.stream import Frame
from tests.support.encryption import Keys
from tests.support.installation import (
    ACCOUNT,
    Installation,
    LiveSide,
    QuickHost,
    eventually,
    frames,
    leg,
    live_side,
    silence,
    speech,
)
from tests.support.recorded_call import SID
from tests.support.rest_server import Answer, RestServer, rest_server
from tests.support.streams import AGENT, CALL, TECHNICIAN, joined, layer, layer_1, play, tokens

CURRENT = f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{leg(1)}/Recordings/Twilio.CURRENT.json"
PAUSED, RESUMED = b"Status=paused&PauseBehavior=silence", b"Status=in-progress"
OK, REFUSED, BROKEN = Answer(200, b"{}"), Answer(400, b'{"code": 21220}'), Answer(503)


@dataclass(slots=True)
class Paused:
    """A live call with its services, and the carrier's answers."""

    installation: Installation
    live: LiveSide
    control: PauseControl
    silencing: LivePauses
    server: RestServer

    async def pause(self, cause: PauseCause = PauseCause.PERSON) -> PauseRow:
        return await asyncio.to_thread(self.control.pause, CALL, cause, "maria")

    async def resume(self) -> PauseRow:
        return await asyncio.to_thread(self.control.resume, CALL, PauseEnd.PERSON)

    @property
    def rows(self) -> list[PauseRow]:
        return rows(self.installation)

    @property
    def asked(self) -> list[bytes]:
        return [seen.body for seen in self.server.seen]


def rows(installation: Installation) -> list[PauseRow]:
    with installation.database.read() as conn:
        return pauses.of_call(conn, CALL)


@contextmanager
def carrier_of(server: RestServer) -> Iterator[CarrierRecordings]:
    carrier = CarrierRecordings(CarrierAccess(server.url, ACCOUNT, "SK1", "secret", timeout_s=5))
    try:
        yield carrier
    finally:
        carrier.close()


@asynccontextmanager
async def pausing(
    installation: Installation,
    *answers: Answer,
    max_s: float | None = None,
    host: QuickHost | None = None,
    keys: FileKeys | None = None,
) -> AsyncIterator[Paused]:
    with rest_server() as server, carrier_of(server) as carrier:
        server.put(CURRENT, *(answers or (OK,)))
        async with live_side(installation, host=host, keys=keys) as live:
            silencing = LivePauses(
                live.registry, installation.database, installation.commits, installation.clock
            )

            def notify(paused: bool, call_id: CallId, announcement: str) -> None:
                (silencing.begun if paused else silencing.changed)(call_id, announcement)

            services = PauseServices(
                installation.database, installation.publisher, installation.clock, carrier, notify, max_s
            )
            yield Paused(installation, live, PauseControl(services), silencing, server)
            await silencing.close()


def test_only_samples_of_a_stretch_become_silence() -> None:
    time, samples = PausedTime(), np.arange(1, 11, dtype=np.int16)
    assert time.silenced(0, samples) is samples
    time.begin(14)
    assert time.open and time.silenced(0, samples) is samples
    assert time.silenced(10, samples).tolist() == [1, 2, 3, 4, 0, 0, 0, 0, 0, 0]
    time.finish(18)
    time.begin(16)  # pauses do not overlap
    time.finish(19)
    assert time.silenced(10, samples).tolist() == [1, 2, 3, 4, 0, 0, 0, 0, 0, 10]
    assert samples.all(), "the listener's array is not changed"


async def test_paused_audio_is_silence_in_both_layers_and_the_rest_is_exact(
    installation: Installation,
) -> None:
    (token,) = tokens(installation)
    before, secret, after = speech(1_000), speech(800, seed=2), speech(700, seed=3)
    async with pausing(installation) as call:
        stream = await joined(call.live, token)
        installation.clock.step(1.0)
        play(stream, AGENT, before)
        play(stream, TECHNICIAN, before[: 990 * 8])  # its last frame is on its way
        paused = await call.pause()
        assert (paused.start_ms, paused.carrier, paused.warning) == (1_000, CarrierPause.PAUSED, None)
        installation.clock.step(0.8)
        for track in (AGENT, TECHNICIAN):
            play(stream, track, secret, first_ms=1_000)
        resumed = await call.resume()
        assert (resumed.end_ms, resumed.carrier_resumed, resumed.ended_by) == (1_800, True, PauseEnd.PERSON)
        for track in (AGENT, TECHNICIAN):
            play(stream, track, after, first_ms=1_800)
        await stream.close(EndedBy.STOP)
    assert call.asked == [PAUSED, RESUMED]
    whole = np.concatenate([before, silence(800), after])
    assert np.array_equal(layer_1(installation, Role.AGENT), whole)
    assert np.array_equal(layer_1(installation, Role.TECHNICIAN)[1_000 * 8 :], whole[1_000 * 8 :])
    path = next((installation.blobs.root / "audio_recordings").glob("agent_*_16000Hz.wav"))
    wide = layer(path, 16_000)
    assert wide.size == whole.size * 2
    assert not wide[1_010 * 16 : 1_790 * 16].any(), "up to the reach of the resampling filter"
    stored = [event for event in installation.stored_events() if event.kind is EventKind.PAUSE]
    assert [bool(event.data["paused"]) for event in stored] == [True, True, True, False, False, False]
    files = [path.read_bytes() for path in installation.folder.rglob("*") if path.is_file()]
    assert any(before[:80].tobytes() in file for file in files)
    assert not any(secret[at : at + 80].tobytes() in file for file in files for at in (0, 3_000, 6_000))


async def test_audio_on_its_way_when_a_pause_ends_stays_out(installation: Installation) -> None:
    """A stall: what was said during the pause arrives after it."""
    (token,) = tokens(installation)
    async with pausing(installation) as call:
        stream = await joined(call.live, token)
        installation.clock.step(0.5)
        play(stream, AGENT, speech(500))
        await call.pause()
        installation.clock.step(1.0)  # nothing arrives
        assert (await call.resume()).end_ms == 1_500
        play(stream, AGENT, speech(2_000, seed=2), first_ms=500)
        await stream.close(EndedBy.STOP)
    kept = layer_1(installation, Role.AGENT)
    assert kept[: 500 * 8].any() and not kept[500 * 8 : 1_500 * 8].any() and kept[1_500 * 8 :].any()


async def test_late_and_held_frames_of_a_pause_are_silent(installation: Installation) -> None:
    (token,) = tokens(installation)
    said = dict(frames(speech(1_200)))
    async with pausing(installation) as call:
        stream = await joined(call.live, token)

        def place(*timestamps: int) -> None:
            stream.place([Frame(AGENT, at, said[at]) for at in timestamps])

        installation.clock.step(0.5)
        place(*range(0, 480, 20), 500)  # 480 is late; 500 is held
        await call.pause()
        installation.clock.step(0.44)
        place(480, *range(520, 900, 20), 920)
        await call.resume()
        place(900, *range(940, 1_200, 20))
        await stream.close(EndedBy.STOP)
    kept = layer_1(installation, Role.AGENT)
    expected = speech(1_200).copy()
    expected[520 * 8 : 940 * 8] = 0
    assert np.array_equal(kept, expected)


async def test_encrypted_pause_with_a_stall_reordered_frames_and_a_cut_socket(
    installation: Installation,
) -> None:
    """The socket breaks within the pause; another stream continues the encrypted files, still paused."""
    first, second = tokens(installation, 2)
    keys, said = Keys(), dict(frames(speech(1_200)))
    async with pausing(installation, keys=keys) as call:
        stream = await joined(call.live, first)

        def place(*timestamps: int) -> None:
            stream.place([Frame(AGENT, at, said[at]) for at in timestamps])

        installation.clock.step(0.4)
        place(*range(0, 300, 20), 320, 300, *range(340, 400, 20))
        assert (await call.pause()).start_ms == 400
        installation.clock.step(0.4)  # a stall
        place(420, 400, *range(440, 800, 20))
        await stream.close(EndedBy.SOCKET)
        again = await joined(call.live, second, number=2)
        installation.clock.step(0.3)
        play(again, AGENT, speech(300, seed=2))
        resumed = await call.resume()
        assert resumed.end_ms is not None
        rest = speech(600, seed=3)
        installation.clock.step(0.6)
        play(again, AGENT, rest, first_ms=300)
        await again.close(EndedBy.STOP)
    folder = installation.blobs.root / "audio_recordings"
    (kept,) = (read_samples(path, keys) for path in folder.glob("agent_*_8000Hz.wav"))
    assert np.array_equal(kept[: 400 * 8], speech(1_200)[: 400 * 8])
    assert not kept[400 * 8 : resumed.end_ms * 8].any()
    assert np.array_equal(kept[-300 * 8 :], rest[-300 * 8 :])
    files = [path.read_bytes() for path in folder.iterdir()]
    spoken = [audio[at : at + 80].tobytes() for audio in (speech(1_200), rest) for at in range(0, 4_000, 800)]
    assert len(files) >= 4 and not any(piece in file for file in files for piece in spoken)


async def test_words_and_levels_of_a_pause_do_not_exist(installation: Installation) -> None:
    """A segment that is open when the pause begins ends there; a segment within it is never decoded."""
    (token,) = tokens(installation)
    async with pausing(installation, host=QuickHost()) as call:
        stream = await joined(call.live, token)
        installation.clock.step(0.9)
        play(stream, AGENT, speech(900))
        await call.pause()
        installation.clock.step(3)
        play(stream, AGENT, speech(3_000, seed=2), first_ms=900)
        await call.resume()
        play(stream, AGENT, silence(600), first_ms=3_900)
        await stream.close(EndedBy.STOP)
        await eventually(lambda: call.live.host.finals)
        (final,) = call.live.host.finals
        assert final[: 850 * 16].any() and not final[910 * 16 :].any()
        levels = [event.data for event in installation.published if event.kind is EventKind.LEVEL]
        assert levels[-1]["agent_dbfs"] == levels[-1]["technician_dbfs"]


@pytest.mark.parametrize(
    ("answers", "state", "warned", "after"),
    [
        ([REFUSED, OK], CarrierPause.REFUSED, True, [PAUSED]),
        ([BROKEN, OK], CarrierPause.AWAY, True, [PAUSED, PAUSED, RESUMED]),
        ([Answer(404), OK], CarrierPause.NONE, False, [PAUSED]),
    ],
)
async def test_a_carrier_that_does_not_pause_is_reported(
    installation: Installation, answers: list[Answer], state: CarrierPause, warned: bool, after: list[bytes]
) -> None:
    (token,) = tokens(installation)
    async with pausing(installation, *answers) as call:
        await joined(call.live, token)
        row = await call.pause()
        assert (row.carrier, row.start_ms, bool(row.warning)) == (state, 0, warned)
        events = [event.data for event in installation.stored_events() if event.kind is EventKind.PAUSE]
        assert any(bool(event["warning"]) is warned and event["carrier"] == state for event in events)
        installation.clock.step(1.5)
        await asyncio.to_thread(call.control.sweep)
        if state is CarrierPause.AWAY:
            assert call.rows[0].carrier is CarrierPause.PAUSED, "asked again"
        resumed = await call.resume()
        assert resumed.carrier_resumed
        assert call.asked == after


async def test_a_pause_ends_at_its_maximum_length(installation: Installation) -> None:
    (token,) = tokens(installation)
    async with pausing(installation, OK, BROKEN, OK, max_s=60) as call:
        stream = await joined(call.live, token)
        await call.pause()
        installation.clock.step(59)
        await asyncio.to_thread(call.control.sweep)
        assert call.rows[0].ended_at is None
        installation.clock.step(1)
        await asyncio.to_thread(call.control.sweep)  # the carrier is away
        await eventually(lambda: call.rows[0].end_ms)
        (row,) = call.rows
        assert row.ended_by is PauseEnd.LIMIT and not row.carrier_resumed and row.warning
        installation.clock.step(1)
        await asyncio.to_thread(call.control.sweep)
        assert call.rows[0].carrier_resumed and call.rows[0].warning is None
        assert call.asked == [PAUSED, RESUMED, RESUMED]
        assert not stream.call.paused.open


async def test_a_paused_call_stays_paused_in_the_process_that_continues_it(
    installation: Installation,
) -> None:
    first, second = tokens(installation, 2)
    async with pausing(installation) as call:
        stream = await joined(call.live, first)
        installation.clock.step(0.5)
        play(stream, AGENT, speech(500))
        await call.pause()
        await stream.close(EndedBy.SERVER)
    installation.clock.step(0.5)
    async with pausing(installation) as call:
        stream = await joined(call.live, second, number=2)
        installation.clock.step(0.4)
        play(stream, AGENT, speech(400, seed=2))
        resumed = await call.resume()
        assert resumed.start_ms == 500 and resumed.end_ms == 1_400
        play(stream, AGENT, speech(200, seed=3), first_ms=400)
        await stream.close(EndedBy.STOP)
    kept = layer_1(installation, Role.AGENT)
    assert not kept[500 * 8 : 1_400 * 8].any() and np.array_equal(kept[1_400 * 8 :], speech(200, seed=3))


async def test_silence_does_not_wait_for_the_database(installation: Installation) -> None:
    (token,) = tokens(installation)
    async with pausing(installation) as call:
        stream = await joined(call.live, token)
        with installation.database.write():
            waiting = asyncio.create_task(call.pause())
            await eventually(lambda: stream.call.is_paused)
            assert not waiting.done()
        assert (await waiting).start_ms == 0
        await call.resume()
        await eventually(lambda: not stream.call.paused.open)
        # Announced, but never stored: another process failed to pause.
        call.silencing.begun(CALL, "failed")
        await eventually(lambda: stream.call.is_paused)
        call.silencing.changed(CALL, "failed")
        await eventually(lambda: not stream.call.paused.open)


async def test_a_missed_message_is_found_in_the_rows(installation: Installation) -> None:
    (token,) = tokens(installation)
    async with pausing(installation) as call:
        stream = await joined(call.live, token)
        installation.clock.step(0.3)
        play(stream, AGENT, speech(300))
        with installation.database.write() as conn:
            pauses.begin(conn, CALL, PauseCause.PERSON, "maria", installation.clock.now())
        await call.silencing.reconcile()
        assert stream.call.is_paused and rows(installation)[0].start_ms == 300
        with installation.database.write() as conn:
            pauses.end(conn, CALL, PauseEnd.PERSON, installation.clock.now())
        await call.silencing.reconcile()
        assert not stream.call.paused.open and rows(installation)[0].end_ms == 300


async def test_silence_without_a_row_is_healed_from_the_rows(installation: Installation) -> None:
    """The pause failed, and the database was away when the process was to read that."""
    (token,) = tokens(installation)
    async with pausing(installation) as call:
        stream = await joined(call.live, token)

        def silent() -> bool:
            return stream.call.paused.open

        def away(call_id: CallId) -> list[PauseRow]:
            raise StoreError("away")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(call.silencing, "_of_call", away)
            call.silencing.begun(CALL, "failed")
            call.silencing.changed(CALL, "failed")
            await eventually(silent)
            await call.silencing.close()
        assert silent() and not call.rows
        await call.silencing.reconcile()
        assert not silent()
        # Nor does a silence stay that began before the call had lanes.
        lanes, stream.call.lanes = stream.call.lanes, {}
        call.silencing._begun(CALL, "early")
        installation.clock.step(EXPECT_S)
        await call.silencing.reconcile()
        assert silent(), "its position is not known"
        stream.call.lanes = lanes
        await call.silencing.reconcile()
        assert not silent()


async def test_older_rows_do_not_undo_newer_ones(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow read of the rows from before the pause ends after the row is stored."""
    (token,) = tokens(installation)
    async with pausing(installation) as call:
        await joined(call.live, token)
        read, reading, release = call.silencing._of_call, threading.Event(), threading.Event()
        reads: list[int] = []

        def slow(call_id: CallId) -> list[PauseRow]:
            found = read(call_id)
            reads.append(len(found))
            if not reading.is_set():
                reading.set()
                release.wait(20)
            return found

        monkeypatch.setattr(call.silencing, "_of_call", slow)
        ends: list[int] = []
        monkeypatch.setattr(PausedTime, "finish", lambda time, at: ends.append(at))
        call.silencing._begun(CALL, "slow")
        await eventually(reading.is_set)
        with installation.database.write() as conn:
            pauses.begin(conn, CALL, PauseCause.PERSON, "maria", installation.clock.now())
        call.silencing._settle_soon(CALL, "slow")
        for _turn in range(20):
            await asyncio.sleep(0)
        assert reads == [0], "one at a time"
        release.set()
        await call.silencing.close()
        assert (reads, ends) == ([0, 1], []) and call.rows[0].start_ms == 0


async def test_each_announcement_has_its_own_time(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    (token,) = tokens(installation)
    async with pausing(installation) as call:
        stream = await joined(call.live, token)
        timers: list[Callable[[], None]] = []
        loop = asyncio.get_running_loop()

        def call_later(after_s: float, run: Callable[[CallId], None], call_id: CallId) -> None:
            assert after_s == EXPECT_S
            timers.append(partial(run, call_id))

        with monkeypatch.context() as patch:
            patch.setattr(loop, "call_later", call_later)
            call.silencing._begun(CALL, "one")
            installation.clock.step(EXPECT_S - 1)
            call.silencing._begun(CALL, "two")  # of another pause; the call is silent without a row
        installation.clock.step(1)
        timers[0]()
        await call.silencing.close()
        assert stream.call.paused.open
        installation.clock.step(EXPECT_S - 1)
        timers[1]()
        await call.silencing.close()
        assert not stream.call.paused.open


async def test_only_the_announcement_silences_without_a_row(installation: Installation) -> None:
    """A resume that comes before the pause's answer is not undone by what the pause still sends."""
    (token,) = tokens(installation)
    async with pausing(installation) as call:
        await joined(call.live, token)
        sent: list[tuple[bool, int]] = []

        def notify(announced: bool, call_id: CallId, _announcement: str) -> None:  # no process reads the rows
            sent.append((announced, len(call.rows)))

        services = replace(call.control._services, notify=notify)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pause_control, "CONFIRM_S", 0.3)
            control = PauseControl(services)
            row = await asyncio.to_thread(control.pause, CALL, PauseCause.PERSON, "maria")
        assert row.start_ms is None
        assert sent[:2] == [(True, 0), (False, 1)] and set(sent[2:]) == {(False, 1)}


async def test_late_resume_does_not_end_the_silence_of_a_newer_announcement(
    installation: Installation,
) -> None:
    (token,) = tokens(installation)
    async with pausing(installation) as call:
        stream = await joined(call.live, token)
        await call.pause()
        newer: list[str] = []

        def late(announced: bool, call_id: CallId, announcement: str) -> None:
            """Between the commit of the resume and its message a person pauses again."""
            newer.append(call.control.announce(CALL))
            call.silencing.changed(call_id, announcement)

        resuming = PauseControl(replace(call.control._services, notify=late))
        await asyncio.to_thread(resuming._resume_here, CALL, PauseEnd.PERSON)
        await call.silencing.close()
        assert stream.call.is_paused and call.rows[-1].ended_at is not None
        call.silencing.changed(CALL, newer[0])  # it failed
        await eventually(lambda: not stream.call.paused.open)


async def test_a_call_that_ends_in_a_pause(installation: Installation) -> None:
    (token,) = tokens(installation)
    async with pausing(installation) as call:
        stream = await joined(call.live, token)
        await call.pause()
        play(stream, AGENT, speech(300))
        call.live.ownership.leg_ended(CALL)
        await stream.close(EndedBy.STOP)
        await eventually(lambda: call.rows[0].ended_by)
        (row,) = call.rows
        assert (row.ended_by, row.start_ms, row.end_ms) == (PauseEnd.CALL, 0, None)
        with pytest.raises(PauseError, match="over"):
            await call.pause()
        with pytest.raises(PauseError, match="not paused"):
            await call.resume()
    assert not layer_1(installation, Role.AGENT).any()


async def test_pausing_twice_is_one_pause_of_every_known_recording(installation: Installation) -> None:
    (token,) = tokens(installation)
    async with pausing(installation) as call:
        call.server.put(CURRENT.replace("Twilio.CURRENT", SID), OK)
        with installation.database.write() as conn:
            recordings.upsert(
                conn, RecordingRow(SID, CALL, leg(1), CloudState.IN_PROGRESS, installation.clock.now())
            )
        await joined(call.live, token)
        assert (await call.pause()).id == (await call.pause()).id
        assert [SID in seen.path for seen in call.server.seen] == [True]


async def test_call_that_is_not_recorded_cannot_be_paused(installation: Installation) -> None:
    tokens(installation)
    with installation.database.write() as conn:
        consents.insert(conn, Stamp(call_id=CALL, mode=Mode.OFF, policy_version=1))
    async with pausing(installation) as call:
        with pytest.raises(PauseError, match="not recorded"):
            await call.pause()
        assert (call.rows, call.asked) == ([], [])
