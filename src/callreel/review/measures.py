"""The measures of a call as JSON, for the API, the pages and exports. Definitions and units: docs/measures.md."""

from dataclasses import asdict

from callreel.domain.call import Role
from callreel.domain.events import Json
from callreel.domain.measures import CallMeasures, PartyMeasures
from callreel.store.calls.measures import MeasuresHead


def measures_summary(measured: CallMeasures | None) -> Json:
    """All measures; None for a call that is not measured."""
    if measured is None:
        return None
    return {
        "start_ms": measured.start_ms,
        "end_ms": measured.end_ms,
        "ringing_ms": measured.ringing_ms,
        "paused_ms": measured.paused_ms,
        "overlap_ms": measured.overlap_ms,
        "silence_limit_ms": measured.silence_limit_ms,
        "silences": [{"start_ms": span.start_ms, "end_ms": span.end_ms} for span in measured.silences],
        "interruptions": [
            {
                "at_ms": one.at_ms,
                "by": one.by.value,
                "gave_way": one.gave_way.value,
                "overlap_ms": one.overlap_ms,
            }
            for one in measured.interruptions
        ],
        "parties": {role.value: _party(measured.of(role)) for role in Role},
    }


def measures_head(row: MeasuresHead | None) -> Json:
    """What the list has of a call's measures."""
    return None if row is None else {name: value for name, value in asdict(row).items() if name != "call_id"}


def _party(party: PartyMeasures) -> dict[str, Json]:
    return {**asdict(party), "speech": [list(span) for span in party.speech]}
