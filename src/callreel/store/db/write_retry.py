"""Rows that must be written although the database cannot take them now: locked, its disk full, its server away.

For what is known only here and only once, such as the end of a stream. It waits and tries again for as long as the
process lives; what a restart would find out by itself does not need it.
"""

import asyncio
import logging
import random
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from callreel.domain.errors import StoreError
from callreel.runtime.retry import soon_s

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
    """The same for `work` that waits by itself (`services/group_commit`)."""
    wait_s, waited_s = FIRST_S, 0.0
    while True:
        try:
            kept = await work()
        except StoreError as error:
            if give_up_s is not None and waited_s >= give_up_s:
                raise
            if waited_s == 0.0:
                log.error("%s cannot be kept yet: %s", what, error)
        else:
            if waited_s:
                log.warning("%s is kept after %.0f s of trying", what, waited_s)
            return kept
        await asyncio.sleep(wait_s)
        waited_s += wait_s
        wait_s = min(LONGEST_S, 2 * wait_s)


class ClosingError(BaseException):
    """The process closes while a step waits to be done again. Not an outcome of the step: nothing may take it for one."""


def patiently(what: str, work: Callable[[], T], closing: threading.Event) -> T:
    """Do `work`, again within a minute where what failed passes (`retry.soon_s`); then its error goes through. Blocking.

    Raises ClosingError when `closing` is set meanwhile.
    """
    attempt = 1
    while True:
        try:
            return work()
        except Exception as error:
            wait_s = soon_s(error, attempt, spread=random.random())
            if wait_s is None:
                raise
            log.warning("step %s: %s; again in %.0f s", what, error, wait_s)
        if closing.wait(wait_s):
            raise ClosingError
        attempt += 1
