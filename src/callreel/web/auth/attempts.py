"""Rate limit of failed sign-ins. Pure: the time is an argument.

In memory only: a restart resets it. The number of keys is bounded; when it is reached, the key with the oldest failure
is dropped.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from callreel.domain.errors import CallreelError


class TooManyAttemptsError(CallreelError):
    """The limit of failed attempts is reached; `wait_s` seconds until the next one is allowed."""

    def __init__(self, wait_s: float) -> None:
        minutes = max(1, round(wait_s / 60))
        super().__init__(
            f"too many failed attempts; try again in {minutes} minute{'s' if minutes > 1 else ''}"
        )
        self.wait_s = wait_s


@dataclass(slots=True)
class AttemptLimit:
    """At most `limit` failures of a key (name and address, or address) within any `window_s` seconds."""

    limit: int = 5
    window_s: float = 900.0
    max_keys: int = 10_000
    _failures: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)

    def wait_s(self, key: str, now_s: float) -> float:
        """Seconds until the next attempt of `key` is allowed; 0 for now."""
        failures = self._failures.get(key)
        if failures is None:
            return 0.0
        while failures and failures[0] <= now_s - self.window_s:
            failures.popleft()
        if not failures:
            del self._failures[key]
            return 0.0
        return 0.0 if len(failures) < self.limit else failures[0] + self.window_s - now_s

    def begin(self, key: str, now_s: float) -> None:
        """Count an attempt as failed before its result is known. Raises TooManyAttemptsError.

        Attempts that arrive together would all pass a limit that counts them afterwards.
        """
        wait_s = self.wait_s(key, now_s)
        if wait_s > 0:
            raise TooManyAttemptsError(wait_s)
        self.failed(key, now_s)

    def forgive(self, key: str, now_s: float) -> None:
        """Take back one attempt that began at `now_s` and succeeded."""
        failures = self._failures.get(key)
        if failures is not None and now_s in failures:
            failures.remove(now_s)

    def failed(self, key: str, now_s: float) -> None:
        failures = self._failures.setdefault(key, deque(maxlen=self.limit))
        failures.append(now_s)
        self._failures.move_to_end(key)
        while len(self._failures) > self.max_keys:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        self._failures.pop(key, None)
