import pytest
from sqlalchemy import update

from callreel.domain.access import UserRole
from callreel.domain.errors import StoreError
from callreel.store.db.database import Database
from callreel.store.db.tables import users as user_table
from callreel.store.people import sessions, users
from tests.support.rows import NOON, after


def test_users_are_found_by_name(database: Database) -> None:
    with database.write() as conn:
        assert users.count(conn) == 0
        ada = users.add(conn, "ada", "$argon2id$..", UserRole.ADMINISTRATOR, NOON)
        assert users.get_by_name(conn, "ada") == ada
        assert users.get_by_name(conn, "Ada") is None
        assert users.count(conn) == 1
    assert "argon2" not in repr(ada)


def test_user_name_is_unique(database: Database) -> None:
    with pytest.raises(StoreError, match="'ada' is taken"), database.write() as conn:
        users.add(conn, "ada", "one", UserRole.ADMINISTRATOR, NOON)
        users.add(conn, "ada", "two", UserRole.ADMINISTRATOR, NOON)


def test_session_lasts_until_it_expires_or_is_closed(database: Database) -> None:
    with database.write() as conn:
        ada = users.add(conn, "ada", "hash", UserRole.ADMINISTRATOR, NOON)
        sessions.add(conn, "one", ada.id, NOON, ttl_s=60)
        sessions.add(conn, "two", ada.id, after(30), ttl_s=60)
        found = sessions.find(conn, "one", after(59))
        assert found is not None and found.user_id == ada.id
        assert sessions.find(conn, "one", after(60)) is None
        assert sessions.find(conn, "guess", after(1)) is None
        sessions.sign_out(conn, "two")
        sessions.sign_out(conn, "two")
        assert sessions.find(conn, "two", after(31)) is None


def test_idle_session_ends_unless_it_is_used(database: Database) -> None:
    with database.write() as conn:
        ada = users.add(conn, "ada", "hash", UserRole.ADMINISTRATOR, NOON)
        sessions.add(conn, "one", ada.id, NOON, ttl_s=600, address="192.0.2.7", device="Firefox")
        assert sessions.find(conn, "one", after(59), idle_s=60) is not None
        assert sessions.find(conn, "one", after(60), idle_s=60) is None
        assert sessions.all_open(conn, after(60), idle_s=60) == []
        [row] = sessions.all_open(conn, after(60), user_id=ada.id)
        assert (row.address, row.device) == ("192.0.2.7", "Firefox")
        sessions.touch(conn, row.id, after(50))
        assert sessions.find(conn, "one", after(100), idle_s=60) is not None
        assert sessions.end(conn, row.id, user_id=ada.id + 1) is None
        assert sessions.end(conn, row.id) == ada.id
        assert sessions.find(conn, "one", after(61)) is None


def test_disabling_a_user_ends_their_sessions(database: Database) -> None:
    with database.write() as conn:
        ada = users.add(conn, "ada", "hash", UserRole.ADMINISTRATOR, NOON)
        sessions.add(conn, "one", ada.id, NOON, ttl_s=60)
        conn.execute(update(user_table).values(disabled=True))
        assert sessions.find(conn, "one", after(1)) is None
        found = users.get_by_name(conn, "ada")
    assert found is not None and found.disabled


def test_identities_are_valid_and_unique(database: Database) -> None:
    names = ("ada b", "ada.b", "ada_b", "ada_b_2", "Zoë", "王芳", "---")
    with database.write() as conn:
        made = [users.add(conn, name, "hash", UserRole.AGENT, NOON).identity for name in names]
    assert made == ["ada_b", "ada_b_2", "ada_b_3", "ada_b_2_2", "Zoe", "person", "person_2"]


def test_password_change_ends_sessions(database: Database) -> None:
    with database.write() as conn:
        users.add(conn, "root", "hash", UserRole.ADMINISTRATOR, NOON)
        ada = users.add(conn, "ada", "hash", UserRole.AGENT, NOON)
        sessions.add(conn, "one", ada.id, NOON, ttl_s=60)
        changed = users.change(conn, ada.id, role=UserRole.SUPERVISOR)
        assert changed is not None and changed.role is UserRole.SUPERVISOR
        assert sessions.find(conn, "one", NOON) is not None
        users.change(conn, ada.id, password_hash="new")
        assert sessions.find(conn, "one", NOON) is None
        assert users.change(conn, 999, disabled=True) is None


def test_last_administrator_cannot_be_removed(database: Database) -> None:
    with database.write() as conn:
        root = users.add(conn, "root", "hash", UserRole.ADMINISTRATOR, NOON)
        for change in ({"disabled": True}, {"role": UserRole.AGENT}):
            with pytest.raises(users.LastAdministratorError):
                users.change(conn, root.id, **change)
        other = users.add(conn, "other", "hash", UserRole.ADMINISTRATOR, NOON)
        users.change(conn, root.id, disabled=True)
        with pytest.raises(users.LastAdministratorError):
            users.change(conn, other.id, disabled=True)
        users.change(conn, other.id, password_hash="new")


def test_all_sessions_of_a_user_are_closed(database: Database) -> None:
    with database.write() as conn:
        ada = users.add(conn, "ada", "hash", UserRole.AGENT, NOON)
        ben = users.add(conn, "ben", "hash", UserRole.AGENT, NOON)
        for token, person in (("one", ada), ("two", ada), ("three", ben)):
            sessions.add(conn, token, person.id, NOON, ttl_s=60)
        assert sessions.end_all(conn, ada.id) == 2
        assert [row.name for row in sessions.all_open(conn, NOON)] == ["ben"]
