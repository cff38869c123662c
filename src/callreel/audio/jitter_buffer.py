"""Arranges the frames of one track by their stream timestamps into one continuous run of mu-law bytes.

Only timestamps decide the position of audio; arrival times, sockets and files play no part. They are the carrier's, in
milliseconds since its stream began (reference/twilio.md, section 3.2); a frame may have any length. A frame that starts
where the last one ended costs a few operations; everything else takes the slow path.
"""

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final, Protocol

from callreel.audio.mulaw import SILENCE
from callreel.audio.samples import SAMPLES_PER_MS, TELEPHONE_HZ
from callreel.audio.silences import Silence, Silences

_TOLERANCE: Final = 2 * SAMPLES_PER_MS
_FAR: Final = 1_000 * SAMPLES_PER_MS
"""Within this distance a frame ahead means a gap, and one behind is late. Beyond it, other frames must confirm the timestamp."""
_AGREEING: Final = 3
"""Frames that confirm a jump. Two are enough at the end of the stream, where no third can come."""
_LONGEST: Final = 24 * 3_600_000 * SAMPLES_PER_MS
"""A day, the carrier's longest call: silence never extends beyond it."""
_SECOND_OF_SILENCE: Final = bytes((SILENCE,)) * TELEPHONE_HZ
TAKE_SAMPLES: Final = 30 * TELEPHONE_HZ


@dataclass(frozen=True, slots=True)
class JitterBufferCounts:
    """Outcomes of the frames. Silence before the first frame is the stream's beginning, not a gap."""

    frames: int = 0
    """All frames passed to `place`."""
    repeated: int = 0
    """Dropped: their position already had audio."""
    late: int = 0
    """Arrived after silence had replaced them; they fill it unless `take` already returned it."""
    reordered: int = 0
    """Arrived after a later frame, but in time for their position."""
    gaps: int = 0
    gap_ms: int = 0
    """Total silence inserted for missing frames."""
    overlapped: int = 0
    """Overlapped existing audio; only the part beyond it was used."""
    refused: int = 0
    """Dropped: the timestamp was negative, or an outlier that no other frame confirmed."""


class Piece(Protocol):
    """A frame: mu-law bytes, and their position in the stream in milliseconds."""

    @property
    def timestamp_ms(self) -> int: ...

    @property
    def payload(self) -> bytes: ...


class JitterBuffer:
    """Places frames, and returns samples (one byte each) in order, contiguous and exactly once.

    A timestamp within 2 ms (half a short frame) of the end of the last frame counts as contiguous, so rounded
    timestamps neither insert nor drop samples. Deviations do not add up: each is measured against the samples.

    Frames beyond a gap are held until `reorder_ms` of them have arrived; then the gap becomes silence. A gap longer than
    `reorder_ms` needs three such frames, so one wrong timestamp moves nothing. A jump of more than a second, forward or
    backward, needs three frames that agree; a frame in sequence meanwhile proves them to be outliers. Forward the jump
    becomes silence. Backward it means that the stream's timestamps restarted, and the audio continues without a gap.

    Memory: the samples settled since the last `take`, `reorder_ms` of held audio or three frames, and two frames of an
    unconfirmed jump. Silence takes 8 bytes per second, however long the gap.
    """

    __slots__ = (
        "_base", "_counts", "_doubtful", "_frames", "_held", "_held_samples", "_jump", "_position", "_ready", "_reorder", "_silences",
        "_taken",
    )  # fmt: skip

    def __init__(self, *, reorder_ms: int = 100) -> None:
        self._reorder = reorder_ms * SAMPLES_PER_MS
        # Positions are samples since the buffer's first; `_base` is the position of timestamp 0.
        self._base = self._taken = self._position = 0
        self._ready: list[bytes] = []
        self._held: list[tuple[int, bytes]] = []
        self._held_samples = 0
        # Start of held frames that later frames in sequence contradict.
        self._doubtful: set[int] = set()
        self._jump: list[tuple[int, bytes]] = []
        self._silences = Silences()
        self._frames = 0
        self._counts = dict.fromkeys(("repeated", "late", "reordered", "overlapped", "refused"), 0)

    def place(self, pieces: Sequence[Piece]) -> int:
        """Place each frame at its timestamp, in the given order; returns the number of samples that `take` can return.

        Never raises because of what the carrier sends.
        """
        ready, base, position = self._ready, self._base, self._position
        in_sequence = not (self._held or self._jump)
        for piece in pieces:
            payload = piece.payload
            if piece.timestamp_ms * SAMPLES_PER_MS + base == position and in_sequence:
                ready.append(payload)
                position += len(payload)
            else:
                self._position = position
                self._place_elsewhere(piece.timestamp_ms, payload)
                base, position = self._base, self._position
                in_sequence = not (self._held or self._jump)
        self._position = position
        self._frames += len(pieces)
        return position - self._taken

    def take(self) -> bytes:
        """The next settled samples, up to about `TAKE_SAMPLES` of them; empty when there are none.

        Bounded, so that a gap of hours is written in steps: take until nothing is left.
        """
        ready = self._ready
        if self._position - self._taken <= TAKE_SAMPLES:
            settled = b"".join(ready)
            ready.clear()
            self._taken = self._position
            return settled
        count = size = 0
        while size < TAKE_SAMPLES:
            size += len(ready[count])
            count += 1
        settled = b"".join(ready[:count])
        del ready[:count]
        self._taken += size
        return settled

    def finish(self) -> int:
        """The stream is over: settle the held frames, with gaps as silence. Returns the number of samples that `take` can return."""
        if len(self._jump) > 1:
            self._follow_jump()
        self._refuse_jump()
        while self._held:
            self._close_gap()
        return self._position - self._taken

    @property
    def reached(self) -> int:
        """Samples from the end of the last `take` to the end of the newest frame, whether it is settled or held."""
        at, payload = self._held[-1] if self._held else (self._position, b"")
        return at + len(payload) - self._taken

    @property
    def counts(self) -> JitterBufferCounts:
        return JitterBufferCounts(
            frames=self._frames,
            gaps=self._silences.gaps,
            gap_ms=self._silences.gap_samples // SAMPLES_PER_MS,
            **self._counts,
        )

    def _place_elsewhere(self, timestamp_ms: int, payload: bytes) -> None:
        if timestamp_ms < 0:
            self._counts["refused"] += 1
        elif payload:
            at = timestamp_ms * SAMPLES_PER_MS + self._base
            newest = self._held[-1][0] if self._held else self._position
            # With a wide reorder window, late frames may lie further back than a second.
            far = max(_FAR, 4 * self._reorder)
            if at - newest > far or self._position - at > far:
                self._suspect(at, payload, far)
            else:
                self._place_near(at, payload)

    def _place_near(self, at: int, payload: bytes) -> None:
        ahead = at - self._position
        tolerance = min(_TOLERANCE, len(payload) // 2)
        if ahead > tolerance:
            self._hold(at, payload)
            return
        in_sequence = ahead >= -tolerance
        self._join(at, payload, tolerance)
        if in_sequence:
            self._refuse_jump()
            self._doubtful.update(other for other, _ in self._held if other - self._position > self._reorder)
            self._counts["reordered"] += any(other not in self._doubtful for other, _ in self._held)
        self._join_held(confirmed=False)

    def _suspect(self, at: int, payload: bytes, far: int) -> None:
        """Remember a frame with a distant timestamp, and jump there once enough others agree."""
        if any(at == other for other, _ in self._jump):
            self._counts["repeated"] += 1
            return
        if self._jump and abs(at - self._jump[-1][0]) > far:
            self._refuse_jump()
        self._jump.append((at, payload))
        if len(self._jump) >= _AGREEING:
            self._follow_jump()

    def _follow_jump(self) -> None:
        jump = sorted(self._jump)
        self._jump.clear()
        while self._held:
            self._close_gap()
        first, shift = jump[0][0], 0
        if self._position < first <= _LONGEST:
            self._put_silence(first)
        else:
            shift = self._position - first
            self._base += shift
        for at, payload in jump:
            self._place_near(at + shift, payload)

    def _refuse_jump(self) -> None:
        self._counts["refused"] += len(self._jump)
        self._jump.clear()

    def _hold(self, at: int, payload: bytes) -> None:
        if any(at == other for other, _ in self._held):
            self._counts["repeated"] += 1
            return
        if self._held and at < self._held[-1][0]:
            self._counts["reordered"] += 1
        insort(self._held, (at, payload))
        self._held_samples += len(payload)
        self._join_held(confirmed=True)
        while self._held and self._held_samples >= self._reorder:
            if self._held[0][0] - self._position > self._reorder and len(self._held) < _AGREEING:
                return
            self._close_gap()

    def _close_gap(self) -> None:
        """Insert silence up to the first held frame, then place all frames that are now contiguous."""
        first = self._held[0][0]
        if first > self._position:
            self._put_silence(first)
        self._join_held(confirmed=True)

    def _join_held(self, *, confirmed: bool) -> None:
        """Place the held frames that are contiguous now. A doubtful frame waits until a frame beyond it confirms it: if its
        timestamp is wrong, the right frame for that position arrives next and replaces it."""
        while self._held:
            at, payload = self._held[0]
            tolerance = min(_TOLERANCE, len(payload) // 2)
            doubtful = at in self._doubtful and not confirmed
            if at - self._position > tolerance or (doubtful and at >= self._position - tolerance):
                return
            del self._held[0]
            self._held_samples -= len(payload)
            self._doubtful.discard(at)
            if doubtful:
                self._counts["refused"] += 1
            else:
                self._join(at, payload, tolerance)

    def _join(self, at: int, payload: bytes, tolerance: int) -> None:
        """Place a frame that begins at the position, within the tolerance, or before it."""
        if at >= self._position - tolerance:
            self._append(payload)
            return
        fresh = at + len(payload) - self._position
        filled = self._fill(at, payload, tolerance)
        if fresh > tolerance:
            self._counts["overlapped"] += 1
            self._append(payload[-fresh:])
        elif not filled:
            self._counts["repeated"] += 1

    def _append(self, samples: bytes) -> None:
        self._ready.append(samples)
        self._position += len(samples)

    def _put_silence(self, end: int) -> None:
        self._silences.add(Silence(self._position, end, gap=self._position > 0))
        seconds, rest = divmod(end - self._position, TELEPHONE_HZ)
        # One object for every second: hours of silence stay small until they are taken.
        self._ready.extend(repeat(_SECOND_OF_SILENCE, seconds))
        self._ready.append(_SECOND_OF_SILENCE[:rest])
        self._position = end

    def _fill(self, at: int, payload: bytes, tolerance: int) -> bool:
        """Write a late frame over silence at its position, as far as `take` has not returned it. False if there was none."""
        hit = self._silences.under(at, at + len(payload), tolerance)
        for silence in hit:
            first, last = max(at, silence.start, self._taken), min(at + len(payload), silence.end)
            if first < last:
                self._overwrite(first, payload[first - at : last - at])
                self._silences.shrink(silence, first, last)
        self._counts["late"] += bool(hit)
        return bool(hit)

    def _overwrite(self, at: int, samples: bytes) -> None:
        start, end = self._taken, at + len(samples)
        for index, piece in enumerate(self._ready):
            first, last = max(at, start), min(end, start + len(piece))
            if first < last:
                head, tail = piece[: first - start], piece[last - start :]
                self._ready[index] = head + samples[first - at : last - at] + tail
            start += len(piece)
