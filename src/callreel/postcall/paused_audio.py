"""Silences the pauses of a call in a recording that was just downloaded, before anything reads or keeps it.

The carrier pauses a little later than we do, or not at all. Where a pause lies in the recording is found by comparing the
audio around it with the live layers, which are silent in it; failing that by the clock, with a margin.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta

from callreel.audio.align import compare
from callreel.audio.samples import SAMPLES_PER_MS
from callreel.audio.silencing import silent_byte
from callreel.audio.source import Source, Stretch
from callreel.audio.wav import WavInfo
from callreel.domain.call import Role, Topology
from callreel.domain.pause import PauseEnd
from callreel.domain.verdict import Comparison
from callreel.postcall.call_audio import CallRows, live_sources
from callreel.store.calls.pauses import PauseRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.files.blobs import BlobStore
from callreel.store.files.part_file import PartFile
from callreel.store.files.sound_files import SoundFile, at_telephone_rate

AROUND_MS = 20_000
"""How much audio on either side of a pause is looked for in the recording."""
MARGIN_MS = 40
CLOCK_MARGIN_MS = 2_000
"""Where nothing aligns: the carrier reports whole seconds, and its recording starts some time after its command."""


def live_stretch_ms(pause: PauseRow) -> tuple[int, int] | None:
    """Where a pause lies in the live layers, in ms; None if it was never placed. One to the call's end has no bound."""
    if pause.start_ms is None:
        return None
    if pause.end_ms is not None:
        return pause.start_ms, pause.end_ms
    if pause.ended_at is None or pause.ended_by is PauseEnd.CALL:
        return pause.start_ms, sys.maxsize
    # Resumed in a process that was killed before it stored where.
    lasted_ms = round((pause.ended_at - pause.began_at).total_seconds() * 1000)
    return pause.start_ms, pause.start_ms + lasted_ms + CLOCK_MARGIN_MS


def silence_pauses(
    part: PartFile,
    info: WavInfo,
    recording: RecordingRow,
    rows: CallRows,
    paused: Sequence[PauseRow],
    blobs: BlobStore,
) -> int:
    """Overwrite the pauses in the WAV file `part` with silence; returns how many ms. Repeating it changes nothing.

    Raises StoreUnavailableError while a live layer is elsewhere.
    """
    if not paused:
        return 0
    with ExitStack() as stack:
        live = live_sources(stack, blobs, rows.files)
        sound = stack.enter_context(SoundFile(part.open(), part.path.name))
        topology = Topology(rows.call.inbound_role)
        channels = [
            (topology.role_of_channel(number), stack.enter_context(at_telephone_rate(sound, number)))
            for number in range(1, min(sound.channels, 2) + 1)
        ]
        size_ms = max((source.size for source in live.values()), default=0) // SAMPLES_PER_MS
        whole = _best(live, channels, 0, size_ms)
        steady = whole is not None and len(rows.streamed) < 2 and whole.jump_ms <= MARGIN_MS / 2
        stretches = []
        for pause in paused:
            place = live_stretch_ms(pause)
            found = None
            if place is not None and whole is not None and steady:
                drift_ms = round(abs(whole.drift_ppm) * size_ms / 1e6)
                found = _placed(place, round(whole.offset_ms), round(whole.offset_ms), MARGIN_MS + drift_ms)
            elif place is not None:
                found = _by_surroundings(place, live, channels, size_ms)
                if found is None and whole is not None:
                    found = _placed(place, round(whole.offset_ms), round(whole.offset_ms), CLOCK_MARGIN_MS)
            stretches.append(found or _by_clock(pause, recording, rows))
    silent = [tuple(_place(ms, info) for ms in stretch) for stretch in stretches]
    part.overwrite([(first, last) for first, last in silent if first < last], bytes([silent_byte(info)]))
    return sum(max(0, last - first) // info.frame_bytes * 1000 // info.rate_hz for first, last in silent)


def _place(ms: int, info: WavInfo) -> int:
    """The byte of the WAV file at that time, within its samples."""
    return info.data_offset + min(max(ms, 0) * info.rate_hz // 1000 * info.frame_bytes, info.data_bytes)


def _placed(place: tuple[int, int], start_offset: int, end_offset: int, margin_ms: int) -> tuple[int, int]:
    return place[0] + start_offset - margin_ms, place[1] + end_offset + margin_ms


def _by_surroundings(
    place: tuple[int, int], live: Mapping[Role, Source], channels: Sequence[tuple[Role, Source]], size_ms: int
) -> tuple[int, int] | None:
    """Where a pause lies in the recording, in ms, by the audio before and after it: several streams have several offsets."""
    start_ms, end_ms = place
    begins_ms = max(0, start_ms - AROUND_MS)
    before = _best(live, channels, begins_ms, start_ms)
    after = _best(live, channels, end_ms, end_ms + AROUND_MS) if end_ms < size_ms else None
    offsets = [
        round(one.offset_ms) - first_ms
        for one, first_ms in ((before, begins_ms), (after, end_ms))
        if one is not None
    ]
    return _placed(place, offsets[0], offsets[-1], MARGIN_MS) if offsets else None


def _best(
    live: Mapping[Role, Source], channels: Sequence[tuple[Role, Source]], start_ms: int, end_ms: int
) -> Comparison | None:
    """The better of both parties' comparisons of that stretch of the live layers; None if neither is in the recording."""
    first, last = start_ms * SAMPLES_PER_MS, end_ms * SAMPLES_PER_MS
    found = [
        compare(role, Stretch(source, first, last), channel)
        for role, source in live.items()
        for of_role, channel in channels
        if (of_role is role or len(channels) == 1) and first < min(last, source.size)
    ]
    best = max(found, key=lambda one: one.correlation or 0.0, default=None)
    return best if best is not None and best.aligned else None


def _by_clock(pause: PauseRow, recording: RecordingRow, rows: CallRows) -> tuple[int, int]:
    """By the wall clock; all of the recording if its start is not known."""
    began = recording.started_at
    if began is None and rows.streamed:
        began = rows.streamed[0].started_at - timedelta(milliseconds=rows.streamed[0].origin_ms)
    if began is None:
        return 0, sys.maxsize
    end_ms = sys.maxsize if pause.ended_at is None else _ms(pause.ended_at, began) + CLOCK_MARGIN_MS
    return _ms(pause.began_at, began) - CLOCK_MARGIN_MS, end_ms


def _ms(moment: datetime, since: datetime) -> int:
    return round((moment - since).total_seconds() * 1000)
