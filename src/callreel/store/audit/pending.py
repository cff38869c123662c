"""The entry of the current request or command: appended in the transaction of its first change, once.

Code below needs no knowledge of the audit trail; `describe` adds what only the use case knows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from callreel.domain.audit import AuditAction, AuditEvent
from callreel.domain.events import Json
from callreel.store.audit import trail
from callreel.store.db.database import Database, at_commit


@dataclass(slots=True)
class PendingEntry:
    """`appended` is true when the entry is in the trail. Until then each transaction begins with `check`, which raises to refuse
    it: the request may have ended its own session by its first change.

    `deferred`: the entry is not appended when the response begins, but by `append_deferred_entry`.
    """

    event: AuditEvent
    check: Callable[[Connection], None] | None = None
    appended: bool = False
    deferred: bool = False

    def after_begin(self, conn: Connection) -> None:
        if self.check is not None and not self.appended:
            self.check(conn)

    def before_commit(self, conn: Connection) -> None:
        if not self.appended:
            trail.record(conn, self.event)

    def after_commit(self) -> None:
        self.appended = True


_pending: ContextVar[PendingEntry | None] = ContextVar("pending_entry", default=None)


@contextmanager
def audited(event: AuditEvent, check: Callable[[Connection], None] | None = None) -> Iterator[PendingEntry]:
    """Within it, the first transaction that changes a row begins with `check`, and also appends the entry, last."""
    pending = PendingEntry(event, check)
    tokens = _pending.set(pending), at_commit.set(pending)
    try:
        yield pending
    finally:
        _pending.reset(tokens[0])
        at_commit.reset(tokens[1])


@contextmanager
def on_its_own(database: Database) -> Iterator[Connection]:
    """A transaction of the audit trail itself, in which no entry is pending."""
    token = at_commit.set(None)
    try:
        with database.write() as conn:
            yield conn
    finally:
        at_commit.reset(token)


def describe(
    *,
    subject: str = "",
    reason: str = "",
    actor: str = "",
    action: AuditAction | None = None,
    **details: Json,
) -> None:
    """Add to the entry of the current request or command, before its transaction ends; without one, do nothing."""
    pending = _pending.get()
    if pending is None:
        return
    event = pending.event
    pending.event = replace(
        event,
        subject=subject or event.subject,
        reason=reason or event.reason,
        actor=actor or event.actor,
        action=action or event.action,
        details={**event.details, **details},
    )


def defer_entry() -> None:
    """The response begins before that happened which the entry is about. Without a request, do nothing."""
    pending = _pending.get()
    if pending is not None:
        pending.deferred = True


def append_deferred_entry(database: Database) -> None:
    """Append the entry of the current request, if it was deferred; it can no longer change."""
    pending = _pending.get()
    if pending is not None and pending.deferred and not pending.appended:
        with on_its_own(database) as conn:
            pending.before_commit(conn)
        pending.after_commit()


def leave_out() -> None:
    """Append no entry: the request repeats one that has its own. Without a request, do nothing."""
    pending = _pending.get()
    if pending is not None:
        pending.appended = True


def record_also(conn: Connection, action: AuditAction, subject: str = "", **details: Json) -> None:
    """Append another entry of the current request, in the transaction of `conn`; without a request, do nothing."""
    pending = _pending.get()
    if pending is not None:
        trail.record(conn, replace(pending.event, action=action, subject=subject, details=details))
