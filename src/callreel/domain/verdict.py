"""What comparing the layers says of a call.

`Comparison` is measured by `audio/align`, one a role; `judge` turns comparisons and known facts into a verdict.
"""

from dataclasses import dataclass
from enum import StrEnum

from callreel.domain.call import Role


class Verdict(StrEnum):
    """`VERIFIED`: two independent captures agree. `EXPLAINED`: they differ, and we know why. `SUSPECT`: look at it."""

    VERIFIED = "verified"
    EXPLAINED = "explained"
    SUSPECT = "suspect"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a verdict is what it is. `code` is stable and for programs, `detail` is for people."""

    code: str
    detail: str
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Layer 1 of one role held against that role's channel of layer 3.

    `offset_ms`: where the live layer's first sample lies in the cloud recording (positive: the stream began later).
    `drift_ppm`: by how much the live clock runs slower (positive) or faster than the cloud one, parts per million.
    `correlation`: 0 to 1, of the samples where both have sound, after alignment. None when neither has sound.
    `unmatched_ms`: how much of the sound in the cloud recording has no counterpart in the live layer at its place.
    `silent`: whether both are silent throughout (nothing to compare, and nothing lost).
    """

    role: Role
    live_ms: int
    cloud_ms: int
    offset_ms: float
    drift_ppm: float
    correlation: float | None
    unmatched_ms: int
    silent: bool = False
