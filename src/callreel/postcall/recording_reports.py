"""Saves what was found out about a recording without a callback, as a callback's transaction would."""

from callreel.cluster.event_publisher import EventPublisher
from callreel.store.calls import recordings
from callreel.store.calls.recordings import RecordingRow
from callreel.store.db.database import Database


def save_report(database: Database, publisher: EventPublisher, report: RecordingRow) -> bool:
    """Whether that changed the recording's state. Blocking."""
    with database.write() as conn:
        row, changed = recordings.upsert(conn, report)
        if not changed:
            return False
        event = publisher.record(
            conn, recordings.state_event(row.call_id, row.sid, row.state, row.error_code)
        )
    publisher.publish(event)
    return True
