"""Retrying writes that must not be lost while the database is unavailable: locked, its disk full, its server down.

For facts that only this process has, such as the end of a stream. Retries with backoff for as long as the process
lives. What a restart finds out from files or from the carrier does not need it.
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
"""How long a stopping process retries."""


async def retry_in_thread(what: str, work: Callable[[], T], *, give_up_s: float | None = None) -> T:
    """Run `work` in a thread until it raises no StoreError. After `give_up_s`, if given, its error is raised."""
    return await retry_until_stored(what, lambda: asyncio.to_thread(work), give_up_s=give_up_s)


async def retry_until_stored(
    what: str, work: Callable[[], Awaitable[T]], *, give_up_s: float | None = None
) -> T:
    """The same for asynchronous `work`, such as a commit in a group (`cluster/group_commit.py`)."""

    def log_first(state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome is not None:
            log.error("%s not saved yet, retrying: %s", what, state.outcome.exception())

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(StoreError),
        wait=wait_exponential(multiplier=FIRST_S, max=LONGEST_S),
        stop=stop_never if give_up_s is None else stop_after_delay(give_up_s),
        before_sleep=log_first,
        reraise=True,
    )

    async def once() -> T:  # the library awaits coroutine functions only
        return await work()

    result: T = await retrying(once)
    if waited_s := retrying.statistics.get("idle_for", 0.0):
        log.warning("%s saved after %.0f s of retrying", what, waited_s)
    return result
