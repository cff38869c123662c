"""Callback intake at ten times the normal rate, with every callback sent twice.

A separate server process gets signed callbacks over loopback at a steady rate (open loop: a slow response does not delay the
next request), each repeated at once or up to a second later. Afterwards each callback must be stored exactly once.

    .venv/bin/python -m benchmarks.webhooks --rate 200 --seconds 20 --json

`--rate` counts distinct callbacks; twice as many requests are made. The client shares the machine with the server.
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from sqlalchemy import func, select
from tests.end_to_end.house import ACCOUNT, TECHNICIAN, House

from benchmarks.report import show
from callreel.domain.ids import LegSid, RecordingSid
from callreel.simulator.calls.webhook_forms import RecordingEvent, recording_status_form, voice_form
from callreel.store.db.database import Database
from callreel.store.db.tables import callbacks, recordings

CALLS = 40
CONNECTIONS = 400
"""A second of requests: the carrier opens a new connection where none is free."""
PATH = "/twilio/recording-status"
SLOW_DISK = Path(__file__).with_name("slow_disk.c")


@dataclass(frozen=True, slots=True)
class Report:
    """Times in ms, from when a request was due until its complete response.

    `cpu_ms` is the server's CPU time per request, which depends less on the load of the machine.
    `fsync_ms`: the delay added to each disk sync.
    """

    callbacks: int
    requests: int
    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_ms: float
    fsync_ms: int
    errors: int
    stored: int
    database: str

    @property
    def clean(self) -> bool:
        return self.errors == 0 and self.stored == self.callbacks


def run(
    rate: float, seconds: float, folder: Path, database_url: str | None = None, *, fsync_ms: int = 0
) -> Report:
    """`rate` different callbacks a second for `seconds`, each sent twice, with `fsync_ms` added to each disk sync."""
    settings = {"CALLREEL_LOG_LEVEL": "warning"}
    if database_url:
        settings["CALLREEL_DATABASE_URL"] = database_url
    with House(folder, settings | slow_disk(folder, fsync_ms)) as house:
        for number in range(CALLS):
            _answer_call(house, _leg(number))
        requests = [_callback(house, number) for number in range(round(rate * seconds))]
        before_s = _cpu_s(house)
        took_ms, statuses, lasted_s = asyncio.run(_send(house.port, requests, rate))
        cpu_s = _cpu_s(house) - before_s
        house.stop_server()
        stored = _stored(database_url or f"sqlite:///{house.data_dir / 'app.db'}")
    p50, p99 = np.percentile(took_ms, (50, 99))
    return Report(
        len(requests), len(took_ms), round(len(requests) / lasted_s, 1), round(float(p50), 1),
        round(float(p99), 1), round(max(took_ms), 1), round(1000 * cpu_s / len(took_ms), 2), fsync_ms, sum(n for status, n in statuses.items() if status != 204),
        stored, "PostgreSQL" if database_url else "SQLite",
    )  # fmt: skip


def slow_disk(folder: Path, fsync_ms: int) -> dict[str, str]:
    """The environment of a process whose disk syncs take `fsync_ms` longer; needs a C compiler."""
    if not fsync_ms:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "slow_disk.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", made, SLOW_DISK, "-ldl"], check=True)
    return {"LD_PRELOAD": str(made), "SLOW_DISK_MS": str(fsync_ms)}


def _cpu_s(house: House) -> float:
    """The CPU time of the server without its engine processes."""
    assert house.server is not None
    fields = Path(f"/proc/{house.server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _leg(number: int) -> LegSid:
    return LegSid(f"CA{number:032x}")


def _answer_call(house: House, leg: LegSid) -> None:
    form = voice_form(
        leg_sid=leg, account_sid=ACCOUNT, from_="client:bench", to=TECHNICIAN, application_sid="AP" + "0" * 32
    )
    url = f"{house.url}/twilio/voice"
    answer = house.client.post(url, data=form, headers=house.carrier.account.signature_headers(url, form))
    assert answer.status_code == 200, answer.text


def _callback(house: House, number: int) -> bytes:
    """A complete signed request for a distinct recording."""
    form = recording_status_form(RecordingEvent(
        recording_sid=RecordingSid(f"RE{number:032x}"), leg_sid=_leg(number % CALLS), account_sid=ACCOUNT,
        status="in-progress", url=f"{house.carrier.api_url}/RE{number:032x}", start_time=datetime.now(UTC),
        channels=2, track="both", source="StartCallRecordingTwiML", duration_s=0, error_code=0,
    ))  # fmt: skip
    headers = house.carrier.account.signature_headers(house.url + PATH, form)
    body = urlencode(form)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{house.port}\r\n{head}"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def _send(port: int, requests: list[bytes], rate: float) -> tuple[list[float], Counter[int], float]:
    chance = random.Random(1)
    first = [(number / rate, request) for number, request in enumerate(requests)]
    second = [(due + chance.choice((0.0, chance.random())), request) for due, request in first]
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    took_ms: list[float] = []
    statuses: Counter[int] = Counter()

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            due_s, request = await waiting.get()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            await reader.readexactly(length)
            statuses[int(head.split(b" ", 2)[1])] += 1
            took_ms.append(1000 * (time.monotonic() - due_s))
            waiting.task_done()

    workers = [asyncio.create_task(work()) for _ in range(CONNECTIONS)]
    began = time.monotonic()
    for due, request in sorted(first + second, key=lambda entry: entry[0]):
        await asyncio.sleep(max(0.0, began + due - time.monotonic()))
        waiting.put_nowait((began + due, request))
    lasted_s = time.monotonic() - began
    async with asyncio.timeout(60):
        await waiting.join()
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    return took_ms, statuses, lasted_s


def _stored(database_url: str) -> int:
    """The number of stored callbacks, or -1 if a recording is missing."""
    database = Database.open(database_url)
    try:
        with database.read() as conn:
            stored = conn.execute(select(func.count()).where(callbacks.c.kind == "recording")).scalar_one()
            rows = conn.execute(select(func.count()).select_from(recordings)).scalar_one()
            return int(stored) if stored == rows else -1
    finally:
        database.close()


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Send callbacks at a steady rate, each twice; exit 1 on an error or a lost callback."
    )
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--fsync-ms", type=int, default=0, help="delay added to each disk sync")
    parser.add_argument("--database", help="an empty PostgreSQL database; default: SQLite")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="callreel-webhooks-") as folder:
        report = run(given.rate, given.seconds, Path(folder), given.database, fsync_ms=given.fsync_ms)
    show(report, as_json=given.json)
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
