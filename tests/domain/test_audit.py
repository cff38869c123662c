"""The chain of audit entries: each change, loss and insertion breaks it at its place."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from callreel.domain.audit import (
    START,
    AuditAction,
    AuditEntry,
    AuditEvent,
    Checked,
    Link,
    Via,
    chained,
    check_chain,
    digest_of,
)
from callreel.domain.ids import CallId

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
Chain = list[AuditEntry]


def chain(count: int = 5, after: Link = START) -> Chain:
    made: Chain = []
    for number in range(count):
        event = AuditEvent(
            NOON + timedelta(seconds=number), AuditAction.PLAYED, "sam", Via.SESSION, "192.0.2.7",
            CallId("0123456789ab"), "cloud", "ticket", {"sent_ms": [[0, number]]},
        )  # fmt: skip
        made.append(chained(event, after))
        after = Link(made[-1].number, made[-1].digest)
    return made


def without(number: int) -> Callable[[Chain], Chain]:
    return lambda entries: [entry for entry in entries if entry.number != number]


def changed(**values: object) -> Callable[[Chain], Chain]:
    return lambda entries: [replace(entry, **values) if entry.number == 3 else entry for entry in entries]  # type: ignore[arg-type]


def recomputed(entries: Chain) -> Chain:
    """Entry 3 is changed, and its digest made to fit."""
    forged = replace(entries[2], actor="zoe")
    return [*entries[:2], replace(forged, digest=digest_of(forged)), *entries[3:]]


def test_intact_chain_passes() -> None:
    entries = chain()
    assert check_chain(entries, START) == Checked(Link(5, entries[-1].digest))
    assert check_chain(entries[2:], Link(2, entries[1].digest)).broken is None
    assert check_chain([], START) == Checked(START)


@pytest.mark.parametrize(
    ("damage", "number"),
    [
        (without(1), 1),
        (without(3), 3),
        (changed(actor="zoe"), 3),
        (changed(at=NOON), 3),
        (changed(action="exported"), 3),
        (changed(address=""), 3),
        (changed(call_id=None), 3),
        (changed(reason=""), 3),
        (changed(details={}), 3),
        (changed(digest="0" * 64), 3),
        (changed(previous="0" * 64), 3),
        (changed(number=4), 3),
        (recomputed, 4),
        (lambda entries: [*entries[:2], *reversed(entries[2:])], 3),
        (lambda entries: [*entries, entries[-1]], 6),
    ],
)
def test_first_broken_entry_is_named(damage: Callable[[Chain], Chain], number: int) -> None:
    found = check_chain(damage(chain()), START)
    assert found.broken == number and found.why
    assert found.last.number == number - 1


def test_lost_end_and_rewritten_chain_show_against_a_noted_place() -> None:
    entries = chain()
    noted = Link(5, entries[-1].digest)
    assert check_chain(entries, START, noted).broken is None
    assert check_chain(entries[:3], START).broken is None
    assert check_chain(entries[:3], START, noted).broken == 4
    rewritten = chain(5, Link(0, "1" * 64))
    assert check_chain(rewritten, Link(0, "1" * 64), noted).broken == 5
    assert check_chain([], Link(5, "1" * 64), noted).broken == 5


def test_digest_is_of_the_instant_not_of_its_zone() -> None:
    entry = chain(1)[0]
    assert digest_of(replace(entry, at=entry.at.astimezone(timezone(timedelta(hours=5))))) == entry.digest
