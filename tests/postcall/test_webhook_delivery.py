"""Webhooks to a receiver that fails, stalls and restarts: each arrives, with the id that it was announced with."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from callreel.cluster.failure_detector import new_name
from callreel.domain.webhook import DeliveryState, WebhookEvent
from callreel.postcall.durable import DurableEngine
from callreel.postcall.webhooks import AT_ONCE, QUEUE, WebhookSender, decide
from callreel.postcall.workflows import Dispatcher
from callreel.runtime.clock import Clock
from callreel.runtime.outgoing import outside_client
from callreel.runtime.retry import Retry
from callreel.store.webhooks import deliveries, endpoints
from tests.support.installation import Installation, a_call, eventually_blocking
from tests.support.program import free_port

REPO = Path(__file__).parents[2]
SECRET = "whsec_" + "Q" * 44
TIMEOUT_S = 0.4


def quickly(error: Exception, failure: int) -> Retry:
    """The real decision with waits of a twentieth."""
    retry = decide(error, failure)
    return Retry(retry.reason, None if retry.after_s is None else retry.after_s / 20)


@contextmanager
def receiver(port: int, file: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.support.webhook_receiver", str(port), str(file), SECRET]
    process = subprocess.Popen(command, cwd=REPO)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def accepted(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.timeout(900)  # a thousand on a busy machine
@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.long)])
def test_each_webhook_reaches_a_receiver_that_fails_stalls_and_restarts(
    installation: Installation, tmp_path: Path, count: int
) -> None:
    port, file, clock = free_port(), tmp_path / "accepted", Clock()
    call = a_call(installation)
    with installation.database.write() as conn:
        endpoints.add(
            conn,
            "crm",
            f"http://127.0.0.1:{port}/in",
            [WebhookEvent.VERDICT],
            SECRET,
            clock.now(),
            numbers=False,
        )
        for number in range(count):
            deliveries.announce(conn, WebhookEvent.VERDICT, {"number": number}, clock.now(), call.id)
        announced = {row.id for row in deliveries.of_endpoint(conn, 1, count)}
    engine = DurableEngine(f"sqlite:///{tmp_path / 'stages.db'}", new_name())
    client = outside_client(TIMEOUT_S, [f"127.0.0.1:{port}"])
    WebhookSender(installation.database, clock, client, "https://calls.example").register(engine, quickly)
    engine.launch({QUEUE: AT_ONCE})
    dispatcher = Dispatcher(installation.database, engine, clock)
    began_s = time.monotonic()
    try:
        with receiver(port, file):
            eventually_blocking(lambda: [dispatcher.sweep()] and len(accepted(file)) > count // 3, 300)
        arrived = len(accepted(file))
        with receiver(port, file):
            eventually_blocking(lambda: [dispatcher.sweep()] and _ended(installation, count) == count, 300)
    finally:
        engine.close()
        client.close()
    assert arrived < count, "the receiver was away while webhooks waited"
    requests = accepted(file)
    print(f"{count} webhooks in {time.monotonic() - began_s:.1f} s, {len(requests)} accepted requests")
    assert {request["headers"]["webhook-id"] for request in requests} == announced
    bodies: dict[str, str] = {}
    for request in requests:
        assert bodies.setdefault(request["headers"]["webhook-id"], request["body"]) == request["body"]
    assert sorted(json.loads(body)["data"]["number"] for body in bodies.values()) == list(range(count))
    with installation.database.read() as conn:
        rows = deliveries.of_endpoint(conn, 1, count)
    assert {row.state for row in rows} == {DeliveryState.DELIVERED}
    assert max(row.attempts for row in rows) > 1


def _ended(installation: Installation, count: int) -> int:
    with installation.database.read() as conn:
        rows = deliveries.of_endpoint(conn, 1, count)
    return sum(row.state is DeliveryState.DELIVERED for row in rows)
