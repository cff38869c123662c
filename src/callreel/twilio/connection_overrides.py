"""Connection overrides: the carrier's timeouts and retries for one of our URLs.

They are in the URL's fragment (`#rc=5&rp=all`), which is neither sent nor signed. Without them the carrier retries once, and
only if it could not connect: an HTTP 500 of ours would lose a callback. Keys, defaults and ranges: reference/twilio.md,
section 5.1. This module decides; the simulator waits and sends.
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl

from callreel.domain.errors import SettingsError

MAX_RETRIES = 5
POLICIES = frozenset({"ct", "rt", "4xx", "5xx"})


@dataclass(frozen=True, slots=True)
class Overrides:
    """The carrier's defaults. `policy` names what is retried: `ct` connect failure, `rt` read timeout, `4xx`, `5xx`."""

    connect_timeout_ms: int = 5000
    read_timeout_ms: int = 15000
    total_ms: int = 15000
    retries: int = 1
    policy: frozenset[str] = frozenset({"ct"})


@dataclass(frozen=True, slots=True)
class ConnectFailure:
    """No connection was made."""


@dataclass(frozen=True, slots=True)
class ReadTimeout:
    """Connected, but no response arrived in time."""


@dataclass(frozen=True, slots=True)
class HttpStatus:
    """A response arrived."""

    code: int


DeliveryOutcome = ConnectFailure | ReadTimeout | HttpStatus


def with_overrides(url: str, retries: int, policy: str) -> str:
    """`url` with its overrides. `policy` is `all` or a comma list of `ct`, `rt`, `4xx`, `5xx`.

    Raises SettingsError for retries outside 0 to 5, for an unknown policy and for a URL that has a fragment already.
    """
    if not 0 <= retries <= MAX_RETRIES:
        raise SettingsError(f"expected 0 to {MAX_RETRIES} callback retries, got {retries}")
    if policy != "all" and (unknown := sorted(set(policy.split(",")) - POLICIES)):
        raise SettingsError(
            f"expected all or a list of ct, rt, 4xx, 5xx as callback retry policy, got {', '.join(unknown) or 'nothing'}"
        )
    if "#" in url:
        raise SettingsError("expected a callback URL without a fragment, which the connection overrides use")
    return f"{url}#rc={retries}&rp={policy}"


def split_overrides(url: str) -> tuple[str, Overrides]:
    """The URL to be requested, and its overrides. Unknown or out-of-range values are ignored."""
    address, _, fragment = url.partition("#")
    given = dict(parse_qsl(fragment))
    default = Overrides()
    return address, Overrides(
        connect_timeout_ms=_within(given.get("ct"), 100, 10000, default.connect_timeout_ms),
        read_timeout_ms=_within(given.get("rt"), 100, 15000, default.read_timeout_ms),
        total_ms=_within(given.get("tt"), 100, 15000, default.total_ms),
        retries=_within(given.get("rc"), 0, MAX_RETRIES, default.retries),
        policy=_policy(given.get("rp"), default.policy),
    )


def should_retry(overrides: Overrides, attempt: int, outcome: DeliveryOutcome) -> bool:
    """Whether to retry after `attempt` (the first is 1) with this outcome. The caller enforces the total budget."""
    return attempt <= overrides.retries and _cause(outcome) in overrides.policy


def _cause(outcome: DeliveryOutcome) -> str:
    match outcome:
        case ConnectFailure():
            return "ct"
        case ReadTimeout():
            return "rt"
        case HttpStatus(code):
            return f"{code // 100}xx"


def _within(text: str | None, low: int, high: int, default: int) -> int:
    if text is None or not text.isdecimal() or len(text) > 5:
        return default
    return int(text) if low <= int(text) <= high else default


def _policy(text: str | None, default: frozenset[str]) -> frozenset[str]:
    if text is None:
        return default
    words = frozenset(text.split(","))
    if "all" in words:
        return POLICIES
    return words if words <= POLICIES else default
