"""The carrier's callbacks as received, each saved once. Other packages interpret them."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, select

from callreel.domain.events import Json
from callreel.store.db.dialect import insert_new
from callreel.store.db.tables import callbacks


def existing_keys(conn: Connection, kind: str, keys: Collection[str]) -> list[str]:
    """Those of `keys` that are saved."""
    same = select(callbacks.c.key).where(callbacks.c.kind == kind, callbacks.c.key.in_(keys))
    return list(conn.execute(same).scalars())


def insert(conn: Connection, kind: str, key: str, form: Mapping[str, Json], at: datetime) -> bool:
    """Save a callback. False, and nothing changes, if one of this `kind` has the same `key`.

    `key` identifies the event, not the request: two requests about the same event have the same one.
    """
    return insert_new(conn, callbacks, {"kind": kind, "key": key, "form": dict(form), "received_at": at})
