"""What the messages of one media socket mean for its call: messages in, an `Open` and an `End` out.

It has no sockets, clocks or database: `ingest/media/protocol` feeds it every message and carries out its commands.
Messages are parsed by `twilio/stream`. Audio takes the short way: a frame goes straight to its call.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from callreel.runtime.counters import Counters
from callreel.store.calls.streams import EndedBy
from callreel.twilio.stream import (
    Digit,
    Frame,
    Marked,
    Started,
    Stopped,
    StreamEvent,
    StreamReceiver,
    Unknown,
    Violation,
)

log = logging.getLogger(__name__)

# Close codes of RFC 6455, section 7.4.1, and of its registry.
NORMAL: Final = 1000
POLICY: Final = 1008
RESTARTING: Final = 1012
TRY_AGAIN: Final = 1013


@dataclass(frozen=True, slots=True)
class Open:
    """Find out whether this stream may join its call; then call `opened` or `reject`."""

    started: Started


@dataclass(frozen=True, slots=True)
class End:
    """The stream is over: close it in the call, and close the socket if it is still open."""

    ended_by: EndedBy
    close_code: int


Command: TypeAlias = Open | End
Place: TypeAlias = Callable[[Sequence[Frame]], None]
Note: TypeAlias = Callable[[str, dict[str, str]], None]


class MediaSession:
    """One socket from `connected` to its end.

    After an `Open` further messages are held until `opened`, in the order of arrival. The driver pauses reading then,
    so at most what one read brought is held. After an `End` all messages are discarded.
    """

    __slots__ = ("_counters", "_held", "_note", "_place", "_receiver", "received")

    def __init__(self, counters: Counters, note: Note = lambda kind, data: None) -> None:
        """`note(kind, data)` is given the facts that come beside audio. It must not block: audio waits behind it."""
        self._counters = counters
        self._note = note
        self._receiver = StreamReceiver()
        self._place: Place | None = None
        self._held: deque[bytes] | None = None
        self.received = False
        """Set by each message; the driver clears it to detect an idle stream."""

    @property
    def joined(self) -> bool:
        """Whether the stream has joined its call."""
        return self._place is not None

    def receive(self, message: bytes) -> Command | None:
        """Take one message. None for audio, which has been placed then, and for what is only noted or counted."""
        if self._held is not None:
            self._held.append(message)
            return None
        self.received = True
        event = self._receiver.receive(message)
        if event.__class__ is Frame:  # 99 of 100
            self._place([event])  # type: ignore[misc]  # no frame comes before `start`
            return None
        return self._control(event)

    def receive_all(self, messages: Sequence[bytes]) -> Command | None:
        """Take what one read brought, one message or more, with the same outcome as if each came alone."""
        frames = self._receiver.receive_audio(messages) if self._held is None else None
        if frames is not None:
            self.received = True
            self._place(frames)  # type: ignore[misc]
            return None
        command = None
        for message in messages:
            command = self.receive(message) or command  # at most one: later messages are held or discarded
        return command

    def opened(self, place: Place) -> Command | None:
        """The stream joined its call: frames go to `place`, the held messages first."""
        self._place = place
        held, self._held = self._held, None
        return self.receive_all(held) if held else None

    def reject(self, code: int, reason: str) -> End:
        """The call or the clock does not allow the stream to continue."""
        self._counters.add("sockets_closed_by_us" if self.joined else "sockets_refused")
        log.warning("media socket closed: %s", reason)
        return self._end(End(EndedBy.SOCKET, code))

    def discard(self) -> None:
        """Discard all further messages."""
        self._held = deque(maxlen=0)

    def _end(self, end: End) -> End:
        self.discard()
        return end

    def _control(self, event: StreamEvent) -> Command | None:
        match event:
            case Started():
                self._held = deque()
                return Open(event)
            case Stopped():
                return self._end(End(EndedBy.STOP, NORMAL))
            case Violation(what, code):
                self._counters.add("stream_violations")
                if code is not None:
                    return self.reject(code, what)
                log.info("media stream violation: %s", what)
            case Unknown(name, body):
                self._fact("unknown_stream_event", {"event": name, "body": body})
            case Digit(track, digit):
                self._fact("digit", {"track": track, "digit": digit})
            case Marked(name):
                self._fact("mark", {"name": name})
        return None

    def _fact(self, kind: str, data: dict[str, str]) -> None:
        # Before the token is verified anybody may have sent it: counted, never stored.
        if self.joined:
            self._note(kind, data)
        else:
            self._counters.add("events_before_start")
