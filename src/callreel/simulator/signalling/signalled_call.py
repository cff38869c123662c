"""One call as a browser softphone is told of it, from the carrier's end: which message may follow which.

Pure, and independent of sockets: a call outlives a lost one, and the browser names it by two ids. Each method gives the
message to be sent, or None when the call is no longer where that message makes sense. Follows reference/softphone.md,
section 2.
"""

from collections.abc import Mapping
from enum import StrEnum

from callreel.domain.ids import LegSid
from callreel.simulator.signalling import messages as messages

_NOT_FOUND = 31404


class CallStage(StrEnum):
    """How far the call is for its browser."""

    WANTED = "wanted"  # by the browser, which knows only its temporary id
    RINGING = "ringing"
    OFFERED = "offered"  # to the browser
    OPEN = "open"
    OVER = "over"


class Transition(StrEnum):
    """What either end does."""

    RING = "ring"
    ANSWER = "answer"
    ACCEPT = "accept"
    DECLINE = "decline"
    LEAVE = "leave"
    END = "end"
    RESUME = "resume"
    PRESS = "press"
    SAY = "say"


_NEXT: dict[CallStage, dict[Transition, CallStage]] = {
    CallStage.WANTED: {
        Transition.RING: CallStage.RINGING,
        Transition.ANSWER: CallStage.OPEN,
        Transition.LEAVE: CallStage.OVER,
        Transition.END: CallStage.OVER,
    },
    CallStage.RINGING: {
        Transition.ANSWER: CallStage.OPEN,
        Transition.PRESS: CallStage.RINGING,
        Transition.LEAVE: CallStage.OVER,
        Transition.END: CallStage.OVER,
    },
    CallStage.OFFERED: {
        Transition.ACCEPT: CallStage.OPEN,
        Transition.DECLINE: CallStage.OVER,
        Transition.RESUME: CallStage.OFFERED,
        Transition.LEAVE: CallStage.OVER,
        Transition.END: CallStage.OVER,
    },
    CallStage.OPEN: {
        Transition.RESUME: CallStage.OPEN,
        Transition.PRESS: CallStage.OPEN,
        Transition.SAY: CallStage.OPEN,
        Transition.LEAVE: CallStage.OVER,
        Transition.END: CallStage.OVER,
    },
    CallStage.OVER: {},
}


class SignalledCall:
    """`reconnect_token` is what the browser must show to go on after a lost socket."""

    def __init__(self, leg_sid: LegSid, reconnect_token: str, temporary_sid: str | None = None) -> None:
        """With a `temporary_sid` the browser calls, without one it is called."""
        self.leg_sid = leg_sid
        self.temporary_sid = temporary_sid
        self._token = reconnect_token
        self._stage = CallStage.OFFERED if temporary_sid is None else CallStage.WANTED
        self._sdp_told = False
        self._sid_told = temporary_sid is None

    @property
    def stage(self) -> CallStage:
        return self._stage

    @property
    def sids(self) -> tuple[str, ...]:
        """Every id by which the browser may name it."""
        return (self.leg_sid,) if self.temporary_sid is None else (self.leg_sid, self.temporary_sid)

    def takes(self, move: Transition) -> bool:
        """Make the move if it is one that the call's stage allows; whether it was."""
        after = _NEXT[self._stage].get(move)
        if after is None:
            return False
        self._stage = after
        return True

    def ringing(self, sdp: str) -> str | None:
        """The other phone rings; with our SDP the browser hears what comes before the answer."""
        if not self.takes(Transition.RING):
            return None
        self._sdp_told = self._sid_told = True
        return messages.encode(messages.Ringing(messages.RingingBody(self.leg_sid, sdp)))

    def answered(self, sdp: str) -> str | None:
        """The call is answered; the SDP goes with it unless it went with `ringing`."""
        if not self.takes(Transition.ANSWER):
            return None
        told, self._sdp_told, self._sid_told = self._sdp_told, True, True
        body = messages.AnsweredBody(self.leg_sid, self._token, "" if told else sdp)
        return messages.encode(messages.Answered(body))

    def offer(self, sdp: str, parameters: Mapping[str, str]) -> str:
        """The message that rings the browser."""
        body = messages.OfferBody(self.leg_sid, sdp, self._token, dict(parameters))
        return messages.encode(messages.Offer(body))

    def resumed(self, token: str) -> str | None:
        """What to answer a browser that comes back with `token`; None for a wrong one."""
        if token != self._token:
            return None
        if not self.takes(Transition.RESUME):
            return messages.encode(messages.Ended(messages.EndedBody(self.leg_sid)))
        return messages.encode(messages.Answered(messages.AnsweredBody(self.leg_sid, self._token)))

    def ended(self, code: int | None = None, reason: str = "") -> str | None:
        """Our end of the call: a cancelled offer, or a hang-up, with the carrier's number of an error if there is one."""
        offered = self._stage is CallStage.OFFERED
        if not self.takes(Transition.END):
            return None
        if offered:
            return messages.encode(messages.Cancel(messages.CallReference(self.leg_sid)))
        error = None if code is None else messages.ErrorBody(code, reason)
        sid = self.leg_sid if self._sid_told else self.temporary_sid or self.leg_sid
        return messages.encode(messages.Ended(messages.EndedBody(sid, error)))

    def acknowledged(self, voice_event_sid: str) -> str | None:
        """A message of the page's own arrived."""
        if not self.takes(Transition.SAY):
            return None
        body = messages.AckBody(self.leg_sid, voice_event_sid, "message")
        return messages.encode(messages.Ack(body))


def unknown_call(sid: str) -> str:
    """What to answer a browser that wants to go on with a call that is not there."""
    return refused_call(sid, _NOT_FOUND, "Not Found")


def refused_call(temporary_sid: str, code: int, reason: str) -> str:
    """What to answer a browser whose call is not even begun."""
    return messages.encode(
        messages.Ended(messages.EndedBody(temporary_sid, messages.ErrorBody(code, reason)))
    )
