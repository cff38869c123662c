"""Erasing a call for good: how far it is, and what became of a recording at the carrier."""

from enum import StrEnum

LONGEST_REASON = 500
"""Characters of a reason, for an erasure or a hold."""


class ErasureStep(StrEnum):
    """What an erasure does now, in this order. Killed at any instant, it goes on at the step where it was."""

    REQUESTED = "requested"
    CARRIER = "carrier"
    FILES = "files"
    ROWS = "rows"
    DONE = "done"


class AtCarrier(StrEnum):
    """`GONE`: the carrier had it no more when we asked. `LEFT`: whoever asked for the erasure wanted it left there."""

    DELETED = "deleted"
    GONE = "gone"
    LEFT = "left"
