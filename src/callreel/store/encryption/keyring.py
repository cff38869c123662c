"""Data keys: made here, stored in the database wrapped by a master key, and held in memory while a process runs.

    file     wrap the keys of files; a new one at each rotation
    text     encrypt column values; a new one at each rotation
    lookup   encrypt values that are looked up, always to the same bytes: only one, so that equal values stay equal
    search   turn words into search tokens: only one, for the same reason

A rotation wraps all data keys again with the current master key, in one transaction, and touches no file and no value.
"""

import base64
import threading
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from sqlalchemy import Connection, insert, select, update

from callreel.domain.errors import EncryptionKeyError
from callreel.store.db.database import Database
from callreel.store.db.dialect import advisory_lock
from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import data_keys, utc_now
from callreel.store.encryption.master_keys import MasterKeys
from callreel.store.encryption.sealed_text import TextCipher

_LOCK = 0x0CA11_5EA1


class Purpose(StrEnum):
    FILE = "file"
    TEXT = "text"
    LOOKUP = "lookup"
    SEARCH = "search"


_RENEWED = (Purpose.FILE, Purpose.TEXT)


@dataclass(frozen=True, slots=True)
class DataKeyRow:
    """`wrapped` is the data key wrapped by `master_key`, in base64."""

    id: int
    purpose: str
    master_key: str
    wrapped: str = field(repr=False)
    created_at: datetime


class Keyring:
    """The opened data keys of one installation. Threads may share it. Methods raise EncryptionKeyError, StoreError."""

    def __init__(self, database: Database, masters: MasterKeys) -> None:
        self._database = database
        self._masters = masters
        self._lock = threading.Lock()
        self._keys: dict[int, bytes] = {}
        self._current: dict[Purpose, int] = {}

    def load(self) -> None:
        """Open all data keys, and make those that are missing."""
        with self._database.read() as conn:
            rows = all_keys(conn)
        if {row.purpose for row in rows} != set(Purpose):
            with self._database.write() as conn:
                advisory_lock(conn, _LOCK)
                present = {row.purpose for row in all_keys(conn)}
                self._add(conn, [purpose for purpose in Purpose if purpose not in present])
                rows = all_keys(conn)
        keys = {row.id: self._masters.unwrap(base64.b64decode(row.wrapped), row.master_key) for row in rows}
        with self._lock:
            self._keys = keys
            self._current = {Purpose(row.purpose): row.id for row in rows}

    def current(self, purpose: Purpose) -> tuple[int, bytes]:
        """The id and the key that new data of this purpose is encrypted with."""
        with self._lock:
            key_id = self._current[purpose]
            return key_id, self._keys[key_id]

    def key(self, key_id: int) -> bytes:
        """A data key by its id; another process may have made it meanwhile."""
        found = self._keys.get(key_id)
        if found is None:
            self.load()
            found = self._keys.get(key_id)
        if found is None:
            raise EncryptionKeyError(
                f"data key {key_id} is not in the database; restore the database that belongs to these files"
            )
        return found

    def current_file_key(self) -> tuple[int, bytes]:
        return self.current(Purpose.FILE)

    def file_key(self, key_id: int) -> bytes:
        return self.key(key_id)

    def text_cipher(self, *, searchable: bool = True) -> TextCipher:
        """Encrypts column values with the current keys. `searchable`: whether words are indexed."""
        search = self.current(Purpose.SEARCH)[1] if searchable else None
        return TextCipher(self.key, self.current(Purpose.TEXT), self.current(Purpose.LOOKUP), search)

    def rotate(self) -> int:
        """Wrap all data keys with the current master key, and begin new ones. Returns how many were wrapped by another."""
        with self._database.write() as conn:
            advisory_lock(conn, _LOCK)
            rows = [row for row in all_keys(conn) if row.master_key != self._masters.current]
            for row in rows:
                key = self._masters.unwrap(base64.b64decode(row.wrapped), row.master_key)
                values = {"master_key": self._masters.current, "wrapped": self._wrapped(key)}
                conn.execute(update(data_keys).where(data_keys.c.id == row.id).values(**values))
            self._add(conn, _RENEWED)
        self.load()
        return len(rows)

    def _add(self, conn: Connection, purposes: "list[Purpose] | tuple[Purpose, ...]") -> None:
        for purpose in purposes:
            # AES-SIV's 512-bit key is two of 256 bits: one authenticates, one encrypts (RFC 5297).
            key = AESSIV.generate_key(512) if purpose is Purpose.LOOKUP else AESGCM.generate_key(256)
            conn.execute(
                insert(data_keys).values(
                    purpose=purpose,
                    master_key=self._masters.current,
                    wrapped=self._wrapped(key),
                    created_at=utc_now(),
                )
            )

    def _wrapped(self, key: bytes) -> str:
        return base64.b64encode(self._masters.wrap(key, self._masters.current)).decode()


def all_keys(conn: Connection) -> list[DataKeyRow]:
    """Oldest first."""
    return fetch_all(conn, DataKeyRow, select(data_keys).order_by(data_keys.c.id))


def require_none(database: Database) -> None:
    """Raise EncryptionKeyError if the data is encrypted, although no master key is configured."""
    with database.read() as conn:
        rows = all_keys(conn)
    if rows:
        used = ", ".join(sorted({row.master_key for row in rows}))
        raise EncryptionKeyError(
            f"this installation is encrypted with master key {used}, but none is configured; set"
            " CALLREEL_ENCRYPTION_KEYS, CALLREEL_ENCRYPTION_KEYS_FILE or CALLREEL_ENCRYPTION_KEYS_COMMAND"
        )
