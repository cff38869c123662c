"""Routes whose work takes much processor time: few at a time in threads of their own, and one at a time for each person.

So they never use up the threads that callbacks, sign-in and ordinary pages need, and one person's requests wait for each other
before they keep others waiting. A request counts until its answer is sent, so that a client that does not read holds few
answers in memory. Their work is bounded all the same: by limits of the body, of rows and of words.
"""

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Final, ParamSpec, TypeVar

from starlette.types import Message, Send

from callreel.runtime.thread_pool import ThreadPool
from callreel.web.auth.attempts import BusyError

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE: Final = 2
MOST_WAITING: Final = 16
"""Requests of one person that wait, run or are being sent; a page with all its parts makes fewer."""
PIECE_BYTES: Final = 65_536


class HeavyRequests:
    """The threads and queues of one application. `request` gives each request its part in them."""

    def __init__(
        self, name: str = "heavy request", at_once: int = AT_ONCE, most_waiting: int | None = None
    ) -> None:
        """`most_waiting`: requests of one person that wait, run or are being sent; None: `MOST_WAITING`."""
        self._threads = ThreadPool(at_once, name)
        self._most_waiting = MOST_WAITING if most_waiting is None else most_waiting
        self._waiting: Counter[str] = Counter()
        self._turns: dict[str, asyncio.Lock] = {}

    def request(self, person: str) -> "HeavyRequest":
        return HeavyRequest(self, person)

    def begin(self, person: str) -> None:
        """Count a request. Raises BusyError."""
        if self._waiting[person] >= self._most_waiting:
            raise BusyError("too many of your requests are waiting; try again in a few seconds")
        self._waiting[person] += 1

    async def run(self, person: str, work: Callable[[], T]) -> T:
        """Run the `work` of a counted request in a thread when it is its person's turn."""
        async with self._turns.setdefault(person, asyncio.Lock()):
            return await self._threads.run(work)

    def end(self, person: str) -> None:
        """Count a request no longer."""
        self._waiting[person] -= 1
        if not self._waiting[person]:
            del self._waiting[person]
            self._turns.pop(person, None)


class HeavyRequest:
    """A request that does heavy work, or may do it. `run` counts it, until `answered`."""

    def __init__(self, requests: HeavyRequests, person: str) -> None:
        self._requests = requests
        self._person = person
        self._counted = False

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread when it is its person's turn. Raises BusyError."""
        if not self._counted:
            self._requests.begin(self._person)
            self._counted = True
        return await self._requests.run(self._person, work)

    def answered(self) -> None:
        """The answer is sent, or the client is gone."""
        if self._counted:
            self._counted = False
            self._requests.end(self._person)


CURRENT: Final[ContextVar[HeavyRequest | None]] = ContextVar("the heavy request", default=None)
"""The gate sets it."""


def in_pieces(send: Send) -> Send:
    """`send` that passes a long body on in pieces, each once the client has read most of those before.

    The server would take a whole body at once, and call it sent while all of it waits in memory.
    """

    async def send_pieces(message: Message) -> None:
        body = message.get("body", b"")
        if message["type"] == "http.response.body" and len(body) > PIECE_BYTES:
            more = message.get("more_body", False)
            for at in range(0, len(body), PIECE_BYTES):
                piece = body[at : at + PIECE_BYTES]
                await send({**message, "body": piece, "more_body": more or at + PIECE_BYTES < len(body)})
        else:
            await send(message)

    return send_pieces


def heavy(route: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """A route whose function does heavy work in a thread, after its body was read."""

    @functools.wraps(route)
    async def in_turn(*args: P.args, **kwargs: P.kwargs) -> T:
        request = CURRENT.get()
        assert request is not None  # the gate lets nothing pass without it
        return await request.run(functools.partial(route, *args, **kwargs))

    return in_turn
