"""Segments that wait on disk: none is lost, whatever dies, and none is decoded twice for nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from callreel.asr.engine import RecognizedWord
from callreel.asr.overload import OverloadLevel
from callreel.audio.samples import Samples
from callreel.domain.call import CallState, Role
from callreel.domain.errors import StoreError
from callreel.domain.events import EventKind
from callreel.domain.ids import CallId
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.domain.transcript import Final, Segment, TranscriptKind
from callreel.live import transcription as live_module
from callreel.live.spill import Spill
from callreel.live.transcript import save_live_transcript
from callreel.live.transcription import LiveTranscription
from callreel.store.calls import calls, layers
from callreel.store.files.growing_wav import GrowingWav
from callreel.store.transcripts import finals, spilled, transcripts
from tests.support.installation import (
    NOON,
    Installation,
    QuickHost,
    a_call,
    eventually,
    grounded,
    one_word,
    silence,
    speech,
    transcription,
)

CALL = CallId("000000000001")


@asynccontextmanager
async def live(installation: Installation, host: QuickHost) -> AsyncIterator[LiveTranscription]:
    service = transcription(installation, host)
    service.start()
    try:
        yield service
    finally:
        await service.close()


def layer_2(installation: Installation, samples16k: Samples, role: Role = Role.AGENT) -> None:
    """The call's layer 2 of `role`, as far as it is on the disk."""
    path = f"audio_recordings/{role}_{CALL}_20261122T120000Z_16000Hz.wav"
    with GrowingWav.open(installation.blobs.root / path, 16_000) as growing:
        growing.append(samples16k)
    file = LayerFile(Layer.LIVE_16K, role, path, 16_000, 1, 0, 0, None, LayerState.RECORDING)
    with installation.database.write() as conn:
        layers.upsert(conn, CALL, file)


def kept(installation: Installation) -> list[Final]:
    with installation.database.read() as conn:
        return finals.of_call(conn, CALL)


def waiting(installation: Installation) -> int:
    with installation.database.read() as conn:
        return spilled.count(conn)


SAID = [700, 900, 600, 800, 500]


def spoken() -> Samples:
    """Segments of `SAID` ms, each with a second of silence after it, at 8 kHz."""
    return np.concatenate([np.concatenate([speech(ms, seed=ms), silence(1_000)]) for ms in SAID])


async def overloaded(installation: Installation, service: LiveTranscription, host: QuickHost) -> None:
    """One segment is being decoded, one waits, and has waited for more than a minute; the others are spilled."""
    host.gate.clear()
    endpointer, said = service.endpointer(CALL, Role.AGENT), spoken()
    first = (SAID[0] + 1_000 + SAID[1] + 1_000) * 8
    endpointer.push(said[:first], np.repeat(said[:first], 2))
    await eventually(lambda: host.asked and service.finals_waiting == 1)
    installation.clock.step(61)
    endpointer.push(said[first:], np.repeat(said[first:], 2))
    await eventually(lambda: waiting(installation) == 3 and service.finals_spilled == 3)


async def test_spilled_segments_are_decoded_from_layer_2(
    installation: Installation,
) -> None:
    a_call(installation)

    host = QuickHost(partials=False)
    async with live(installation, host) as service:
        layer_2(installation, np.repeat(spoken(), 2))
        await overloaded(installation, service, host)
        assert service.overload is OverloadLevel.SPILLING
        assert (service.finals_spilled, service.spilled_total, service.finals_waiting) == (3, 3, 1)
        host.gate.set()
        await service.finish_call(CALL)
        assert (service.finals_spilled, service.overload) == (0, OverloadLevel.NONE)
        whole = np.repeat(spoken(), 2)
        decoded = {samples.size: samples for samples in host.finals}  # two workers may change their order
        assert len(decoded) == len(SAID)
        for final in kept(installation):
            start, end = final.segment.start_ms * 16, final.segment.end_ms * 16
            assert np.array_equal(decoded[end - start], whole[start:end])
    assert [final.segment.number for final in kept(installation)] == [0, 1, 2, 3, 4]
    assert waiting(installation) == 0
    reported = [event for event in installation.published if event.kind is EventKind.FINAL]
    assert sorted(str(event.data["number"]) for event in reported) == ["0", "1", "2", "3", "4"]


async def test_call_taken_over_with_spilled_segments_ends_when_they_are_decoded(
    installation: Installation,
) -> None:
    a_call(installation)
    layer_2(installation, np.repeat(spoken(), 2))
    with installation.database.write() as conn:
        for number in range(2):
            spilled.put(conn, CALL, Segment(Role.AGENT, number, 1_000 * number, 1_000 * number + 500))
    host = QuickHost(partials=False)
    async with live(installation, host) as service:
        endpointer, said = (
            service.endpointer(CALL, Role.TECHNICIAN),
            np.concatenate([speech(400), silence(1_000)]),
        )
        await eventually(lambda: waiting(installation) == 0)
        endpointer.push(said, np.repeat(said, 2))
        async with asyncio.timeout(60):
            await service.finish_call(CALL)
    assert len(kept(installation)) == 3


async def test_one_whose_audio_has_not_reached_the_disk_waits_for_it(installation: Installation) -> None:
    a_call(installation)

    host = QuickHost(partials=False)
    async with live(installation, host) as service:
        await overloaded(installation, service, host)
        host.gate.set()
        await eventually(lambda: len(kept(installation)) == 2)
        assert waiting(installation) == 3
        layer_2(installation, np.repeat(spoken(), 2))
        endpointer = service.endpointer(CALL, Role.TECHNICIAN)
        said = np.concatenate([speech(400), silence(1_000)])
        endpointer.push(said, np.repeat(said, 2))  # whatever wakes a worker
        await service.finish_call(CALL)
    assert len(kept(installation)) == 6 and waiting(installation) == 0


async def test_stop_without_a_database_ends_and_the_next_start_decodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The database goes while the first spilled segment is decoded again: its final can never be kept."""
    monkeypatch.setattr(live_module, "SHUT_DOWN_S", 0.2)

    async def stops(installation: Installation) -> None:
        def away() -> NoReturn:
            raise StoreError("the database failed: it is away")

        def decode(samples: Samples, partial: bool) -> list[RecognizedWord]:
            if len(host.finals) == 3:
                monkeypatch.setattr(installation.database, "write", away)
            return one_word(samples, partial)

        host = QuickHost(decode, partials=False)
        service = transcription(installation, host)
        service.start()
        layer_2(installation, np.repeat(spoken(), 2))
        await overloaded(installation, service, host)
        host.gate.set()
        await eventually(lambda: "a final not saved yet" in caplog.text)
        async with asyncio.timeout(30):
            await service.close()

    async def comes_back(installation: Installation) -> None:
        async with live(installation, QuickHost(partials=False)):
            await eventually(lambda: waiting(installation) == 0)

    with grounded(tmp_path) as installation, caplog.at_level(logging.ERROR):
        a_call(installation)
        await stops(installation)
        assert "1 final segments were not saved" in caplog.text
        assert [final.segment.number for final in kept(installation)] == [0, 1] and waiting(installation) == 3
    with grounded(tmp_path) as installation:
        with installation.database.write() as conn:
            calls.set_state(conn, CALL, CallState.ENDED, NOON)
        await comes_back(installation)
        assert [final.segment.number for final in kept(installation)] == [0, 1, 2, 3, 4]


async def test_restart_decodes_what_a_dead_process_spilled(
    tmp_path: Path,
) -> None:
    async def dies(installation: Installation) -> None:
        host = QuickHost(partials=False)
        service = transcription(installation, host)
        service.start()
        layer_2(installation, np.repeat(spoken(), 2))
        await overloaded(installation, service, host)
        await service.close()

    async def comes_back(installation: Installation) -> None:
        host = QuickHost(partials=False)
        async with live(installation, host):
            await eventually(lambda: waiting(installation) == 0)

    with grounded(tmp_path) as installation:
        a_call(installation)
        await dies(installation)
        assert waiting(installation) == 3
    with grounded(tmp_path) as installation:
        with installation.database.write() as conn:  # as recovery does it
            calls.set_state(conn, CALL, CallState.ENDED, NOON)
        save_live_transcript(installation.database, installation.publisher, CALL, "quick")
        await comes_back(installation)
        assert [final.segment.number for final in kept(installation)] == [2, 3, 4]
        with installation.database.read() as conn:
            row = transcripts.latest(conn, CALL, TranscriptKind.LIVE)
        assert row is not None and sum(len(turn.words) for turn in row.turns) == 3


async def test_a_live_calls_segments_are_left_to_the_process_that_has_it(installation: Installation) -> None:
    a_call(installation)
    layer_2(installation, np.repeat(spoken(), 2))
    segment = Segment(Role.AGENT, 7, 0, 500)

    spill = Spill(installation.database, installation.blobs)
    await spill.put(CALL, segment)
    assert await spill.take([]) is None
    found = await spill.take([CALL])
    assert found is not None and (found.segment, found.samples16k.size) == (segment, 8_000)
    assert await spill.take([CALL]) is None, "it is given out once"


@pytest.mark.parametrize("layer", [True, False])
async def test_one_whose_audio_is_gone_has_a_final_all_the_same(
    installation: Installation, layer: bool
) -> None:
    a_call(installation)
    if layer:
        layer_2(installation, np.repeat(silence(100), 2))
    with installation.database.write() as conn:
        spilled.put(conn, CALL, Segment(Role.AGENT, 0, 5_000, 6_000))
        calls.set_state(conn, CALL, CallState.ENDED, NOON)

    async with live(installation, QuickHost(partials=False)):
        await eventually(lambda: waiting(installation) == 0)
    (final,) = kept(installation)
    assert (final.segment.start_ms, final.segment.end_ms, final.failed) == (5_000, 6_000, True)
