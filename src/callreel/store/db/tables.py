"""The tables, as SQLAlchemy Core objects, and the column types they share.

No queries here: each noun has a module of its own with functions over a connection. The tables are made by the
migrations, never from this metadata; a test holds the two equal. Names of constraints follow one convention, so that a
later migration can drop them on either database.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

from callreel.domain.access import UserRole
from callreel.domain.call import CallState, Direction, Role
from callreel.domain.erasure import ErasureStep
from callreel.domain.events import EventKind
from callreel.domain.note import NoteKind
from callreel.domain.recording import Archived, CloudState, Layer, LayerState, Making
from callreel.domain.transcript import TranscriptKind
from callreel.domain.verdict import Verdict

E = TypeVar("E", bound=StrEnum)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime. A naive one is refused; one of another zone is converted."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("expected an aware datetime, got a naive one")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Named(TypeDecorator[E], Generic[E]):
    """A member of one of our closed sets, stored as its value."""

    impl = String
    cache_ok = True

    def __init__(self, names: type[E]) -> None:
        super().__init__()
        self.names = names

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:
        return None if value is None else self.names(value).value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> E | None:
        return None if value is None else self.names(value)


class Form(StrEnum):
    """In which form a layer's samples are kept. NULL: as the file that was made, and not looked at yet."""

    PLAIN = "plain"
    """As that file, and to stay so: it cannot be made again, or a person wanted it back."""
    BOTH = "both"
    """Proven to be in the archive; the file is about to be dropped."""
    ARCHIVE = "archive"


class _ArchivedType(TypeDecorator[Archived]):
    """What a layer is made of again, as JSON."""

    impl = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: Archived | None, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else asdict(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Archived | None:
        if value is None:
            return None
        return Archived(**{**value, "making": Making(value["making"]), "cuts": tuple(value["cuts"])})


class EndedBy(StrEnum):
    """What told us that a media stream was over."""

    STOP = "stop"
    SOCKET = "socket"
    SERVER = "server"
    STATUS = "status"


def utc_now() -> datetime:
    """The wall clock, for the bookkeeping columns that no rule depends on."""
    return datetime.now(UTC)


# A serial number. SQLite numbers rows only where the type is exactly INTEGER.
_Serial = BigInteger().with_variant(Integer, "sqlite")
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


def _of_call(*, nullable: bool = False, index: bool = True) -> Column[Any]:
    """What hangs on a call goes when the call is erased."""
    return Column(
        "call_id", String, ForeignKey("calls.id", ondelete="CASCADE"), nullable=nullable, index=index
    )


calls = Table(
    "calls",
    metadata,
    Column("id", String, primary_key=True),
    Column("direction", Named(Direction), nullable=False),
    Column("state", Named(CallState), nullable=False, index=True),
    Column("agent", String, nullable=False),
    Column("remote_number", String, nullable=False),
    Column("leg_sid", String, nullable=False, unique=True),
    Column("inbound_role", Named(Role), nullable=False),
    Column("created_at", UTCDateTime, nullable=False, index=True),
    Column("answered_at", UTCDateTime),
    Column("ended_at", UTCDateTime),
    Column("closed_at", UTCDateTime),
    Column("verdict", Named(Verdict)),
    Column("reasons", _Json, nullable=False),
    Column("comparisons", _Json, nullable=False),
    Column("demo", Boolean, nullable=False),
    Column("owner", String),
    Column("language", String, nullable=False),
)

legs = Table(
    "legs",
    metadata,
    Column("sid", String, primary_key=True),
    _of_call(),
    Column("parent_sid", String),
    Column("role", Named(Role), nullable=False),
    Column("status", String, nullable=False),
    Column("started_at", UTCDateTime),
    Column("ended_at", UTCDateTime),
    Column("duration_s", Integer),
)

streams = Table(
    "streams",
    metadata,
    Column("sid", String, primary_key=True),
    _of_call(),
    Column("leg_sid", String, nullable=False),
    Column("origin_ms", Integer, nullable=False),
    Column("started_at", UTCDateTime, nullable=False),
    Column("stopped_at", UTCDateTime),
    Column("ended_by", Named(EndedBy)),
    Column("counts", _Json, nullable=False),
    Column("owner", String),
)

layers = Table(
    "layers",
    metadata,
    Column("id", _Serial, primary_key=True),
    _of_call(),
    Column("layer", Named(Layer), nullable=False),
    Column("role", Named(Role)),
    Column("path", String, nullable=False, unique=True),
    Column("rate_hz", Integer, nullable=False),
    Column("channels", Integer, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String),
    Column("state", Named(LayerState), nullable=False, index=True),
    Column("repaired_at", UTCDateTime),
    Column("owner", String),
    Column("spool", String),
    Column("archived", _ArchivedType),
    Column("form", Named(Form)),
    # What the file takes where that is not its own size; 0 for what is made of another's FLAC.
    Column("stored_bytes", BigInteger),
)

recordings = Table(
    "recordings",
    metadata,
    Column("sid", String, primary_key=True),
    _of_call(),
    Column("leg_sid", String, nullable=False),
    Column("state", Named(CloudState), nullable=False, index=True),
    Column("carrier_status", String),
    Column("source", String),
    Column("channels", Integer),
    Column("duration_s", Integer),
    Column("error_code", Integer),
    Column("url", String),
    Column("started_at", UTCDateTime),
    Column("dispatched_at", UTCDateTime),
    Column("stage", String),
    Column("stage_error", String),
    Column("attempts", Integer, nullable=False),
    Column("price", String),
    Column("updated_at", UTCDateTime, nullable=False, onupdate=utc_now),
    Column("retries", Integer, nullable=False),
    Column("retry_at", UTCDateTime),
)

callbacks = Table(
    "callbacks",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("kind", String, nullable=False),
    Column("key", String, nullable=False),
    Column("received_at", UTCDateTime, nullable=False),
    Column("form", _Json, nullable=False),
    UniqueConstraint("kind", "key"),
)

media_tokens = Table(
    "media_tokens",
    metadata,
    Column("token_hash", String, primary_key=True),
    Column("leg_sid", String, nullable=False),
    _of_call(),
    Column("created_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
    Column("used_at", UTCDateTime),
)

transcripts = Table(
    "transcripts",
    metadata,
    Column("id", _Serial, primary_key=True),
    _of_call(index=False),
    Column("kind", Named(TranscriptKind), nullable=False),
    Column("engine", String, nullable=False),
    Column("model", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("run", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("audio_ms", Integer, nullable=False),
    Column("price_per_minute", Float, nullable=False),
    Column("language", String, nullable=False),
    Column("detected", Boolean, nullable=False),
    UniqueConstraint("call_id", "kind", "engine", "run"),
    UniqueConstraint("call_id", "kind", "revision"),
)

turns = Table(
    "turns",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("transcript_id", _Serial, ForeignKey("transcripts.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("role", Named(Role), nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("confidence", Float),
    Column("fallback_engine", String, nullable=False),
    UniqueConstraint("transcript_id", "position"),
)

words = Table(
    "words",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("turn_id", _Serial, ForeignKey("turns.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("confidence", Float),
    UniqueConstraint("turn_id", "position"),
)

finals = Table(
    "finals",
    metadata,
    Column("id", _Serial, primary_key=True),
    _of_call(index=False),
    Column("role", Named(Role), nullable=False),
    Column("number", Integer, nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("words", _Json, nullable=False),
    Column("failed", Boolean, nullable=False),
    Column("fallback_engine", String, nullable=False),
    UniqueConstraint("call_id", "role", "number"),
)

spilled_segments = Table(
    "spilled_segments",
    metadata,
    Column("id", _Serial, primary_key=True),
    _of_call(index=False),
    Column("role", Named(Role), nullable=False),
    Column("number", Integer, nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    UniqueConstraint("call_id", "role", "number"),
)

live_scores = Table(
    "live_scores",
    metadata,
    Column("call_id", String, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("live_words", Integer),
    Column("late", Integer),
    Column("retracted", Integer),
    Column("words", Integer),
    Column("same", Integer),
    Column("replaced", Integer),
    Column("missing", Integer),
    Column("added", Integer),
)

live_events = Table(
    "live_events",
    metadata,
    Column("id", _Serial, primary_key=True),
    _of_call(index=False),
    Column("kind", Named(EventKind), nullable=False),
    Column("data", _Json, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Index(None, "call_id", "id"),
    # An id is never given twice, also after the newest rows were deleted: listeners remember the last one they saw.
    sqlite_autoincrement=True,
)

facts = Table(
    "facts",
    metadata,
    Column("id", _Serial, primary_key=True),
    _of_call(nullable=True),
    Column("leg_sid", String),
    Column("at", UTCDateTime, nullable=False),
    Column("kind", String, nullable=False),
    Column("data", _Json, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("password_hash", String, nullable=False),
    Column("role", Named(UserRole), nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("identity", String, nullable=False, unique=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String, primary_key=True),
    Column("user_id", _Serial, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("user_id", _Serial, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("token_hash", String, nullable=False, unique=True),
    Column("scopes", _Json, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime),
    Column("last_used_at", UTCDateTime),
)

welcome_tokens = Table(
    "welcome_tokens",
    metadata,
    Column("token_hash", String, primary_key=True),
    Column("created_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False),
)

notes = Table(
    "notes",
    metadata,
    Column("id", _Serial, primary_key=True),
    _of_call(),
    Column("kind", Named(NoteKind), nullable=False),
    Column("at_ms", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    # An id that a page still shows must never become another note's.
    sqlite_autoincrement=True,
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", _Serial, primary_key=True),
    _of_call(index=False),
    Column("transcript_id", _Serial, ForeignKey("transcripts.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("by", String, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Column("changes", _Json, nullable=False),
    UniqueConstraint("call_id", "number"),
    Index(None, "transcript_id"),
)

revised_turns = Table(
    "revised_turns",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("revision_id", _Serial, ForeignKey("revisions.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("removed", Boolean, nullable=False),
    Column("role", Named(Role), nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("confidence", Float),
    Column("words", _Json, nullable=False),
    UniqueConstraint("revision_id", "position"),
)

technicians = Table(
    "technicians",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("name", String, nullable=False),
    Column("number", String, nullable=False, unique=True),
    Column("created_at", UTCDateTime, nullable=False),
)

# What people want engines to expect, besides the settings' own words and the technicians' names.
vocabulary = Table(
    "vocabulary",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("phrase", String, nullable=False, unique=True),
    Column("added_by", String, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
)

# The searched text, one row a turn that is shown. On SQLite `turn_fts`, made by a migration, indexes `tokens` and is kept
# by triggers; on PostgreSQL `tokens` is a tsvector with an index of its own.
turn_index = Table(
    "turn_index",
    metadata,
    Column("id", _Serial, primary_key=True),
    _of_call(index=False),
    Column("position", Integer, nullable=False),
    Column("role", Named(Role), nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("word_starts", _Json, nullable=False),
    Column("tokens", Text().with_variant(TSVECTOR(), "postgresql"), nullable=False),
    UniqueConstraint("call_id", "position"),
)

processes = Table(
    "processes",
    metadata,
    Column("name", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("host", String, nullable=False),
    Column("started_at", UTCDateTime, nullable=False),
    Column("heartbeat_at", UTCDateTime, nullable=False),
)

carrier_deletions = Table(
    "carrier_deletions",
    metadata,
    Column("sid", String, primary_key=True),
    _of_call(),
    Column("sha256", String, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("already_deleted", Boolean, nullable=False),
    Column("deleted_at", UTCDateTime, nullable=False),
)

# No reference to the call: it outlives it.
erasures = Table(
    "erasures",
    metadata,
    Column("call_id", String, primary_key=True),
    Column("by", String, nullable=False),
    Column("began_at", UTCDateTime, nullable=False),
    Column("files", _Json, nullable=False),
    Column("erased_at", UTCDateTime),
    Column("reason", String, nullable=False),
    Column("at_carrier", Boolean, nullable=False),
    Column("step", Named(ErasureStep), nullable=False),
    Column("trouble", String),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", UTCDateTime),
    Column("recordings", _Json, nullable=False),
    Column("counts", _Json, nullable=False),
    Column("holds", _Json, nullable=False),
    # What is asked every second is which are not done.
    Index(None, "erased_at"),
)

# One row each time that a call is held; while `released_at` is NULL nothing of the call may go.
holds = Table(
    "holds",
    metadata,
    Column("id", _Serial, primary_key=True),
    _of_call(),
    Column("reason", String, nullable=False),
    Column("by", String, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Column("release_reason", String),
    Column("released_by", String),
    Column("released_at", UTCDateTime),
)

BEYOND_METADATA = ("turn_fts", "ix_turn_index_tokens")
"""What only one of the two databases has: names, or beginnings of names, that the metadata does not know."""


def in_metadata(_item: object, name: str | None, _kind: str, _reflected: bool, _other: object) -> bool:
    """Whether something found in a database is to be compared with the metadata (Alembic's `include_object`)."""
    return not (name or "").startswith(BEYOND_METADATA)
