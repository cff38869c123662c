"""The tables, as SQLAlchemy Core objects. Their column types are in `types.py`.

Columns of a `Sealed` type are encrypted at rest where a master key is set: what people say, dial and write. A test lists every
other text column with the reason why it may be plain. Queries are in the modules of `calls`, `people` and `transcripts`. Migrations create the tables, never this metadata; a
test keeps the two equal. Constraint names follow one convention, so that a later migration can drop them on either
database.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
    and_,
)
from sqlalchemy import Text as SqlText
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.schema import SchemaItem

from callreel.domain.access import Scope, UserRole
from callreel.domain.call import CallState, Direction, Role
from callreel.domain.consent import Answer, Mode, OnDecline, Policy
from callreel.domain.events import EventKind
from callreel.domain.label import LabelColor
from callreel.domain.mail import MailState
from callreel.domain.measures import CallMeasures
from callreel.domain.note import NoteKind
from callreel.domain.pause import CarrierPause, PauseCause, PauseEnd
from callreel.domain.phrases import PhraseKind, Trigger
from callreel.domain.recording import Archived, CloudState, Layer, LayerState
from callreel.domain.redaction import Entity
from callreel.domain.retention import DataKind
from callreel.domain.transcript import TranscriptKind, Word
from callreel.domain.verdict import Comparison, Reason, Verdict
from callreel.domain.webhook import DeliveryState, WebhookEvent
from callreel.domain.work import Workflow
from callreel.insight.analysis import Citation, Content, ItemKind, ItemState
from callreel.insight.instructions import UsedInstructions
from callreel.insight.moment_kind import MomentKind
from callreel.scoring.dispute import ReviewState
from callreel.scoring.questions import Question
from callreel.scoring.score import Answer as ScoreAnswer
from callreel.scoring.score import Remark
from callreel.store.db.types import (
    Enumerated,
    Integer,
    LargeInteger,
    SealedJson,
    SealedLookup,
    SealedText,
    Structured,
    Text,
    UTCDateTime,
)


class Form(StrEnum):
    """How a layer's samples are stored. NULL: as the original file, which the archive has not examined yet."""

    PLAIN = "plain"
    """As the original file, for good: it cannot be rebuilt bit for bit, or a person restored it."""
    BOTH = "both"
    """As the original file and, proven by digest, in the archive; the file is about to be deleted."""
    ARCHIVE = "archive"


class EndedBy(StrEnum):
    """How we learned that a media stream was over."""

    STOP = "stop"
    SOCKET = "socket"
    SERVER = "server"
    STATUS = "status"


def utc_now() -> datetime:
    """The wall clock, for bookkeeping columns that no rule depends on."""
    return datetime.now(UTC)


_Json = JSON().with_variant(JSONB(), "postgresql")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _table(name: str, *columns: SchemaItem, **options: Any) -> Table:
    return Table(name, metadata, *columns, **options)


def _of_call(*, nullable: bool = False, index: bool = True) -> Column[Any]:
    """Erasing a call deletes the rows that refer to it."""
    return Column("call_id", Text, ForeignKey("calls.id", ondelete="CASCADE"), nullable=nullable, index=index)


calls = _table(
    "calls",
    Column("id", Text, primary_key=True),
    Column("direction", Enumerated(Direction), nullable=False),
    Column("state", Enumerated(CallState), nullable=False, index=True),
    Column("agent", Text, nullable=False),
    Column("remote_number", SealedLookup("number"), nullable=False),
    Column("leg_sid", Text, nullable=False, unique=True),
    Column("inbound_role", Enumerated(Role), nullable=False),
    Column("created_at", UTCDateTime, nullable=False, index=True),
    Column("answered_at", UTCDateTime),
    Column("ended_at", UTCDateTime),
    Column("closed_at", UTCDateTime),
    Column("verdict", Enumerated(Verdict)),
    Column("reasons", Structured(tuple[Reason, ...]), nullable=False),
    Column("comparisons", Structured(tuple[Comparison, ...]), nullable=False),
    Column("demo", Boolean, nullable=False),
    # Recorded before Callreel, and taken in from the carrier's account or from a file.
    Column("imported", Boolean, nullable=False),
    Column("owner", Text),
    Column("language", Text, nullable=False),
    Column("roles_swapped", Boolean, nullable=False),
    # Text and audio are withheld until it is redacted; a live call is shown as it is.
    Column("redaction_awaited", Boolean, nullable=False),
    Column("redacted_at", UTCDateTime),
    # When the last original of a redacted call was destroyed; NULL while they are kept.
    Column("originals_destroyed_at", UTCDateTime),
    Column("reviewed_at", UTCDateTime),
    Column("reviewed_by", Text),
    # A person's name; names of accounts are unique and never change.
    Column("assigned_to", Text),
    Index(None, "assigned_to", "created_at", "id"),
)
# The lists of calls that are not reviewed, and that are: newest first, however many are of the other kind.
for _name, _reviewed in (
    ("ix_calls_to_review", calls.c.reviewed_at.is_(None)),
    ("ix_calls_reviewed", calls.c.reviewed_at.is_not(None)),
):
    Index(_name, calls.c.created_at, calls.c.id, sqlite_where=_reviewed, postgresql_where=_reviewed)

legs = _table(
    "legs",
    Column("sid", Text, primary_key=True),
    _of_call(),
    Column("parent_sid", Text),
    Column("role", Enumerated(Role), nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", UTCDateTime),
    Column("ended_at", UTCDateTime),
    Column("duration_s", Integer),
    Column("price", Float),
    Column("price_currency", Text),
)

streams = _table(
    "streams",
    Column("sid", Text, primary_key=True),
    _of_call(),
    Column("leg_sid", Text, nullable=False),
    Column("origin_ms", Integer, nullable=False),
    Column("started_at", UTCDateTime, nullable=False),
    Column("stopped_at", UTCDateTime),
    Column("ended_by", Enumerated(EndedBy)),
    Column("counts", _Json, nullable=False),
    Column("owner", Text),
)

layers = _table(
    "layers",
    Column("id", LargeInteger, primary_key=True),
    _of_call(),
    Column("layer", Enumerated(Layer), nullable=False),
    Column("role", Enumerated(Role)),
    Column("path", Text, nullable=False, unique=True),
    Column("rate_hz", Integer, nullable=False),
    Column("channels", Integer, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("size_bytes", LargeInteger, nullable=False),
    Column("sha256", Text),
    Column("state", Enumerated(LayerState), nullable=False, index=True),
    Column("repaired_at", UTCDateTime),
    Column("owner", Text),
    Column("spool", Text),
    Column("archived", Structured(Archived)),
    Column("form", Enumerated(Form)),
    # Where it is not the file's own size; 0 for a layer that is rebuilt from another layer's FLAC.
    Column("stored_bytes", LargeInteger),
)

recordings = _table(
    "recordings",
    Column("sid", Text, primary_key=True),
    _of_call(),
    Column("leg_sid", Text, nullable=False),
    Column("state", Enumerated(CloudState), nullable=False, index=True),
    Column("carrier_status", Text),
    Column("source", Text),
    Column("channels", Integer),
    Column("duration_s", Integer),
    Column("error_code", Integer),
    Column("started_at", UTCDateTime),
    Column("failure", Text),
    Column("paused", Boolean, nullable=False, default=False),
    Column("encrypted", Boolean, nullable=False, default=False),
    Column("agreement", Float),
    Column("live_start", Integer),
    Column("track", Text),
    # What the carrier charged, and its currency; NULL until it has rated the recording.
    Column("price", Float),
    Column("price_currency", Text),
    Column("updated_at", UTCDateTime, nullable=False, onupdate=utc_now),
)

pauses = _table(
    "pauses",
    Column("id", LargeInteger, primary_key=True),
    _of_call(),
    Column("began_at", UTCDateTime, nullable=False),
    Column("ended_at", UTCDateTime),
    Column("cause", Enumerated(PauseCause), nullable=False),
    Column("by", Text, nullable=False),
    Column("ended_by", Enumerated(PauseEnd)),
    Column("start_ms", Integer),
    Column("end_ms", Integer),
    Column("carrier", Enumerated(CarrierPause), nullable=False),
    Column("carrier_error", Text, nullable=False),
    Column("carrier_resumed", Boolean, nullable=False),
    Column("carrier_at", UTCDateTime, nullable=False),
)

# Workflows that must be started: `store/calls/outbox.py`.
outbox = _table(
    "outbox",
    Column("id", LargeInteger, primary_key=True),
    # The call that the order waits for; NULL if it waits for none.
    _of_call(nullable=True),
    Column("workflow", Enumerated(Workflow), nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("key", Text, nullable=False, unique=True),
    Column("created_at", UTCDateTime, nullable=False),
    # An order that replaces one that is being started must not get its id, or it would be removed with it.
    sqlite_autoincrement=True,
)

callbacks = _table(
    "callbacks",
    Column("id", LargeInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("received_at", UTCDateTime, nullable=False),
    Column("form", SealedJson("callbacks.form"), nullable=False),
    UniqueConstraint("kind", "key"),
)

media_tokens = _table(
    "media_tokens",
    Column("token_hash", Text, primary_key=True),
    Column("leg_sid", Text, nullable=False),
    _of_call(),
    Column("created_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
    Column("used_at", UTCDateTime),
)

# What a call keeps of its consent to recording; a call that the policy does not concern has no row.
consents = _table(
    "consents",
    Column("call_id", Text, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("mode", Enumerated(Mode), nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("rule", Text, nullable=False),
    Column("skipped", Boolean, nullable=False),
    Column("notice", Text, nullable=False),
    Column("notice_version", Integer, nullable=False),
    Column("language", Text, nullable=False),
    Column("on_decline", Enumerated(OnDecline), nullable=False),
    Column("leg_sid", Text),
    Column("played_at", UTCDateTime),
    Column("answer", Enumerated(Answer), index=True),
    Column("answered_at", UTCDateTime),
    Column("answered_by", Text, nullable=False),
    Column("capture_at", UTCDateTime),
    Column("capture_claimed_until", UTCDateTime),
    Column("failure", Text, nullable=False),
    Column("stopped_at", UTCDateTime),
    Column("erased_at", UTCDateTime),
)
_TO_ERASE = and_(consents.c.stopped_at.is_not(None), consents.c.erased_at.is_(None))
Index("ix_consents_to_erase", consents.c.call_id, sqlite_where=_TO_ERASE, postgresql_where=_TO_ERASE)

# Every version of the recording policy. The newest is in force; older ones have the texts of older calls.
consent_policies = _table(
    "consent_policies",
    Column("version", Integer, primary_key=True),
    Column("policy", SealedJson("consent_policies.policy", Policy), nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
)

consent_sounds = _table(
    "consent_sounds",
    Column("sha256", Text, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
)

transcripts = _table(
    "transcripts",
    Column("id", LargeInteger, primary_key=True),
    _of_call(index=False),
    Column("kind", Enumerated(TranscriptKind), nullable=False),
    Column("engine", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("run", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("audio_ms", Integer, nullable=False),
    Column("price_per_minute", Float, nullable=False),
    Column("language", Text, nullable=False),
    Column("detected", Boolean, nullable=False),
    Column("crosstalk", Integer, nullable=False),
    UniqueConstraint("call_id", "kind", "engine", "run"),
    UniqueConstraint("call_id", "kind", "revision"),
)

turns = _table(
    "turns",
    Column("id", LargeInteger, primary_key=True),
    Column("transcript_id", LargeInteger, ForeignKey("transcripts.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("role", Enumerated(Role), nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("text", SealedText("turns.text"), nullable=False),
    Column("confidence", Float),
    Column("fallback_engine", Text, nullable=False),
    Column("words", SealedJson("turns.words", tuple[Word, ...]), nullable=False),
    UniqueConstraint("transcript_id", "position"),
)

finals = _table(
    "finals",
    Column("id", LargeInteger, primary_key=True),
    _of_call(index=False),
    Column("role", Enumerated(Role), nullable=False),
    Column("number", Integer, nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("text", SealedText("finals.text"), nullable=False),
    Column("words", SealedJson("finals.words", tuple[Word, ...]), nullable=False),
    Column("failed", Boolean, nullable=False),
    Column("fallback_engine", Text, nullable=False),
    UniqueConstraint("call_id", "role", "number"),
)

spilled_segments = _table(
    "spilled_segments",
    Column("id", LargeInteger, primary_key=True),
    _of_call(index=False),
    Column("role", Enumerated(Role), nullable=False),
    Column("number", Integer, nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    UniqueConstraint("call_id", "role", "number"),
)

live_scores = _table(
    "live_scores",
    Column("call_id", Text, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("live_words", Integer),
    Column("late", Integer),
    Column("retracted", Integer),
    Column("words", Integer),
    Column("same", Integer),
    Column("replaced", Integer),
    Column("missing", Integer),
    Column("added", Integer),
)

# How a call went, with the displayed roles. The columns beside `document` are for filters, sorting and sums.
measures = _table(
    "measures",
    Column("call_id", Text, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    # Of the call, so that an index gives the newest first among equals.
    Column("created_at", UTCDateTime, nullable=False),
    Column("definitions", Integer, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("ringing_ms", Integer),
    Column("paused_ms", Integer, nullable=False),
    Column("agent_talk_ms", Integer, nullable=False),
    Column("technician_talk_ms", Integer, nullable=False),
    Column("agent_ratio", Float),
    Column("longest_turn_ms", Integer, nullable=False),
    Column("silences", Integer, nullable=False),
    Column("silence_ms", Integer, nullable=False),
    Column("overlap_ms", Integer, nullable=False),
    Column("agent_interruptions", Integer, nullable=False),
    Column("interruptions", Integer, nullable=False),
    Column("document", Structured(CallMeasures), nullable=False),
    # Each order of the list, with the columns of its filters.
    Index(None, "created_at", "call_id", "silence_ms", "interruptions", "agent_ratio"),
    Index(None, "duration_ms", "created_at", "call_id", "silence_ms", "interruptions", "agent_ratio"),
    Index(None, "agent_ratio", "created_at", "call_id", "silence_ms", "interruptions"),
    Index(None, "longest_turn_ms", "created_at", "call_id", "silence_ms", "interruptions", "agent_ratio"),
    Index(None, "silence_ms", "created_at", "call_id", "interruptions", "agent_ratio"),
    Index(None, "interruptions", "created_at", "call_id", "silence_ms", "agent_ratio"),
)

live_events = _table(
    "live_events",
    Column("id", LargeInteger, primary_key=True),
    _of_call(index=False),
    Column("kind", Enumerated(EventKind), nullable=False),
    Column("data", SealedJson("live_events.data"), nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Index(None, "call_id", "id"),
    # Ids are never reused, also after the newest rows were deleted: listeners resume after the last id they saw.
    sqlite_autoincrement=True,
)

facts = _table(
    "facts",
    Column("id", LargeInteger, primary_key=True),
    _of_call(nullable=True),
    Column("leg_sid", Text),
    Column("at", UTCDateTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("data", SealedJson("facts.data"), nullable=False),
)

users = _table(
    "users",
    Column("id", LargeInteger, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("password_hash", Text),
    Column("role", Enumerated(UserRole), nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("identity", Text, nullable=False, unique=True),
    Column("subject", Text, unique=True),
)

sessions = _table(
    "sessions",
    Column("id", LargeInteger, primary_key=True),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("user_id", LargeInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
    Column("last_seen_at", UTCDateTime, nullable=False),
    Column("address", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("second_factor_due", Boolean, nullable=False),
    Column("id_token", SealedText("sessions.id_token")),
    # Ids are never reused: a page may still show an ended session.
    sqlite_autoincrement=True,
)

second_factors = _table(
    "second_factors",
    Column("user_id", LargeInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("secret", SealedText("second_factors.secret"), nullable=False),
    Column("confirmed_at", UTCDateTime),
    Column("last_step", LargeInteger),
)

recovery_codes = _table(
    "recovery_codes",
    Column("user_id", LargeInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("code_hash", Text, primary_key=True),
)

attempts = _table(
    "attempts",
    Column("key", Text, primary_key=True),
    Column("failed_ms", Structured(tuple[int, ...]), nullable=False),
    Column("expires_at", UTCDateTime, nullable=False, index=True),
)

api_tokens = _table(
    "api_tokens",
    Column("id", LargeInteger, primary_key=True),
    Column("user_id", LargeInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("scopes", Structured(tuple[Scope, ...]), nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime),
    Column("last_used_at", UTCDateTime),
)

saved_filters = _table(
    "saved_filters",
    Column("id", LargeInteger, primary_key=True),
    Column("owner", Text, nullable=False, index=True),
    Column("name", SealedText("saved_filters.name"), nullable=False),
    Column("query", SealedText("saved_filters.query"), nullable=False),
    Column("at", UTCDateTime, nullable=False),
    # Ids are never reused: a page may still show a deleted filter.
    sqlite_autoincrement=True,
)

welcome_tokens = _table(
    "welcome_tokens",
    Column("token_hash", Text, primary_key=True),
    Column("created_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
)

notes = _table(
    "notes",
    Column("id", LargeInteger, primary_key=True),
    _of_call(),
    Column("kind", Enumerated(NoteKind), nullable=False),
    Column("at_ms", Integer, nullable=False),
    Column("text", SealedText("notes.text"), nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    # Ids are never reused: a page may still show a deleted note.
    sqlite_autoincrement=True,
)

labels = _table(
    "labels",
    Column("id", LargeInteger, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("color", Enumerated(LabelColor), nullable=False),
    # Ids are never reused: a saved link may still name a deleted label.
    sqlite_autoincrement=True,
)

call_labels = _table(
    "call_labels",
    Column("call_id", Text, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("label_id", LargeInteger, ForeignKey("labels.id", ondelete="CASCADE"), primary_key=True),
    # Of the call, so that an index gives the calls of a label newest first.
    Column("created_at", UTCDateTime, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Index(None, "label_id", "created_at", "call_id"),
)

# What a language model is given for calls with a label: `store/insight/instructions.py`. A version never changes.
label_instructions = _table(
    "label_instructions",
    Column("label_id", LargeInteger, ForeignKey("labels.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("text", SealedText("label_instructions.text"), nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
)

revisions = _table(
    "revisions",
    Column("id", LargeInteger, primary_key=True),
    _of_call(index=False),
    Column("transcript_id", LargeInteger, ForeignKey("transcripts.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Column("changes", SealedJson("revisions.changes"), nullable=False),
    UniqueConstraint("call_id", "number"),
    Index(None, "transcript_id"),
)

revised_turns = _table(
    "revised_turns",
    Column("id", LargeInteger, primary_key=True),
    Column("revision_id", LargeInteger, ForeignKey("revisions.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("removed", Boolean, nullable=False),
    Column("role", Enumerated(Role), nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("text", SealedText("revised_turns.text"), nullable=False),
    Column("confidence", Float),
    Column("words", SealedJson("revised_turns.words", tuple[Word, ...]), nullable=False),
    UniqueConstraint("revision_id", "position"),
)

technicians = _table(
    "technicians",
    Column("id", LargeInteger, primary_key=True),
    Column("name", SealedText("technicians.name"), nullable=False),
    Column("number", SealedLookup("number"), nullable=False, unique=True),
    Column("created_at", UTCDateTime, nullable=False),
)

# The custom vocabulary, besides the settings' own phrases and the technicians' names.
vocabulary = _table(
    "vocabulary",
    Column("id", LargeInteger, primary_key=True),
    Column("phrase", SealedLookup("vocabulary.phrase"), nullable=False, unique=True),
    Column("added_by", Text, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
)

phrase_rules = _table(
    "phrase_rules",
    Column("id", LargeInteger, primary_key=True),
    Column("name", SealedText("phrase_rules.name"), nullable=False),
    Column("kind", Enumerated(PhraseKind), nullable=False),
    Column("phrases", SealedJson("phrase_rules.phrases", tuple[str, ...]), nullable=False),
    Column("role", Enumerated(Role)),
    Column("number_prefix", SealedText("phrase_rules.number_prefix"), nullable=False),
    Column("trigger", Enumerated(Trigger), nullable=False),
    Column("within_ms", Integer),
    Column("enabled", Boolean, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Column("changed_at", UTCDateTime, nullable=False),
    # Ids are never reused: alerts of a removed rule keep its id.
    sqlite_autoincrement=True,
)

# Alerts of phrase rules. They refer to words by position and have no text. `rule` is the rule's name at that time;
# `place` is the segment, or `missing`: one alert of a rule for each.
phrase_alerts = _table(
    "phrase_alerts",
    Column("id", LargeInteger, primary_key=True),
    _of_call(index=False),
    Column("rule_id", LargeInteger, nullable=False),
    Column("rule", SealedText("phrase_alerts.rule"), nullable=False),
    Column("trigger", Enumerated(Trigger), nullable=False),
    Column("role", Enumerated(Role)),
    Column("place", Text, nullable=False),
    Column("start_ms", Integer),
    Column("end_ms", Integer),
    Column("at", UTCDateTime, nullable=False),
    UniqueConstraint("call_id", "rule_id", "place"),
    Index(None, "rule_id", "call_id"),
)

# Scorecards: `store/scorecards`. A version never changes; the greatest number is in force. `last_key` is of their questions.
scorecards = _table(
    "scorecards",
    Column("id", LargeInteger, primary_key=True),
    Column("last_key", Integer, nullable=False),
    Column("retired", Boolean, nullable=False),
)

scorecard_versions = _table(
    "scorecard_versions",
    Column("scorecard_id", LargeInteger, ForeignKey("scorecards.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("name", SealedText("scorecard_versions.name"), nullable=False),
    Column("questions", SealedJson("scorecard_versions.questions", tuple[Question, ...]), nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
)

# Reviews of calls with scorecards. `answers` has figures only; what people wrote is in `remarks`, `dispute` and `resolution`.
scorecard_reviews = _table(
    "scorecard_reviews",
    Column("id", LargeInteger, primary_key=True),
    _of_call(index=False),
    Column("scorecard_id", LargeInteger, ForeignKey("scorecards.id"), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("state", Enumerated(ReviewState), nullable=False),
    # Counts the saves of a draft, so that one page does not overwrite what another saved.
    Column("revision", Integer, nullable=False),
    Column("answers", Structured(tuple[ScoreAnswer, ...]), nullable=False),
    Column("remarks", SealedJson("scorecard_reviews.remarks", tuple[Remark, ...]), nullable=False),
    Column("finished_at", UTCDateTime),
    Column("dispute", SealedText("scorecard_reviews.dispute"), nullable=False),
    Column("disputed_by", Text, nullable=False),
    Column("disputed_at", UTCDateTime),
    Column("resolution", SealedText("scorecard_reviews.resolution"), nullable=False),
    Column("resolved_by", Text, nullable=False),
    Column("resolved_at", UTCDateTime),
    # Before a supervisor changed them; NULL if none did.
    Column("answers_before", Structured(tuple[ScoreAnswer, ...])),
    UniqueConstraint("call_id", "scorecard_id", "reviewer"),
    # Ids are never reused: a page may still show a discarded draft.
    sqlite_autoincrement=True,
)

# What a language model found in a call, one row for each run. `redacted`: words were redacted after it; `roles_swapped`: how
# the roles were displayed to it.
analyses = _table(
    "analyses",
    Column("call_id", Text, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("run", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Column("server", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("requests", Integer, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cost", Text),
    Column("currency", Text),
    Column("dropped", Integer, nullable=False),
    Column("roles_swapped", Boolean, nullable=False),
    Column("redacted", Boolean, nullable=False),
    Column("instructions", Structured(tuple[UsedInstructions, ...]), nullable=False),
    UniqueConstraint("call_id", "run"),
)

# `made` is the model's text, `written` a person's. `label_id` may be that of a deleted label.
analysis_items = _table(
    "analysis_items",
    Column("id", LargeInteger, primary_key=True),
    _of_call(),
    Column("number", Integer, nullable=False),
    Column("kind", Enumerated(ItemKind), nullable=False),
    Column("made", SealedJson("analysis_items.made", Content)),
    Column("written", SealedJson("analysis_items.written", Content)),
    Column("citations", Structured(tuple[Citation, ...]), nullable=False),
    Column("label_id", LargeInteger),
    Column("state", Enumerated(ItemState), nullable=False),
    Column("by", Text),
    Column("at", UTCDateTime),
    # Ids are never reused: a page may still show a deleted item.
    sqlite_autoincrement=True,
)

# The searchable text, one row for each displayed turn. On SQLite triggers keep `turn_fts`, made by a migration, in step
# with `tokens`; on PostgreSQL `tokens` is a tsvector with an index.
turn_index = _table(
    "turn_index",
    Column("id", LargeInteger, primary_key=True),
    _of_call(index=False),
    Column("position", Integer, nullable=False),
    Column("role", Enumerated(Role), nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("text", SealedText("turn_index.text"), nullable=False),
    Column("word_starts", _Json, nullable=False),
    Column("tokens", SqlText().with_variant(TSVECTOR(), "postgresql"), nullable=False),
    UniqueConstraint("call_id", "position"),
)

# The one-line topics of calls, and which calls wait for theirs: `store/insight/topics.py`.
topics = _table(
    "topics",
    Column("call_id", Text, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("due", Boolean, nullable=False),
    Column("text", SealedText("topics.text")),
)
# Which kinds of moments a call has; their words are in the transcript alone.
call_moments = _table(
    "call_moments",
    Column("kind", Enumerated(MomentKind), primary_key=True),
    Column("call_id", Text, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True, index=True),
)
Index("ix_topics_due", topics.c.call_id, sqlite_where=topics.c.due, postgresql_where=topics.c.due)

processes = _table(
    "processes",
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("started_at", UTCDateTime, nullable=False),
    Column("heartbeat_at", UTCDateTime, nullable=False),
)

carrier_deletions = _table(
    "carrier_deletions",
    Column("sid", Text, primary_key=True),
    _of_call(),
    Column("sha256", Text, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("already_deleted", Boolean, nullable=False),
    Column("deleted_at", UTCDateTime, nullable=False),
)

# No foreign key: the row outlives its call.
erasures = _table(
    "erasures",
    Column("call_id", Text, primary_key=True),
    Column("by", Text, nullable=False),
    Column("began_at", UTCDateTime, nullable=False),
    Column("files", _Json, nullable=False),
    Column("erased_at", UTCDateTime),
    Column("reason", SealedText("erasures.reason"), nullable=False),
    Column("at_carrier", Boolean, nullable=False),
    Column("recordings", _Json, nullable=False),
    Column("counts", _Json, nullable=False),
    Column("holds", _Json, nullable=False),
    Index(None, "erased_at"),
)

# Legal holds. While one has no `released_at`, nothing of its call may be erased.
holds = _table(
    "holds",
    Column("id", LargeInteger, primary_key=True),
    _of_call(),
    Column("reason", SealedText("holds.reason"), nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Column("release_reason", SealedText("holds.release_reason")),
    Column("released_by", Text),
    Column("released_at", UTCDateTime),
)

redactions = _table(
    "redactions",
    Column("id", LargeInteger, primary_key=True),
    _of_call(),
    Column("role", Enumerated(Role), nullable=False),
    Column("entity", Enumerated(Entity), nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Column("removed_by", Text),
    Column("removed_at", UTCDateTime),
    # Ids are never reused: a page may still show a deleted one.
    sqlite_autoincrement=True,
)

# Originals of redacted files, replaced by silenced copies: the proof that they were destroyed.
destroyed_originals = _table(
    "destroyed_originals",
    Column("id", LargeInteger, primary_key=True),
    _of_call(),
    Column("path", Text, nullable=False),
    Column("sha256", Text),
    Column("archive_key", Text),
    Column("copy_path", Text, nullable=False),
    Column("copy_sha256", Text, nullable=False),
    Column("replaced_at", UTCDateTime, nullable=False),
    Column("destroyed_at", UTCDateTime),
    UniqueConstraint("path", "sha256"),
)

# Data that retention policies deleted. No foreign key: the row outlives its call.
expired_data = _table(
    "expired_data",
    Column("id", LargeInteger, primary_key=True),
    Column("call_id", Text, nullable=False),
    Column("kind", Enumerated(DataKind), nullable=False),
    Column("policy", Text, nullable=False),
    Column("ordered_at", UTCDateTime, nullable=False),
    Column("done_at", UTCDateTime, index=True),
    Column("files", _Json, nullable=False),
    Column("counts", _Json, nullable=False),
    UniqueConstraint("call_id", "kind"),
)

# Data keys, wrapped by master keys: `store/encryption/keyring.py`.
data_keys = _table(
    "data_keys",
    Column("id", LargeInteger, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("master_key", Text, nullable=False),
    Column("wrapped", Text, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    # An id is in the header of files and in values: it must never name another key.
    sqlite_autoincrement=True,
)

# The audit trail: `store/audit/trail.py`. Triggers of the migration refuse changes, and the deletion of entries that no
# checkpoint covers. No foreign key: an entry outlives its call.
audit_entries = _table(
    "audit_entries",
    Column("number", LargeInteger, primary_key=True, autoincrement=False),
    Column("at", UTCDateTime, nullable=False, index=True),
    Column("action", Text, nullable=False, index=True),
    Column("actor", Text, nullable=False, index=True),
    Column("via", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("call_id", Text, index=True),
    Column("subject", Text, nullable=False),
    Column("reason", SealedText("audit_entries.reason"), nullable=False),
    Column("details", SealedJson("audit_entries.details"), nullable=False),
    Column("previous", Text, nullable=False),
    Column("digest", Text, nullable=False),
)

# Open accesses, one row for many requests; they become an entry when they have ended: `store/audit/accesses.py`.
open_accesses = _table(
    "open_accesses",
    Column("key", Text, primary_key=True),
    Column("action", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("call_id", Text, index=True),
    Column("subject", Text, nullable=False),
    Column("reason", SealedText("open_accesses.reason"), nullable=False),
    Column("began_at", UTCDateTime, nullable=False),
    Column("last_at", UTCDateTime, nullable=False),
    Column("requests", Integer, nullable=False),
    Column("spans", _Json, nullable=False),
)

webhook_endpoints = _table(
    "webhook_endpoints",
    Column("id", LargeInteger, primary_key=True),
    Column("name", Text, nullable=False),
    Column("url", SealedText("webhook_endpoints.url"), nullable=False),
    Column("events", Structured(tuple[WebhookEvent, ...]), nullable=False),
    Column("numbers", Boolean, nullable=False),
    Column("secret", SealedText("webhook_endpoints.secret"), nullable=False),
    Column("previous_secret", SealedText("webhook_endpoints.secret")),
    Column("previous_until", UTCDateTime),
    Column("created_at", UTCDateTime, nullable=False),
    Column("failing_since", UTCDateTime),
    Column("disabled_at", UTCDateTime),
    Column("disabled_why", Text, nullable=False),
    # Ids are never reused: a page may still show a removed endpoint.
    sqlite_autoincrement=True,
)

webhook_deliveries = _table(
    "webhook_deliveries",
    Column("id", Text, primary_key=True),
    Column(
        "endpoint_id", LargeInteger, ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False
    ),
    _of_call(nullable=True),
    Column("event", Enumerated(WebhookEvent), nullable=False),
    Column("data", _Json, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("state", Enumerated(DeliveryState), nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("tried_at", UTCDateTime),
    Column("status", Integer),
    Column("failure", Text, nullable=False),
    Index(None, "endpoint_id", "created_at"),
)

report_mails = _table(
    "report_mails",
    Column("week", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("state", Enumerated(MailState), nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Column("failure", Text, nullable=False),
)

BEYOND_METADATA = ("turn_fts", "ix_turn_index_tokens")
"""Prefixes of the names that exist in one of the two databases only, and not in the metadata."""


def in_metadata(_item: object, name: str | None, _kind: str, _reflected: bool, _other: object) -> bool:
    """Whether Alembic should compare an object of the database with the metadata (its `include_object`)."""
    return not (name or "").startswith(BEYOND_METADATA)
