import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest

from callreel.domain.errors import StoreError
from callreel.store import processes
from callreel.store.database import Database
from callreel.store.processes import ServerLock
from tests.postgres import postgres_server

HOLD = """
import sys, time
from callreel.store.database import Database
from callreel.store.processes import ServerLock
lock = ServerLock(Database.open(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_who_said_so_lately_is_alive(database: Database) -> None:
    with database.write() as conn:
        processes.beat(conn, "one", "server", "here")
        processes.beat(conn, "two", "worker", "there")
        processes.beat(conn, "two", "worker", "there")
        assert processes.alive(conn, timedelta(seconds=20)) == {"one", "two"}
        assert processes.alive(conn, timedelta(0)) == set()
        processes.leave(conn, "one")
        assert [(row.name, row.kind, row.host) for row in processes.everyone(conn)] == [
            ("two", "worker", "there")
        ]
        assert processes.forget(conn, timedelta(days=1)) == 0
        assert processes.forget(conn, timedelta(0)) == 1


@pytest.fixture
def postgres_url() -> Iterator[str]:
    with postgres_server() as server:
        yield server.new_url()


def test_one_server_a_database_until_its_process_dies(postgres_url: str) -> None:
    database = Database.open(postgres_url)
    with subprocess.Popen([sys.executable, "-c", HOLD, postgres_url], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="another callreel serve"):
            ServerLock(database, patience_s=0.3)
        holder.kill()
    ServerLock(database).release()
    ServerLock(database, patience_s=1).release()
    database.close()
