"""The registered browsers and their call legs: finds the leg of a signalling message, and the browser of a call.

One browser per identity can be rung, the one that registered last (the carrier rings them all). Ended legs are kept for a
while, so that a browser that resumes late gets a response.
"""

from collections import deque
from collections.abc import Callable

from callreel.domain.ids import LegSid
from callreel.simulator.signalling.browser_leg import BrowserLeg, BrowserTimeouts, SignallingChannel
from callreel.simulator.signalling.messages import InviteBody
from callreel.simulator.signalling.signalled_call import SignalledCall

_KEPT_LEGS = 200


class Switchboard:
    """`on_call` is called with each new leg, its request and its TwiML app. `new_token` generates reconnect tokens."""

    def __init__(
        self,
        on_call: Callable[[BrowserLeg, InviteBody, str], None],
        new_sid: Callable[[], str],
        new_token: Callable[[], str],
        timeouts: BrowserTimeouts,
    ) -> None:
        self._on_call = on_call
        self._new_sid = new_sid
        self._new_token = new_token
        self._timeouts = timeouts
        self._registered: dict[str, SignallingChannel] = {}
        self._legs: dict[str, BrowserLeg] = {}
        self._in_order = deque[BrowserLeg]()

    def register(self, identity: str, channel: SignallingChannel) -> None:
        self._registered[identity] = channel

    def unregister(self, identity: str, channel: SignallingChannel) -> None:
        """Unregister `identity` if `channel` is its registered one."""
        if self._registered.get(identity) is channel:
            del self._registered[identity]

    def is_registered(self, identity: str) -> bool:
        return identity in self._registered

    def request_call(
        self, identity: str, channel: SignallingChannel, call: InviteBody, application_sid: str
    ) -> None:
        """A browser places a call through an app."""
        if call.callsid not in self._legs:
            self._on_call(self._add(identity, channel, self._new_sid(), call.callsid), call, application_sid)

    def leg_for(self, identity: str, sid: str) -> BrowserLeg | None:
        """A leg `sid` to the browser of `identity`, not yet rung; None if it is not registered."""
        channel = self._registered.get(identity)
        return None if channel is None else self._add(identity, channel, sid, None)

    def find(self, identity: str, sid: str) -> BrowserLeg | None:
        """The leg of `identity` with this id, the carrier's or a temporary one."""
        leg = self._legs.get(sid)
        return leg if leg is not None and leg.identity == identity else None

    def socket_closed(self, channel: SignallingChannel) -> None:
        """Unregister the identities of a closed socket, and notify its legs."""
        for identity in [name for name, at in self._registered.items() if at is channel]:
            del self._registered[identity]
        for leg in list(self._in_order):
            leg.socket_closed(channel)

    def _add(
        self, identity: str, channel: SignallingChannel, sid: str, temporary_sid: str | None
    ) -> BrowserLeg:
        call = SignalledCall(LegSid(sid), self._new_token(), temporary_sid)
        leg = BrowserLeg(call, identity, channel, self._timeouts)
        self._in_order.append(leg)
        for name in leg.sids:
            self._legs[name] = leg
        while len(self._in_order) > _KEPT_LEGS and self._in_order[0].over:
            for name in self._in_order.popleft().sids:
                self._legs.pop(name, None)
        return leg
