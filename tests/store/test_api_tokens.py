from callreel.domain.access import Scope, UserRole
from callreel.store.db.database import Database
from callreel.store.people import api_tokens, users
from tests.support.rows import NOON, after


def test_token_identifies_its_owner_until_it_expires(database: Database) -> None:
    with database.write() as conn:
        ada = users.add(conn, "ada", "hash", UserRole.AGENT, NOON)
        scopes = {Scope.WRITE_CALLS, Scope.READ_CALLS}
        row = api_tokens.add(conn, ada.id, "report", "digest", scopes, NOON, after(60))
        assert row.scopes == (Scope.READ_CALLS, Scope.WRITE_CALLS)
        assert api_tokens.owner_of(conn, "digest", after(59)) == (ada, row)
        assert api_tokens.owner_of(conn, "digest", after(60)) is None
        assert api_tokens.owner_of(conn, "guess", NOON) is None
        api_tokens.touch(conn, row.id, after(5))
        assert [kept.last_used_at for kept in api_tokens.of_user(conn, ada.id)] == [after(5)]


def test_disabled_users_tokens_fail_and_owners_delete_their_own(database: Database) -> None:
    with database.write() as conn:
        users.add(conn, "root", "hash", UserRole.ADMINISTRATOR, NOON)
        ada = users.add(conn, "ada", "hash", UserRole.AGENT, NOON)
        row = api_tokens.add(conn, ada.id, "report", "digest", [Scope.READ_CALLS], NOON, None)
        assert not api_tokens.remove(conn, ada.id + 1, row.id)
        users.change(conn, ada.id, disabled=True)
        assert api_tokens.owner_of(conn, "digest", NOON) is None
        assert api_tokens.remove(conn, ada.id, row.id)
        assert not api_tokens.remove(conn, ada.id, row.id)
