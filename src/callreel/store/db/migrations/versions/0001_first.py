"""All tables of the first release."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None

_LARGE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_TIME = sa.DateTime(timezone=True)


def _of_call(*, nullable: bool = False, index: bool = True) -> "sa.Column[str]":
    call = sa.ForeignKey("calls.id", ondelete="CASCADE")
    return sa.Column("call_id", sa.String, call, nullable=nullable, index=index)


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("direction", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("agent", sa.String, nullable=False),
        sa.Column("remote_number", sa.String, nullable=False),
        sa.Column("leg_sid", sa.String, nullable=False, unique=True),
        sa.Column("inbound_role", sa.String, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, index=True),
        sa.Column("answered_at", _TIME),
        sa.Column("ended_at", _TIME),
        sa.Column("closed_at", _TIME),
        sa.Column("verdict", sa.String),
        sa.Column("reasons", _JSON, nullable=False),
        sa.Column("comparisons", _JSON, nullable=False),
        sa.Column("demo", sa.Boolean, nullable=False),
        sa.Column("imported", sa.Boolean, nullable=False),
        sa.Column("owner", sa.String),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("roles_swapped", sa.Boolean, nullable=False),
        sa.Column("redaction_awaited", sa.Boolean, nullable=False),
        sa.Column("redacted_at", _TIME),
        sa.Column("originals_destroyed_at", _TIME),
        sa.Column("reviewed_at", _TIME),
        sa.Column("reviewed_by", sa.String),
        sa.Column("assigned_to", sa.String),
        sa.Index(None, "assigned_to", "created_at", "id"),
    )
    for name, condition in (
        ("ix_calls_to_review", sa.text("reviewed_at IS NULL")),
        ("ix_calls_reviewed", sa.text("reviewed_at IS NOT NULL")),
    ):
        op.create_index(
            name, "calls", ["created_at", "id"], sqlite_where=condition, postgresql_where=condition
        )
    op.create_table(
        "legs",
        sa.Column("sid", sa.String, primary_key=True),
        _of_call(),
        sa.Column("parent_sid", sa.String),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("ended_at", _TIME),
        sa.Column("duration_s", sa.Integer),
        sa.Column("price", sa.Float),
        sa.Column("price_currency", sa.String),
    )
    op.create_table(
        "streams",
        sa.Column("sid", sa.String, primary_key=True),
        _of_call(),
        sa.Column("leg_sid", sa.String, nullable=False),
        sa.Column("origin_ms", sa.Integer, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("stopped_at", _TIME),
        sa.Column("ended_by", sa.String),
        sa.Column("counts", _JSON, nullable=False),
        sa.Column("owner", sa.String),
    )
    op.create_table(
        "layers",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(),
        sa.Column("layer", sa.String, nullable=False),
        sa.Column("role", sa.String),
        sa.Column("path", sa.String, nullable=False, unique=True),
        sa.Column("rate_hz", sa.Integer, nullable=False),
        sa.Column("channels", sa.Integer, nullable=False),
        sa.Column("duration_ms", sa.Integer, nullable=False),
        sa.Column("size_bytes", _LARGE, nullable=False),
        sa.Column("sha256", sa.String),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("repaired_at", _TIME),
        sa.Column("owner", sa.String),
        sa.Column("spool", sa.String),
        sa.Column("archived", _JSON),
        sa.Column("form", sa.String),
        sa.Column("stored_bytes", _LARGE),
    )
    op.create_table(
        "recordings",
        sa.Column("sid", sa.String, primary_key=True),
        _of_call(),
        sa.Column("leg_sid", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("carrier_status", sa.String),
        sa.Column("source", sa.String),
        sa.Column("channels", sa.Integer),
        sa.Column("duration_s", sa.Integer),
        sa.Column("error_code", sa.Integer),
        sa.Column("started_at", _TIME),
        sa.Column("failure", sa.String),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("encrypted", sa.Boolean, nullable=False),
        sa.Column("agreement", sa.Float),
        sa.Column("live_start", sa.Integer),
        sa.Column("track", sa.String),
        sa.Column("price", sa.Float),
        sa.Column("price_currency", sa.String),
        sa.Column("updated_at", _TIME, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(nullable=True),
        sa.Column("workflow", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False, index=True),
        sa.Column("key", sa.String, nullable=False, unique=True),
        sa.Column("created_at", _TIME, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "callbacks",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        sa.Column("form", _JSON, nullable=False),
        sa.UniqueConstraint("kind", "key"),
    )
    op.create_table(
        "media_tokens",
        sa.Column("token_hash", sa.String, primary_key=True),
        sa.Column("leg_sid", sa.String, nullable=False),
        _of_call(),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("used_at", _TIME),
    )
    op.create_table(
        "consents",
        sa.Column("call_id", sa.String, sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("mode", sa.String, nullable=False),
        sa.Column("policy_version", sa.Integer, nullable=False),
        sa.Column("rule", sa.String, nullable=False),
        sa.Column("skipped", sa.Boolean, nullable=False),
        sa.Column("notice", sa.String, nullable=False),
        sa.Column("notice_version", sa.Integer, nullable=False),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("on_decline", sa.String, nullable=False),
        sa.Column("leg_sid", sa.String),
        sa.Column("played_at", _TIME),
        sa.Column("answer", sa.String, index=True),
        sa.Column("answered_at", _TIME),
        sa.Column("answered_by", sa.String, nullable=False),
        sa.Column("capture_at", _TIME),
        sa.Column("capture_claimed_until", _TIME),
        sa.Column("failure", sa.String, nullable=False),
        sa.Column("stopped_at", _TIME),
        sa.Column("erased_at", _TIME),
    )
    to_erase = sa.text("stopped_at IS NOT NULL AND erased_at IS NULL")
    op.create_index(
        "ix_consents_to_erase", "consents", ["call_id"], sqlite_where=to_erase, postgresql_where=to_erase
    )
    op.create_table(
        "consent_policies",
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("policy", _JSON, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
    )
    op.create_table(
        "consent_sounds",
        sa.Column("sha256", sa.String, primary_key=True),
        sa.Column("media_type", sa.String, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("duration_ms", sa.Integer, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
    )
    op.create_table(
        "transcripts",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(index=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("engine", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("audio_ms", sa.Integer, nullable=False),
        sa.Column("price_per_minute", sa.Float, nullable=False),
        sa.Column("language", sa.String, nullable=False),
        sa.Column("detected", sa.Boolean, nullable=False),
        sa.Column("crosstalk", sa.Integer, nullable=False),
        sa.UniqueConstraint("call_id", "kind", "engine", "run"),
        sa.UniqueConstraint("call_id", "kind", "revision"),
    )
    op.create_table(
        "turns",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("transcript_id", _LARGE, sa.ForeignKey("transcripts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("start_ms", sa.Integer, nullable=False),
        sa.Column("end_ms", sa.Integer, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("confidence", sa.Float),
        sa.Column("fallback_engine", sa.String, nullable=False),
        sa.Column("words", _JSON, nullable=False),
        sa.UniqueConstraint("transcript_id", "position"),
    )
    op.create_table(
        "finals",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(index=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("start_ms", sa.Integer, nullable=False),
        sa.Column("end_ms", sa.Integer, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("words", _JSON, nullable=False),
        sa.Column("failed", sa.Boolean, nullable=False),
        sa.Column("fallback_engine", sa.String, nullable=False),
        sa.UniqueConstraint("call_id", "role", "number"),
    )
    op.create_table(
        "spilled_segments",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(index=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("start_ms", sa.Integer, nullable=False),
        sa.Column("end_ms", sa.Integer, nullable=False),
        sa.UniqueConstraint("call_id", "role", "number"),
    )
    op.create_table(
        "live_scores",
        sa.Column("call_id", sa.String, sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("live_words", sa.Integer),
        sa.Column("late", sa.Integer),
        sa.Column("retracted", sa.Integer),
        sa.Column("words", sa.Integer),
        sa.Column("same", sa.Integer),
        sa.Column("replaced", sa.Integer),
        sa.Column("missing", sa.Integer),
        sa.Column("added", sa.Integer),
    )
    op.create_table(
        "measures",
        sa.Column("call_id", sa.String, sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("definitions", sa.Integer, nullable=False),
        sa.Column("duration_ms", sa.Integer, nullable=False),
        sa.Column("ringing_ms", sa.Integer),
        sa.Column("paused_ms", sa.Integer, nullable=False),
        sa.Column("agent_talk_ms", sa.Integer, nullable=False),
        sa.Column("technician_talk_ms", sa.Integer, nullable=False),
        sa.Column("agent_ratio", sa.Float),
        sa.Column("longest_turn_ms", sa.Integer, nullable=False),
        sa.Column("silences", sa.Integer, nullable=False),
        sa.Column("silence_ms", sa.Integer, nullable=False),
        sa.Column("overlap_ms", sa.Integer, nullable=False),
        sa.Column("agent_interruptions", sa.Integer, nullable=False),
        sa.Column("interruptions", sa.Integer, nullable=False),
        sa.Column("document", _JSON, nullable=False),
        sa.Index(None, "created_at", "call_id", "silence_ms", "interruptions", "agent_ratio"),
        sa.Index(None, "duration_ms", "created_at", "call_id", "silence_ms", "interruptions", "agent_ratio"),
        sa.Index(None, "agent_ratio", "created_at", "call_id", "silence_ms", "interruptions"),
        sa.Index(None, "longest_turn_ms", "created_at", "call_id", "silence_ms", "interruptions", "agent_ratio"),
        sa.Index(None, "silence_ms", "created_at", "call_id", "interruptions", "agent_ratio"),
        sa.Index(None, "interruptions", "created_at", "call_id", "silence_ms", "agent_ratio"),
    )
    op.create_table(
        "live_events",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(index=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("data", _JSON, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Index(None, "call_id", "id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "facts",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(nullable=True),
        sa.Column("leg_sid", sa.String),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("data", _JSON, nullable=False),
    )
    op.create_table(
        "users",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("password_hash", sa.String),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("identity", sa.String, nullable=False, unique=True),
        sa.Column("subject", sa.String, unique=True),
    )
    op.create_table(
        "sessions",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("token_hash", sa.String, nullable=False, unique=True),
        sa.Column("user_id", _LARGE, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("last_seen_at", _TIME, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("device", sa.String, nullable=False),
        sa.Column("second_factor_due", sa.Boolean, nullable=False),
        sa.Column("id_token", sa.String),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "second_factors",
        sa.Column("user_id", _LARGE, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("secret", sa.String, nullable=False),
        sa.Column("confirmed_at", _TIME),
        sa.Column("last_step", _LARGE),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", _LARGE, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("code_hash", sa.String, primary_key=True),
    )
    op.create_table(
        "attempts",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("failed_ms", _JSON, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False, index=True),
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("user_id", _LARGE, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("token_hash", sa.String, nullable=False, unique=True),
        sa.Column("scopes", _JSON, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("last_used_at", _TIME),
    )
    op.create_table(
        "saved_filters",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("owner", sa.String, nullable=False, index=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("query", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "welcome_tokens",
        sa.Column("token_hash", sa.String, primary_key=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
    )
    op.create_table(
        "notes",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("at_ms", sa.Integer, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "labels",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("color", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "label_instructions",
        sa.Column("label_id", _LARGE, sa.ForeignKey("labels.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
    )
    op.create_table(
        "call_labels",
        sa.Column("call_id", sa.String, sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("label_id", _LARGE, sa.ForeignKey("labels.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Index(None, "label_id", "created_at", "call_id"),
    )
    op.create_table(
        "revisions",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(index=False),
        sa.Column("transcript_id", _LARGE, sa.ForeignKey("transcripts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("changes", _JSON, nullable=False),
        sa.UniqueConstraint("call_id", "number"),
        sa.Index(None, "transcript_id"),
    )
    op.create_table(
        "revised_turns",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("revision_id", _LARGE, sa.ForeignKey("revisions.id", ondelete="CASCADE"), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("removed", sa.Boolean, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("start_ms", sa.Integer, nullable=False),
        sa.Column("end_ms", sa.Integer, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("confidence", sa.Float),
        sa.Column("words", _JSON, nullable=False),
        sa.UniqueConstraint("revision_id", "position"),
    )
    op.create_table(
        "technicians",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("number", sa.String, nullable=False, unique=True),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_table(
        "vocabulary",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("phrase", sa.String, nullable=False, unique=True),
        sa.Column("added_by", sa.String, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_table(
        "phrase_rules",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("phrases", _JSON, nullable=False),
        sa.Column("role", sa.String),
        sa.Column("number_prefix", sa.String, nullable=False),
        sa.Column("trigger", sa.String, nullable=False),
        sa.Column("within_ms", sa.Integer),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "phrase_alerts",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(index=False),
        sa.Column("rule_id", _LARGE, nullable=False),
        sa.Column("rule", sa.String, nullable=False),
        sa.Column("trigger", sa.String, nullable=False),
        sa.Column("role", sa.String),
        sa.Column("place", sa.String, nullable=False),
        sa.Column("start_ms", sa.Integer),
        sa.Column("end_ms", sa.Integer),
        sa.Column("at", _TIME, nullable=False),
        sa.UniqueConstraint("call_id", "rule_id", "place"),
        sa.Index(None, "rule_id", "call_id"),
    )
    op.create_table(
        "scorecards",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("last_key", sa.Integer, nullable=False),
        sa.Column("retired", sa.Boolean, nullable=False),
    )
    op.create_table(
        "scorecard_versions",
        sa.Column("scorecard_id", _LARGE, sa.ForeignKey("scorecards.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("questions", _JSON, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
    )
    op.create_table(
        "scorecard_reviews",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(index=False),
        sa.Column("scorecard_id", _LARGE, sa.ForeignKey("scorecards.id"), nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("reviewer", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("answers", _JSON, nullable=False),
        sa.Column("remarks", _JSON, nullable=False),
        sa.Column("finished_at", _TIME),
        sa.Column("dispute", sa.String, nullable=False),
        sa.Column("disputed_by", sa.String, nullable=False),
        sa.Column("disputed_at", _TIME),
        sa.Column("resolution", sa.String, nullable=False),
        sa.Column("resolved_by", sa.String, nullable=False),
        sa.Column("resolved_at", _TIME),
        sa.Column("answers_before", _JSON),
        sa.UniqueConstraint("call_id", "scorecard_id", "reviewer"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "analyses",
        sa.Column(
            "call_id", sa.String, sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("server", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("prompt", sa.String, nullable=False),
        sa.Column("requests", sa.Integer, nullable=False),
        sa.Column("duration_ms", sa.Integer, nullable=False),
        sa.Column("prompt_tokens", sa.Integer),
        sa.Column("completion_tokens", sa.Integer),
        sa.Column("cost", sa.String),
        sa.Column("currency", sa.String),
        sa.Column("dropped", sa.Integer, nullable=False),
        sa.Column("roles_swapped", sa.Boolean, nullable=False),
        sa.Column("redacted", sa.Boolean, nullable=False),
        sa.Column("instructions", _JSON, nullable=False),
        sa.UniqueConstraint("call_id", "run"),
    )
    op.create_table(
        "analysis_items",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("made", _JSON),
        sa.Column("written", _JSON),
        sa.Column("citations", _JSON, nullable=False),
        sa.Column("label_id", _LARGE),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("by", sa.String),
        sa.Column("at", _TIME),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "turn_index",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(index=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("start_ms", sa.Integer, nullable=False),
        sa.Column("end_ms", sa.Integer, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("word_starts", _JSON, nullable=False),
        sa.Column("tokens", sa.Text().with_variant(postgresql.TSVECTOR(), "postgresql"), nullable=False),
        sa.UniqueConstraint("call_id", "position"),
    )
    op.create_table(
        "topics",
        sa.Column("call_id", sa.String, sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("due", sa.Boolean, nullable=False),
        sa.Column("text", sa.String),
    )
    op.create_table(
        "call_moments",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column(
            "call_id", sa.String, sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True, index=True
        ),
    )
    due = sa.text("due")
    op.create_index("ix_topics_due", "topics", ["call_id"], sqlite_where=due, postgresql_where=due)
    op.create_table(
        "pauses",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(),
        sa.Column("began_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("cause", sa.String, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("ended_by", sa.String),
        sa.Column("start_ms", sa.Integer),
        sa.Column("end_ms", sa.Integer),
        sa.Column("carrier", sa.String, nullable=False),
        sa.Column("carrier_error", sa.String, nullable=False),
        sa.Column("carrier_resumed", sa.Boolean, nullable=False),
        sa.Column("carrier_at", _TIME, nullable=False),
    )
    op.create_table(
        "processes",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("host", sa.String, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("heartbeat_at", _TIME, nullable=False),
    )
    op.create_table(
        "carrier_deletions",
        sa.Column("sid", sa.String, primary_key=True),
        _of_call(),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("duration_ms", sa.Integer, nullable=False),
        sa.Column("already_deleted", sa.Boolean, nullable=False),
        sa.Column("deleted_at", _TIME, nullable=False),
    )
    op.create_table(
        "erasures",
        sa.Column("call_id", sa.String, primary_key=True),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("began_at", _TIME, nullable=False),
        sa.Column("files", _JSON, nullable=False),
        sa.Column("erased_at", _TIME),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("at_carrier", sa.Boolean, nullable=False),
        sa.Column("recordings", _JSON, nullable=False),
        sa.Column("counts", _JSON, nullable=False),
        sa.Column("holds", _JSON, nullable=False),
        sa.Index(None, "erased_at"),
    )
    op.create_table(
        "holds",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("release_reason", sa.String),
        sa.Column("released_by", sa.String),
        sa.Column("released_at", _TIME),
    )
    op.create_table(
        "redactions",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("entity", sa.String, nullable=False),
        sa.Column("start_ms", sa.Integer, nullable=False),
        sa.Column("end_ms", sa.Integer, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("removed_by", sa.String),
        sa.Column("removed_at", _TIME),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "destroyed_originals",
        sa.Column("id", _LARGE, primary_key=True),
        _of_call(),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("sha256", sa.String),
        sa.Column("archive_key", sa.String),
        sa.Column("copy_path", sa.String, nullable=False),
        sa.Column("copy_sha256", sa.String, nullable=False),
        sa.Column("replaced_at", _TIME, nullable=False),
        sa.Column("destroyed_at", _TIME),
        sa.UniqueConstraint("path", "sha256"),
    )
    op.create_table(
        "expired_data",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("call_id", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("policy", sa.String, nullable=False),
        sa.Column("ordered_at", _TIME, nullable=False),
        sa.Column("done_at", _TIME, index=True),
        sa.Column("files", _JSON, nullable=False),
        sa.Column("counts", _JSON, nullable=False),
        sa.UniqueConstraint("call_id", "kind"),
    )
    op.create_table(
        "data_keys",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("purpose", sa.String, nullable=False),
        sa.Column("master_key", sa.String, nullable=False),
        sa.Column("wrapped", sa.String, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sqlite_autoincrement=True,
    )
    _create_webhooks()
    _create_audit_trail()
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ix_turn_index_tokens", "turn_index", ["tokens"], postgresql_using="gin")
        return
    # The tokens are folded already, so the tokeniser only splits at spaces: `ascii` leaves every other character as it is.
    op.execute(
        "CREATE VIRTUAL TABLE turn_fts USING fts5"
        "(tokens, content='turn_index', content_rowid='id', tokenize='ascii')"
    )
    removed = "INSERT INTO turn_fts(turn_fts, rowid, tokens) VALUES ('delete', old.id, old.tokens);"
    added = "INSERT INTO turn_fts(rowid, tokens) VALUES (new.id, new.tokens);"
    op.execute(f"CREATE TRIGGER turn_index_insert AFTER INSERT ON turn_index BEGIN {added} END")
    op.execute(f"CREATE TRIGGER turn_index_delete AFTER DELETE ON turn_index BEGIN {removed} END")
    op.execute(f"CREATE TRIGGER turn_index_update AFTER UPDATE ON turn_index BEGIN {removed} {added} END")


def _create_webhooks() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", _LARGE, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("events", _JSON, nullable=False),
        sa.Column("numbers", sa.Boolean, nullable=False),
        sa.Column("secret", sa.String, nullable=False),
        sa.Column("previous_secret", sa.String),
        sa.Column("previous_until", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("failing_since", _TIME),
        sa.Column("disabled_at", _TIME),
        sa.Column("disabled_why", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    endpoint = sa.ForeignKey("webhook_endpoints.id", ondelete="CASCADE")
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("endpoint_id", _LARGE, endpoint, nullable=False),
        _of_call(nullable=True),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("data", _JSON, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("tried_at", _TIME),
        sa.Column("status", sa.Integer),
        sa.Column("failure", sa.String, nullable=False),
        sa.Index(None, "endpoint_id", "created_at"),
    )
    op.create_table(
        "report_mails",
        sa.Column("week", sa.String, primary_key=True),
        sa.Column("recipient", sa.String, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("failure", sa.String, nullable=False),
    )


def _create_audit_trail() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("number", _LARGE, primary_key=True, autoincrement=False),
        sa.Column("at", _TIME, nullable=False, index=True),
        sa.Column("action", sa.String, nullable=False, index=True),
        sa.Column("actor", sa.String, nullable=False, index=True),
        sa.Column("via", sa.String, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("call_id", sa.String, index=True),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("details", _JSON, nullable=False),
        sa.Column("previous", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
    )
    op.create_table(
        "open_accesses",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("via", sa.String, nullable=False),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("call_id", sa.String, index=True),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("began_at", _TIME, nullable=False),
        sa.Column("last_at", _TIME, nullable=False),
        sa.Column("requests", sa.Integer, nullable=False),
        sa.Column("spans", _JSON, nullable=False),
    )
    # Entries are appended and never changed; those up to a checkpoint, which is an entry too, may be removed.
    kept = (
        "OLD.number > (SELECT coalesce(max(CAST(subject AS bigint)), 0) FROM audit_entries"
        " WHERE action = 'trail_trimmed')"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF TG_OP = 'DELETE' THEN IF NOT ({kept}) THEN RETURN OLD; END IF; END IF;"
            " RAISE EXCEPTION 'the audit trail is append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_entries"
            " FOR EACH ROW EXECUTE FUNCTION audit_append_only()"
        )
        return
    refused = "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
    op.execute(f"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit_entries {refused}")
    op.execute(f"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit_entries WHEN {kept} {refused}")
