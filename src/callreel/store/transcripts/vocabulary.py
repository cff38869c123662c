"""The custom vocabulary as rows. Technicians' names, which also go to the engines, are in `technicians.py`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from callreel.store.db.rows import fetch_all
from callreel.store.db.tables import technicians, vocabulary
from callreel.store.db.types import among, storable_text


@dataclass(frozen=True, slots=True)
class PhraseRow:
    id: int
    phrase: str
    added_by: str
    created_at: datetime


def all_phrases(conn: Connection) -> list[PhraseRow]:
    """In alphabetical order."""
    return sorted(fetch_all(conn, PhraseRow, select(vocabulary)), key=lambda row: row.phrase)


def replace(conn: Connection, phrases: Sequence[str], by: str, at: datetime) -> list[PhraseRow]:
    """Replace the list. Phrases that stay keep who added them and when."""
    wanted = dict.fromkeys(stored for phrase in phrases if (stored := storable_text(phrase)))
    known = {row.phrase for row in all_phrases(conn)}
    gone = known - set(wanted)
    if gone:
        conn.execute(delete(vocabulary).where(among(conn, vocabulary.c.phrase, gone)))
    new = [{"phrase": phrase, "added_by": by, "created_at": at} for phrase in wanted if phrase not in known]
    if new:
        conn.execute(insert(vocabulary), new)
    return all_phrases(conn)


def hints(conn: Connection, also: Sequence[str] = ()) -> list[str]:
    """Phrases for the engines: `also`, then the list, then the technicians' names; each once, ignoring case."""
    names = sorted(conn.execute(select(technicians.c.name)).scalars())
    found = [*also, *(row.phrase for row in all_phrases(conn)), *names]
    once: dict[str, str] = {}
    for phrase in found:
        plain = " ".join(phrase.split())
        once.setdefault(plain.casefold(), plain)
    return list(once.values())
