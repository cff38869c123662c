"""Frames by their stream timestamps, as one continuous run of mu-law bytes.

One a track. It knows neither sockets nor files nor arrival times: where audio lies is decided by timestamps alone.
Timestamps are the carrier's, in milliseconds since its stream began (reference/twilio.md, section 3.2); frames may have
any length. A frame that comes where the last one ended costs a few operations; all else takes the slow way.
"""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from callreel.audio.mulaw import SILENCE
from callreel.audio.silences import Silence, Silences

_TOLERANCE_MS = 2


@dataclass(frozen=True, slots=True)
class JitterBufferCounts:
    """What became of the frames. Silence before the first frame is the stream's beginning, not a gap."""

    frames: int = 0
    """Frames given to `place`, whatever became of them."""
    repeated: int = 0
    """Dropped: their place was taken by audio."""
    late: int = 0
    """Came when their place was silence already; they fill it unless it was taken."""
    reordered: int = 0
    """Came after a later one, in time to be put where they belong."""
    gaps: int = 0
    gap_ms: int = 0
    """Silence put where no frame was, in all."""
    overlapped: int = 0
    """Began inside audio already there; what reached beyond it was kept."""
    refused: int = 0
    """Dropped: timestamp negative, or further ahead than `max_gap_ms`."""


class Piece(Protocol):
    """A frame: mu-law bytes, and where they lie in the stream in milliseconds."""

    @property
    def timestamp_ms(self) -> int: ...

    @property
    def payload(self) -> bytes: ...


class JitterBuffer:
    """Places frames; gives back samples (one byte each) in order, contiguous and exactly once.

    `origin_ms` is where timestamp 0 of the stream lies in the call, and the first sample of `take` lies there.
    A timestamp that deviates at most 2 ms (half a short frame) from where the last frame ended counts as contiguous, so
    rounded timestamps neither insert nor drop samples. Deviations do not add up: each is measured against the samples.

    Frames beyond a gap are held until `reorder_ms` of them have come; then the gap becomes silence. So one frame with a
    wrong timestamp ahead cannot push the whole call aside.
    Memory: what was settled since the last `take`, and held at most `reorder_ms` of audio and a frame. One gap can make
    at most `max_gap_ms` of silence: 8 bytes a millisecond at 8 kHz.
    """

    __slots__ = (
        "_counts",
        "_frames",
        "_held",
        "_held_samples",
        "_max_gap",
        "_origin",
        "_per_ms",
        "_position",
        "_ready",
        "_reorder",
        "_silences",
        "_start",
        "_stream_start",
        "_taken",
        "_tolerance",
    )

    def __init__(
        self, *, rate_hz: int = 8_000, origin_ms: int = 0, reorder_ms: int = 100, max_gap_ms: int = 3_600_000
    ) -> None:
        if rate_hz <= 0 or rate_hz % 1000:
            raise ValueError(f"expected whole samples a millisecond, got {rate_hz} Hz")
        self._per_ms = rate_hz // 1000
        self._tolerance = _TOLERANCE_MS * self._per_ms
        self._reorder = reorder_ms * self._per_ms
        self._max_gap = max_gap_ms * self._per_ms
        self._origin = origin_ms * self._per_ms
        # All positions are samples from the start of the call.
        self._start = self._stream_start = self._taken = self._position = self._origin
        self._ready: list[bytes] = []
        self._held: list[tuple[int, bytes]] = []
        self._held_samples = 0
        self._silences = Silences()
        self._frames = 0
        self._counts = dict.fromkeys(("repeated", "late", "reordered", "overlapped", "refused"), 0)

    def place(self, timestamp_ms: int, payload: bytes) -> int:
        """Put `payload` where `timestamp_ms` of this stream says; answers `ready_samples`.

        Never raises on what a peer may send.
        """
        self._frames += 1
        at = timestamp_ms * self._per_ms + self._origin
        if at == self._position and not self._held:
            self._ready.append(payload)
            self._position = at + len(payload)
        else:
            self._place_elsewhere(timestamp_ms, at, payload)
        return self._position - self._taken

    def place_all(self, pieces: Iterable[Piece]) -> int:
        """Put each where it belongs, as `place` does, in the order given; answers `ready_samples`."""
        per_ms, origin, held, ready = self._per_ms, self._origin, self._held, self._ready
        position = self._position
        frames = 0
        for piece in pieces:
            payload = piece.payload
            if piece.timestamp_ms * per_ms + origin == position and not held:
                ready.append(payload)
                position += len(payload)
                frames += 1
            else:
                self._position = position
                self.place(piece.timestamp_ms, payload)
                position, ready = self._position, self._ready
        self._position = position
        self._frames += frames
        return position - self._taken

    def take(self) -> bytes:
        """All samples settled since the last `take`; empty when there are none."""
        settled = b"".join(self._ready)
        self._ready.clear()
        self._taken = self._position
        return settled

    def finish(self) -> bytes:
        """Settle what is held, gaps as silence, and take the rest. The stream is over; `rebase` begins another."""
        while self._held:
            self._close_gap()
        return self.take()

    def rebase(self, origin_ms: int) -> int:
        """A new stream goes on with this track: its timestamp 0 lies at `origin_ms` of the call. Returns the origin.

        What the old stream left is settled, and the time between them becomes silence when a frame comes. An origin
        before what is already placed is moved up to it, since no audio may be dropped.
        """
        while self._held:
            self._close_gap()
        first_free_ms = -(-self._position // self._per_ms)
        self._origin = max(origin_ms, first_free_ms) * self._per_ms
        self._stream_start = self._position
        return self._origin // self._per_ms

    @property
    def counts(self) -> JitterBufferCounts:
        return JitterBufferCounts(
            frames=self._frames,
            gaps=self._silences.gaps,
            gap_ms=self._silences.gap_samples // self._per_ms,
            **self._counts,
        )

    @property
    def position_ms(self) -> int:
        """Where settled audio ends, from the start of the call."""
        return self._position // self._per_ms

    @property
    def settled_samples(self) -> int:
        """All samples settled so far, taken or not."""
        return self._position - self._start

    @property
    def ready_samples(self) -> int:
        """How many samples the next `take` gives."""
        return self._position - self._taken

    @property
    def held_samples(self) -> int:
        """How many samples wait beyond a gap."""
        return self._held_samples

    @property
    def silences_ms(self) -> tuple[tuple[int, int], ...]:
        """Start and end in the call of silence that was put in, the beginning included: the last 4,096 of them."""
        per_ms = self._per_ms
        return tuple((silence.start // per_ms, -(-silence.end // per_ms)) for silence in self._silences.known)

    def _place_elsewhere(self, timestamp_ms: int, at: int, payload: bytes) -> None:
        ahead = at - self._position
        tolerance = min(self._tolerance, len(payload) // 2)
        if timestamp_ms < 0 or at - max(self._position, self._origin) > self._max_gap:
            self._counts["refused"] += 1
        elif ahead > tolerance:
            # An empty frame has no place, and holding it would know no bound.
            if payload:
                self._hold(at, payload)
        else:
            if self._held and ahead >= -tolerance:
                self._counts["reordered"] += 1
            self._join(at, payload, tolerance)
            self._join_held()

    def _hold(self, at: int, payload: bytes) -> None:
        if any(at == other for other, _ in self._held):
            self._counts["repeated"] += 1
            return
        if self._held and at < self._held[-1][0]:
            self._counts["reordered"] += 1
        insort(self._held, (at, payload))
        self._held_samples += len(payload)
        while self._held and self._held_samples >= self._reorder:
            self._close_gap()

    def _close_gap(self) -> None:
        """Silence up to the first frame held, and after it all that has become contiguous."""
        first = self._held[0][0]
        if first > self._position:
            self._put_silence(first)
        self._join_held()

    def _join_held(self) -> None:
        while self._held:
            at, payload = self._held[0]
            tolerance = min(self._tolerance, len(payload) // 2)
            if at - self._position > tolerance:
                return
            del self._held[0]
            self._held_samples -= len(payload)
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
        self._silences.add(Silence(self._position, end, gap=self._position > self._stream_start))
        self._append(bytes((SILENCE,)) * (end - self._position))

    def _fill(self, at: int, payload: bytes, tolerance: int) -> bool:
        """Write a late frame into silence at its place, as far as that was not taken. False when none was there."""
        hit = self._silences.under(at, at + len(payload), tolerance)
        for silence in hit:
            first, last = max(at, silence.start, self._taken), min(at + len(payload), silence.end)
            if first < last:
                self._overwrite(first, payload[first - at : last - at])
                self._silences.shrink(silence, first, last)
        self._counts["late"] += bool(hit)
        return bool(hit)

    def _overwrite(self, at: int, samples: bytes) -> None:
        settled = bytearray().join(self._ready)
        settled[at - self._taken : at - self._taken + len(samples)] = samples
        self._ready = [bytes(settled)]
