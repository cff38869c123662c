"""A call, its parties, and which party is on which track and channel."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The role of a party on a call, as stored. The names on the pages are settings."""

    AGENT = "agent"
    TECHNICIAN = "technician"

    @property
    def other(self) -> "Role":
        return Role.TECHNICIAN if self is Role.AGENT else Role.AGENT


class Direction(StrEnum):
    """From our side: `OUTGOING` when the agent's browser calls out, `INCOMING` when a caller dials our number."""

    OUTGOING = "outgoing"
    INCOMING = "incoming"


class Track(StrEnum):
    """A live direction of the leg that runs the TwiML, named from the carrier's side of that leg.

    `INBOUND` is what the carrier receives from the leg, `OUTBOUND` what it sends to it.
    """

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class CallState(StrEnum):
    """The progress of a call.

    LIVE --(stop, call completed, stream stopped, or silence on all of them)--> ENDED
    ENDED --(the stages after the call reached a verdict)--> CLOSED
    """

    LIVE = "live"
    ENDED = "ended"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Topology:
    """Which party is on which track and channel of a call's parent leg.

    The carrier names tracks from its own side of the leg that executes the TwiML, and numbers channels parent first
    (reference/twilio.md, section 2). The parent leg is the browser agent on an outgoing call and the outside caller on
    an incoming one, so roles follow from the direction and are never constants.
    """

    inbound: Role

    @classmethod
    def of(cls, direction: Direction, *, swapped: bool = False) -> "Topology":
        """`swapped` is the setting for carriers whose mapping is reversed."""
        parent = Role.AGENT if direction is Direction.OUTGOING else Role.TECHNICIAN
        return cls(inbound=parent.other if swapped else parent)

    def role_of_track(self, track: Track) -> Role:
        return self.inbound if track is Track.INBOUND else self.inbound.other

    def role_of_channel(self, channel: int) -> Role:
        """`channel` counts from 1, as the carrier does: 1 is the parent leg, 2 the child leg."""
        if channel not in (1, 2):
            raise ValueError(f"a two-party recording has channels 1 and 2, not {channel}")
        return self.inbound if channel == 1 else self.inbound.other
