"""The signalling protocol of one browser softphone, at the carrier's end, without I/O.

`SignallingSession` receives each message and returns exactly one event, which is the message itself if it is allowed; it never raises for what the browser sends. It
tracks authentication and registration; `signalled_call` tracks calls. It has no clock: its driver sends `HEARTBEAT` at
least every ten seconds. Follows reference/softphone.md, section 2, which was read from the SDK's source; close codes are
those of RFC 6455, section 7.4.1.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from callreel.simulator.signalling import messages as messages
from callreel.twilio.access_token import Grants, RefusalCode, Refused

HEARTBEAT: Final = "\n"
"""Sent by the carrier; the SDK echoes it, and closes a socket that received nothing for 15 s."""

NOT_JSON: Final = 1007
TOO_BIG: Final = 1009

_FACT_CHARS = 200


class SessionState(StrEnum):
    """States of the socket."""

    AWAITING_TOKEN = "awaiting a token"
    AUTHENTICATED = "authenticated"
    REGISTERED = "registered"
    CLOSED = "closed"


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


SignalEvent = messages.BrowserMessage | HeartbeatEcho | Unauthenticated | UnknownMessage | ProtocolViolation


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
            message: messages.BrowserMessage = messages.decode_browser(text)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            return self._unreadable(text, error)
        name = message.__class__.__name__.lower()
        if self._state is SessionState.CLOSED:
            return ProtocolViolation(f"{name} while {self._state}", None)
        # A hang-up is always allowed: the SDK queues it while its socket is down.
        early = isinstance(message, messages.Listen | messages.Hangup)
        if self._state is SessionState.AWAITING_TOKEN and not early:
            return Unauthenticated(f"{name} while {self._state}")
        if isinstance(message, messages.Invite) and message.payload.parameters is None:
            return ProtocolViolation("an invite has too many parameters", None)
        return message

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
