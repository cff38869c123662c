"""The carrier's callbacks as they came, each kept once. What they mean is for the services."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, select

from callreel.domain.events import Json
from callreel.store.db.dialect import insert_new
from callreel.store.db.tables import callbacks


def existing_keys(conn: Connection, kind: str, keys: Collection[str]) -> list[str]:
    """Those of `keys` that are known."""
    same = select(callbacks.c.key).where(callbacks.c.kind == kind, callbacks.c.key.in_(keys))
    return list(conn.execute(same).scalars())


def insert(conn: Connection, kind: str, key: str, form: Mapping[str, Json], at: datetime) -> bool:
    """Keep a callback; False if one of this `kind` with this `key` is known, and the first stays as it was.

    `key` names the event, not the request: two requests about the same thing have the same one.
    """
    return insert_new(conn, callbacks, {"kind": kind, "key": key, "form": dict(form), "received_at": at})
