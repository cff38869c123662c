"""Scorecards and their versions as rows. A version is only ever added."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, and_, func, insert, select, tuple_, update

from callreel.scoring.questions import Question
from callreel.store.db.dialect import advisory_lock
from callreel.store.db.rows import fetch_all, fetch_one
from callreel.store.db.tables import scorecard_versions, scorecards

_FORMS_LOCK = 0x0CA11_5C03E


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of a scorecard."""

    scorecard_id: int
    number: int
    name: str = field(repr=False)
    questions: tuple[Question, ...] = field(repr=False)
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ScorecardRow:
    """`last_key` is the greatest key of a question so far; a `retired` scorecard is used for no new review."""

    id: int
    last_key: int
    retired: bool


def lock(conn: Connection) -> None:
    """Let one transaction at a time change scorecards."""
    advisory_lock(conn, _FORMS_LOCK)


def add(conn: Connection) -> int:
    """The id of a new scorecard, which needs a version."""
    values = {"last_key": 0, "retired": False}
    return int(conn.execute(insert(scorecards).values(values).returning(scorecards.c.id)).scalar_one())


def add_version(conn: Connection, row: VersionRow, last_key: int) -> None:
    values = {name: getattr(row, name) for name in VersionRow.__dataclass_fields__}
    conn.execute(insert(scorecard_versions).values(values))
    changed = update(scorecards).where(scorecards.c.id == row.scorecard_id)
    conn.execute(changed.values(last_key=last_key))


def set_retired(conn: Connection, scorecard_id: int, retired: bool) -> None:
    conn.execute(update(scorecards).where(scorecards.c.id == scorecard_id).values(retired=retired))


def get(conn: Connection, scorecard_id: int) -> ScorecardRow | None:
    return fetch_one(conn, ScorecardRow, select(scorecards).where(scorecards.c.id == scorecard_id))


def everything(conn: Connection) -> list[ScorecardRow]:
    """All scorecards, oldest first."""
    return fetch_all(conn, ScorecardRow, select(scorecards).order_by(scorecards.c.id))


def newest(conn: Connection) -> dict[int, VersionRow]:
    """The version in force of each scorecard."""
    last = select(scorecard_versions.c.scorecard_id, func.max(scorecard_versions.c.number).label("number"))
    last_of = last.group_by(scorecard_versions.c.scorecard_id).subquery()
    query = select(scorecard_versions).join(
        last_of,
        and_(
            scorecard_versions.c.scorecard_id == last_of.c.scorecard_id,
            scorecard_versions.c.number == last_of.c.number,
        ),
    )
    return {row.scorecard_id: row for row in fetch_all(conn, VersionRow, query)}


def versions(conn: Connection, wanted: Iterable[tuple[int, int]]) -> dict[tuple[int, int], VersionRow]:
    """The versions with these pairs of scorecard and number."""
    key = tuple_(scorecard_versions.c.scorecard_id, scorecard_versions.c.number)
    query = select(scorecard_versions).where(key.in_(sorted(set(wanted))))
    return {(row.scorecard_id, row.number): row for row in fetch_all(conn, VersionRow, query)}
