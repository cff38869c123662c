"""Originals of redacted files as rows: which silenced copy replaced each, and when it was destroyed."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from callreel.domain.ids import CallId
from callreel.domain.recording import LayerFile
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import destroyed_originals as originals
from callreel.store.db.tables import layers


@dataclass(frozen=True, slots=True)
class OriginalRow:
    """`archive_key` is the archive's file that it could be rebuilt from. `destroyed_at` None: its bytes still exist."""

    id: int
    call_id: CallId
    path: str
    sha256: str | None
    archive_key: str | None
    copy_path: str
    copy_sha256: str
    replaced_at: datetime
    destroyed_at: datetime | None


def replace(conn: Connection, call_id: CallId, file: LayerFile, copy: LayerFile, at: datetime) -> bool:
    """Make `copy` the layer's file instead of `file`; False if that was replaced or removed meanwhile."""
    values = {
        "path": copy.path, "sha256": copy.sha256, "size_bytes": copy.size_bytes, "spool": None, "archived": None,
        "form": None, "stored_bytes": None,
    }  # fmt: skip
    mine = update(layers).where(layers.c.path == file.path, layers.c.sha256 == file.sha256)
    if conn.execute(mine.values(values)).rowcount == 0:
        return False
    row = {
        "call_id": call_id,
        "path": file.path,
        "sha256": file.sha256,
        "archive_key": file.archived.key if file.archived else None,
        "copy_path": copy.path,
        "copy_sha256": copy.sha256,
        "replaced_at": at,
    }
    conn.execute(insert(originals).values(row))
    return True


def of_call(conn: Connection, call_id: CallId) -> list[OriginalRow]:
    """In the order in which they were replaced."""
    query = select(originals).where(originals.c.call_id == call_id).order_by(originals.c.id)
    return fetch_all(conn, OriginalRow, query)


def set_destroyed(conn: Connection, original_id: int, at: datetime) -> None:
    conn.execute(update(originals).where(originals.c.id == original_id).values(destroyed_at=at))
