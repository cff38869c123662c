"""The signaling protocol of one browser softphone, at the carrier's end, without I/O.

`SignallingSession` receives each message and returns exactly one event; it never raises for what the browser sends. It
tracks authentication and registration; `signalled_call` tracks calls. It has no clock: its driver sends `HEARTBEAT` at
least every ten seconds. Follows reference/softphone.md, section 2, which was read from the SDK's source; close codes are
those of RFC 6455, section 7.4.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from callreel.simulator.signalling import messages as messages
from callreel.twilio.access_token import Grants, RefusalCode, Refused

HEARTBEAT: Final = "\n"
"""Sent by the carrier; the SDK echoes it, and closes a socket that received nothing for 15 s."""

NOT_JSON: Final = 1007
TOO_BIG: Final = 1009

_FACT_CHARS = 200
_MAX_PARAMETERS = 100


class SessionState(StrEnum):
    """States of the socket."""

    AWAITING_TOKEN = "awaiting a token"
    AUTHENTICATED = "authenticated"
    REGISTERED = "registered"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class TokenPresented:
    """Respond with `admit` or `refuse`."""

    token: str


@dataclass(frozen=True, slots=True)
class RegisterRequested:
    """Respond with `ready`, every time."""


@dataclass(frozen=True, slots=True)
class UnregisterRequested:
    """Respond with `offline`."""


@dataclass(frozen=True, slots=True)
class CallRequested:
    """A new call. `temporary_sid` identifies it until the browser receives the real one."""

    temporary_sid: str
    sdp: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """The browser resumes a call: after its socket closed, and after each new token."""

    sid: str
    reconnect_token: str


@dataclass(frozen=True, slots=True)
class CallAccepted:
    """An offered call is accepted."""

    sid: str
    sdp: str


@dataclass(frozen=True, slots=True)
class CallDeclined:
    """An offered call is declined."""

    sid: str


@dataclass(frozen=True, slots=True)
class CallHungUp:
    """The browser hung up. `sid` may be temporary, or belong to no call."""

    sid: str


@dataclass(frozen=True, slots=True)
class DigitsPressed:
    """DTMF digits of a call, in order."""

    sid: str
    keys: str


@dataclass(frozen=True, slots=True)
class MessageSent:
    """A user-defined message, to be acknowledged."""

    sid: str
    voice_event_sid: str
    content: Any


@dataclass(frozen=True, slots=True)
class IceRestartRequested:
    """The browser lost its media connection and requests an ICE restart."""

    sid: str
    sdp: str


@dataclass(frozen=True, slots=True)
class HeartbeatEcho:
    """The echo of a heartbeat."""


@dataclass(frozen=True, slots=True)
class Unauthenticated:
    """A message arrived before a valid token; respond with `refuse`."""

    what: str
    code: RefusalCode = RefusalCode.INVALID


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A message of an unknown type."""

    name: str


@dataclass(frozen=True, slots=True)
class ProtocolViolation:
    """A violation of the protocol. Without a `close_code` it is only logged."""

    what: str
    close_code: int | None


CallEvent = (
    ResumeRequested
    | CallAccepted
    | CallDeclined
    | CallHungUp
    | DigitsPressed
    | MessageSent
    | IceRestartRequested
)
SignalEvent = (
    TokenPresented
    | RegisterRequested
    | UnregisterRequested
    | CallRequested
    | CallEvent
    | HeartbeatEcho
    | Unauthenticated
    | UnknownMessage
    | ProtocolViolation
)

_AUTHENTICATED_MESSAGES: frozenset[type[messages.BrowserMessage]] = frozenset(
    {
        messages.Listen,
        messages.Register,
        messages.Invite,
        messages.Answer,
        messages.Reinvite,
        messages.Hangup,
        messages.Reject,
        messages.Dtmf,
        messages.UserMessage,
    }
)

# Messages allowed in each state. A hang-up always is: the SDK queues it while its socket is down.
_ALLOWED: dict[SessionState, frozenset[type[messages.BrowserMessage]]] = {
    SessionState.AWAITING_TOKEN: frozenset({messages.Listen, messages.Hangup}),
    SessionState.AUTHENTICATED: _AUTHENTICATED_MESSAGES,
    SessionState.REGISTERED: _AUTHENTICATED_MESSAGES,
    SessionState.CLOSED: frozenset(),
}


class SignallingSession:
    """One socket. `max_message_bytes` limits a message (characters, for text); an SDP has about 2,000."""

    def __init__(self, *, max_message_bytes: int = 65536) -> None:
        self._max_message_bytes = max_message_bytes
        self._state = SessionState.AWAITING_TOKEN
        self._grants: Grants | None = None

    @property
    def state(self) -> SessionState:
        return self._state

    @property
    def grants(self) -> Grants | None:
        """The grants of the last valid token, None before the first."""
        return self._grants

    def receive(self, text: str | bytes) -> SignalEvent:
        """Process one message of the socket. Never raises for its content."""
        if text == HEARTBEAT:
            return HeartbeatEcho()
        if len(text) > self._max_message_bytes:
            return self._violation(f"a message exceeds {self._max_message_bytes} bytes", TOO_BIG)
        try:
            message = messages.decode_browser(text)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            return self._unreadable(text, error)
        if message.__class__ in _ALLOWED[self._state]:
            return _event(message)
        if self._state is SessionState.AWAITING_TOKEN:
            return Unauthenticated(f"{_name(message)} while {self._state}")
        return ProtocolViolation(f"{_name(message)} while {self._state}", None)

    def admit(self, grants: Grants, ttl_s: int) -> str:
        """The token is valid. A new token of another identity is refused instead."""
        if self._grants is not None and self._grants.identity != grants.identity:
            return self.refuse(Refused(RefusalCode.INVALID, "the token belongs to another identity"))
        self._grants = grants
        if self._state is SessionState.AWAITING_TOKEN:
            self._state = SessionState.AUTHENTICATED
        token = messages.TokenBody(grants.identity, ttl_s)
        return messages.encode(messages.Connected(messages.ConnectedBody(token)))

    def refuse(self, refused: Refused) -> str:
        """The token is invalid, or does not grant the request. The SDK keeps the socket open."""
        error = messages.ErrorBody(int(refused.code), refused.reason)
        return messages.encode(messages.Fault(messages.FaultBody(error)))

    def ready(self) -> str:
        """The browser is registered and can be rung."""
        self._state = SessionState.REGISTERED
        return messages.encode(messages.Ready())

    def offline(self) -> str:
        """The browser is no longer registered; its calls continue."""
        if self._state is SessionState.REGISTERED:
            self._state = SessionState.AUTHENTICATED
        return messages.encode(messages.Offline())

    def close(self) -> None:
        """The socket is closed. Ignore everything that follows."""
        self._state = SessionState.CLOSED

    def _unreadable(self, text: str | bytes, error: Exception) -> SignalEvent:
        """An unknown type is an event, a malformed known type is logged, and invalid JSON closes the socket."""
        if isinstance(error, UnicodeError):
            return self._violation("a message is not UTF-8", NOT_JSON)
        try:
            name = messages.decode_envelope(text).type
        except msgspec.ValidationError:
            return self._violation("a message has no type", None)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._violation("a message is not JSON", NOT_JSON)
        if name in messages.BROWSER_TYPES:
            return self._violation(f"malformed {name}: {error}", None)
        return UnknownMessage(name[:_FACT_CHARS])

    def _violation(self, what: str, close_code: int | None) -> ProtocolViolation:
        if close_code is not None:
            self._state = SessionState.CLOSED
        return ProtocolViolation(what[:_FACT_CHARS], close_code)


def _event(message: messages.BrowserMessage) -> SignalEvent:
    match message:
        case messages.Listen(payload):
            return TokenPresented(payload.token)
        case messages.Register(payload):
            return RegisterRequested() if payload.media.audio else UnregisterRequested()
        case messages.Invite(payload):
            return _invite(payload)
        case messages.Answer(payload):
            return CallAccepted(payload.callsid, payload.sdp)
        case messages.Reinvite(payload):
            return IceRestartRequested(payload.callsid, payload.sdp)
        case messages.Hangup(payload):
            return CallHungUp(payload.callsid)
        case messages.Reject(payload):
            return CallDeclined(payload.callsid)
        case messages.Dtmf(payload):
            return DigitsPressed(payload.callsid, payload.dtmf)
        case messages.UserMessage(payload):
            return MessageSent(payload.callsid, payload.voice_event_sid, payload.content)


def _invite(body: messages.InviteBody) -> CallRequested | ResumeRequested | ProtocolViolation:
    if body.reconnect:
        return ResumeRequested(body.callsid, body.reconnect)
    try:
        pairs = parse_qsl(body.twilio.params, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        return ProtocolViolation(f"an invite has more than {_MAX_PARAMETERS} parameters", None)
    return CallRequested(body.callsid, body.sdp, dict(pairs))


def _name(message: messages.BrowserMessage) -> str:
    return message.__class__.__name__.lower()
