"""What an application sends on a bidirectional stream: `media` to be played to the caller, `mark`, and `clear`.

The carrier plays media in order of arrival, without gaps, and returns a mark when everything before it has been played; a
`clear` discards what has not been played and returns its marks at once (reference/twilio.md, section 3.2).
"""

import base64
import json
from collections import deque

from callreel.audio import mulaw
from callreel.domain.call import Track
from callreel.simulator.calls.context import CallContext

BAD_MESSAGE = 31951
_CODES_PER_MS = 8


class StreamPlayback:
    """Writes media to the track that the caller receives, and keeps the marks until they are due."""

    def __init__(self, call: CallContext) -> None:
        self._call = call
        self._until_ms = 0
        self._marks: deque[tuple[int, str]] = deque()

    def receive(self, message: str | bytes) -> None:
        """Process one message. An unreadable one is a warning, and the stream continues."""
        try:
            fields = json.loads(message)
            match fields["event"]:
                case "media":
                    self._play(base64.b64decode(fields["media"]["payload"], validate=True))
                case "mark":
                    self._marks.append((self._until_ms, str(fields["mark"]["name"])))
                case "clear":
                    self._clear()
                case event:
                    raise ValueError(f"unknown event {str(event)[:40]}")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self._call.warnings.append(f"{BAD_MESSAGE} unreadable stream message: {error}")

    def take_marks(self) -> list[str]:
        """The marks before which everything has been played by now."""
        now_ms, due = self._call.clock.now_ms(), []
        while self._marks and self._marks[0][0] <= now_ms:
            due.append(self._marks.popleft()[1])
        return due

    def _play(self, codes: bytes) -> None:
        start_ms = max(self._until_ms, self._call.clock.next_ms())
        self._call.audio.write(Track.OUTBOUND, start_ms, mulaw.decode(codes))
        self._until_ms = start_ms + len(codes) // _CODES_PER_MS

    def _clear(self) -> None:
        self._until_ms = self._call.clock.next_ms()
        self._call.audio.cut(Track.OUTBOUND, self._until_ms)
        self._marks = deque((0, name) for _, name in self._marks)
