"""What the messages of one media socket mean for its call, from the first to the last: messages in, commands out.

It knows neither sockets nor clocks nor databases: `media_protocol` drives it, gives it every message and carries out what
it asks for. What a message says is `carrier/stream`. Audio takes the short way: a frame goes straight to its call.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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

NORMAL: Final = 1000
POLICY: Final = 1008
RESTARTING: Final = 1012
TRY_AGAIN: Final = 1013


@dataclass(frozen=True, slots=True)
class Open:
    """Ask whether this stream may join its call; then `opened` or `refused`, and `proceed`."""

    started: Started


@dataclass(frozen=True, slots=True)
class Note:
    """Keep something that the carrier said as a fact of the call; then `proceed`."""

    kind: str
    data: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class End:
    """The stream is over: end it in the call, and close the socket if it is still there."""

    ended_by: EndedBy
    close_code: int


Command: TypeAlias = Open | Note | End
Place: TypeAlias = Callable[[Sequence[Frame]], None]


class MediaSession:
    """One socket from `connected` to its end.

    After an `Open` or a `Note` what comes is held until `proceed`, in the order it came. The driver stops reading then,
    so only what one read brought can wait here.
    """

    __slots__ = ("_counters", "_held", "_place", "_receiver", "heard")

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._receiver = StreamReceiver()
        self._place: Place | None = None
        self._held: deque[bytes] | None = None
        self.heard = False
        """Set by each message; the driver clears it to see whether the stream fell silent."""

    @property
    def started(self) -> bool:
        """Whether the stream has joined its call."""
        return self._place is not None

    def receive(self, message: bytes) -> Command | None:
        """One message. None for audio, which has been placed then, and for what only is counted."""
        if self._held is not None:
            self._held.append(message)
            return None
        self.heard = True
        event = self._receiver.receive(message)
        if event.__class__ is Frame:  # 99 of 100
            self._place([event])  # type: ignore[misc]  # no frame comes before `start`
            return None
        return self._command(event)

    def receive_all(self, messages: Sequence[bytes]) -> Command | None:
        """What one read brought, one message or more, as if each came by itself."""
        frames = self._receiver.receive_audio(messages) if self._held is None else None
        if frames is not None:
            self.heard = True
            self._place(frames)  # type: ignore[misc]
            return None
        asked = None
        for message in messages:
            asked = (
                self.receive(message) or asked
            )  # what comes after a command is held, so there is one at most
        return asked

    def opened(self, place: Place) -> None:
        """The stream joined its call: frames go to `place`."""
        self._place = place

    def refused(self, code: int, why: str) -> End:
        """The stream may not go on, by what the call or the clock says. Nothing that comes now counts."""
        self._counters.add("sockets_closed_by_us" if self.started else "sockets_refused")
        log.warning("closed a media socket: %s", why)
        return self.over(End(EndedBy.SOCKET, code))

    def over(self, end: End) -> End:
        """The driver ends the stream. Nothing that comes now counts."""
        self._held = deque(maxlen=0)
        return end

    def proceed(self) -> Command | None:
        """What was asked for is done: go on with what came meanwhile, up to the next command."""
        held, self._held = self._held or deque(), None
        while held:
            command = self.receive(held.popleft())
            if isinstance(command, End):
                return command
            if command is not None:
                self._held = held
                return command
        return None

    def _command(self, event: StreamEvent) -> Command | None:
        match event:
            case Started():
                return self._ask(Open(event))
            case Stopped():
                return self.over(End(EndedBy.STOP, NORMAL))
            case Violation(what, code):
                self._counters.add("stream_violations")
                if code is not None:
                    return self.refused(code, what)
                log.info("media socket: %s", what)
            case Unknown(name, body):
                return self._fact(Note("unknown_stream_event", {"event": name, "body": body}))
            case Digit(track, digit):
                return self._fact(Note("digit", {"track": track, "digit": digit}))
            case Marked(name):
                return self._fact(Note("mark", {"name": name}))
        return None

    def _fact(self, note: Note) -> Command | None:
        # Without a stream nobody has shown a token yet: such words are counted, never stored.
        if not self.started:
            self._counters.add("events_before_start")
            return None
        return self._ask(note)

    def _ask(self, command: Open | Note) -> Command:
        self._held = deque()
        return command
