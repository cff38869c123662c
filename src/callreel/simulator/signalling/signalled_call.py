"""The state machine of one call towards a browser softphone, at the carrier's end, without I/O.

It is independent of sockets, since a call survives a closed one, and the browser refers to it by two ids. Each method
returns the message to send, or None if the call's stage does not allow it. Follows reference/softphone.md, section 2.
"""

from collections.abc import Mapping
from enum import StrEnum

from callreel.domain.ids import LegSid
from callreel.simulator.signalling import messages as messages

_NOT_FOUND = 31404


class CallStage(StrEnum):
    """Stages of a call for its browser."""

    REQUESTED = "requested"  # by the browser, which has only its temporary id
    RINGING = "ringing"
    OFFERED = "offered"  # to the browser
    OPEN = "open"
    OVER = "over"


class Transition(StrEnum):
    """Actions of either end."""

    RING = "ring"
    ANSWER = "answer"
    ACCEPT = "accept"
    DECLINE = "decline"
    HANG_UP = "hang up"
    END = "end"
    RESUME = "resume"
    SEND_DIGITS = "send digits"
    SEND_MESSAGE = "send message"


_NEXT: dict[CallStage, dict[Transition, CallStage]] = {
    CallStage.REQUESTED: {
        Transition.RING: CallStage.RINGING,
        Transition.ANSWER: CallStage.OPEN,
        Transition.HANG_UP: CallStage.OVER,
        Transition.END: CallStage.OVER,
    },
    CallStage.RINGING: {
        Transition.ANSWER: CallStage.OPEN,
        Transition.SEND_DIGITS: CallStage.RINGING,
        Transition.HANG_UP: CallStage.OVER,
        Transition.END: CallStage.OVER,
    },
    CallStage.OFFERED: {
        Transition.ACCEPT: CallStage.OPEN,
        Transition.DECLINE: CallStage.OVER,
        Transition.RESUME: CallStage.OFFERED,
        Transition.HANG_UP: CallStage.OVER,
        Transition.END: CallStage.OVER,
    },
    CallStage.OPEN: {
        Transition.RESUME: CallStage.OPEN,
        Transition.SEND_DIGITS: CallStage.OPEN,
        Transition.SEND_MESSAGE: CallStage.OPEN,
        Transition.HANG_UP: CallStage.OVER,
        Transition.END: CallStage.OVER,
    },
    CallStage.OVER: {},
}


class SignalledCall:
    """`reconnect_token` is what the browser must present to resume the call after its socket closed."""

    def __init__(self, leg_sid: LegSid, reconnect_token: str, temporary_sid: str | None = None) -> None:
        """With a `temporary_sid` the browser is the caller, without one it is called."""
        self.leg_sid = leg_sid
        self.temporary_sid = temporary_sid
        self._token = reconnect_token
        self._stage = CallStage.OFFERED if temporary_sid is None else CallStage.REQUESTED
        self._sdp_sent = False
        self._sid_sent = temporary_sid is None

    @property
    def stage(self) -> CallStage:
        return self._stage

    @property
    def sids(self) -> tuple[str, ...]:
        """Every id by which the browser may refer to it."""
        return (self.leg_sid,) if self.temporary_sid is None else (self.leg_sid, self.temporary_sid)

    def apply(self, transition: Transition) -> bool:
        """Apply the transition if the stage allows it; returns whether it does."""
        after = _NEXT[self._stage].get(transition)
        if after is None:
            return False
        self._stage = after
        return True

    def ringing(self, sdp: str) -> str | None:
        """The other phone rings; with our SDP the browser receives early media."""
        if not self.apply(Transition.RING):
            return None
        self._sdp_sent = self._sid_sent = True
        return messages.encode(messages.Ringing(messages.RingingBody(self.leg_sid, sdp)))

    def answered(self, sdp: str) -> str | None:
        """The call is answered; the message has the SDP unless `ringing` had it."""
        if not self.apply(Transition.ANSWER):
            return None
        sent, self._sdp_sent, self._sid_sent = self._sdp_sent, True, True
        body = messages.AnsweredBody(self.leg_sid, self._token, "" if sent else sdp)
        return messages.encode(messages.Answered(body))

    def offer(self, sdp: str, parameters: Mapping[str, str]) -> str:
        """The message that rings the browser."""
        body = messages.OfferBody(self.leg_sid, sdp, self._token, dict(parameters))
        return messages.encode(messages.Offer(body))

    def resumed(self, token: str) -> str | None:
        """The response to a browser that resumes with `token`; None for a wrong token."""
        if token != self._token:
            return None
        if not self.apply(Transition.RESUME):
            return messages.encode(messages.Ended(messages.EndedBody(self.leg_sid)))
        return messages.encode(messages.Answered(messages.AnsweredBody(self.leg_sid, self._token)))

    def ended(self, code: int | None = None, reason: str = "") -> str | None:
        """The carrier ends the call: cancels an offer, or hangs up, with an error code if there is one."""
        offered = self._stage is CallStage.OFFERED
        if not self.apply(Transition.END):
            return None
        if offered:
            return messages.encode(messages.Cancel(messages.CallReference(self.leg_sid)))
        error = None if code is None else messages.ErrorBody(code, reason)
        sid = self.leg_sid if self._sid_sent else self.temporary_sid or self.leg_sid
        return messages.encode(messages.Ended(messages.EndedBody(sid, error)))

    def acknowledged(self, voice_event_sid: str) -> str | None:
        """Acknowledge a user-defined message."""
        if not self.apply(Transition.SEND_MESSAGE):
            return None
        body = messages.AckBody(self.leg_sid, voice_event_sid, "message")
        return messages.encode(messages.Ack(body))


def unknown_call(sid: str) -> str:
    """The response to a browser that resumes an unknown call."""
    return refused_call(sid, _NOT_FOUND, "Not Found")


def refused_call(temporary_sid: str, code: int, reason: str) -> str:
    """The response to a browser whose call is refused."""
    return messages.encode(
        messages.Ended(messages.EndedBody(temporary_sid, messages.ErrorBody(code, reason)))
    )
