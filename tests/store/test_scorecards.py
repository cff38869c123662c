"""Scorecards and reviews as rows, plain and encrypted, on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest

from callreel.domain.errors import StoreError
from callreel.domain.ids import CallId
from callreel.scoring.dispute import ReviewState
from callreel.scoring.questions import Question, QuestionKind
from callreel.scoring.score import Answer, Remark
from callreel.store.calls import calls, expired
from callreel.store.db.database import Database
from callreel.store.scorecards import forms, reviews
from callreel.store.scorecards.forms import VersionRow
from tests.support.rows import CALL, NOON, a_call, a_review

GREETED = Question(1, "Greeted the caller?", QuestionKind.YES_NO, 5, critical=True)
each = pytest.mark.parametrize(
    "database", ["sqlite", "postgresql", "sqlite encrypted", "postgresql encrypted"], indirect=True
)


@each
def test_versions_are_added_and_the_newest_is_in_force(database: Database) -> None:
    with database.write() as conn:
        first, second = forms.add(conn), forms.add(conn)
        for card, number in ((first, 1), (second, 1), (first, 2)):
            row = VersionRow(card, number, f"Form {number}", (GREETED,) * number, "sam", NOON)
            forms.add_version(conn, row, number)
        forms.set_retired(conn, second, True)
    with database.read() as conn:
        newest = forms.newest(conn)
        assert {card: row.number for card, row in newest.items()} == {first: 2, second: 1}
        assert newest[first] == VersionRow(first, 2, "Form 2", (GREETED, GREETED), "sam", NOON)
        assert forms.versions(conn, [(first, 1), (second, 9)]).keys() == {(first, 1)}
        assert forms.versions(conn, []) == {}
        assert [(row.last_key, row.retired) for row in forms.everything(conn)] == [(2, False), (1, True)]


@each
def test_review_keeps_answers_remarks_and_dispute(database: Database) -> None:
    a_call(database)
    draft = a_review(database, CALL.id, "sam")
    changed = replace(
        draft, state=ReviewState.CHANGED, revision=3, answers=(Answer(1, 5),), remarks=(Remark(1, "well said", (900,)),),
        finished_at=NOON, dispute="not fair", disputed_by="maria", disputed_at=NOON,
        resolution="right", resolved_by="ada", resolved_at=NOON, answers_before=(Answer(1, 0),),
    )  # fmt: skip
    with database.write() as conn:
        reviews.put(conn, changed)
    with database.read() as conn:
        assert reviews.get(conn, CALL.id, draft.id) == changed
        assert reviews.get(conn, CallId("f" * 12), draft.id) is None
        assert "well said" not in repr(changed) and "not fair" not in repr(changed)
    with database.write() as conn:
        assert reviews.blank_texts(conn, CALL.id) == 1
        blank = replace(changed, remarks=(), dispute="", resolution="")
        assert reviews.of_call(conn, CALL.id) == [blank]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_deletion_of_text_waits_for_those_who_have_locked_the_call(database: Database) -> None:
    a_call(database)
    with database.write() as writer:
        calls.lock(writer, CALL.id)
        with pytest.raises(StoreError, match="lock timeout"), database.write() as deleting:
            deleting.exec_driver_sql("SET LOCAL lock_timeout = '50ms'")
            expired.delete_text(deleting, CALL.id)


@each
def test_finished_reviews_of_a_period_come_by_call(database: Database) -> None:
    for number, name in enumerate(("maria", "zoe", "maria")):
        call_id = CallId(f"{number}" * 12)
        a_call(
            database, id=call_id, leg_sid=f"CA{number}", agent=name, created_at=NOON + timedelta(days=-number)
        )
        a_review(database, call_id, "sam", ReviewState.FINISHED)
        a_review(database, call_id, "ada")
    with database.read() as conn:
        first, before = NOON - timedelta(days=1), NOON + timedelta(days=1)
        found = reviews.finished(conn, first, before, 10)
        assert [(row.agent, row.reviewer) for row in found] == [("zoe", "sam"), ("maria", "sam")]
        assert len(reviews.finished(conn, NOON - timedelta(days=9), before, 10, agent="maria")) == 2
        card = found[0].scorecard_id
        assert [row.agent for row in reviews.finished(conn, first, before, 10, scorecard_id=card)] == ["zoe"]
        assert len(reviews.finished(conn, first, NOON, 10)) == 1
        assert len(reviews.finished(conn, first, before, 1)) == 1
