"""Heavy requests: few at a time, one at a time for each person, and a limit on those that wait."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from callreel.web.app import WebContext, WebOptions, create_app
from callreel.web.heavy_requests import AT_ONCE, MOST_WAITING, BusyError, HeavyRequests
from tests.support.installation import eventually
from tests.support.seed import Seed
from tests.web.conftest import MakeApp
from tests.web.routes import endpoints

HEAVY = {
    "GET /api/v1/calls", "GET /api/v1/calls/{call_id}", "GET /api/v1/calls/{call_id}/difference", "GET /api/v1/calls/{call_id}/peaks",
    "GET /api/v1/calls/{call_id}/revisions", "POST /api/v1/calls/{call_id}/revisions", "GET /api/v1/statistics", "GET /calls/{call_id}",
    "GET /calls/{call_id}/transcript.{ending}", "GET /statistics",
}  # fmt: skip


async def test_one_of_a_person_and_few_in_all_run_at_once() -> None:
    requests, gate, running = HeavyRequests(), threading.Event(), list[str]()

    def work(name: str) -> Callable[[], str]:
        def wait() -> str:
            running.append(name)
            assert gate.wait(30)
            return name

        return wait

    of_mallory = [asyncio.create_task(requests.run("mallory", work(f"m{n}"))) for n in range(MOST_WAITING)]
    await eventually(lambda: running == ["m0"])
    with pytest.raises(BusyError):
        await requests.run("mallory", work("one too many"))
    others = [asyncio.create_task(requests.run(name, work(name))) for name in ("sam", "ada")]
    await eventually(lambda: len(running) == AT_ONCE)
    assert running == ["m0", "sam"], "others do not wait for a person's queue"
    gate.set()
    assert await asyncio.gather(*of_mallory) == [f"m{n}" for n in range(MOST_WAITING)]
    assert await asyncio.gather(*others) == ["sam", "ada"]
    assert await requests.run("mallory", lambda: "again") == "again"


async def test_failing_work_ends_its_turn() -> None:
    requests = HeavyRequests()
    for _ in range(MOST_WAITING + 1):
        with pytest.raises(ZeroDivisionError):
            await requests.run("sam", lambda: 1 // 0)


def test_request_beyond_the_limit_is_answered_with_429(place: Seed, monkeypatch: pytest.MonkeyPatch) -> None:
    context = WebContext(place.database, place.blobs, place.bus, WebOptions(demo=True))
    app = create_app(context)
    client = TestClient(app, base_url="http://localhost")
    monkeypatch.setattr("callreel.web.heavy_requests.MOST_WAITING", 0)
    answer = client.get("/api/v1/statistics")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many")
    assert answer.headers["Retry-After"] == "2"


def test_routes_of_unusual_work_are_heavy(make_app: MakeApp) -> None:
    found = {
        f"{method} {path}"
        for method, path, route in endpoints(make_app(WebOptions()).routes)
        if hasattr(route, "__wrapped__")
    }
    assert found == HEAVY
