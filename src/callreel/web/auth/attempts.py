"""Rate limit of failed sign-ins. Pure: the time is an argument.

In memory only: a restart resets it. The number of keys is bounded; when it is reached, the key with the oldest failure
is dropped.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field


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

    def failed(self, key: str, now_s: float) -> None:
        failures = self._failures.setdefault(key, deque(maxlen=self.limit))
        failures.append(now_s)
        self._failures.move_to_end(key)
        while len(self._failures) > self.max_keys:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        self._failures.pop(key, None)
