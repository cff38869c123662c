"""Routes whose work takes much processor time: few at a time in threads of their own, and one at a time for each person.

So they never use up the threads that callbacks, sign-in and ordinary pages need, and one person's requests wait for each other
before they keep others waiting. Their work is bounded all the same: by limits of the body, of rows and of words.
"""

import asyncio
import contextvars
import functools
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, Final, ParamSpec, TypeVar

from callreel.web.auth.attempts import TooManyAttemptsError

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE: Final = 2
MOST_WAITING: Final = 16
"""Requests of one person that run or wait; a page with all its parts makes fewer."""


class BusyError(TooManyAttemptsError):
    """The person's earlier heavy requests have not been answered yet."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.args = ("too many of your requests are waiting; try again in a few seconds",)


class HeavyRequests:
    """The threads and queues of one application."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="heavy request")
        self._waiting: Counter[str] = Counter()
        self._turns: dict[str, asyncio.Lock] = {}

    async def run(self, person: str, work: Callable[[], T]) -> T:
        """Run `work` in a thread when it is its person's turn. Raises BusyError."""
        if self._waiting[person] >= MOST_WAITING:
            raise BusyError
        self._waiting[person] += 1
        try:
            async with self._turns.setdefault(person, asyncio.Lock()):
                context = contextvars.copy_context()
                return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, work)
        finally:
            self._waiting[person] -= 1
            if not self._waiting[person]:
                del self._waiting[person], self._turns[person]


CURRENT: Final[ContextVar[tuple[HeavyRequests, str]]] = ContextVar(
    "heavy requests and the person of this request"
)
"""The gate sets it."""


def heavy(route: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """A route whose function does heavy work in a thread, after its body was read."""

    @functools.wraps(route)
    async def in_turn(*args: P.args, **kwargs: P.kwargs) -> T:
        requests, person = CURRENT.get()
        return await requests.run(person, functools.partial(route, *args, **kwargs))

    return in_turn
