"""When an open segment is worth asking an engine about again.

It is neither a timer nor the queue: it answers for one (call, role) from times that it is given. Follows
reference/speech.md, section 5, with a shorter least gap, since the queue sheds what cannot be afforded.
"""

from callreel.asr.engine import Capabilities

FIRST_MS = 1000
"""An open segment shorter than this is not asked about: its text would be a guess."""

GAP_MS = 600
DECODES_A_GAP = 1.5
"""A segment is asked about at most two thirds of the time, however slow the engine."""


class PartialCadence:
    """One for each (call, role); an engine that gives no partials has none (`for_engine`)."""

    def __init__(self, *, first_ms: int = FIRST_MS, gap_ms: int = GAP_MS) -> None:
        self._first_ms = first_ms
        self._gap_ms = gap_ms
        self._number: int | None = None
        self._next_ms = first_ms
        self._decode_ms = 0.0

    @classmethod
    def for_engine(cls, capabilities: Capabilities) -> "PartialCadence | None":
        if not capabilities.partials:
            return None
        return cls()

    def due(self, number: int, heard_ms: int) -> bool:
        """Whether to ask now about open segment `number`, of which `heard_ms` of audio are there.

        Answering True counts as having asked. A new number begins anew.
        """
        if number != self._number:
            self._number = number
            self._next_ms = self._first_ms
        if heard_ms < self._next_ms:
            return False
        self._next_ms = heard_ms + max(self._gap_ms, round(DECODES_A_GAP * self._decode_ms))
        return True

    def decoded(self, took_ms: float) -> None:
        """The last partial took `took_ms` from asking to answer; with faster audio, in the audio's own time."""
        self._decode_ms = took_ms
