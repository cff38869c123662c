"""What is wrong with this installation now, for /health, the metrics and the operations page.

Looked at every few seconds in the background, so that asking costs nothing and never waits for a disk that hangs. Each
check does in small what a call needs: write a row, make and sync a file, see that there is room.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from callreel.domain.errors import CallreelError
from callreel.runtime.clock import Clock

log = logging.getLogger(__name__)

CHECK_EVERY_S = 5.0
STALE_S = 30.0
"""A look that hangs for so long is itself what is wrong."""

Check = Callable[[], str | None]
"""Answers in one line what is wrong, or None. May block and may raise CallreelError, whose message then says it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """`name` is that of the check. `since` is when it was first seen."""

    name: str
    what: str
    since: datetime


class Health:
    """The state of named checks. Read from any thread."""

    def __init__(
        self, clock: Clock, checks: Mapping[str, Check], lesser: Mapping[str, Check] | None = None
    ) -> None:
        """`lesser` are checks whose failure a person should know of and which keep no call from being taken."""
        self._clock = clock
        self._lesser = frozenset(lesser or ())
        self._checks = {**checks, **(lesser or {})}
        self._lock = threading.Lock()
        self._problems: dict[str, Problem] = {}
        self._looked_s = clock.monotonic_s()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all checks, in order."""
        return tuple(self._checks)

    def blocks_calls(self, problem: Problem) -> bool:
        """Whether calls cannot be taken while this is wrong."""
        return problem.name not in self._lesser

    def problems(self) -> list[Problem]:
        """What is wrong now, in the order of the checks."""
        with self._lock:
            found = [self._problems[name] for name in self._checks if name in self._problems]
        late_s = self._clock.monotonic_s() - self._looked_s
        if late_s > STALE_S:
            what = f"the checks have not come to an end for {late_s:.0f} s"
            found.append(Problem("checks", what, self._clock.now()))
        return found

    def run_checks(self) -> None:
        """Run every check once. Blocking."""
        for name, check in self._checks.items():
            self._note(name, _outcome(check))
        self._looked_s = self._clock.monotonic_s()

    def _note(self, name: str, what: str | None) -> None:
        with self._lock:
            known = self._problems.pop(name, None)
            if what is not None:
                self._problems[name] = Problem(name, what, known.since if known else self._clock.now())
        if what is not None and known is None:
            log.error("health: %s: %s", name, what)
        if what is None and known is not None:
            log.warning("health: %s is well again", name)


def disk_space_check(free_bytes: Callable[[], int], least_bytes: int) -> Check:
    """The check that the disk of the data folder has `least_bytes` left."""

    def check() -> str | None:
        free = free_bytes()
        if free >= least_bytes:
            return None
        return f"{free >> 20} MiB are left on the disk of the data folder, {least_bytes >> 20} MiB are wanted"

    return check


def check_runs(action: Callable[[], object]) -> Check:
    """The check that `action` raises nothing."""

    def check() -> str | None:
        action()
        return None

    return check


def _outcome(check: Check) -> str | None:
    try:
        return check()
    except (CallreelError, OSError) as error:
        return str(error)
    except Exception as error:
        log.exception("a health check failed")
        return type(error).__name__
