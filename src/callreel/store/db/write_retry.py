"""Rows that must be written although the database cannot take them now: locked, its disk full, its server away.

For what is known only here and only once, such as the end of a stream. It waits and tries again for as long as the
process lives; what a restart would find out does not need it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    stop_never,
    wait_exponential,
)

from callreel.domain.errors import StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_S = 0.2
LONGEST_S = 5.0
SHUT_DOWN_S = 5.0
"""How long a process that stops waits for rows that the database does not take."""


async def retry_in_thread(what: str, work: Callable[[], T], *, give_up_s: float | None = None) -> T:
    """Do `work` in a thread until it raises no StoreError. After `give_up_s`, if given, the error goes through."""
    return await retry_until_stored(what, lambda: asyncio.to_thread(work), give_up_s=give_up_s)


async def retry_until_stored(
    what: str, work: Callable[[], Awaitable[T]], *, give_up_s: float | None = None
) -> T:
    """The same for `work` that waits by itself (`cluster/group_commit`)."""

    def log_first(state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome is not None:
            log.error("%s cannot be kept yet: %s", what, state.outcome.exception())

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(StoreError),
        wait=wait_exponential(multiplier=FIRST_S, max=LONGEST_S),
        stop=stop_never if give_up_s is None else stop_after_delay(give_up_s),
        before_sleep=log_first,
        reraise=True,
    )

    async def once() -> T:  # the library awaits coroutine functions only
        return await work()

    kept: T = await retrying(once)
    if waited_s := retrying.statistics.get("idle_for", 0.0):
        log.warning("%s is kept after %.0f s of trying", what, waited_s)
    return kept
