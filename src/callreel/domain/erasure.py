"""Erasing a call permanently: the outcome for a recording at the carrier."""

from enum import StrEnum

LONGEST_REASON = 500
"""Characters of a reason, for an erasure or a hold."""


class AtCarrier(StrEnum):
    """`ALREADY_DELETED`: the carrier no longer had it. `KEPT`: the erasure order excluded the carrier's copy."""

    DELETED = "deleted"
    ALREADY_DELETED = "already_deleted"
    KEPT = "kept"
