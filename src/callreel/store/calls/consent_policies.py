"""The versions of the recording policy as rows, and the audio files of its notices."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, select

from callreel.domain.consent import Policy
from callreel.domain.consent_notices import FIRST_POLICY
from callreel.store.db.dialect import insert_new
from callreel.store.db.rows import fetch_one, values_of
from callreel.store.db.tables import consent_policies, consent_sounds

_NEWEST = select(consent_policies).order_by(consent_policies.c.version.desc()).limit(1)


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """Version 0, without rules, is in force until an administrator saves a policy."""

    version: int
    policy: Policy
    by: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class SoundRow:
    """An audio file by its digest."""

    sha256: str
    media_type: str
    body: bytes = field(repr=False)
    duration_ms: int
    by: str
    at: datetime


def current(conn: Connection) -> PolicyRow:
    """The policy in force."""
    return fetch_one(conn, PolicyRow, _NEWEST) or PolicyRow(0, FIRST_POLICY, "", None)


def version(conn: Connection, number: int) -> Policy | None:
    """An earlier policy."""
    found = fetch_one(conn, PolicyRow, select(consent_policies).where(consent_policies.c.version == number))
    return found.policy if found else None


def add(conn: Connection, row: PolicyRow) -> bool:
    """Save a new version; False if somebody else saved one of that number."""
    return insert_new(conn, consent_policies, values_of(consent_policies, row))


def add_sound(conn: Connection, row: SoundRow) -> None:
    """Save an audio file, unless it is there."""
    insert_new(conn, consent_sounds, values_of(consent_sounds, row))


def sound(conn: Connection, sha256: str) -> SoundRow | None:
    return fetch_one(conn, SoundRow, select(consent_sounds).where(consent_sounds.c.sha256 == sha256))


def has_sounds(conn: Connection, wanted: set[str]) -> bool:
    """Whether all these files are there."""
    found = select(consent_sounds.c.sha256).where(consent_sounds.c.sha256.in_(list(wanted)))
    return set(conn.execute(found).scalars()) == wanted
