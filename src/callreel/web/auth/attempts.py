"""Limits on failed attempts to sign in or to guess a secret, which all processes of an installation share.

The database counts (`store/people/attempts.py`), before a secret is looked at. A process remembers only for a short time
which keys were just refused, so that refusing a flood costs no transaction, and which failed, for places in its queues.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NoReturn, TypeVar

from callreel.domain.errors import CallreelError
from callreel.runtime.clock import Clock
from callreel.runtime.thread_pool import ThreadPool
from callreel.store.audit.pending import on_its_own
from callreel.store.db.database import Database
from callreel.store.people import attempts
from callreel.store.people.attempts import AttemptLimit

T = TypeVar("T")

BY_NAME: Final = AttemptLimit("name", 5, resets=True)
BY_ACCOUNT: Final = AttemptLimit("second factor", 5, resets=True)
BY_ADDRESS: Final = AttemptLimit("address", 50)
WELCOME: Final = AttemptLimit("welcome", 20)
TOKENS: Final = AttemptLimit("tokens", 50)
PROVIDER: Final = AttemptLimit("provider", 50)

_REFUSED_S: Final = 5.0
"""How long a refusal is given again without the database; a success elsewhere may have reset the limit meanwhile."""
_PURGE_S: Final = 60.0
_MOST_KEYS: Final = 10_000


class TooManyAttemptsError(CallreelError):
    """The limit of failed attempts is reached; `wait_s` seconds until the next one is allowed."""

    def __init__(self, wait_s: float) -> None:
        minutes = max(1, round(wait_s / 60))
        super().__init__(
            f"too many failed attempts; try again in {minutes} minute{'s' if minutes > 1 else ''}"
        )
        self.wait_s = wait_s


class BusyError(TooManyAttemptsError):
    """More requests wait than can be served soon; the `message` says whose. Nothing was counted as an attempt."""

    def __init__(self, message: str) -> None:
        super().__init__(1.0)
        self.args = (message,)


Counted = tuple[AttemptLimit, str]
"""What an attempt is counted by: a limit and a key."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that was counted as failed."""

    at: datetime
    counted: Sequence[Counted]


class Attempts:
    """One a server. `threads` have room for whom guesses would keep waiting."""

    def __init__(self, database: Database, clock: Clock, threads: ThreadPool) -> None:
        self._database = database
        self._clock = clock
        self._threads = threads
        self._refused: OrderedDict[Counted, tuple[float, float]] = OrderedDict()
        """When the database refused a key, and for how long."""
        self._failed: OrderedDict[Counted, float] = OrderedDict()
        self._purged_s = clock.monotonic_s()

    async def begin(self, *counted: Counted) -> Attempt:
        """Count an attempt as failed before its result is known. Raises TooManyAttemptsError, and then nothing is counted.

        Attempts that arrive together would all pass a limit that counts them afterwards.
        """
        now_s = self._clock.monotonic_s()
        self._repeat_refusal(counted, now_s)
        attempt = Attempt(self._clock.now(), counted)
        for one in counted:
            _remember(self._failed, one, now_s)
        refused = await self._threads.run(self._begin, attempt)
        if refused is not None:
            self._refuse(*refused, now_s)
        if now_s >= self._purged_s + _PURGE_S:
            self._purged_s = now_s
            await self._threads.run(self._purge, attempt.at)
        return attempt

    async def require(self, limit: AttemptLimit, key: str) -> None:
        """Raises TooManyAttemptsError if an attempt would be refused; counts none."""
        now_s = self._clock.monotonic_s()
        self._repeat_refusal([(limit, key)], now_s)
        wait_s = await self._threads.run(self._wait_s, limit, key)
        if wait_s > 0:
            self._refuse((limit, key), wait_s, now_s)

    async def succeeded(self, attempt: Attempt) -> None:
        """Take an attempt back, and what its success resets."""
        left = await self._threads.run(self._succeeded, attempt)
        for one, failures in zip(attempt.counted, left, strict=True):
            self._refused.pop(one, None)
            if not failures:
                self._failed.pop(one, None)

    def has_failed(self, limit: AttemptLimit, key: str) -> bool:
        """Whether an attempt of `key` has failed in this process within the window, or is being made."""
        return self._clock.monotonic_s() < self._failed.get((limit, key), -limit.window_s) + limit.window_s

    def _repeat_refusal(self, counted: Sequence[Counted], now_s: float) -> None:
        for one in counted:
            refused_s, wait_s = self._refused.get(one, (now_s, 0.0))
            if now_s < refused_s + min(wait_s, _REFUSED_S):
                raise TooManyAttemptsError(wait_s - (now_s - refused_s))

    def _refuse(self, counted: Counted, wait_s: float, now_s: float) -> NoReturn:
        _remember(self._refused, counted, (now_s, wait_s))
        raise TooManyAttemptsError(wait_s)

    def _wait_s(self, limit: AttemptLimit, key: str) -> float:
        with self._database.read() as conn:
            return attempts.wait_s(conn, limit, key, self._clock.now())

    def _begin(self, attempt: Attempt) -> tuple[Counted, float] | None:
        """What refuses the attempt, and for how many seconds."""
        try:
            with on_its_own(self._database) as conn:
                for limit, key in attempt.counted:
                    wait_s = attempts.begin(conn, limit, key, attempt.at)
                    if wait_s > 0:
                        raise _RefusedError((limit, key), wait_s)
        except _RefusedError as refused:
            return refused.counted, refused.wait_s
        return None

    def _succeeded(self, attempt: Attempt) -> list[int]:
        with on_its_own(self._database) as conn:
            return [attempts.succeeded(conn, limit, key, attempt.at) for limit, key in attempt.counted]

    def _purge(self, at: datetime) -> None:
        with on_its_own(self._database) as conn:
            attempts.remove_expired(conn, at)


class _RefusedError(Exception):
    """Takes back what the transaction counted by other limits."""

    def __init__(self, counted: Counted, wait_s: float) -> None:
        self.counted = counted
        self.wait_s = wait_s


def _remember(known: OrderedDict[Counted, T], key: Counted, value: T) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > _MOST_KEYS:
        known.popitem(last=False)
