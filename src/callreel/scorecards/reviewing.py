"""Reviews of calls: drafts, finished reviews, disputes by the call's agent, and what supervisors decide about them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.access import RIGHTS, Right
from callreel.domain.call import CallState
from callreel.domain.errors import CallreelError
from callreel.domain.events import EventKind, Json, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.webhook import WebhookEvent
from callreel.runtime.clock import Clock
from callreel.scorecards.forms import NoScorecardError, ScorecardError
from callreel.scoring.dispute import ReviewState, Step, after
from callreel.scoring.questions import Question
from callreel.scoring.score import (
    LONGEST_REMARK,
    Answer,
    Remark,
    checked_answers,
    checked_remarks,
    percent,
    score_of,
    unanswered,
)
from callreel.store.audit.pending import describe, leave_out
from callreel.store.calls import calls, expired, holds
from callreel.store.db.database import Database
from callreel.store.people import users
from callreel.store.scorecards import forms, reviews
from callreel.store.scorecards.forms import VersionRow
from callreel.store.scorecards.reviews import ReviewRow
from callreel.store.webhooks import deliveries

MOST_REVIEWS = 20
"""Of one call, drafts included."""


class NoReviewError(CallreelError):
    """There is no such review, or it is somebody else's draft."""


class ReviewStateError(CallreelError):
    """The state of the review or of its call does not allow this."""


class OthersCallError(CallreelError):
    """Only the agent of the call disputes its reviews, and another person resolves the dispute."""


class Reviewing:
    """Of existing calls. Blocking; safe from any thread."""

    def __init__(self, database: Database, publisher: EventPublisher, clock: Clock) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock

    def start(self, call_id: CallId, scorecard_id: int, by: str) -> tuple[ReviewRow, bool]:
        """The review of this call by this person, and whether it is new: then it is a draft of the newest version.

        Raises NoCallError, NoScorecardError, ReviewStateError.
        """
        with self._database.write() as conn:
            call = calls.locked(conn, call_id)
            if call.state is CallState.LIVE:
                raise ReviewStateError("the call can be reviewed when it has ended")
            for row in reviews.of_call(conn, call_id):
                if (row.scorecard_id, row.reviewer) == (scorecard_id, by):
                    leave_out()
                    return row, False
            card, version = forms.get(conn, scorecard_id), forms.newest(conn).get(scorecard_id)
            if card is None or version is None:
                raise NoScorecardError("there is no such scorecard")
            if card.retired:
                raise ReviewStateError("the scorecard is retired: choose another one")
            if reviews.count(conn, call_id) >= MOST_REVIEWS:
                raise ReviewStateError(f"a call has at most {MOST_REVIEWS} reviews")
            row = reviews.add(conn, call_id, scorecard_id, version.number, by)
            describe(subject=str(row.id), scorecard=scorecard_id, version=row.version)
        return row, True

    def save(
        self,
        call_id: CallId,
        review_id: int,
        revision: int,
        answers: Sequence[Answer],
        remarks: Sequence[Remark],
        by: str,
        *,
        finish: bool = False,
    ) -> ReviewRow:
        """Save one's draft, which must still have this revision; with `finish` it is finished, if every question is answered.

        A repetition, because the response was lost, changes nothing, whatever `revision` is.

        Raises NoReviewError, ReviewStateError, ScorecardError, TextDeletedError.
        """
        with self._database.write() as conn:
            row, version = self._mine(conn, call_id, review_id, by)
            written = (
                _answers(version.questions, answers, complete=finish),
                _remarks(version.questions, remarks),
            )
            repeated = written == (row.answers, row.remarks)
            if repeated and (row.state is not ReviewState.DRAFT) == finish:
                leave_out()
                return row
            if written[1]:
                expired.refuse_text(conn, call_id)
            state = _state_after(row, Step.FINISH if finish else Step.SAVE)
            if row.revision != revision and not repeated:
                raise ReviewStateError("the draft was saved from another page meanwhile: reload this page")
            if holds.current(conn, call_id) is not None and _removes(row, *written):
                raise ReviewStateError(
                    "the call is on legal hold: texts, links and answers of its drafts can be added to, not removed"
                )
            row = replace(
                row,
                state=state,
                revision=row.revision + 1,
                answers=written[0],
                remarks=written[1],
                finished_at=self._clock.now() if finish else None,
            )
            reviews.put(conn, row)
            _describe(row, version)
            event = self._announce(conn, WebhookEvent.REVIEW_FINISHED, row, version) if finish else None
        if event is not None:
            self._publisher.publish(event)
        return row

    def drafted_questions(self, call_id: CallId, review_id: int, by: str) -> tuple[Question, ...]:
        """Those of one's draft. Raises NoReviewError, ReviewStateError."""
        with self._database.read() as conn:
            row, version = _review_for(conn, call_id, review_id, by)
        if row.reviewer != by or row.state is not ReviewState.DRAFT:
            raise ReviewStateError("answers are suggested for one's own draft only")
        describe(subject=str(row.id), scorecard=row.scorecard_id, version=row.version)
        return version.questions

    def discard(self, call_id: CallId, review_id: int, by: str) -> None:
        """Delete one's draft. Raises NoReviewError, ReviewStateError."""
        with self._database.write() as conn:
            row, _ = self._mine(conn, call_id, review_id, by)
            if row.state is not ReviewState.DRAFT:
                raise ReviewStateError("a finished review cannot be discarded")
            if holds.current(conn, call_id) is not None:
                raise ReviewStateError("the call is on legal hold: its drafts cannot be discarded")
            reviews.remove(conn, review_id)

    def dispute(self, call_id: CallId, review_id: int, reason: str, by: str, identity: str) -> ReviewRow:
        """Dispute a finished review, as the agent of the call. A repeated dispute changes nothing.

        Raises NoReviewError, OthersCallError, ReviewStateError, ScorecardError, TextDeletedError.
        """
        reason = _text("the reason", reason)
        with self._database.write() as conn:
            call = calls.locked(conn, call_id)
            row, version = _review_for(conn, call_id, review_id, by)
            if call.agent != identity:
                raise OthersCallError("only the agent of the call can dispute its reviews")
            if (row.state, row.dispute, row.disputed_by) == (ReviewState.DISPUTED, reason, by):
                leave_out()
                return row
            expired.refuse_text(conn, call_id)
            row = replace(
                row,
                state=_state_after(row, Step.DISPUTE),
                dispute=reason,
                disputed_by=by,
                disputed_at=self._clock.now(),
            )
            reviews.put(conn, row)
            _describe(row, version)
            event = self._announce(conn, WebhookEvent.REVIEW_DISPUTED, row, version)
        self._publisher.publish(event)
        return row

    def resolve(
        self, call_id: CallId, review_id: int, text: str, answers: Sequence[Answer] | None, by: str
    ) -> ReviewRow:
        """Uphold a disputed review, or with `answers` change it to these. A repeated decision changes nothing.

        `text` is the explanation; it stays empty where a retention policy deleted the text of the call.
        Raises NoReviewError, OthersCallError, ReviewStateError, ScorecardError, TextDeletedError.
        """
        with self._database.write() as conn:
            calls.locked(conn, call_id)
            if text.strip() or not expired.text_deleted(conn, call_id):
                text = _text("the explanation", text)
                expired.refuse_text(conn, call_id)
            row, version = _review_for(conn, call_id, review_id, by)
            changed = None if answers is None else _answers(version.questions, answers, complete=True)
            if _resolved_so(row, text, changed, by):
                leave_out()
                return row
            state = _state_after(row, Step.UPHOLD if changed is None else Step.CHANGE)
            if row.disputed_by == by:
                raise OthersCallError("another person resolves your dispute")
            if not may_resolve(conn, row, by):
                raise OthersCallError("another supervisor resolves the dispute of your review")
            resolved = replace(
                row, state=state, resolution=text, resolved_by=by, resolved_at=self._clock.now()
            )
            if changed is not None:
                if changed == row.answers:
                    raise ScorecardError("no answer is changed: change one, or uphold the review")
                resolved = replace(resolved, answers=changed, answers_before=row.answers)
            reviews.put(conn, resolved)
            _describe(resolved, version)
            event = self._announce(conn, WebhookEvent.REVIEW_RESOLVED, resolved, version)
        self._publisher.publish(event)
        return resolved

    def _announce(
        self, conn: Connection, event: WebhookEvent, row: ReviewRow, version: VersionRow
    ) -> LiveEvent:
        """Order the webhooks about a review: ids and points, without names and texts, which are encrypted at rest.

        Returns the live event, which has only its state, to be published after the transaction.
        """
        score = score_of(version.questions, row.answers)
        about: dict[str, Json] = {
            "review_id": row.id,
            "scorecard_id": row.scorecard_id,
            "version": row.version,
            "score_percent": percent(score.share),
            "critical_failures": len(score.failed),
            "state": row.state.value,
        }
        deliveries.announce(conn, event, about, self._clock.now(), row.call_id)
        state: Json = {"id": row.id, "state": row.state.value}
        return self._publisher.record(conn, LiveEvent(row.call_id, EventKind.CALL, {"review": state}))

    def _mine(
        self, conn: Connection, call_id: CallId, review_id: int, by: str
    ) -> tuple[ReviewRow, VersionRow]:
        calls.locked(conn, call_id)
        row, version = _review_for(conn, call_id, review_id, by)
        if row.reviewer != by:
            raise ReviewStateError("a finished review can only be disputed by the agent of the call")
        return row, version


def may_resolve(conn: Connection, row: ReviewRow, by: str) -> bool:
    """Whether this person, who reviews calls, may resolve the open dispute of a review.

    Its reviewer may only where no other person has the right, and the person who disputed it never.
    """
    if row.state is not ReviewState.DISPUTED or by == row.disputed_by:
        return False
    return by != row.reviewer or not any(
        not user.disabled and Right.REVIEW_CALLS in RIGHTS[user.role]
        for user in users.all_users(conn)
        if user.name not in (by, row.disputed_by)
    )


def drafted(rows: Iterable[ReviewRow], reviewer: str | None) -> set[int]:
    """The scorecards with which this person has a draft: until it is finished, they do not see what others answered."""
    return {row.scorecard_id for row in rows if (row.state, row.reviewer) == (ReviewState.DRAFT, reviewer)}


def _review_for(conn: Connection, call_id: CallId, review_id: int, by: str) -> tuple[ReviewRow, VersionRow]:
    row = reviews.get(conn, call_id, review_id)
    if row is None or (row.state is ReviewState.DRAFT and row.reviewer != by):
        raise NoReviewError("there is no such review")
    if row.reviewer != by and row.scorecard_id in drafted(reviews.of_call(conn, call_id), by):
        raise ReviewStateError("finish or discard your own draft with this scorecard first")
    key = (row.scorecard_id, row.version)
    return row, forms.versions(conn, [key])[key]


def _removes(row: ReviewRow, answers: Sequence[Answer], remarks: Sequence[Remark]) -> bool:
    """Whether a draft would lose an answer, a moment or a part of a text. Other points for an answer are allowed."""
    after = {remark.question: remark for remark in remarks}
    return not {answer.question for answer in row.answers} <= {answer.question for answer in answers} or any(
        before.text not in (now := after.get(before.question, Remark(before.question))).text
        or not set(before.moments_ms) <= set(now.moments_ms)
        for before in row.remarks
    )


def _resolved_so(row: ReviewRow, text: str, changed: tuple[Answer, ...] | None, by: str) -> bool:
    """Whether this person decided exactly this before."""
    if (row.resolved_by, row.resolution) != (by, text) or row.resolved_at is None:
        return False
    if changed is None:
        return row.state is ReviewState.UPHELD
    return row.state is ReviewState.CHANGED and row.answers == changed


def _state_after(row: ReviewRow, step: Step) -> ReviewState:
    state = after(row.state, step)
    if state is None:
        raise ReviewStateError(f"this is not possible with a review in the state {row.state.value}")
    return state


def _answers(
    questions: Sequence[Question], answers: Sequence[Answer], *, complete: bool
) -> tuple[Answer, ...]:
    try:
        checked = checked_answers(questions, answers)
    except ValueError as error:
        raise ScorecardError(str(error)) from None
    missing = unanswered(questions, checked) if complete else []
    if missing:
        raise ScorecardError(f"answer every question first; missing: {', '.join(map(str, missing))}")
    return checked


def _remarks(questions: Sequence[Question], remarks: Sequence[Remark]) -> tuple[Remark, ...]:
    try:
        return checked_remarks(questions, remarks)
    except ValueError as error:
        raise ScorecardError(str(error)) from None


def _text(what: str, text: str) -> str:
    text = text.strip()
    if not 1 <= len(text) <= LONGEST_REMARK:
        raise ScorecardError(f"{what} has 1 to {LONGEST_REMARK} characters, got {len(text)}")
    return text


def _describe(row: ReviewRow, version: VersionRow) -> None:
    share = percent(score_of(version.questions, row.answers).share)
    describe(
        subject=str(row.id),
        scorecard=row.scorecard_id,
        version=row.version,
        reviewer=row.reviewer,
        state=row.state.value,
        score="none" if share is None else f"{share} %",
    )
