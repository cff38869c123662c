"""Where the redacted stretches of a call are in each of its audio files.

Both parties are silenced, since the voice of one may be on the other's line. A live layer lies where the comparison found
it in the recording; where it found nothing, the stretches are widened by the usual distance between the two.
"""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from callreel.audio.samples import SAMPLES_PER_MS
from callreel.domain.ids import CallId
from callreel.domain.intervals import Interval, merged
from callreel.domain.recording import Layer, LayerFile
from callreel.domain.redaction import Stretch
from callreel.postcall.call_audio import CallRows, RecordingPart, chosen_parts, stored_parts
from callreel.review.summary import live_offset_ms
from callreel.store.calls import calls, layers, recordings, streams
from callreel.store.transcripts import redactions

UNALIGNED_MS = 1_500


def rows_of(conn: Connection, call_id: CallId) -> CallRows | None:
    """The rows as they are, without measuring anything; None if there is no such call."""
    call = calls.get(conn, call_id)
    if call is None:
        return None
    return CallRows(
        call,
        layers.of_call(conn, call_id),
        recordings.of_call(conn, call_id),
        streams.of_call(conn, call_id),
    )


def silent_intervals(
    rows: CallRows, stretches: Sequence[Stretch], margin_ms: int
) -> Mapping[str, Sequence[Interval]]:
    """What is silenced in each file, by path, in milliseconds of the file; files without any are left out."""
    chosen = chosen_parts(rows)
    parts = stored_parts(rows)
    first = next((part.start for part in parts if chosen and part.row.sid == chosen[0].row.sid), 0)
    aligned = any(comparison.aligned for comparison in rows.call.comparisons) or not chosen
    found = {}
    for file in rows.files:
        start_ms = _start_ms(rows, file, parts, first)
        wide = margin_ms
        if not aligned and file.layer in (Layer.LIVE_8K, Layer.LIVE_16K):
            wide += UNALIGNED_MS
        cuts = merged(
            (max(0, one.start_ms - start_ms - wide), one.end_ms - start_ms + wide) for one in stretches
        )
        if inside := [cut for cut in cuts if cut[0] < file.duration_ms]:
            found[file.path] = inside
    return found


def _start_ms(rows: CallRows, file: LayerFile, parts: Sequence[RecordingPart], first: int) -> int:
    """Where the file starts on the call's clock. `first` is the sample at which the recording of the call starts."""
    if file.layer in (Layer.LIVE_8K, Layer.LIVE_16K):
        return live_offset_ms(rows.call)
    named = [part for part in parts if part.row.sid in file.path]
    # The channels of the recording that was split first are named after the call.
    alike = [part for part in parts if abs(part.file.duration_ms - file.duration_ms) <= 1]
    part = next(iter([*named, *alike, *parts]), None)
    return (part.start - first) // SAMPLES_PER_MS if part else 0


def silences_of(margin_ms: int) -> Callable[[Connection, CallId], Mapping[str, Sequence[Interval]]]:
    """A function from a call to what is silent in its files, for exports."""

    def silences(conn: Connection, call_id: CallId) -> Mapping[str, Sequence[Interval]]:
        stretches = redactions.in_force(conn, call_id)
        rows = rows_of(conn, call_id) if stretches else None  # a player asks for each part that it plays
        return silent_intervals(rows, stretches, margin_ms) if rows else {}

    return silences
