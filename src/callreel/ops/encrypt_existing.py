"""Encrypts what was stored before encryption was switched on: files and column values, each in place, in any number of runs.

A file is replaced by an encrypted copy that was read back first; a row is rewritten in a transaction of some hundred rows.
What is encrypted already is skipped. On SQLite the old bytes are overwritten in the database's files; blocks that a deleted
file had on the disk are the file system's.
"""

from typing import Any

from sqlalchemy import Column, Connection, Select, String, Table, select, tuple_, type_coerce, update
from sqlalchemy.types import JSON

from callreel.domain.call import CallState
from callreel.store.audio import derived_cache, peaks
from callreel.store.calls import calls, layers
from callreel.store.db.database import Database
from callreel.store.db.scrub import scrub
from callreel.store.db.tables import metadata, turn_index
from callreel.store.db.types import SealedJson, SealedText
from callreel.store.encryption.sealed_text import is_sealed, plain_text
from callreel.store.files import folders
from callreel.store.files.blobs import BlobStore
from callreel.store.files.encryption_in_place import encrypt_file
from callreel.store.transcripts.search import stored_tokens

_AT_ONCE = 300
_FOLDERS = (*folders.AUDIO, peaks.FOLDER, derived_cache.FOLDER, folders.UNCLAIMED)


def encrypt_files(database: Database, blobs: BlobStore) -> tuple[int, int]:
    """Encrypt all finished files; how many there were, and how many belong to live calls and were skipped.

    Raises StoreError, StoreUnavailableError.
    """
    with database.read() as conn:
        live = calls.in_state(conn, CallState.LIVE)
        busy = {file.path for row in live for file in layers.of_call(conn, row.id)} | {
            *layers.growing_paths(conn)
        }
    keys = [file.key for folder in _FOLDERS for file in blobs.local_files(folder)]
    if blobs.objects is not None:
        keys += [found.key for folder in _FOLDERS for found in blobs.objects.list_folder(folder)]
    finished = [key for key in dict.fromkeys(keys) if not key.endswith(".part")]
    encrypted = sum(encrypt_file(blobs, key) for key in finished if key not in busy)
    return encrypted, len(busy)


def encrypt_rows(database: Database) -> int:
    """Encrypt all column values of a `Sealed` type; how many rows had any that was plain. Raises StoreError."""
    changed = 0
    for table in metadata.sorted_tables:
        sealed = [column for column in table.columns if isinstance(column.type, SealedText | SealedJson)]
        last: Any = None
        while sealed:
            with database.write() as conn:
                rows = conn.execute(_batch(table, sealed, last)).all()
                changed += sum(_encrypt_row(conn, table, sealed, row._mapping) for row in rows)
            if not rows:
                break
            last = rows[-1][: len(table.primary_key)]
    _index_again(database)
    scrub(database)
    return changed


def _index_again(database: Database) -> None:
    """Give every turn the search tokens of the current keys and settings, which may have changed since it was indexed."""
    last = 0
    columns = (turn_index.c.id, turn_index.c.text, type_coerce(turn_index.c.tokens, String).label("tokens"))
    while True:
        with database.write() as conn:
            after = select(*columns).where(turn_index.c.id > last).order_by(turn_index.c.id)
            rows = conn.execute(after.limit(_AT_ONCE).with_for_update()).all()
            for row in rows:
                tokens = stored_tokens(conn, row.text)
                if set(row.tokens.replace("'", "").split()) != set(tokens.split()):
                    conn.execute(update(turn_index).where(turn_index.c.id == row.id).values(tokens=tokens))
        if not rows:
            return
        last = rows[-1].id


def _batch(table: Table, sealed: list[Column[Any]], last: Any) -> Select[Any]:
    """The next rows, with the values as they are stored."""
    keys = tuple(table.primary_key)
    stored = [
        type_coerce(column, String if isinstance(column.type, SealedText) else JSON).label(column.name)
        for column in sealed
    ]
    query = select(*keys, *stored).order_by(*keys).limit(_AT_ONCE).with_for_update()
    return query if last is None else query.where(tuple_(*keys) > tuple(last))


def _encrypt_row(conn: Connection, table: Table, sealed: list[Column[Any]], row: Any) -> bool:
    plain = {column.name: _plain(column, row[column.name]) for column in sealed}
    values = {name: value for name, value in plain.items() if value is not None}
    if not values:
        return False
    conn.execute(update(table).where(*(key == row[key.name] for key in table.primary_key)).values(**values))
    return True


def _plain(column: Column[Any], stored: Any) -> Any:
    """The value if it is stored in plain; None if it is encrypted, or NULL."""
    if isinstance(column.type, SealedText):
        return None if stored is None or is_sealed(stored) else plain_text(stored, column.type.label, None)
    return None if isinstance(stored, str) else stored
