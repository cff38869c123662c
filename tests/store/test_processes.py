import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from callreel.domain.errors import StoreError
from callreel.store.db import processes
from callreel.store.db.database import Database
from callreel.store.db.processes import LeaderLock
from tests.support.installation import eventually_blocking
from tests.support.postgres import postgres_server

HOLD = """
import sys, time
from callreel.store.db.database import Database
from callreel.store.db.processes import LeaderLock
lock = LeaderLock(Database.open(sys.argv[1]))
print(lock.acquire(), flush=True)
time.sleep(60)
"""


def test_recent_heartbeat_means_alive(database: Database) -> None:
    with database.write() as conn:
        processes.heartbeat(conn, "one", "server", "here")
        processes.heartbeat(conn, "two", "worker", "there")
        processes.heartbeat(conn, "two", "worker", "there")
        assert processes.alive(conn, timedelta(seconds=20)) == {"one", "two"}
        assert processes.alive(conn, timedelta(0)) == set()
        processes.remove(conn, "one")
        assert [(row.name, row.kind, row.host) for row in processes.all_processes(conn)] == [
            ("two", "worker", "there")
        ]
        assert processes.remove_stale(conn, timedelta(days=1)) == 0
        assert processes.remove_stale(conn, timedelta(0)) == 1


@pytest.fixture
def postgres_url() -> Iterator[str]:
    with postgres_server() as server:
        yield server.new_url()


def test_leader_lock_ends_with_its_process_or_connection(postgres_url: str) -> None:
    database = Database.open(postgres_url)
    with subprocess.Popen([sys.executable, "-c", HOLD, postgres_url], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        lock = LeaderLock(database)
        assert not lock.acquire() and not lock.acquire()
        holder.kill()
    eventually_blocking(lock.acquire)
    assert lock.acquire(), "asked again, it still is"
    other = LeaderLock(database)
    assert not other.acquire()
    with database.read() as conn:
        conn.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
        )
    with pytest.raises(StoreError):
        lock.acquire()
    eventually_blocking(other.acquire)
    assert not lock.acquire()
    other.release()
    eventually_blocking(lock.acquire)
    lock.release()
    database.close()
