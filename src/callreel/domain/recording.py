"""The three layers of a call's audio, and the state of the carrier's recording."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from callreel.domain.call import Role

FILE_PREFIX: Final = "file-"
"""Before the ids of a recording, and of its leg, that were imported from a file. The carrier's ids never look like it."""


def from_file(sid: str) -> bool:
    """Whether a recording or a leg was imported from a file: the carrier has never had it."""
    return sid.startswith(FILE_PREFIX)


class Layer(StrEnum):
    """One of the records of a call. `CLOUD_CHANNEL` is a role's channel split from the carrier's file."""

    LIVE_8K = "live_8k"
    LIVE_16K = "live_16k"
    CLOUD = "cloud"
    CLOUD_CHANNEL = "cloud_channel"


class LayerState(StrEnum):
    """`RECORDING` files grow; `CLOSED` ones are final; `REPAIRED` ones were closed after their process died."""

    RECORDING = "recording"
    CLOSED = "closed"
    REPAIRED = "repaired"


class Derivation(StrEnum):
    """How a layer's samples are derived from the FLAC file of an archived call.

    `WHOLE`: all of its samples; `CHANNEL`: one channel of it; `UPSAMPLED`: its samples resampled to 16 kHz.
    """

    WHOLE = "whole"
    CHANNEL = "channel"
    UPSAMPLED = "upsampled"


@dataclass(frozen=True, slots=True)
class Archived:
    """The source from which a deleted layer file can be rebuilt bit for bit, as its digest proved before the deletion.

    `key`, `size_bytes` and `sha256` are of the FLAC file, which several layers may share. `head` and `tail` are the bytes
    of the WAV file before and after its samples, in base64. `channel` counts from 1; `cuts` are the samples of
    layer 1 at which resampling restarted, because a stream ended there.
    """

    key: str
    size_bytes: int
    sha256: str
    derivation: Derivation
    head: str
    tail: str = ""
    channel: int = 1
    cuts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LayerFile:
    """One file of one layer. `role` is None for the carrier's own file, which holds both parties.

    `path` is relative to the data folder. `sha256` is of the whole file, None while it still grows. `spool` names the
    machine's spool that has the file until it moves to the object store; None once it is at its final place. `archived` is
    set if the file was deleted and can be rebuilt; size and digest remain those of the file.
    """

    layer: Layer
    role: Role | None
    path: str
    rate_hz: int
    channels: int
    duration_ms: int
    size_bytes: int
    sha256: str | None
    state: LayerState
    spool: str | None = None
    archived: Archived | None = None


class CloudState(StrEnum):
    """The known progress of the carrier's recording.

        EXPECTED -> IN_PROGRESS -> COMPLETED -> STORED   (downloaded, checked, saved)
        any of the first two -> ABSENT | FAILED                   (the carrier has none, and says why)
        COMPLETED -> PARKED                                       (it exists, but the download failed; shown to operators)
        EXPECTED | IN_PROGRESS -> MISSING                         (no word from the carrier, and none on its list)

    Later states win over earlier ones whatever the order of callbacks; see `advance`.
    """

    EXPECTED = "expected"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    STORED = "stored"
    ABSENT = "absent"
    FAILED = "failed"
    PARKED = "parked"
    MISSING = "missing"


_RANK = {
    CloudState.EXPECTED: 0,
    CloudState.IN_PROGRESS: 1,
    CloudState.MISSING: 2,
    CloudState.ABSENT: 3,
    CloudState.FAILED: 3,
    CloudState.COMPLETED: 4,
    CloudState.PARKED: 5,
    CloudState.STORED: 6,
}


def advance(current: CloudState, reported: CloudState) -> CloudState:
    """The state after `reported` is received in state `current`. Callbacks arrive in any order, so the later state wins."""
    return reported if _RANK[reported] > _RANK[current] else current
