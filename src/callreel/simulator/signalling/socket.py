"""The WebSocket that a browser softphone's signalling runs over: `/signal` on the stand-in carrier's own port.

A thin driver: what messages mean is `carrier.signalling`'s, calls are `switchboard`'s. It checks tokens, sends the
heartbeat, and tells the switchboard when the socket is lost.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.websockets import WebSocket, WebSocketDisconnect

from callreel.simulator.account import Account
from callreel.simulator.signalling.session import (
    HEARTBEAT,
    CallAccepted,
    CallDeclined,
    CallEvent,
    CallHungUp,
    CallRequested,
    DigitsPressed,
    HeartbeatEcho,
    IceRestartRequested,
    MessageSent,
    ProtocolViolation,
    RegisterRequested,
    ResumeRequested,
    SignalEvent,
    SignallingSession,
    TokenPresented,
    Unauthenticated,
    UnknownMessage,
    UnregisterRequested,
)
from callreel.simulator.signalling.signalled_call import refused_call, unknown_call
from callreel.simulator.signalling.switchboard import Switchboard
from callreel.twilio.access_token import Grants, RefusalCode, Refused, check

log = logging.getLogger(__name__)

_SILENT_BEATS = 6
_GOING_AWAY = 1001


@dataclass(frozen=True, slots=True)
class SignalOptions:
    """`heartbeat_s` must be below the 15 s that the SDK waits."""

    account: Account
    application_sid: str
    heartbeat_s: float = 5.0


class SignalSocket:
    """One socket, from its handshake to its end: run once by `run`. It is the `SignalingChannel` of its calls."""

    def __init__(self, websocket: WebSocket, switchboard: Switchboard, options: SignalOptions) -> None:
        self._websocket = websocket
        self._switchboard = switchboard
        self._options = options
        self._session = SignallingSession()
        self._outbox = asyncio.Queue[str]()
        self._silent_beats = 0

    async def run(self) -> None:
        """Returns when the browser has gone."""
        await self._websocket.accept()
        tasks = [asyncio.create_task(work, name="signalling") for work in (self._write(), self._beat())]
        try:
            await self._read()
        finally:
            self._session.close()
            self._switchboard.lost(self)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def send(self, message: str) -> None:
        """Put it on its way, in order; bounded by what a browser's few calls can cause."""
        self._outbox.put_nowait(message)

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._silent_beats = 0
            event = self._session.receive(message.get("text") or message.get("bytes") or "")
            if isinstance(event, ProtocolViolation) and event.close_code is not None:
                log.warning("signalling: %s", event.what)
                await self._close(event.close_code)
                return
            self._act(event)

    async def _write(self) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the reader sees that end too
            while True:
                await self._websocket.send_text(await self._outbox.get())

    async def _beat(self) -> None:
        while self._silent_beats < _SILENT_BEATS:
            self.send(HEARTBEAT)
            await asyncio.sleep(self._options.heartbeat_s)
            self._silent_beats += 1
        await self._close(_GOING_AWAY)

    async def _close(self, code: int) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._websocket.close(code)

    def _act(self, event: SignalEvent) -> None:
        match event:
            case HeartbeatEcho():
                pass
            case TokenPresented(token):
                self._judge(token)
            case Unauthenticated(what, code):
                self.send(self._session.refuse(Refused(code, f"a token comes first: {what}")))
            case UnknownMessage(name):
                log.info("signalling: a message of the unknown kind %s", name)
            case ProtocolViolation(what):
                log.warning("signalling: %s", what)
            case _:
                self._act_for(self._session.grants, event)

    def _judge(self, token: str) -> None:
        account, now = self._options.account, datetime.now(UTC)
        checked = check(token, account.api_key_secret, account.sid, now)
        if isinstance(checked, Refused):
            log.warning("signalling: a token is refused: %s", checked.reason)
            self.send(self._session.refuse(checked))
            return
        self.send(self._session.admit(checked, int((checked.expires_at - now).total_seconds())))

    def _act_for(
        self,
        grants: Grants | None,
        event: RegisterRequested | UnregisterRequested | CallRequested | CallEvent,
    ) -> None:
        """What only a browser with a good token may do; without one it has no calls to act on."""
        if grants is None:
            return
        match event:
            case RegisterRequested():
                self._register(grants)
            case UnregisterRequested():
                self._switchboard.unregister(grants.identity, self)
                self.send(self._session.offline())
            case CallRequested():
                self._call(grants, event)
            case _:
                self._act_on_call(grants.identity, event)

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

    def _call(self, grants: Grants, call: CallRequested) -> None:
        refused = self._expired(grants)
        if refused is None and grants.application_sid != self._options.application_sid:
            refused = Refused(RefusalCode.NOT_GRANTED, "the token grants no calls by this application")
        if refused is not None:
            self.send(refused_call(call.temporary_sid, int(refused.code), refused.reason))
            return
        self._switchboard.wanted(grants.identity, self, call)

    def _act_on_call(self, identity: str, event: CallEvent) -> None:
        leg = self._switchboard.find(identity, event.sid)
        if leg is None:
            if isinstance(event, ResumeRequested):
                self.send(unknown_call(event.sid))
            return
        match event:
            case ResumeRequested(sid, token):
                if not leg.resume(self, token):
                    self.send(unknown_call(sid))
            case CallAccepted(_, sdp):
                leg.accept(sdp)
            case CallDeclined():
                leg.decline()
            case CallHungUp():
                leg.leave()
            case DigitsPressed(_, keys):
                leg.press(keys)
            case MessageSent(_, voice_event_sid):
                leg.message(voice_event_sid)
            case IceRestartRequested():
                leg.restart()

    @staticmethod
    def _expired(grants: Grants) -> Refused | None:
        if datetime.now(UTC) < grants.expires_at:
            return None
        return Refused(RefusalCode.EXPIRED, "the token has expired")
