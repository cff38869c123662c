"""The calls that are live now, as the wall shows them: parties, state of the recording, last words, alerts. It only reads rows.

Talk ratio and silence are not here: they come with the level events.
"""

from collections import defaultdict

from sqlalchemy import Connection

from callreel.domain.call import CallState
from callreel.domain.consent import Stamp
from callreel.domain.events import Json
from callreel.domain.ids import CallId
from callreel.review.summary import Summary, call_head
from callreel.store.calls import calls, consents, pauses, phrase_alerts
from callreel.store.people import technicians
from callreel.store.transcripts import finals


def live_calls(conn: Connection, own: str | None) -> list[Summary]:
    """The live calls, oldest first; `own` limits them to one agent's."""
    rows = [row for row in calls.in_state(conn, CallState.LIVE) if own is None or row.agent == own]
    ids = [row.id for row in rows]
    names = technicians.names_of(conn, [row.remote_number for row in rows])
    paused, stamps, words = pauses.paused(conn, ids), consents.of_calls(conn, ids), finals.newest(conn, ids)
    alerts: dict[CallId, list[Json]] = defaultdict(list)
    for alert in phrase_alerts.of_calls(conn, ids):
        alerts[alert.call_id].append(alert.data)
    return [
        {
            **call_head(row, names),
            "recording": _recording(stamps.get(row.id), row.id in paused),
            "last_words": {"role": last.segment.role.value, "text": last.text}
            if (last := words.get(row.id))
            else None,
            "alerts": alerts[row.id],
        }
        for row in rows
    ]


def _recording(stamp: Stamp | None, paused: bool) -> str:
    """`recording`, `paused`, `waiting` for a consent, or `off`."""
    if stamp is not None and stamp.excludes_recording:
        return "off"
    if stamp is not None and not stamp.permits_recording:
        return "waiting"
    return "paused" if paused else "recording"
