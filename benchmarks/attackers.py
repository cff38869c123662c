"""The attackers and the measured clients of `benchmarks.attack`, each an asyncio program in a process of its own.

They speak HTTP over plain sockets, which costs little, so that the load generator is not what is slow. `attack` has a
signed-in agent who sends the largest allowed requests, slow connections, and guesses of passwords; `observe` has the carrier's
callbacks and the pages of another person, whose times are measured from when each request was due.
"""

import asyncio
import itertools
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from callreel.web.connection_limits import raise_open_files

LONGEST_TURN = "a " * 10_000
"""20,000 characters, the most that a correction may give a turn."""
LONGEST_NOTE = "n" * 4_000
LONGEST_QUERY = " ".join(f"{letter}{other}*" for letter in "abcdefgh" for other in "abcdefghijklmnop")[:500]
EXPORTS = ("txt", "srt", "vtt", "csv", "json")
ADDRESSES = 250
"""Guesses come from so many addresses, so that the limit of one address does not end them."""
ANSWER_S = 180.0
DRIP_S = 2.0
OPENED_WITHIN_S = 5.0
"""Slow connections are opened one after the other, not as a flood at one instant."""
ATTACKERS_NICE = 10


@dataclass(frozen=True, slots=True)
class Attack:
    """What the attackers do for `seconds`, and until each program of the agent has made one round of requests.

    `cookie` is the agent's session, `call_ids` are calls of the agent, one a program.
    """

    port: int
    seconds: float
    cookie: str
    call_ids: Sequence[str]
    slow_connections: int
    guesses_a_second: float


@dataclass(slots=True)
class Damage:
    """Answers by what was asked, then by status; 0 stands for a closed connection. `slow_open`: slow connections at the end."""

    answers: dict[str, Counter[int]] = field(default_factory=dict)
    slow_open: int = 0

    def count(self, what: str, status: int) -> None:
        self.answers.setdefault(what, Counter())[status] += 1


@dataclass(frozen=True, slots=True)
class Observation:
    """Requests that are sent every `interval_s`, in turn, for `seconds`."""

    port: int
    seconds: float
    interval_s: float
    requests: Sequence[bytes]


@dataclass(slots=True)
class Seen:
    """Times in ms from when each request was due until its complete answer."""

    took_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


def attack(plan: Attack) -> Damage:
    """Run all attackers; returns when `plan.seconds` have passed.

    They yield the processor to the server: real attackers have machines of their own. The number of answers shows their rate.
    """
    os.nice(ATTACKERS_NICE)
    raise_open_files()
    return asyncio.run(_attack(plan))


def observe(*plans: Observation) -> list[Seen]:
    """Send the requests of all `plans` side by side."""

    async def all_of_them() -> list[Seen]:
        return list(await asyncio.gather(*map(_observe, plans)))

    return asyncio.run(all_of_them())


def http(
    method: str,
    path: str,
    *,
    cookie: str = "",
    body: bytes = b"",
    kind: str = "application/json",
    headers: dict[str, str] | None = None,
    length: int | None = None,
) -> bytes:
    """A whole request; with `length` it declares a longer body than it has."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: close",
        "Sec-Fetch-Site: same-origin",
    ]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if cookie:
        lines.append(f"Cookie: {cookie}")
    if body or length:
        lines += [f"Content-Type: {kind}", f"Content-Length: {length or len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def _connected(
    port: int, address: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _answer(port: int, request: bytes, address: str = "127.0.0.1") -> tuple[int, bytes]:
    """Status and body; status 0 if the connection was refused or closed, or no answer came in time."""
    try:
        async with asyncio.timeout(ANSWER_S), _connected(port, address) as (reader, writer):
            writer.write(request)
            head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
            return int(head.split(b" ", 2)[1]), body
    except (OSError, TimeoutError, IndexError, ValueError):
        return 0, b""


async def _attack(plan: Attack) -> Damage:
    damage = Damage()
    slow: set[int] = set()
    rounds = [asyncio.Event() for _ in plan.call_ids]
    works: list[Coroutine[Any, Any, None]] = [
        _agent(plan, call_id, damage, done) for call_id, done in zip(plan.call_ids, rounds, strict=True)
    ]
    works += [_slow(plan, number, slow) for number in range(plan.slow_connections)]
    works += [_guess(plan, damage)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        await asyncio.sleep(plan.seconds)
        for done in rounds:
            await done.wait()
        damage.slow_open = len(slow)
        for task in tasks:
            task.cancel()
    return damage


async def _agent(plan: Attack, call_id: str, damage: Damage, round_done: asyncio.Event) -> None:
    """One of the agent's programs, which attacks with one call: each request follows the answer to the one before."""
    base = 0
    for number in itertools.count():
        for what, request in _requests(plan.cookie, call_id, base, number):
            status, body = await _answer(plan.port, request)
            damage.count(what, status)
            if what == "correction" and status == 201:
                base = json.loads(body)["number"]
        round_done.set()


def _requests(cookie: str, call_id: str, base: int, number: int) -> Iterator[tuple[str, bytes]]:
    """A round of requests, each at a limit."""
    api = f"/api/v1/calls/{call_id}"
    text = LONGEST_TURN if number % 2 else LONGEST_TURN.upper().replace("A", "B")
    note = json.dumps({"kind": "note", "at_ms": number, "text": LONGEST_NOTE}).encode()
    changes = json.dumps({"base": base, "changes": [{"turn": number % 2, "text": text}]}).encode()
    yield "correction", http("POST", f"{api}/revisions", cookie=cookie, body=changes)
    yield "difference", http("GET", f"{api}/difference", cookie=cookie)
    for ending in EXPORTS:
        yield "export", http("GET", f"/calls/{call_id}/transcript.{ending}", cookie=cookie)
    yield "search", http("GET", f"/api/v1/calls?limit=500&{urlencode({'q': LONGEST_QUERY})}", cookie=cookie)
    for _ in range(5):
        yield "note", http("POST", f"{api}/notes", cookie=cookie, body=note)
    yield "call", http("GET", f"{api}?words=true", cookie=cookie)
    yield "page", http("GET", f"/calls/{call_id}", cookie=cookie)
    yield "history", http("GET", f"{api}/revisions", cookie=cookie)
    yield "statistics", http("GET", "/api/v1/statistics?from=2026-01-01&to=2026-12-31", cookie=cookie)
    yield "large body", http("POST", f"{api}/notes", cookie=cookie, body=b"x", length=1 << 20)


async def _slow(plan: Attack, number: int, open_now: set[int]) -> None:
    """A connection that is opened again whenever the server closes it: silent, half a head, half a body, or never reading."""
    call_id = plan.call_ids[number % len(plan.call_ids)]
    whole = http("GET", f"/calls/{call_id}/transcript.json", cookie=plan.cookie)
    begin = (
        b"",
        whole[:60],
        http("POST", f"/api/v1/calls/{call_id}/notes", cookie=plan.cookie, body=b'{"kind": "', length=4_000),
        whole,
    )[number % 4]
    reads = number % 4 != 3
    await asyncio.sleep(OPENED_WITHIN_S * number / plan.slow_connections)
    while True:
        try:
            async with _connected(plan.port) as (reader, writer):
                open_now.add(number)
                writer.write(begin)
                if not reads:
                    writer.transport.pause_reading()  # type: ignore[attr-defined]  # the transport of a socket has it
                    await asyncio.Event().wait()
                await reader.read(-1)
        except OSError:
            pass
        open_now.discard(number)
        await asyncio.sleep(DRIP_S)


async def _guess(plan: Attack, damage: Damage) -> None:
    """Guesses at a steady rate, whether or not the earlier ones were answered."""
    under_way: set[asyncio.Task[None]] = set()

    async def one(number: int) -> None:
        form = urlencode({"name": "sam", "password": f"a guess with the number {number}"}).encode()
        request = http("POST", "/sign-in", body=form, kind="application/x-www-form-urlencoded")
        status, _ = await _answer(plan.port, request, f"127.1.{number % ADDRESSES}.1")
        damage.count("guess", status)

    async for number in _steadily(1 / plan.guesses_a_second):
        task = asyncio.create_task(one(number))
        under_way.add(task)
        task.add_done_callback(under_way.discard)


async def _observe(plan: Observation) -> Seen:
    seen = Seen()
    began = time.monotonic()

    async def one(number: int) -> None:
        status, _ = await _answer(plan.port, plan.requests[number % len(plan.requests)])
        seen.took_ms.append(1000 * (time.monotonic() - began - number * plan.interval_s))
        seen.statuses[status] += 1

    async with asyncio.TaskGroup() as requests:
        async for number in _steadily(plan.interval_s):
            if number * plan.interval_s >= plan.seconds:
                break
            requests.create_task(one(number))
    return seen


async def _steadily(interval_s: float) -> AsyncIterator[int]:
    """0, 1, 2 ..., each at its time."""
    began = time.monotonic()
    for number in itertools.count():
        await asyncio.sleep(max(0.0, began + number * interval_s - time.monotonic()))
        yield number
