from callreel.store.db.database import Database
from callreel.store.people import welcome_tokens
from tests.support.rows import NOON, after


def test_welcome_link_is_valid_once_until_it_expires(database: Database) -> None:
    with database.write() as conn:
        welcome_tokens.issue(conn, "old", NOON, 60)
        welcome_tokens.issue(conn, "new", NOON, 60)
        assert not welcome_tokens.is_valid(conn, "old", NOON)
        assert welcome_tokens.is_valid(conn, "new", after(59))
        assert not welcome_tokens.is_valid(conn, "new", after(60))
        assert not welcome_tokens.redeem(conn, "new", after(60))
        assert welcome_tokens.redeem(conn, "new", after(59))
        assert not welcome_tokens.redeem(conn, "new", after(1))
