import pytest
from sqlalchemy import update

from callreel.domain.errors import StoreError
from callreel.store import users
from callreel.store.database import Database
from callreel.store.tables import users as user_table
from tests.store.rows import NOON, after


def test_people_are_found_by_name(database: Database) -> None:
    with database.write() as conn:
        assert users.count(conn) == 0
        ada = users.add(conn, "ada", "$argon2id$..", "admin", NOON)
        assert users.get_by_name(conn, "ada") == ada
        assert users.get_by_name(conn, "Ada") is None
        assert users.count(conn) == 1
    assert "argon2" not in repr(ada)


def test_a_name_is_given_once(database: Database) -> None:
    with pytest.raises(StoreError, match="'ada' is taken"), database.write() as conn:
        users.add(conn, "ada", "one", "admin", NOON)
        users.add(conn, "ada", "two", "admin", NOON)


def test_a_session_lasts_until_it_is_over_or_closed(database: Database) -> None:
    with database.write() as conn:
        ada = users.add(conn, "ada", "hash", "admin", NOON)
        users.open_session(conn, "one", ada.id, NOON, ttl_s=60)
        users.open_session(conn, "two", ada.id, after(30), ttl_s=60)
        assert users.by_session(conn, "one", after(59)) == ada
        assert users.by_session(conn, "one", after(60)) is None
        assert users.by_session(conn, "guess", after(1)) is None
        users.close_session(conn, "two")
        users.close_session(conn, "two")
        assert users.by_session(conn, "two", after(31)) is None


def test_who_is_disabled_is_out_at_once(database: Database) -> None:
    with database.write() as conn:
        ada = users.add(conn, "ada", "hash", "admin", NOON)
        users.open_session(conn, "one", ada.id, NOON, ttl_s=60)
        conn.execute(update(user_table).values(disabled=True))
        assert users.by_session(conn, "one", after(1)) is None
        found = users.get_by_name(conn, "ada")
    assert found is not None and found.disabled
