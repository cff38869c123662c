"""Rows for tests, and queries that only tests need."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from callreel.domain.audit import AuditEntry
from callreel.domain.call import Direction, Role
from callreel.domain.ids import CallId, LegSid
from callreel.domain.phrases import PhraseKind, Trigger
from callreel.domain.transcript import TranscriptKind
from callreel.insight.analysis import Citation, Content, FoundItem, ItemKind
from callreel.scoring.dispute import ReviewState
from callreel.scoring.questions import Question, QuestionKind
from callreel.store.audit import trail
from callreel.store.calls import calls
from callreel.store.calls.calls import CallRow
from callreel.store.db.database import Database
from callreel.store.db.tables import transcripts
from callreel.store.insight.analyses import AnalysisRow
from callreel.store.scorecards import forms, reviews
from callreel.store.scorecards.forms import VersionRow
from callreel.store.scorecards.reviews import ReviewRow
from callreel.store.transcripts import phrase_rules
from callreel.store.transcripts.phrase_rules import PhraseRuleRow

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PARENT = LegSid("CA" + "a" * 32)
CHILD = LegSid("CA" + "b" * 32)
CALL = CallRow(
    id=CallId("0123456789ab"),
    direction=Direction.OUTGOING,
    agent="ada",
    remote_number="+15550100123",
    leg_sid=PARENT,
    inbound_role=Role.AGENT,
    created_at=NOON,
)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def a_call(database: Database, **changes: Any) -> CallRow:
    """Insert a call."""
    row = replace(CALL, **changes)
    with database.write() as conn:
        assert calls.insert(conn, row)
    return row


def audit_entries(database: Database) -> list[AuditEntry]:
    """The audit trail, oldest entry first; its chain is unbroken."""
    with database.read() as conn:
        assert trail.verify(conn).broken is None
        return list(trail.entries(conn))


def a_rule(database: Database, *, at: datetime = NOON, **changes: Any) -> PhraseRuleRow:
    """Insert a phrase rule: an alert when either party says "refund"."""
    values = {
        "name": "Refund", "kind": PhraseKind.WORDS, "phrases": ("refund",), "role": None, "number_prefix": "",
        "trigger": Trigger.SAID, "within_ms": None, "enabled": True,
    }  # fmt: skip
    with database.write() as conn:
        return phrase_rules.add(conn, {**values, **changes}, "sam", at)


def a_review(
    database: Database,
    call_id: CallId,
    reviewer: str,
    state: ReviewState = ReviewState.DRAFT,
    disputed_by: str = "",
) -> ReviewRow:
    """Insert a scorecard with one yes-or-no question of 5 points, and a review with it that has no answer yet."""
    with database.write() as conn:
        question = Question(1, "Greeted?", QuestionKind.YES_NO, 5)
        card = forms.add(conn)
        forms.add_version(conn, VersionRow(card, 1, "Service", (question,), "sam", NOON), 1)
        added = reviews.add(conn, call_id, card, 1, reviewer)
        finished_at = None if state is ReviewState.DRAFT else NOON
        row = replace(added, state=state, finished_at=finished_at, disputed_by=disputed_by)
        reviews.put(conn, row)
    return row


def all_calls(conn: Connection) -> list[CallRow]:
    """Oldest first."""
    return calls.since(conn, datetime.min.replace(tzinfo=UTC))


def final_revisions(conn: Connection, call_id: CallId) -> list[tuple[str, int]]:
    """The run and revision number of each final transcript, oldest first."""
    final = (transcripts.c.call_id == call_id, transcripts.c.kind == TranscriptKind.FINAL)
    query = select(transcripts.c.run, transcripts.c.revision).where(*final).order_by(transcripts.c.id)
    return [(run, revision) for run, revision in conn.execute(query)]


def an_analysis_row(call_id: CallId) -> AnalysisRow:
    """One run of a language model."""
    return AnalysisRow(
        call_id, "run 1", datetime(2026, 11, 22, 12, 5, tzinfo=UTC), "127.0.0.1:11434", "test-model", "call-1", 1, 800, 900, 120,
        None, None, 0, False,
    )  # fmt: skip


def a_found_item() -> FoundItem:
    """A summary that cites one turn."""
    return FoundItem(ItemKind.SUMMARY, Content("A summary."), (Citation(Role.AGENT, 900, 3_700),))
