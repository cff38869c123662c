"""Live events of a call, for browsers and terminals.

A persistent event is saved as a row first and has an id, so that a listener who reconnects can request the events after
the last one it saw. A transient event (a partial, a level) has none: a later one replaces it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from callreel.domain.call import Role
from callreel.domain.ids import CallId

Json: TypeAlias = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


def swap_roles(document: Mapping[str, Json]) -> dict[str, Json]:
    """JSON about a call with agent and technician exchanged: in each `role`, and in each `detail`, a sentence about one."""
    return {name: _swapped(name, value) for name, value in document.items()}


def _swapped(name: str, value: Json) -> Json:
    if isinstance(value, str):
        if name not in ("role", "detail"):
            return value
        return re.sub(r"\b(agent|technician)\b", lambda found: Role(found[0]).other.value, value)
    if isinstance(value, Mapping):
        return swap_roles(value)
    return [_swapped("", item) for item in value] if isinstance(value, Sequence) else value


class EventKind(StrEnum):
    """Kind of a live event; `LASTING` holds the persistent ones, which are stored and replayed."""

    CALL = "call"  # {state, direction, ...}: a call began, was answered, ended, was closed; {roles_swapped}; {topic}: it was found, or there is none; {review}: one was finished, disputed, upheld or changed
    LAYER = "layer"  # {layer, role, state}: a layer's state changed
    FINAL = "final"  # {role, number, start_ms, end_ms, text, confidence}
    RECORDING = "recording"  # {state, recording_sid, error_code}
    STAGE = "stage"  # {stage, state}: a stage after the call started, finished or was parked
    TRANSCRIPT = "transcript"  # {kind, turns, revision?}: a whole transcript was saved or corrected
    VERDICT = "verdict"  # {verdict, reasons}
    PAUSE = "pause"  # {paused, silent, start_ms, cause, carrier, ...}: `store/calls/pauses.py`
    NOTE = "note"  # {change: added | changed | removed, note}: a person changed a mark or note
    CONSENT = "consent"  # the call's consent stamp (`domain/consent.Stamp.summary`)
    PHRASE_ALERT = "phrase_alert"  # {id, rule_id, rule, trigger, role, start_ms, end_ms, at}: `store/calls/phrase_alerts.py`
    PARTIAL = "partial"  # {role, number, start_ms, end_ms, text, stable, tentative}: text joins stable and tentative
    LEVEL = "level"
    # {agent_dbfs, technician_dbfs, agent_talk_ms, technician_talk_ms, silence_ms, position_ms, lag_ms, partials_shed, finals_waiting, finals_spilled, overload: 0 to 4}


LASTING = frozenset(
    {
        EventKind.CALL,
        EventKind.LAYER,
        EventKind.FINAL,
        EventKind.RECORDING,
        EventKind.STAGE,
        EventKind.TRANSCRIPT,
        EventKind.VERDICT,
        EventKind.PAUSE,
        EventKind.NOTE,
        EventKind.CONSENT,
        EventKind.PHRASE_ALERT,
    }
)


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """`id` increases over all calls of an installation and is None for transient events. `data` is JSON."""

    call_id: CallId
    kind: EventKind
    data: Mapping[str, Json] = field(default_factory=dict)
    id: int | None = None
