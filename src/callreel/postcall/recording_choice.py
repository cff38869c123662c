"""Which of a call's cloud recordings is *the* recording of the call, chosen by content.

A call can have several: another tool starts a second one, or recording stops and starts again. The choice depends on the
facts alone, never on names or on the order in which callbacks arrive: how much of the call is covered, then the number of
channels, then how well the live layers agree. Consecutive recordings are joined. The others are stored, but not used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from callreel.domain.ids import RecordingSid

START_TOLERANCE_MS: Final = 1_000
"""The carrier reports starts in whole seconds."""


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A recording that is stored here. `start_ms` counts from the earliest start of the call's recordings.

    `agreement` is how well the live layers correlate with it, 0 to 1; 0 where it was not compared.
    """

    sid: RecordingSid
    channels: int
    start_ms: int
    duration_ms: int
    agreement: float = 0.0

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.duration_ms


def choose(stored: Sequence[StoredRecording]) -> tuple[StoredRecording, ...]:
    """The recording of the call: one, or several that follow each other, in order. Empty without any."""

    def by_channels(recording: StoredRecording) -> int:
        return min(recording.channels, 2)

    groups = groupby(sorted(stored, key=by_channels), key=by_channels)
    return max((_best_chain(list(group)) for _, group in groups), key=_rank, default=())


def _rank(chain: Sequence[StoredRecording]) -> tuple[int, int, float]:
    """Coverage to the carrier's precision, then channels, then agreement."""
    covered_ms = sum(recording.duration_ms for recording in chain)
    agreement = max((recording.agreement for recording in chain), default=0.0)
    return round(covered_ms / START_TOLERANCE_MS), max((r.channels for r in chain), default=0), agreement


def _best_chain(recordings: list[StoredRecording]) -> tuple[StoredRecording, ...]:
    """Of the recordings that do not overlap, those that cover most (weighted interval scheduling)."""
    best: list[tuple[StoredRecording, ...]] = []
    for recording in sorted(recordings, key=lambda r: (r.start_ms, r.sid)):
        before = (chain for chain in best if chain[-1].end_ms <= recording.start_ms + START_TOLERANCE_MS)
        best.append((*max(before, key=_rank, default=()), recording))
    return max(best, key=lambda chain: (_rank(chain), -len(chain), chain[0].sid), default=())
