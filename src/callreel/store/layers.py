"""Layer files as rows. The bytes are in `growing_wav.py` while they grow and in `blobs.py` when finished."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy import delete as delete_from

from callreel.domain.call import CallState
from callreel.domain.ids import CallId
from callreel.domain.recording import Layer, LayerFile, LayerState
from callreel.store.dialect import insert
from callreel.store.tables import calls, layers

_FIELDS = [layers.c[field.name] for field in fields(LayerFile)]
_ORDER = list(Layer)


def upsert(
    conn: Connection,
    call_id: CallId,
    file: LayerFile,
    repaired_at: datetime | None = None,
    *,
    owner: str | None = None,
) -> None:
    """Keep a file's state under its path. A closed file may grow again: a second stream continues its call.

    `owner`, where given, is the process that writes it from now on.
    """
    values: dict[str, Any] = asdict(file)
    if owner is not None:
        values["owner"] = owner
    if repaired_at is not None:
        values["repaired_at"] = repaired_at
    statement = insert(conn, layers).values(call_id=call_id, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["path"], set_=values))


def of_call(conn: Connection, call_id: CallId) -> list[LayerFile]:
    """Sorted by layer, role and path; the carrier's own file, which has no role, before its channels."""
    found = [LayerFile(*row) for row in conn.execute(select(*_FIELDS).where(layers.c.call_id == call_id))]
    return sorted(found, key=lambda file: (_ORDER.index(file.layer), file.role or "", file.path))


def everything(conn: Connection) -> list[LayerFile]:
    """All files of all calls, in the order in which they became known."""
    return [LayerFile(*row) for row in conn.execute(select(*_FIELDS).order_by(layers.c.id))]


def calls_of_paths(conn: Connection) -> dict[str, CallId]:
    """Each file's call."""
    return {row.path: CallId(row.call_id) for row in conn.execute(select(layers.c.path, layers.c.call_id))}


def growing(conn: Connection) -> list[tuple[CallId, LayerFile]]:
    """Files that nobody closed, with their calls: growing ones, and those of a process that died."""
    query = (
        select(layers.c.call_id, *_FIELDS).where(layers.c.state == LayerState.RECORDING).order_by(layers.c.id)
    )
    return [(CallId(row.call_id), LayerFile(*row[1:])) for row in conn.execute(query)]


def growing_by_owner(conn: Connection) -> dict[str | None, list[tuple[CallId, LayerFile]]]:
    """The same by the process that writes them; None for files of versions that had one server."""
    query = (
        select(layers.c.call_id, layers.c.owner, *_FIELDS)
        .where(layers.c.state == LayerState.RECORDING)
        .order_by(layers.c.id)
    )
    found: dict[str | None, list[tuple[CallId, LayerFile]]] = {}
    for row in conn.execute(query):
        found.setdefault(row.owner, []).append((CallId(row.call_id), LayerFile(*row[2:])))
    return found


def paths_of(conn: Connection, paths: Sequence[str]) -> set[str]:
    """Which of `paths` are known, of finished files."""
    query = select(layers.c.path).where(layers.c.path.in_(paths), layers.c.state != LayerState.RECORDING)
    return {row.path for row in conn.execute(query)}


def on_spool(conn: Connection, spool: str, ended_before: datetime) -> list[LayerFile]:
    """Finished files on one machine's spool, of calls that ended before then and so no longer grow."""
    query = (
        select(*_FIELDS)
        .join(calls, calls.c.id == layers.c.call_id)
        .where(
            layers.c.spool == spool,
            layers.c.state != LayerState.RECORDING,
            calls.c.state != CallState.LIVE,
            calls.c.ended_at < ended_before,
        )
        .order_by(layers.c.id)
    )
    return [LayerFile(*row) for row in conn.execute(query)]


def left_spool(conn: Connection, path: str, spool: str) -> bool:
    """A file has moved to the object store; whether it was on that spool."""
    moved = update(layers).where(layers.c.path == path, layers.c.spool == spool).values(spool=None)
    return conn.execute(moved).rowcount == 1


def delete(conn: Connection, path: str) -> bool:
    """Forget a file; whether it was known. The bytes are the caller's to remove."""
    return conn.execute(delete_from(layers).where(layers.c.path == path)).rowcount == 1
