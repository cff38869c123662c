"""Second factors and recovery codes as rows, on both databases."""

import pytest
from sqlalchemy import String, select, type_coerce

from callreel.domain.access import UserRole
from callreel.store.db.database import Database
from callreel.store.db.tables import second_factors as table
from callreel.store.people import second_factors, sessions, users
from tests.support.rows import NOON


def test_factor_counts_once_confirmed_and_each_step_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.write() as conn:
        ada = users.add(conn, "ada", "hash", UserRole.ADMINISTRATOR, NOON).id
        assert second_factors.start(conn, ada, "OLD") and second_factors.start(conn, ada, "SECRET")
        assert second_factors.get(conn, ada) is None and second_factors.enrolled(conn) == set()
        second_factors.confirm(conn, ada, NOON)
        found = second_factors.get(conn, ada)
        assert found is not None and found.secret == "SECRET" and "SECRET" not in repr(found)
        assert second_factors.enrolled(conn) == {ada}
        assert not second_factors.start(conn, ada, "THIRD")
        with monkeypatch.context() as late:  # it was confirmed after `start` had looked
            late.setattr(second_factors, "get", lambda conn, user_id: None)
            assert not second_factors.start(conn, ada, "FOURTH")
        assert [second_factors.use_step(conn, ada, step) for step in (7, 7, 6, 8)] == [
            True,
            False,
            False,
            True,
        ]


def test_recovery_codes_work_once_and_are_replaced(database: Database) -> None:
    with database.write() as conn:
        ada = users.add(conn, "ada", "hash", UserRole.ADMINISTRATOR, NOON).id
        ben = users.add(conn, "ben", "hash", UserRole.AGENT, NOON).id
        second_factors.replace_recovery_codes(conn, ada, ["old"])
        second_factors.replace_recovery_codes(conn, ada, ["one", "two"])
        assert not second_factors.use_recovery_code(conn, ada, "old")
        assert not second_factors.use_recovery_code(conn, ben, "one")
        assert second_factors.use_recovery_code(conn, ada, "one")
        assert not second_factors.use_recovery_code(conn, ada, "one")
        assert second_factors.recovery_codes_left(conn, ada) == 1


def test_reset_removes_everything_and_ends_sessions(database: Database) -> None:
    with database.write() as conn:
        ada = users.add(conn, "ada", "hash", UserRole.ADMINISTRATOR, NOON).id
        assert not second_factors.reset(conn, ada)
        second_factors.start(conn, ada, "SECRET")
        second_factors.replace_recovery_codes(conn, ada, ["one"])
        sessions.add(conn, "here", ada, NOON, 60)
        assert second_factors.reset(conn, ada)
        assert second_factors.of_any_state(conn, ada) is None
        assert second_factors.recovery_codes_left(conn, ada) == 0
        assert sessions.find(conn, "here", NOON) is None


def test_session_that_waits_for_a_code_is_not_a_session(database: Database) -> None:
    with database.write() as conn:
        ada = users.add(conn, "ada", "hash", UserRole.ADMINISTRATOR, NOON).id
        sessions.add(conn, "due", ada, NOON, 60, second_factor_due=True)
        assert sessions.find(conn, "due", NOON) is None and sessions.all_open(conn, NOON) == []
        assert sessions.find_due(conn, "due", NOON) is not None
        sessions.add(conn, "full", ada, NOON, 60)
        assert sessions.find_due(conn, "full", NOON) is None


@pytest.mark.parametrize("database", ["sqlite encrypted", "postgresql encrypted"], indirect=True)
def test_secret_is_encrypted_where_a_master_key_is_set(database: Database) -> None:
    with database.write() as conn:
        ada = users.add(conn, "ada", "hash", UserRole.ADMINISTRATOR, NOON).id
        second_factors.start(conn, ada, "SECRET")
        assert conn.execute(select(type_coerce(table.c.secret, String))).scalar_one().startswith("enc1:")
        found = second_factors.of_any_state(conn, ada)
        assert found is not None and found.secret == "SECRET"
