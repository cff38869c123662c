"""Phrase rules as rows; what they mean is in `domain/phrases.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from callreel.domain.call import Role
from callreel.domain.phrases import PhraseKind, PhraseRule, Trigger
from callreel.store.db.dialect import advisory_lock
from callreel.store.db.rows import fetch_all, fetch_one
from callreel.store.db.tables import phrase_rules

_RULES_LOCK = 0x0CA11_A1E2


@dataclass(frozen=True, slots=True)
class PhraseRuleRow:
    """`by` added the rule at `at`; `changed_at` is when it became what it is."""

    id: int
    name: str
    kind: PhraseKind
    phrases: tuple[str, ...] = field(repr=False)
    role: Role | None
    number_prefix: str = field(repr=False)
    trigger: Trigger
    within_ms: int | None
    enabled: bool
    by: str
    at: datetime
    changed_at: datetime

    @property
    def rule(self) -> PhraseRule:
        return PhraseRule(
            self.id, self.name, self.kind, self.phrases, self.role, self.number_prefix, self.trigger,
            self.within_ms, self.enabled,
        )  # fmt: skip


def lock(conn: Connection) -> None:
    """Let other changes of rules wait until this transaction ends: names are unique, and encrypted, so no index compares them."""
    advisory_lock(conn, _RULES_LOCK)


def add(conn: Connection, values: Mapping[str, Any], by: str, at: datetime) -> PhraseRuleRow:
    """`values` are those of a rule but its id."""
    row = insert(phrase_rules).values(**values, by=by, at=at, changed_at=at)
    return fetch_all(conn, PhraseRuleRow, row.returning(phrase_rules))[0]


def get(conn: Connection, rule_id: int) -> PhraseRuleRow | None:
    return fetch_one(conn, PhraseRuleRow, select(phrase_rules).where(phrase_rules.c.id == rule_id))


def all_rules(conn: Connection) -> list[PhraseRuleRow]:
    """Oldest first."""
    return fetch_all(conn, PhraseRuleRow, select(phrase_rules).order_by(phrase_rules.c.id))


def enabled(conn: Connection, trigger: Trigger) -> list[PhraseRuleRow]:
    """Those that raise alerts by this trigger, oldest first."""
    mine = phrase_rules.c.enabled.is_(True), phrase_rules.c.trigger == trigger
    return fetch_all(conn, PhraseRuleRow, select(phrase_rules).where(*mine).order_by(phrase_rules.c.id))


def change(conn: Connection, rule_id: int, values: Mapping[str, Any], at: datetime) -> PhraseRuleRow | None:
    """Set columns of a rule at `at`; None without it."""
    changed = update(phrase_rules).where(phrase_rules.c.id == rule_id).values(**values, changed_at=at)
    return fetch_one(conn, PhraseRuleRow, changed.returning(phrase_rules))


def remove(conn: Connection, rule_id: int) -> None:
    """Its alerts stay."""
    conn.execute(delete(phrase_rules).where(phrase_rules.c.id == rule_id))
