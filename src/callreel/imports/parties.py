"""Who was on a call of the carrier's account, and on which channel, from its legs. Pure.

The parent leg is on channel 1, the dialled one on channel 2 (reference/twilio.md, section 2). The agent is the leg of a browser
or of a SIP phone. Without one, the agent of an outgoing call is the parent leg, that of an incoming one the dialled leg.
"""

from dataclasses import dataclass, field

from callreel.domain.call import Direction, Role
from callreel.domain.caller import caller_number
from callreel.twilio.rest_resources import CallResource
from callreel.twilio.webhooks import CLIENT

UNKNOWN = "unknown"
_SIP = "sip:"


@dataclass(frozen=True, slots=True)
class Parties:
    """`inbound_role` is the party on channel 1."""

    direction: Direction
    agent: str
    number: str = field(repr=False)
    inbound_role: Role


def parties_of(parent: CallResource, child: CallResource | None, *, swapped: bool = False) -> Parties:
    """`swapped` is the setting for carriers whose channels are the other way round."""
    found = _parties(parent, child)
    if not swapped:
        return found
    return Parties(found.direction, found.agent, found.number, found.inbound_role.other)


def _parties(parent: CallResource, child: CallResource | None) -> Parties:
    if name := agent_name(parent.from_):  # a browser or a SIP phone calls
        number = child.to if child else parent.to
        return Parties(Direction.OUTGOING, name, caller_number(number), Role.AGENT)
    if parent.direction == "inbound":  # a phone calls one of the account's numbers
        name = (agent_name(child.to) or child.to) if child else ""
        return Parties(Direction.INCOMING, name or UNKNOWN, caller_number(parent.from_), Role.TECHNICIAN)
    if name := agent_name(parent.to):  # the application calls an agent, who is then connected to a phone
        number = child.to if child else ""
        return Parties(Direction.OUTGOING, name, caller_number(number), Role.AGENT)
    if child is not None and not agent_name(child.to):  # it calls an agent's phone first
        return Parties(Direction.OUTGOING, parent.to, caller_number(child.to), Role.AGENT)
    name = agent_name(child.to) if child else ""
    return Parties(Direction.OUTGOING, name or UNKNOWN, caller_number(parent.to), Role.TECHNICIAN)


def agent_name(address: str) -> str:
    """The identity of a browser, or the user of a SIP address; empty for a phone number."""
    if address.startswith(CLIENT):
        return address.removeprefix(CLIENT)
    return address.removeprefix(_SIP).partition("@")[0] if address.startswith(_SIP) else ""
