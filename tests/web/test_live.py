"""Live events: replay and live events form one sequence without gaps and duplicates."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator

import pytest
from fastapi.testclient import TestClient

from callreel.cluster.event_bus import EventBus
from callreel.domain.access import UserRole
from callreel.domain.call import Role
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.store.calls import live_events
from callreel.store.people import sessions, users
from callreel.web.api.live_events import HEARTBEAT, Subscription, event_stream, event_text
from callreel.web.app import WebOptions
from tests.support.seed import ABSENT, DONE, LIVE, Seed, record
from tests.web.conftest import MakeApp, enter


def partial(call_id: CallId, text: str) -> LiveEvent:
    return LiveEvent(call_id, EventKind.PARTIAL, {"role": "agent", "number": 9, "text": text})


def ids_of(text: list[str]) -> list[int]:
    return [int(part.partition("\n")[0][4:]) for part in text if part.startswith("id: ")]


def kinds_of(text: list[str]) -> list[str]:
    return [line[7:] for part in text for line in part.splitlines() if line.startswith("event: ")]


async def take(stream: AsyncIterator[str], count: int) -> list[str]:
    return [await asyncio.wait_for(anext(stream), 10) for _ in range(count)]


async def always() -> bool:
    return True


def stream_of(
    place: Seed, after: int | None, *, bus: EventBus | None = None, heartbeat_s: float = 10
) -> AsyncIterator[str]:
    return event_stream(
        place.database,
        bus or place.bus,
        Subscription(LIVE, after),
        heartbeat_s=heartbeat_s,
        still_allowed=always,
    )


def stored_ids(place: Seed, call_id: CallId | None = None) -> list[int | None]:
    with place.database.read() as conn:
        return [event.id for event in live_events.after(conn, call_id, 0, 100_000)]


def test_event_has_the_sse_wire_format() -> None:
    text = event_text(LiveEvent(DONE, EventKind.CALL, {"state": "live", "note": "a\nb\u2028é"}, 7))
    assert (
        text
        == f'id: 7\nevent: call\ndata: {{"state":"live","note":"a\\nb\\u2028\\u00e9","call_id":"{DONE}"}}\n\n'
    )
    assert event_text(partial(DONE, "x")).startswith("event: partial\ndata: ")


def test_replay_from_the_last_id_seen(place: Seed, ada: TestClient) -> None:
    place.bus.close()  # so that the answers end after the replay
    everything = stored_ids(place, DONE)
    assert len(everything) == 5
    whole = ada.get(f"/calls/{DONE}/events")
    assert whole.headers["content-type"].startswith("text/event-stream")
    assert whole.headers["cache-control"] == "no-store"
    assert ids_of(whole.text.split("\n\n")) == everything
    assert whole.text.startswith("retry: 2000\n\n")
    third = str(everything[2])
    by_header = ada.get(f"/calls/{DONE}/events", headers={"Last-Event-ID": third})
    by_query = ada.get(f"/calls/{DONE}/events", params={"after": third})
    assert ids_of(by_header.text.split("\n\n")) == ids_of(by_query.text.split("\n\n")) == everything[3:]
    both = ada.get(f"/calls/{DONE}/events?after=0", headers={"Last-Event-ID": third})
    assert ids_of(both.text.split("\n\n")) == everything[3:]
    assert (
        ids_of(ada.get(f"/calls/{DONE}/events", headers={"Last-Event-ID": "unknown"}).text.split("\n\n"))
        == everything
    )


def test_data_is_json_with_the_call(place: Seed, ada: TestClient) -> None:
    place.bus.close()
    first = ada.get(f"/calls/{DONE}/events").text.split("\n\n")[1]
    data = json.loads(first.partition("data: ")[2])
    assert data["call_id"] == DONE
    assert data["text"] == "good morning this is the service desk"


def test_all_calls_stream_starts_with_new_events(place: Seed, ada: TestClient) -> None:
    record(place, ABSENT, EventKind.VERDICT, verdict="explained")
    place.bus.close()
    assert ids_of(ada.get("/events").text.split("\n\n")) == []
    assert ids_of(ada.get("/events?after=0").text.split("\n\n")) == stored_ids(place)
    some = ada.get("/events?after=0&kinds=verdict,call").text.split("\n\n")
    assert kinds_of(some) == ["verdict"]
    assert ada.get("/events?kinds=gossip").status_code == 422


def test_unknown_calls_and_invalid_values_are_refused(ada: TestClient) -> None:
    assert ada.get("/calls/ffffffffffff/events").status_code == 404
    assert ada.get(f"/calls/{DONE}/events?after=-1").status_code == 422


async def test_transient_events_have_no_id_and_are_not_replayed(place: Seed) -> None:
    stream = stream_of(place, 10**6)
    first = await take(stream, 1)
    place.bus.publish(partial(LIVE, "it"))
    place.bus.publish(partial(DONE, "another call"))
    place.bus.publish(partial(LIVE, "it says"))
    sent = await take(stream, 2)
    assert ids_of(first + sent) == []
    assert [json.loads(part.partition("data: ")[2])["text"] for part in sent] == ["it", "it says"]


async def test_replay_and_live_events_have_no_gap_and_no_duplicate(place: Seed) -> None:
    """A writer stores and publishes throughout; listeners connect at any time and must get one unbroken sequence."""
    total = 120
    wanted = len(stored_ids(place, LIVE)) + total

    def write(start: threading.Event) -> None:
        start.wait()
        for number in range(total):
            stored = record(place, LIVE, EventKind.FINAL, number=number)
            place.bus.publish(partial(LIVE, str(number)))
            place.bus.publish(stored)
            if number % 7 == 0:
                place.bus.publish(stored)  # published twice

    async def listen(begin: asyncio.Event) -> list[int]:
        await begin.wait()
        got: list[int] = []
        async for text in stream_of(place, 0):
            got += ids_of([text])
            if len(got) == wanted:
                return got
        raise AssertionError("ended early")

    start, begins = threading.Event(), [asyncio.Event() for _ in range(6)]
    listeners = [asyncio.create_task(listen(begin)) for begin in begins]
    writer = threading.Thread(target=write, args=(start,))
    writer.start()
    start.set()
    for begin in begins:
        begin.set()
        await asyncio.to_thread(stored_ids, place)  # lets the writer advance
    got = await asyncio.wait_for(asyncio.gather(*listeners), 30)
    await asyncio.to_thread(writer.join)
    for ids in got:
        assert ids == stored_ids(place, LIVE)


async def test_events_published_out_of_order_are_sent_in_order(place: Seed) -> None:
    stream = stream_of(place, stored_ids(place)[-1])
    sent = await take(stream, 1)
    reading = asyncio.create_task(take(stream, 3))
    first, second, third = (record(place, LIVE, EventKind.FINAL, number=n) for n in (7, 8, 9))
    place.bus.publish(third)
    place.bus.publish(first)
    assert second.id is not None  # never published
    ids = ids_of(sent + await reading)
    assert ids == sorted(ids)
    assert ids == stored_ids(place, LIVE)[-3:]


async def test_slow_client_reads_dropped_events_from_the_database(place: Seed) -> None:
    bus = EventBus(limit=4)

    stream = stream_of(place, 0, bus=bus)
    first = await take(stream, 1)
    for number in range(20):
        bus.publish(record(place, LIVE, EventKind.FINAL, number=number))
    sent = first + await take(stream, len(stored_ids(place, LIVE)))
    assert ids_of(sent) == stored_ids(place, LIVE)


async def test_heartbeats_fill_a_lull_and_a_closed_bus_ends_the_stream(place: Seed) -> None:
    stream = stream_of(place, 10**6, heartbeat_s=0.01)
    first = await take(stream, 3)
    place.bus.close()
    rest = [text async for text in stream]
    assert first[1:] == [HEARTBEAT, HEARTBEAT]
    assert set(rest) <= {HEARTBEAT}


@pytest.mark.parametrize("change", ["sign out", "another role", "disabled"])
def test_event_stream_ends_with_the_session(make_app: MakeApp, place: Seed, change: str) -> None:
    app = make_app(WebOptions(heartbeat_s=0.05))
    sam = enter(TestClient(app, base_url="https://calls.example"), place, "sam")
    answers: list[int] = []
    listening = threading.Thread(target=lambda: answers.append(sam.get(f"/calls/{LIVE}/events").status_code))
    listening.start()
    until = time.monotonic() + 10
    while not place.bus.has_listeners(LIVE) and time.monotonic() < until:
        listening.join(0.01)
    listening.join(0.2)
    assert listening.is_alive()
    with place.database.write() as conn:
        user = users.get_by_name(conn, "sam")
        assert user is not None
        match change:
            case "sign out":
                sessions.end_all(conn, user.id)
            case "another role":
                users.change(conn, user.id, role=UserRole.AGENT)
            case _:
                users.change(conn, user.id, disabled=True)
    listening.join(10)
    assert not listening.is_alive()  # although the bus is open
    assert answers == [200]


def test_events_continue_exactly_where_the_page_ends(place: Seed, ada: TestClient) -> None:
    """A page names the last event that it shows; its stream starts after it."""
    page = ada.get(f"/calls/{LIVE}").text
    address = page.partition('data-live-call="')[2].partition('"')[0]
    later = record(place, LIVE, EventKind.FINAL, role=Role.AGENT, number=4, text="later")
    place.bus.close()
    assert ids_of(ada.get(address).text.split("\n\n")) == [later.id]


@pytest.mark.parametrize("path", ["/events", f"/calls/{DONE}/events"])
def test_event_streams_require_sign_in(stranger: TestClient, path: str) -> None:
    assert stranger.get(path).status_code == 401
