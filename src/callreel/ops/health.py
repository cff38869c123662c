"""Health checks of this installation, for /health, the metrics and the operations page.

They run every few seconds in the background, so that a request for their results never waits for a hanging disk. Each
check tries one thing that a call needs: writing a row, creating and syncing a file, free disk space.
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
"""Checks that take longer are themselves a problem."""

Check = Callable[[], str | None]
"""Returns the problem in one line, or None. It may block, and may raise CallreelError instead."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A failing check, by its name; `since` is the time of its first failure."""

    name: str
    what: str
    since: datetime


class Health:
    """The results of named checks. Safe from any thread."""

    def __init__(
        self,
        clock: Clock,
        checks: Mapping[str, Check],
        warnings: Mapping[str, Check] | None = None,
        on_change: Callable[[str, str, bool], None] = lambda name, what, failing: None,
    ) -> None:
        """`warnings` are checks whose failure does not stop the server from taking calls.

        `on_change` is called when a check starts or stops failing: its name, the problem, and whether it fails.
        """
        self._on_change = on_change
        self._clock = clock
        self._warnings = frozenset(warnings or ())
        self._checks = {**checks, **(warnings or {})}
        self._lock = threading.Lock()
        self._problems: dict[str, Problem] = {}
        self._checked_s = clock.monotonic_s()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._checks)

    def blocks_calls(self, problem: Problem) -> bool:
        """Whether the server takes no calls while this problem lasts."""
        return problem.name not in self._warnings

    def problems(self) -> list[Problem]:
        """The current problems, in the order of the checks."""
        with self._lock:
            found = [self._problems[name] for name in self._checks if name in self._problems]
        late_s = self._clock.monotonic_s() - self._checked_s
        if late_s > STALE_S:
            what = f"the checks have not finished for {late_s:.0f} s"
            found.append(Problem("checks", what, self._clock.now()))
        return found

    def run_checks(self) -> None:
        """Run every check once. Blocking."""
        for name, check in self._checks.items():
            self._note(name, _outcome(check))
        self._checked_s = self._clock.monotonic_s()

    def _note(self, name: str, what: str | None) -> None:
        with self._lock:
            known = self._problems.pop(name, None)
            if what is not None:
                self._problems[name] = Problem(name, what, known.since if known else self._clock.now())
        if what is not None and known is None:
            log.error("health check failed check=%s: %s", name, what)
            self._on_change(name, what, True)
        if what is None and known is not None:
            log.warning("health check recovered check=%s", name)
            self._on_change(name, known.what, False)


def disk_space_check(free_bytes: Callable[[], int], least_bytes: int) -> Check:
    """A check that the disk of the data folder has `least_bytes` free."""

    def check() -> str | None:
        free = free_bytes()
        if free >= least_bytes:
            return None
        return f"{free >> 20} MiB are free on the disk of the data folder, fewer than {least_bytes >> 20} MiB"

    return check


def check_runs(action: Callable[[], object]) -> Check:
    """A check that passes if `action` raises nothing."""

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
        log.exception("health check raised an unexpected error")
        return type(error).__name__
