"""The signalling WebSocket of a browser softphone: `/signal` on the port of the simulated carrier.

A thin driver of `SignallingSession`: it validates tokens, sends heartbeats, and passes calls to the switchboard.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.websockets import WebSocket, WebSocketDisconnect

from callreel.simulator.configuration import AccountConfiguration
from callreel.simulator.signalling import messages as messages
from callreel.simulator.signalling.session import (
    HEARTBEAT,
    HeartbeatEcho,
    ProtocolViolation,
    SignalEvent,
    SignallingSession,
    Unauthenticated,
    UnknownMessage,
)
from callreel.simulator.signalling.signalled_call import refused_call, unknown_call
from callreel.simulator.signalling.switchboard import Switchboard
from callreel.twilio.access_token import Grants, RefusalCode, Refused, check, issuer_of

log = logging.getLogger(__name__)

_MAX_UNANSWERED_HEARTBEATS = 6
_GOING_AWAY = 1001


@dataclass(frozen=True, slots=True)
class SignalOptions:
    """`heartbeat_s` must be below the 15 s that the SDK waits."""

    configuration: AccountConfiguration
    heartbeat_s: float = 5.0


class SignalSocket:
    """One socket; runs once, by `run`. It is the `SignallingChannel` of its calls."""

    def __init__(self, websocket: WebSocket, switchboard: Switchboard, options: SignalOptions) -> None:
        self._websocket = websocket
        self._switchboard = switchboard
        self._options = options
        self._session = SignallingSession()
        self._outbox = asyncio.Queue[str]()
        self._unanswered_heartbeats = 0

    async def run(self) -> None:
        """Returns when the socket is closed."""
        await self._websocket.accept()
        tasks = [
            asyncio.create_task(work, name="signalling") for work in (self._write(), self._send_heartbeats())
        ]
        try:
            await self._read()
        finally:
            self._session.close()
            self._switchboard.socket_closed(self)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def send(self, message: str) -> None:
        """Queue a message, in order. The few calls of a browser bound the queue."""
        self._outbox.put_nowait(message)

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._unanswered_heartbeats = 0
            event = self._session.receive(message.get("text") or message.get("bytes") or "")
            if isinstance(event, ProtocolViolation) and event.close_code is not None:
                log.warning("signalling socket closed", extra={"reason": event.what})
                await self._close(event.close_code)
                return
            self._handle(event)

    async def _write(self) -> None:
        # `_read` handles the end of the socket.
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await self._websocket.send_text(await self._outbox.get())

    async def _send_heartbeats(self) -> None:
        while self._unanswered_heartbeats < _MAX_UNANSWERED_HEARTBEATS:
            self.send(HEARTBEAT)
            await asyncio.sleep(self._options.heartbeat_s)
            self._unanswered_heartbeats += 1
        await self._close(_GOING_AWAY)

    async def _close(self, code: int) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._websocket.close(code)

    def _handle(self, event: SignalEvent) -> None:
        match event:
            case HeartbeatEcho():
                pass
            case messages.Listen(body):
                self._authenticate(body.token)
            case Unauthenticated(what, code):
                self.send(self._session.refuse(Refused(code, f"a token is required first: {what}")))
            case UnknownMessage(name):
                log.info("unknown signalling message ignored", extra={"type": name})
            case ProtocolViolation(what):
                log.warning("signalling protocol violated", extra={"reason": what})
            case _:
                self._handle_authenticated(self._session.grants, event)

    def _authenticate(self, token: str) -> None:
        configuration, now = self._options.configuration, datetime.now(UTC)
        secret = configuration.key_secret(issuer_of(token))
        checked = check(token, secret, configuration.account.sid, now)
        if isinstance(checked, Refused):
            log.warning("signalling token refused", extra={"reason": checked.reason})
            self.send(self._session.refuse(checked))
            return
        self.send(self._session.admit(checked, int((checked.expires_at - now).total_seconds())))

    def _handle_authenticated(self, grants: Grants | None, message: messages.BrowserMessage) -> None:
        """Process a request that requires a valid token."""
        if grants is None:
            return
        match message:
            case messages.Register(body) if body.media.audio:
                self._register(grants)
            case messages.Register():
                self._switchboard.unregister(grants.identity, self)
                self.send(self._session.offline())
            case messages.Invite(body) if not body.reconnect:
                self._call(grants, body)
            case _:
                self._pass_to_leg(grants.identity, message)

    def _register(self, grants: Grants) -> None:
        refused = self._expired(grants)
        if refused is None and not grants.incoming:
            refused = Refused(RefusalCode.NOT_GRANTED, "the token grants no incoming calls")
        if refused is not None:
            self._switchboard.unregister(grants.identity, self)
            self.send(self._session.refuse(refused))
            return
        self._switchboard.register(grants.identity, self)
        self.send(self._session.ready())

    def _call(self, grants: Grants, call: messages.InviteBody) -> None:
        refused = self._expired(grants)
        application_sid = grants.application_sid or ""
        if refused is None and application_sid not in self._options.configuration.apps:
            refused = Refused(
                RefusalCode.NOT_GRANTED, "the token grants no calls by an application of this account"
            )
        if refused is not None:
            self.send(refused_call(call.callsid, int(refused.code), refused.reason))
            return
        self._switchboard.request_call(grants.identity, self, call, application_sid)

    def _pass_to_leg(self, identity: str, message: messages.BrowserMessage) -> None:
        sid: str = message.payload.callsid  # type: ignore[union-attr]  # every other message names a call
        leg = self._switchboard.find(identity, sid)
        if leg is not None:
            leg.handle(message, self)
        elif isinstance(message, messages.Invite):
            self.send(unknown_call(sid))

    @staticmethod
    def _expired(grants: Grants) -> Refused | None:
        if datetime.now(UTC) < grants.expires_at:
            return None
        return Refused(RefusalCode.EXPIRED, "the token has expired")
