from sqlalchemy import select

from callreel.store.calls import callbacks
from callreel.store.db.database import Database
from callreel.store.db.tables import callbacks as callback_table
from tests.support.rows import NOON, after


def test_repeated_callback_is_saved_once(database: Database) -> None:
    form = {"CallSid": "CA1", "RecordingStatus": "completed", "Neu": "für später"}
    with database.write() as conn:
        assert callbacks.insert(conn, "recording", "RE1/completed", form, NOON)
        assert not callbacks.insert(conn, "recording", "RE1/completed", {"CallSid": "other"}, after(1))
        assert callbacks.insert(conn, "recording", "RE1/absent", form, after(2))
        assert callbacks.insert(conn, "stream", "RE1/completed", form, after(3))
        kept = conn.execute(select(callback_table.c.form).order_by(callback_table.c.id)).scalars().all()
    assert kept == [form, form, form]
