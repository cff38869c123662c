"""Erasing a call for good: what became of a recording at the carrier."""

from enum import StrEnum

LONGEST_REASON = 500
"""Characters of a reason, for an erasure or a hold."""


class AtCarrier(StrEnum):
    """`GONE`: the carrier had it no more when we asked. `LEFT`: whoever asked for the erasure wanted it left there."""

    DELETED = "deleted"
    GONE = "gone"
    LEFT = "left"
