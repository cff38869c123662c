"""Which browsers are there and on which calls they are: how a socket finds its call, and a call its browser.

One browser an identity can be rung, the one that registered last (the carrier rings them all). Ended legs are kept for a
while, so that a browser that comes back late is told.
"""

from collections import deque
from collections.abc import Callable

from callreel.domain.ids import LegSid
from callreel.simulator.signalling.browser_leg import BrowserLeg, BrowserTimeouts, SignalingChannel
from callreel.simulator.signalling.session import CallRequested
from callreel.simulator.signalling.signalled_call import SignalledCall

_KEPT_LEGS = 200


class Switchboard:
    """`take` is called with each new leg and what its browser wants. `new_token` makes reconnect tokens."""

    def __init__(
        self,
        take: Callable[[BrowserLeg, CallRequested], None],
        new_sid: Callable[[], str],
        new_token: Callable[[], str],
        patience: BrowserTimeouts,
    ) -> None:
        self._take = take
        self._new_sid = new_sid
        self._new_token = new_token
        self._patience = patience
        self._registered: dict[str, SignalingChannel] = {}
        self._legs: dict[str, BrowserLeg] = {}
        self._in_order = deque[BrowserLeg]()

    def register(self, identity: str, wire: SignalingChannel) -> None:
        self._registered[identity] = wire

    def unregister(self, identity: str, wire: SignalingChannel) -> None:
        """Only if it is still `wire` that is rung for `identity`."""
        if self._registered.get(identity) is wire:
            del self._registered[identity]

    def is_registered(self, identity: str) -> bool:
        return identity in self._registered

    def wanted(self, identity: str, wire: SignalingChannel, call: CallRequested) -> None:
        """A browser calls."""
        if call.temporary_sid not in self._legs:
            self._take(self._add(identity, wire, self._new_sid(), call.temporary_sid), call)

    def leg_for(self, identity: str, sid: str) -> BrowserLeg | None:
        """A leg `sid` to the browser of `identity`, not yet rung; None when nobody is registered."""
        wire = self._registered.get(identity)
        return None if wire is None else self._add(identity, wire, sid, None)

    def find(self, identity: str, sid: str) -> BrowserLeg | None:
        """The leg that `identity` names by the carrier's or by a temporary id."""
        leg = self._legs.get(sid)
        return leg if leg is not None and leg.identity == identity else None

    def lost(self, wire: SignalingChannel) -> None:
        """A socket has gone, and whoever was registered on it."""
        for identity in [name for name, at in self._registered.items() if at is wire]:
            del self._registered[identity]
        for leg in list(self._in_order):
            leg.lost(wire)

    def _add(self, identity: str, wire: SignalingChannel, sid: str, temporary_sid: str | None) -> BrowserLeg:
        call = SignalledCall(LegSid(sid), self._new_token(), temporary_sid)
        leg = BrowserLeg(call, identity, wire, self._patience)
        self._in_order.append(leg)
        for name in leg.sids:
            self._legs[name] = leg
        while len(self._in_order) > _KEPT_LEGS and self._in_order[0].over:
            for name in self._in_order.popleft().sids:
                self._legs.pop(name, None)
        return leg
