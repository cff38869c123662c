"""Scorecards: adding one, adding its next version, retiring it. A version in use is never changed."""

from collections.abc import Sequence

from callreel.domain.errors import CallreelError
from callreel.runtime.clock import Clock
from callreel.scoring.questions import Question, checked_title, next_questions
from callreel.store.audit.pending import describe
from callreel.store.db.database import Database
from callreel.store.scorecards import forms
from callreel.store.scorecards.forms import VersionRow

MOST_SCORECARDS = 200
"""Also retired ones."""


class ScorecardError(CallreelError):
    """A scorecard, or what was entered in one, cannot be used."""


class NoScorecardError(CallreelError):
    """There is no such scorecard."""


class StaleVersionError(CallreelError):
    """The scorecard has a newer version than the one that was edited."""


class Scorecards:
    """Blocking; safe from any thread."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add(self, name: str, questions: Sequence[Question], by: str) -> VersionRow:
        """A new scorecard with version 1. Raises ScorecardError."""
        with self._database.write() as conn:
            forms.lock(conn)
            if len(forms.everything(conn)) >= MOST_SCORECARDS:
                raise ScorecardError(
                    f"a team has at most {MOST_SCORECARDS} scorecards, retired ones included"
                )
            title, checked, last_key = _checked(name, (), 0, questions)
            row = VersionRow(forms.add(conn), 1, title, checked, by, self._clock.now())
            forms.add_version(conn, row, last_key)
            describe(subject=str(row.scorecard_id), version=1, questions=len(checked))
        return row

    def add_version(
        self, scorecard_id: int, base: int, name: str, questions: Sequence[Question], by: str
    ) -> tuple[VersionRow, bool]:
        """The version after `base`, which must be the newest, and whether the scorecard is retired.

        Raises NoScorecardError, ScorecardError, StaleVersionError.
        """
        with self._database.write() as conn:
            forms.lock(conn)
            card, before = forms.get(conn, scorecard_id), forms.newest(conn).get(scorecard_id)
            if card is None or before is None:
                raise NoScorecardError("there is no such scorecard")
            if before.number != base:
                raise StaleVersionError(
                    f"the scorecard has version {before.number} by now: reload the page and edit that one"
                )
            title, checked, last_key = _checked(name, before.questions, card.last_key, questions)
            row = VersionRow(scorecard_id, base + 1, title, checked, by, self._clock.now())
            forms.add_version(conn, row, last_key)
            describe(version=row.number, questions=len(checked))
        return row, card.retired

    def set_retired(self, scorecard_id: int, retired: bool) -> VersionRow:
        """Retire a scorecard, or bring it back; its reviews stay. Raises NoScorecardError."""
        with self._database.write() as conn:
            row = forms.newest(conn).get(scorecard_id)
            if row is None:
                raise NoScorecardError("there is no such scorecard")
            forms.set_retired(conn, scorecard_id, retired)
            describe(retired=retired)
        return row


def _checked(
    name: str, before: Sequence[Question], last_key: int, questions: Sequence[Question]
) -> tuple[str, tuple[Question, ...], int]:
    try:
        return checked_title(name), *next_questions(before, last_key, questions)
    except ValueError as error:
        raise ScorecardError(str(error)) from None
