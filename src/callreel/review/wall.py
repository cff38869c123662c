"""The calls that are live now, as the wall shows them: parties, state of the recording, last words, alerts. It only reads rows.

Talk ratio and silence are not here: they come with the level events.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from callreel.domain.call import CallState
from callreel.domain.consent import Stamp
from callreel.review.summary import Summary, call_head
from callreel.store.calls import calls, consents, pauses, phrase_alerts
from callreel.store.calls.phrase_alerts import PhraseAlertRow
from callreel.store.people import technicians
from callreel.store.transcripts import finals

MOST_ALERTS: Final = 3
"""Of each call, the newest."""


def live_calls(conn: Connection, own: str | None) -> list[Summary]:
    """The live calls, oldest first; `own` limits them to one agent's."""
    rows = [row for row in calls.in_state(conn, CallState.LIVE) if own is None or row.agent == own]
    ids = [row.id for row in rows]
    names = technicians.names_of(conn, [row.remote_number for row in rows])
    paused, stamps, words = pauses.paused(conn, ids), consents.of_calls(conn, ids), finals.newest(conn, ids)
    alerts = phrase_alerts.newest(conn, ids, MOST_ALERTS)
    return [
        {
            **call_head(row, names),
            "recording": _recording(stamps.get(row.id), row.id in paused),
            "last_words": {"role": last.segment.role.value, "text": last.text}
            if (last := words.get(row.id))
            else None,
            **_alerts(*alerts.get(row.id, ([], 0))),
        }
        for row in rows
    ]


def _alerts(newest: Sequence[PhraseAlertRow], total: int) -> Summary:
    return {"alerts": [alert.data for alert in newest], "alerts_total": total}


def _recording(stamp: Stamp | None, paused: bool) -> str:
    """`recording`, `paused`, `waiting` for a consent, or `off`."""
    if stamp is not None and stamp.excludes_recording:
        return "off"
    if stamp is not None and not stamp.permits_recording:
        return "waiting"
    return "paused" if paused else "recording"
