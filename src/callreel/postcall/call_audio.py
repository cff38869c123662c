"""A call's audio as the stages read it: each party's live layer beside that party's channel of the cloud recording.

The recording of the call is chosen by content (`postcall/recording_choice`). Consecutive recordings are joined where the live
layers place them, else where the carrier's start times do. All sources are at 8 kHz.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import numpy as np

from callreel.audio.align import compare
from callreel.audio.parts import Joined, Overlaid
from callreel.audio.samples import SAMPLES_PER_MS, TELEPHONE_HZ
from callreel.audio.source import Source, in_blocks
from callreel.domain.call import Role, Topology
from callreel.domain.errors import CallreelError
from callreel.domain.ids import CallId
from callreel.domain.recording import CloudState, Layer, LayerFile, LayerState
from callreel.domain.verdict import ChannelFault, Comparison
from callreel.postcall.recording_choice import StoredRecording, choose
from callreel.store.audio.layer_audio import open_layer
from callreel.store.calls import calls, layers, recordings, streams
from callreel.store.calls.calls import CallRow
from callreel.store.calls.recordings import RecordingRow
from callreel.store.calls.streams import StreamRow
from callreel.store.db.database import Database
from callreel.store.files.blobs import BlobStore
from callreel.store.files.sound_files import at_telephone_rate

BLOCK = 1 << 14
SAME_SOUND = 0.98
"""From this correlation at lag 0, two channels hold the same sound. Crosstalk stays far below."""


class NoAudioError(CallreelError):
    """There is nothing to transcribe or compare."""

    def __init__(self, call_id: CallId) -> None:
        super().__init__(f"call {call_id} has neither channels nor live layers")


@dataclass(frozen=True, slots=True)
class CallRows:
    """The rows of a call that its stages work from."""

    call: CallRow
    files: list[LayerFile]
    recorded: list[RecordingRow]
    streamed: list[StreamRow]


@dataclass(frozen=True, slots=True)
class RecordingPart:
    """One file of the call's recording; `start` counts in samples from the start of the first."""

    row: RecordingRow
    file: LayerFile
    start: int


@dataclass(frozen=True, slots=True)
class CallAudio:
    """`cloud` is empty unless the recording has two channels; both are valid while the call's audio is open."""

    parts: tuple[RecordingPart, ...]
    live: Mapping[Role, Source]
    cloud: Mapping[Role, Source]

    @property
    def compared(self) -> list[Role]:
        """Roles that have both."""
        return [role for role in Role if role in self.live and role in self.cloud]


def read_rows(database: Database, blobs: BlobStore, call_id: CallId) -> CallRows:
    """The call's rows; raises NoAudioError without any. Where several recordings compete, how well each agrees with the live layers is measured once."""
    with database.read() as conn:
        call = calls.get(conn, call_id)
        rows = (
            layers.of_call(conn, call_id),
            recordings.of_call(conn, call_id),
            streams.of_call(conn, call_id),
        )
    if call is None:
        raise NoAudioError(call_id)
    found = CallRows(call, *rows)
    competing = [part for part in stored_parts(found) if part.file.channels >= 2]
    if len(competing) < 2 or all(part.row.agreement is not None for part in competing):
        return found
    measured = {part.row.sid: _measured(blobs, found, part) for part in competing}
    with database.write() as conn:
        for sid, row in measured.items():
            recordings.set_agreement(conn, sid, row.agreement or 0.0, row.live_start)
    return replace(found, recorded=[measured.get(row.sid, row) for row in found.recorded])


def chosen_parts(rows: CallRows) -> tuple[RecordingPart, ...]:
    """The recording of the call; empty when none is stored. Its parts lie where the live layers or the carrier place them."""
    stored = {part.row.sid: part for part in stored_parts(rows)}
    chosen = choose(
        [
            StoredRecording(
                sid, part.file.channels, part.start // SAMPLES_PER_MS, part.file.duration_ms,
                part.row.agreement or 0.0,
            )
            for sid, part in stored.items()
        ]
    )  # fmt: skip
    parts = [stored[recording.sid] for recording in chosen]
    return tuple(replace(part, start=part.start - parts[0].start) for part in parts)


@contextmanager
def open_call_audio(blobs: BlobStore, rows: CallRows) -> Iterator[CallAudio]:
    """Open the audio of both captures. Raises StoreError, StoreUnavailableError or AudioFileError."""
    parts = chosen_parts(rows)
    with ExitStack() as stack:
        live = live_sources(stack, blobs, rows.files)
        channels = [_channels(stack, blobs, rows.call, part.file) for part in parts]
        cloud: dict[Role, Source] = {}
        if parts and all(channels):
            starts = [part.start for part in parts]
            cloud = {role: Joined([part[role] for part in channels], starts) for role in Role}
        yield CallAudio(parts, live, cloud)


def channel_fault(audio: CallAudio, compared: Iterable[Comparison] | None = None) -> ChannelFault | None:
    """What is wrong with the recording as a whole, so that its channels cannot be attributed to the parties.

    `compared` are the comparisons of each role, if they were made already.
    """
    if not audio.cloud:
        return None
    if _same_sound(audio.cloud[Role.AGENT], audio.cloud[Role.TECHNICIAN]):
        return ChannelFault.EQUAL
    has_sound = False
    for one in compared or (compare(role, audio.live[role], audio.cloud[role]) for role in audio.compared):
        if one.aligned:
            return None
        has_sound |= one.correlation is not None or one.live_only_ms > 0
    crossed = (compare(role, audio.live[role], audio.cloud[role.other]) for role in audio.compared)
    if any(one.aligned for one in crossed):
        return ChannelFault.SWAPPED
    return ChannelFault.UNRELATED if has_sound else None


def stored_parts(rows: CallRows) -> list[RecordingPart]:
    """Recordings whose file is here; `start` counts from the earliest start."""
    found = []
    for row in rows.recorded:
        file = next((f for f in rows.files if f.layer is Layer.CLOUD and row.sid in f.path), None)
        if row.state is CloudState.STORED and file is not None:
            found.append((row, file))
    starts = _starts_by_content([row for row, _ in found])
    return [
        RecordingPart(row, file, start - min(starts))
        for (row, file), start in zip(found, starts, strict=True)
    ]


def _starts_by_content(rows: Sequence[RecordingRow]) -> list[int]:
    """The sample at which each recording starts: as measured in the live layers, else as the carrier reported it, relative
    to those.

    The carrier's time is that of its command, which the audio may follow by seconds.
    """
    first = min((row.started_at for row in rows if row.started_at is not None), default=None)
    reported = [
        round((row.started_at - first).total_seconds() * TELEPHONE_HZ) if row.started_at and first else 0
        for row in rows
    ]
    measured = (
        row.live_start - at for row, at in zip(rows, reported, strict=True) if row.live_start is not None
    )
    shift = next(measured, 0)
    return [
        at + shift if row.live_start is None else row.live_start
        for row, at in zip(rows, reported, strict=True)
    ]


def live_sources(stack: ExitStack, blobs: BlobStore, files: Sequence[LayerFile]) -> dict[Role, Source]:
    """Each role's layer 1, in one piece, open until `stack` is closed. A file that still grows on the disk of a machine that died may never arrive: it
    is skipped."""
    live: dict[Role, Source] = {}
    for role in Role:
        sources = [
            stack.enter_context(open_layer(blobs, file)).channel() for file in files
            if file.layer is Layer.LIVE_8K and file.role is role
            and (file.state is not LayerState.RECORDING or blobs.stat(file.path) is not None)
        ]  # fmt: skip
        if sources:
            live[role] = sources[0] if len(sources) == 1 else Overlaid(sources)
    return live


def _channels(stack: ExitStack, blobs: BlobStore, call: CallRow, file: LayerFile) -> dict[Role, Source]:
    """Each role's channel of a recording; empty when it has not two."""
    if file.channels != 2:
        return {}
    topology = Topology(call.inbound_role)
    return {
        topology.role_of_channel(number): stack.enter_context(
            at_telephone_rate(stack.enter_context(open_layer(blobs, file)), number)
        )
        for number in (1, 2)
    }


def _measured(blobs: BlobStore, rows: CallRows, part: RecordingPart) -> RecordingRow:
    """The recording's row with its agreement with the live layers, and its start in them."""
    with ExitStack() as stack:
        channels = _channels(stack, blobs, rows.call, part.file)
        live = live_sources(stack, blobs, rows.files)
        comparisons = [compare(role, live[role], channels[role]) for role in live if role in channels]
    best = max(comparisons, key=lambda one: one.correlation or 0.0, default=None)
    if best is None:
        return replace(part.row, agreement=0.0, live_start=None)
    start = -round(best.offset_ms * SAMPLES_PER_MS) if best.aligned else None
    return replace(part.row, agreement=best.correlation or 0.0, live_start=start)


def _same_sound(first: Source, second: Source) -> bool:
    """Whether two channels hold the same sound at the same time."""
    products = np.zeros(3)
    for one, other in zip(in_blocks(first, BLOCK), in_blocks(second, BLOCK), strict=False):
        size = min(one.size, other.size)
        a, b = one[:size].astype(np.float64), other[:size].astype(np.float64)
        products += (a @ b, a @ a, b @ b)
    dot, of_first, of_second = products
    return bool(dot > 0 and dot >= SAME_SOUND * np.sqrt(of_first * of_second))
