"""Words and names that people want engines to expect, as rows. Technicians' names are in `technicians.py`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from callreel.store.db.tables import technicians, vocabulary


@dataclass(frozen=True, slots=True)
class PhraseRow:
    """A word, or a few that belong together."""

    id: int
    phrase: str
    added_by: str
    created_at: datetime


def all_phrases(conn: Connection) -> list[PhraseRow]:
    """In the order of the alphabet."""
    return [
        PhraseRow(**row._asdict()) for row in conn.execute(select(vocabulary).order_by(vocabulary.c.phrase))
    ]


def replace(conn: Connection, phrases: Sequence[str], by: str, at: datetime) -> list[PhraseRow]:
    """Make these, each once, the list. Those that stay keep who added them and when."""
    wanted = dict.fromkeys(phrases)
    known = {row.phrase for row in all_phrases(conn)}
    gone = known - set(wanted)
    if gone:
        conn.execute(delete(vocabulary).where(vocabulary.c.phrase.in_(gone)))
    new = [{"phrase": phrase, "added_by": by, "created_at": at} for phrase in wanted if phrase not in known]
    if new:
        conn.execute(insert(vocabulary), new)
    return all_phrases(conn)


def hints(conn: Connection, also: Sequence[str] = ()) -> list[str]:
    """What engines should expect: `also`, then the list, then the technicians' names; each once, whatever its capitals."""
    names = conn.execute(select(technicians.c.name).order_by(technicians.c.name)).scalars()
    found = [*also, *(row.phrase for row in all_phrases(conn)), *names]
    once: dict[str, str] = {}
    for phrase in found:
        plain = " ".join(phrase.split())
        once.setdefault(plain.casefold(), plain)
    return list(once.values())
