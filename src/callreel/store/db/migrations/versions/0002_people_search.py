"""Roles and identities of people, their tokens; notes, corrections, technicians; the index of spoken words."""

import re
import unicodedata

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _people()
    _beside_calls()
    _corrections()
    _index()


def _people() -> None:
    with op.batch_alter_table("users") as batch:
        batch.add_column(sa.Column("identity", sa.String()))
    conn = op.get_bind()
    users = sa.table("users", sa.column("id"), sa.column("name"), sa.column("role"), sa.column("identity"))
    taken: set[str] = set()
    for user_id, name in conn.execute(sa.select(users.c.id, users.c.name).order_by(users.c.id)).all():
        identity = _free_identity(name, taken)
        taken.add(identity)
        # Until this step whoever could sign in could do everything.
        known = sa.update(users).where(users.c.id == user_id)
        conn.execute(known.values(identity=identity, role="administrator"))
    with op.batch_alter_table("users") as batch:
        batch.alter_column("identity", existing_type=sa.String(), nullable=False)
        batch.create_unique_constraint(op.f("uq_users_identity"), ["identity"])
    op.create_table(
        "api_tokens",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("user_id", _SERIAL, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("scopes", _JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_api_tokens_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_tokens_token_hash")),
    )
    op.create_index(op.f("ix_api_tokens_user_id"), "api_tokens", ["user_id"])
    op.create_table(
        "welcome_tokens",
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_welcome_tokens")),
    )


def _free_identity(name: str, taken: set[str]) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    identity = re.sub(r"[^A-Za-z0-9_]+", "_", plain.strip())[:100]
    identity = identity if identity.strip("_") else "person"
    candidates = (identity if n == 1 else f"{identity}_{n}" for n in range(1, len(taken) + 2))
    return next(candidate for candidate in candidates if candidate not in taken)


def _beside_calls() -> None:
    op.create_table(
        "notes",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("at_ms", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.id"], name=op.f("fk_notes_call_id_calls"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_notes_call_id"), "notes", ["call_id"])
    op.create_table(
        "technicians",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_technicians")),
        sa.UniqueConstraint("number", name=op.f("uq_technicians_number")),
    )


def _corrections() -> None:
    op.create_table(
        "revisions",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("transcript_id", _SERIAL, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changes", _JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.id"], name=op.f("fk_revisions_call_id_calls"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["transcript_id"],
            ["transcripts.id"],
            name=op.f("fk_revisions_transcript_id_transcripts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revisions")),
        sa.UniqueConstraint("call_id", "number", name=op.f("uq_revisions_call_id_number")),
    )
    op.create_index(op.f("ix_revisions_transcript_id"), "revisions", ["transcript_id"])
    op.create_table(
        "revised_turns",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("revision_id", _SERIAL, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("start_ms", sa.Integer(), nullable=False),
        sa.Column("end_ms", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Float()),
        sa.Column("words", _JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["revision_id"],
            ["revisions.id"],
            name=op.f("fk_revised_turns_revision_id_revisions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revised_turns")),
        sa.UniqueConstraint("revision_id", "position", name=op.f("uq_revised_turns_revision_id_position")),
    )


def _index() -> None:
    op.create_table(
        "turn_index",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("start_ms", sa.Integer(), nullable=False),
        sa.Column("end_ms", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("word_starts", _JSON, nullable=False),
        sa.Column("tokens", sa.Text().with_variant(postgresql.TSVECTOR(), "postgresql"), nullable=False),
        sa.ForeignKeyConstraint(
            ["call_id"], ["calls.id"], name=op.f("fk_turn_index_call_id_calls"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turn_index")),
        sa.UniqueConstraint("call_id", "position", name=op.f("uq_turn_index_call_id_position")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.create_index(op.f("ix_turn_index_tokens"), "turn_index", ["tokens"], postgresql_using="gin")
        return
    # The tokens are ready made, so the tokeniser only has to cut at spaces: `ascii` keeps every other letter as it is.
    op.execute(
        "CREATE VIRTUAL TABLE turn_fts USING fts5"
        "(tokens, content='turn_index', content_rowid='id', tokenize='ascii')"
    )
    gone = "INSERT INTO turn_fts(turn_fts, rowid, tokens) VALUES ('delete', old.id, old.tokens);"
    came = "INSERT INTO turn_fts(rowid, tokens) VALUES (new.id, new.tokens);"
    op.execute(f"CREATE TRIGGER turn_index_came AFTER INSERT ON turn_index BEGIN {came} END")
    op.execute(f"CREATE TRIGGER turn_index_gone AFTER DELETE ON turn_index BEGIN {gone} END")
    op.execute(f"CREATE TRIGGER turn_index_changed AFTER UPDATE ON turn_index BEGIN {gone} {came} END")
