"""Heavy requests: few at a time, one at a time for each person, and a limit on those that wait."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from callreel.web.app import WebContext, WebOptions, create_app
from callreel.web.auth.attempts import BusyError
from callreel.web.heavy_requests import (
    AT_ONCE,
    CURRENT,
    MOST_WAITING,
    PIECE_BYTES,
    HeavyRequests,
    in_pieces,
)
from tests.support.installation import eventually
from tests.support.seed import Seed
from tests.web.conftest import MakeApp
from tests.web.routes import endpoints

HEAVY = {
    "GET /api/v1/calls", "GET /api/v1/calls/{call_id}", "GET /api/v1/calls/{call_id}/difference", "GET /api/v1/calls/{call_id}/peaks",
    "GET /api/v1/calls/{call_id}/revisions", "POST /api/v1/calls/{call_id}/revisions", "GET /api/v1/statistics", "GET /calls/{call_id}",
    "GET /calls/{call_id}/transcript.{ending}", "GET /calls/{call_id}/all.zip", "GET /statistics", "GET /api/v1/calls/{call_id}/vcon",
    "GET /api/v1/retention", "GET /retention", "GET /operations", "POST /operations/retry", "GET /api/v1/scorecards/results",
    "GET /api/v1/report", "GET /api/v1/facets",
    "GET /report", "GET /scorecards/results", "GET /scorecards/results.csv",
}  # fmt: skip


async def test_one_of_a_person_and_few_in_all_run_at_once() -> None:
    requests, gate, running = HeavyRequests(), threading.Event(), list[str]()

    def work(name: str) -> Callable[[], str]:
        def wait() -> str:
            running.append(name)
            assert gate.wait(30)
            return name

        return wait

    begun = [requests.request("mallory") for _ in range(MOST_WAITING)]
    of_mallory = [asyncio.create_task(one.run(work(f"m{n}"))) for n, one in enumerate(begun)]
    await eventually(lambda: running == ["m0"])
    with pytest.raises(BusyError):
        await requests.request("mallory").run(work("one too many"))
    others = [asyncio.create_task(requests.request(name).run(work(name))) for name in ("sam", "ada")]
    await eventually(lambda: len(running) == AT_ONCE)
    assert running == ["m0", "sam"], "others do not wait for a person's queue"
    gate.set()
    assert await asyncio.gather(*of_mallory) == [f"m{n}" for n in range(MOST_WAITING)]
    assert await asyncio.gather(*others) == ["sam", "ada"]
    with pytest.raises(BusyError):
        await requests.request("mallory").run(work("none of the answers is sent yet"))
    begun[0].answered()
    assert await requests.request("mallory").run(lambda: "again") == "again"


async def test_failing_work_ends_its_turn() -> None:
    requests = HeavyRequests()
    for _ in range(MOST_WAITING + 1):
        failing = requests.request("sam")
        with pytest.raises(ZeroDivisionError):
            await failing.run(lambda: 1 // 0)
        failing.answered()


async def test_unread_answer_counts_until_it_is_sent() -> None:
    requests, unread = HeavyRequests(), asyncio.Event()
    sent: list[Message] = []

    async def to_a_stalled_client(message: Message) -> None:
        sent.append(message)
        if len(sent) > 2:
            await unread.wait()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await CURRENT.get().run(lambda: None)  # type: ignore[union-attr]  # set below
        await PlainTextResponse(b"x" * 10 * PIECE_BYTES)(scope, receive, send)

    async def one_request() -> None:
        CURRENT.set(request := requests.request("mallory"))
        try:
            await app({"type": "http", "method": "GET"}, _nothing, in_pieces(to_a_stalled_client))
        finally:
            request.answered()

    stalled = [asyncio.create_task(one_request()) for _ in range(MOST_WAITING)]
    await eventually(lambda: len(sent) == MOST_WAITING + 2)
    assert all(len(message.get("body", b"")) <= PIECE_BYTES for message in sent)
    with pytest.raises(BusyError):
        await requests.request("mallory").run(lambda: None)
    unread.set()
    await asyncio.gather(*stalled)
    bodies = [message for message in sent if message["type"] == "http.response.body"]
    assert sum(len(message["body"]) for message in bodies) == MOST_WAITING * 10 * PIECE_BYTES
    assert sum(not message["more_body"] for message in bodies) == MOST_WAITING
    await requests.request("mallory").run(lambda: None)


async def _nothing() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


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
