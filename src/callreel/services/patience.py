"""Rows that must be written although the database cannot take them now: locked, its disk full, its server away.

For what is known only here and only once, such as the end of a stream. It waits and tries again for as long as the
process lives; what a restart would find out by itself does not need it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from callreel.domain.errors import StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_S = 0.2
LONGEST_S = 5.0


async def until_kept(what: str, work: Callable[[], T], *, give_up_s: float | None = None) -> T:
    """Do `work` in a thread until it raises no StoreError. After `give_up_s`, if given, the error goes through."""
    wait_s, waited_s = FIRST_S, 0.0
    while True:
        try:
            kept = await asyncio.to_thread(work)
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
