"""The signalling socket of one browser softphone, from the carrier's end, without a socket.

`SignallingSession` is handed each message and answers with exactly one event; it never raises on what the browser sends.
It knows who is at the other end and whether they can be rung; what becomes of a call is `signalled_call`'s. It knows no
clock: who drives it sends `HEARTBEAT` at least every ten seconds. Follows reference/softphone.md, section 2, which was
read from the SDK's source; close codes are those of RFC 6455, section 7.4.1.
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
"""Sent by the carrier; the SDK echoes it, and drops a socket on which nothing came for 15 s."""

NOT_JSON: Final = 1007
TOO_BIG: Final = 1009

_FACT_CHARS = 200
_MAX_PARAMETERS = 100


class SessionState(StrEnum):
    """How far the socket is."""

    AWAITING_TOKEN = "waiting for a token"
    AUTHENTICATED = "admitted"
    REGISTERED = "registered"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class TokenPresented:
    """To be answered by `admit` or `refuse`."""

    token: str


@dataclass(frozen=True, slots=True)
class RegisterRequested:
    """To be answered by `ready`, every time."""


@dataclass(frozen=True, slots=True)
class UnregisterRequested:
    """To be answered by `offline`."""


@dataclass(frozen=True, slots=True)
class CallRequested:
    """A new call. `temporary_sid` names it until the browser learns the real one."""

    temporary_sid: str
    sdp: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """The browser asks whether a call goes on: after a lost socket, and after each new token too."""

    sid: str
    reconnect_token: str


@dataclass(frozen=True, slots=True)
class CallAccepted:
    """An offered call is taken."""

    sid: str
    sdp: str


@dataclass(frozen=True, slots=True)
class CallDeclined:
    """An offered call is not wanted."""

    sid: str


@dataclass(frozen=True, slots=True)
class CallHungUp:
    """The browser hung up. `sid` may be temporary, and of a call that was never asked for."""

    sid: str


@dataclass(frozen=True, slots=True)
class DigitsPressed:
    """Keys of a call, in order, as typed."""

    sid: str
    keys: str


@dataclass(frozen=True, slots=True)
class MessageSent:
    """A message of the page's own, to be acknowledged."""

    sid: str
    voice_event_sid: str
    content: Any


@dataclass(frozen=True, slots=True)
class IceRestartRequested:
    """The browser's media is lost and it offers another way (an ICE restart)."""

    sid: str
    sdp: str


@dataclass(frozen=True, slots=True)
class HeartbeatEcho:
    """The echo of a heartbeat."""


@dataclass(frozen=True, slots=True)
class Unauthenticated:
    """Something came before a good token; to be answered by `refuse`."""

    what: str
    code: RefusalCode = RefusalCode.INVALID


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A message of a kind we do not know."""

    name: str


@dataclass(frozen=True, slots=True)
class ProtocolViolation:
    """The browser did what the protocol forbids. `close_code` None means: note it and go on."""

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

# What is welcome in each state. A hang-up is always: the SDK queues it while its socket is down.
_ALLOWED: dict[SessionState, frozenset[type[messages.BrowserMessage]]] = {
    SessionState.AWAITING_TOKEN: frozenset({messages.Listen, messages.Hangup}),
    SessionState.AUTHENTICATED: _AUTHENTICATED_MESSAGES,
    SessionState.REGISTERED: _AUTHENTICATED_MESSAGES,
    SessionState.CLOSED: frozenset(),
}


class SignallingSession:
    """One socket. `max_message_bytes` bounds a message (characters, for text); an SDP takes about 2,000."""

    def __init__(self, *, max_message_bytes: int = 65536) -> None:
        self._max_message_bytes = max_message_bytes
        self._state = SessionState.AWAITING_TOKEN
        self._grants: Grants | None = None

    @property
    def state(self) -> SessionState:
        return self._state

    @property
    def grants(self) -> Grants | None:
        """What the last good token allows, None before one came."""
        return self._grants

    def receive(self, text: str | bytes) -> SignalEvent:
        """What one message of the socket means. Never raises on what is in it."""
        if text == HEARTBEAT:
            return HeartbeatEcho()
        if len(text) > self._max_message_bytes:
            return self._refuse(f"a message is over {self._max_message_bytes} bytes", TOO_BIG)
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
        """The token is good. A new token of somebody else's is refused instead."""
        if self._grants is not None and self._grants.identity != grants.identity:
            return self.refuse(Refused(RefusalCode.INVALID, "it is another identity's"))
        self._grants = grants
        if self._state is SessionState.AWAITING_TOKEN:
            self._state = SessionState.AUTHENTICATED
        token = messages.TokenBody(grants.identity, ttl_s)
        return messages.encode(messages.Connected(messages.ConnectedBody(token)))

    def refuse(self, refused: Refused) -> str:
        """The token is not good, or not good enough for what was asked. The SDK goes on with the socket."""
        error = messages.ErrorBody(int(refused.code), refused.reason)
        return messages.encode(messages.Fault(messages.FaultBody(error)))

    def ready(self) -> str:
        """It can be rung from now on."""
        self._state = SessionState.REGISTERED
        return messages.encode(messages.Ready())

    def offline(self) -> str:
        """It is not rung any longer; its calls go on."""
        if self._state is SessionState.REGISTERED:
            self._state = SessionState.AUTHENTICATED
        return messages.encode(messages.Offline())

    def close(self) -> None:
        """The socket is gone. Nothing that follows counts."""
        self._state = SessionState.CLOSED

    def _unreadable(self, text: str | bytes, error: Exception) -> SignalEvent:
        """An unknown kind is a fact, a known kind of a wrong shape is noted, and what is no JSON closes."""
        if isinstance(error, UnicodeError):
            return self._refuse("a message is not UTF-8", NOT_JSON)
        try:
            name = messages.decode_envelope(text).type
        except msgspec.ValidationError:
            return self._refuse("a message without a type", None)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._refuse("a message is not JSON", NOT_JSON)
        if name in messages.BROWSER_TYPES:
            return self._refuse(f"{name} is malformed: {error}", None)
        return UnknownMessage(name[:_FACT_CHARS])

    def _refuse(self, what: str, close_code: int | None) -> ProtocolViolation:
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
