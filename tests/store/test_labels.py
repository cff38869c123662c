from datetime import timedelta

import pytest
from sqlalchemy import event

from callreel.domain.ids import CallId, LegSid
from callreel.domain.label import LabelColor
from callreel.store.calls import call_list, erasures, labels
from callreel.store.calls.call_list import CallFilter, Position
from callreel.store.db.database import Database
from tests.support.rows import CALL, NOON, a_call

OTHER = CallId("another")


def test_calls_of_a_label_are_newest_first_and_paged(database: Database) -> None:
    a_call(database)
    a_call(database, id=OTHER, leg_sid=LegSid("CAanother"), created_at=NOON + timedelta(hours=1))
    with database.write() as conn:
        red = labels.add(conn, "complaint", LabelColor.RED)
        blue = labels.add(conn, "Praise", LabelColor.BLUE)
        assert labels.attach(conn, CALL.id, red.id, "ada", NOON)
        assert not labels.attach(conn, CALL.id, red.id, "ben", NOON)
        labels.attach(conn, OTHER, red.id, "ada", NOON)
        labels.attach(conn, OTHER, blue.id, "ada", NOON)
        wanted = CallFilter(label=red.id)
        first = call_list.page(conn, wanted, 1)
        assert [row.id for row in first] == [OTHER]
        assert [row.id for row in call_list.page(conn, wanted, 9, Position.of(first[0]))] == [CALL.id]
        assert call_list.page(conn, CallFilter(label=red.id, since=NOON + timedelta(days=1)), 9) == []
        assert labels.counts(conn) == {red.id: 2, blue.id: 1}
        assert labels.of_calls(conn, [OTHER]) == {OTHER: [red, blue]}
        assert labels.detach(conn, OTHER, blue.id)
        assert not labels.detach(conn, OTHER, blue.id)


def test_names_differ_in_more_than_case_and_ids_are_never_reused(database: Database) -> None:
    with database.write() as conn:
        first = labels.add(conn, "complaint", LabelColor.RED)
        with pytest.raises(labels.LabelTakenError):
            labels.add(conn, "Complaint", LabelColor.RED)
        assert labels.change(conn, first.id, name="Complaint") is not None
        labels.remove(conn, first.id)
        assert labels.add(conn, "complaint", LabelColor.RED).id > first.id


def test_labels_go_with_their_call_and_with_the_label(database: Database) -> None:
    a_call(database)
    a_call(database, id=OTHER, leg_sid=LegSid("CAanother"))
    with database.write() as conn:
        label = labels.add(conn, "complaint", LabelColor.RED)
        for call_id in (CALL.id, OTHER):
            labels.attach(conn, call_id, label.id, "ada", NOON)
        assert erasures.counts(conn, OTHER)["call_labels"] == 1
        erasures.delete_call(conn, OTHER, [], {}, NOON)
        assert labels.counts(conn) == {label.id: 1}
        assert labels.remove(conn, label.id) == 1
        assert labels.of_calls(conn, [CALL.id]) == {}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (CallFilter(label=7), "ix_call_labels_label_id_created_at_call_id"),
        (CallFilter(reviewed=False), "ix_calls_to_review"),
        (CallFilter(reviewed=True), "ix_calls_reviewed"),
        (CallFilter(assigned_to="sam"), "ix_calls_assigned_to_created_at_id"),
        (CallFilter(unassigned=True, until=NOON), "ix_calls_assigned_to_created_at_id"),
    ],
)
def test_filtered_page_is_read_from_an_index_in_its_order(
    database: Database, wanted: CallFilter, index: str
) -> None:
    """Neither all calls nor all that match are read or sorted for one page."""
    with database.read() as conn:
        statements: list[tuple[str, object]] = []
        event.listen(
            conn, "before_cursor_execute", lambda c, cu, sql, values, *_: statements.append((sql, values))
        )
        call_list.page(conn, wanted, 50)
        [(sql, values)] = statements
        assert isinstance(values, tuple)
        steps = [str(row[3]) for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
    assert any(f"INDEX {index}" in step for step in steps), steps
    assert not any("TEMP B-TREE" in step for step in steps), steps
