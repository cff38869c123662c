from concurrent.futures import ThreadPoolExecutor

import pytest

from callreel.domain.ids import CallId
from callreel.store.calls import stream_tokens
from callreel.store.db.database import Database
from tests.support.rows import CALL, CHILD, NOON, PARENT, a_call, after


@pytest.fixture
def issued(database: Database) -> Database:
    a_call(database)
    with database.write() as conn:
        stream_tokens.issue(conn, "hash", PARENT, CALL.id, NOON, ttl_s=60)
    return database


def test_token_admits_one_stream(issued: Database) -> None:
    with issued.write() as conn:
        assert stream_tokens.redeem(conn, "hash", PARENT, after(1)) == CALL.id
        assert stream_tokens.redeem(conn, "hash", PARENT, after(2)) is None


def test_other_legs_and_late_uses_do_not_redeem_a_token(issued: Database) -> None:
    with issued.write() as conn:
        assert stream_tokens.redeem(conn, "guess", PARENT, after(1)) is None
        assert stream_tokens.redeem(conn, "hash", CHILD, after(1)) is None
        assert stream_tokens.redeem(conn, "hash", PARENT, after(60)) is None
        assert stream_tokens.redeem(conn, "hash", PARENT, after(59.9)) == CALL.id


def test_concurrent_uses_of_a_token_admit_one(issued: Database) -> None:
    def spend(_: int) -> CallId | None:
        with issued.write() as conn:
            return stream_tokens.redeem(conn, "hash", PARENT, after(1))

    with ThreadPoolExecutor(8) as pool:
        let_in = list(pool.map(spend, range(32)))
    assert sorted(let_in, key=lambda call: call is None) == [CALL.id] + [None] * 31
