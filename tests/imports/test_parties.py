"""Who was on which channel, by the legs of a call."""

import pytest

from callreel.domain.call import Direction, Role
from callreel.domain.caller import WITHHELD
from callreel.domain.ids import LegSid
from callreel.imports.parties import parties_of
from callreel.twilio.rest_resources import CallResource

PHONE, OTHER = "+12125550123", "+12125550199"


def leg(direction: str, from_: str, to: str) -> CallResource:
    return CallResource(LegSid("CA1"), "completed", direction, from_, to)


@pytest.mark.parametrize(
    ("direction", "from_", "to", "child_to", "expected"),
    [
        ("inbound", "client:ada", "", PHONE, (Direction.OUTGOING, "ada", PHONE, Role.AGENT)),
        ("inbound", "client:ada", PHONE, None, (Direction.OUTGOING, "ada", PHONE, Role.AGENT)),
        ("inbound", "sip:ada@pbx.example", PHONE, PHONE, (Direction.OUTGOING, "ada", PHONE, Role.AGENT)),
        ("inbound", PHONE, OTHER, "client:ada", (Direction.INCOMING, "ada", PHONE, Role.TECHNICIAN)),
        ("inbound", PHONE, OTHER, "+12125550111", (Direction.INCOMING, "+12125550111", PHONE, Role.TECHNICIAN)),
        ("inbound", "anonymous", OTHER, None, (Direction.INCOMING, "unknown", WITHHELD, Role.TECHNICIAN)),
        ("outbound-api", OTHER, "client:ada", PHONE, (Direction.OUTGOING, "ada", PHONE, Role.AGENT)),
        ("outbound-api", OTHER, PHONE, "client:ada", (Direction.OUTGOING, "ada", PHONE, Role.TECHNICIAN)),
        ("outbound-api", OTHER, "+12125550111", PHONE, (Direction.OUTGOING, "+12125550111", PHONE, Role.AGENT)),
        ("outbound-api", OTHER, PHONE, None, (Direction.OUTGOING, "unknown", PHONE, Role.TECHNICIAN)),
    ],
)  # fmt: skip
def test_parties_follow_from_the_legs(
    direction: str, from_: str, to: str, child_to: str | None, expected: tuple[object, ...]
) -> None:
    child = leg("outbound-dial", OTHER, child_to) if child_to else None
    found = parties_of(leg(direction, from_, to), child)
    assert (found.direction, found.agent, found.number, found.inbound_role) == expected
    assert parties_of(leg(direction, from_, to), child, swapped=True).inbound_role is not found.inbound_role
