"""Layer files as rows. Their bytes are in `growing_wav.py` while they grow, and in `blobs.py` once finished."""

import functools
from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Executable, bindparam, false, select, update
from sqlalchemy import delete as delete_from

from callreel.domain.call import CallState
from callreel.domain.ids import CallId
from callreel.domain.recording import Archived, Derivation, Layer, LayerFile, LayerState
from callreel.domain.verdict import Verdict
from callreel.store.db.dialect import insert
from callreel.store.db.tables import Form, calls, layers

_NAMES = [field.name for field in fields(LayerFile)]
_FIELDS = [layers.c[name] for name in _NAMES]
_ORDER = list(Layer)


def upsert(
    conn: Connection,
    call_id: CallId,
    file: LayerFile,
    repaired_at: datetime | None = None,
    *,
    owner: str | None = None,
) -> None:
    """Save a file's state under its path. A closed file may grow again when another stream continues its call.

    `owner`, if given, is the process that writes the file from now on.
    """
    more: dict[str, Any] = {} if owner is None else {"owner": owner}
    if repaired_at is not None:
        more["repaired_at"] = repaired_at
    upsert_all(conn, call_id, [file], **more)


def upsert_all(conn: Connection, call_id: CallId, files: Sequence[LayerFile], **more: Any) -> None:
    """The same for several files of a call. `more` are further columns by name."""
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for file in files:
        row: dict[str, Any] = {"call_id": call_id, **{name: getattr(file, name) for name in _NAMES}, **more}
        if file.archived is None:
            row |= {"form": None, "stored_bytes": None}
        rows.setdefault(tuple(row), []).append(row)
    for names, alike in rows.items():
        conn.execute(_upsert(conn.dialect.name, names), alike)


@functools.cache
def _upsert(dialect: str, names: tuple[str, ...]) -> Executable:
    """Built once: building it costs more than running it."""
    new = insert(dialect, layers).values({name: bindparam(name) for name in names})
    again = {name: new.excluded[name] for name in names if name != "call_id"}
    return new.on_conflict_do_update(index_elements=["path"], set_=again)


def of_call(conn: Connection, call_id: CallId) -> list[LayerFile]:
    """Sorted by layer, role and path; the carrier's file, which has no role, comes before its channels."""
    found = [LayerFile(*row) for row in conn.execute(select(*_FIELDS).where(layers.c.call_id == call_id))]
    return sorted(found, key=lambda file: (_ORDER.index(file.layer), file.role or "", file.path))


def all_files(conn: Connection) -> list[LayerFile]:
    """All files of all calls, in the order of their first rows."""
    return [LayerFile(*row) for row in conn.execute(select(*_FIELDS).order_by(layers.c.id))]


def calls_of_paths(conn: Connection) -> dict[str, CallId]:
    """Each file's call."""
    return {row.path: CallId(row.call_id) for row in conn.execute(select(layers.c.path, layers.c.call_id))}


def growing(conn: Connection, owners: Collection[str | None] | None = None) -> list[tuple[CallId, LayerFile]]:
    """Files that are not closed, of all processes or of `owners`, with their calls."""
    query = (
        select(layers.c.call_id, *_FIELDS).where(layers.c.state == LayerState.RECORDING).order_by(layers.c.id)
    )
    if owners is not None:
        of_none = layers.c.owner.is_(None) if None in owners else false()
        query = query.where(layers.c.owner.in_([owner for owner in owners if owner is not None]) | of_none)
    return [(CallId(row.call_id), LayerFile(*row[1:])) for row in conn.execute(query)]


def growing_paths(conn: Connection) -> list[str]:
    """The paths of all growing files."""
    return list(conn.execute(select(layers.c.path).where(layers.c.state == LayerState.RECORDING)).scalars())


def owners_of_growing(conn: Connection) -> set[str | None]:
    """The processes that write growing files."""
    query = select(layers.c.owner).where(layers.c.state == LayerState.RECORDING).distinct()
    return set(conn.execute(query).scalars())


def to_archive(conn: Connection, closed_before: datetime, verdicts: Sequence[Verdict]) -> list[CallId]:
    """Calls closed before then with one of `verdicts`, and with a file in the store that is not archived."""
    query = (
        select(layers.c.call_id)
        .join(calls, calls.c.id == layers.c.call_id)
        .where(
            layers.c.form.is_(None) | (layers.c.form == Form.BOTH),
            layers.c.state != LayerState.RECORDING,
            layers.c.spool.is_(None),
            calls.c.state == CallState.CLOSED,
            calls.c.verdict.in_(verdicts),
            calls.c.closed_at < closed_before,
        )
        .group_by(layers.c.call_id)
        .order_by(layers.c.call_id)
    )
    return [CallId(row.call_id) for row in conn.execute(query)]


def archived_calls(conn: Connection) -> list[CallId]:
    """Calls with an archived file."""
    query = (
        select(layers.c.call_id).where(layers.c.archived.is_not(None)).distinct().order_by(layers.c.call_id)
    )
    return [CallId(row.call_id) for row in conn.execute(query)]


def forms(conn: Connection, call_id: CallId) -> dict[str, Form | None]:
    """The storage form of each file of a call, by path."""
    query = select(layers.c.path, layers.c.form).where(layers.c.call_id == call_id)
    return {row.path: row.form for row in conn.execute(query)}


def set_form(conn: Connection, file: LayerFile, form: Form, archived: Archived | None) -> bool:
    """Save a file's storage form; False if the file has been replaced."""
    if archived is None:
        stored_bytes = None
    else:
        stored_bytes = archived.size_bytes if archived.derivation is Derivation.WHOLE else 0
    kept = update(layers).where(layers.c.path == file.path, layers.c.sha256 == file.sha256)
    return conn.execute(kept.values(form=form, archived=archived, stored_bytes=stored_bytes)).rowcount == 1


def finished_paths(conn: Connection, paths: Sequence[str]) -> set[str]:
    """Which of `paths` belong to finished files."""
    query = select(layers.c.path).where(layers.c.path.in_(paths), layers.c.state != LayerState.RECORDING)
    return {row.path for row in conn.execute(query)}


def on_spool(conn: Connection, spool: str, ended_before: datetime) -> list[LayerFile]:
    """Finished files on one machine's spool, of calls that ended before then, so that they will not grow again."""
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


def clear_spool(conn: Connection, path: str, spool: str) -> bool:
    """Save that a file has moved to the object store; False if it was not on that spool."""
    moved = update(layers).where(layers.c.path == path, layers.c.spool == spool).values(spool=None)
    return conn.execute(moved).rowcount == 1


def calls_with_audio(
    conn: Connection, since: datetime | None = None, until: datetime | None = None
) -> list[CallId]:
    """Ended calls that started in [since, until) and have a file of a single party, oldest first."""
    separate = select(layers.c.call_id).where(
        layers.c.layer.in_([Layer.CLOUD_CHANNEL, Layer.LIVE_8K]), layers.c.state != LayerState.RECORDING
    )
    query = select(calls.c.id).where(calls.c.id.in_(separate), calls.c.state != CallState.LIVE)
    if since is not None:
        query = query.where(calls.c.created_at >= since)
    if until is not None:
        query = query.where(calls.c.created_at < until)
    return [CallId(found) for found in conn.execute(query.order_by(calls.c.created_at, calls.c.id)).scalars()]


def delete(conn: Connection, path: str) -> bool:
    """Delete a file's row; False without one. The caller deletes the bytes."""
    return conn.execute(delete_from(layers).where(layers.c.path == path)).rowcount == 1
