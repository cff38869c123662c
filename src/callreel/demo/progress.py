"""The state of one call, accumulated from its live events. No I/O. Unknown kinds of events are ignored."""

from dataclasses import dataclass, field

from callreel.domain.call import CallState
from callreel.domain.events import EventKind, Json


@dataclass(frozen=True, slots=True)
class Line:
    """One final result of the live transcript."""

    role: str
    start_ms: int
    text: str


@dataclass(slots=True)
class Progress:
    """State of one call. `lines` are in order of arrival, `partials` are interim results by role.

    `legs` holds the carrier's status by role (`ringing`, `in-progress`), `stages` the states of the stages by name.
    """

    call_state: str = ""
    legs: dict[str, str] = field(default_factory=dict)
    layers: dict[tuple[str, str], str] = field(default_factory=dict)
    recording: str = ""
    lines: list[Line] = field(default_factory=list)
    partials: dict[str, str] = field(default_factory=dict)
    stages: dict[str, str] = field(default_factory=dict)
    verdict: str = ""
    position_ms: int = 0
    lag_ms: int = 0
    partials_shed: int = 0
    finals_waiting: int = 0

    @property
    def closed(self) -> bool:
        """Whether the call is finished: it has a verdict, or the verdict's stage is parked."""
        return self.call_state == CallState.CLOSED or self.stages.get("compare") == "parked"

    def apply(self, kind: str, data: dict[str, Json]) -> None:
        """Update the state with one event."""
        match kind:
            case EventKind.CALL:
                self.call_state = str(data.get("state") or self.call_state)
                if data.get("leg"):
                    self.legs[str(data["leg"])] = str(data.get("status", ""))
            case EventKind.LAYER:
                key = (str(data.get("layer", "")), str(data.get("role") or ""))
                self.layers[key] = str(data.get("state", ""))
            case EventKind.PARTIAL:
                self.partials[str(data.get("role", ""))] = str(data.get("text", ""))
            case EventKind.FINAL:
                self._apply_final(data)
            case EventKind.RECORDING:
                self.recording = str(data.get("state", ""))
            case EventKind.STAGE:
                self.stages[str(data.get("stage", ""))] = str(data.get("state", ""))
            case EventKind.VERDICT:
                self.verdict = str(data.get("verdict", ""))
            case EventKind.LEVEL:
                self._apply_level(data)
            case _:
                pass

    def _apply_final(self, data: dict[str, Json]) -> None:
        role, text = str(data.get("role", "")), str(data.get("text", ""))
        self.partials.pop(role, None)
        if text:
            self.lines.append(Line(role, _number(data.get("start_ms")), text))

    def _apply_level(self, data: dict[str, Json]) -> None:
        self.position_ms = _number(data.get("position_ms"))
        self.lag_ms = _number(data.get("lag_ms"))
        self.partials_shed = _number(data.get("partials_shed"))
        self.finals_waiting = _number(data.get("finals_waiting"))


def _number(value: Json) -> int:
    return round(value) if isinstance(value, int | float) else 0
