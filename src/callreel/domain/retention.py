"""Retention policies: after how many days which data of which calls is deleted. Pure.

    number=+4930* audio=30 text=90; verdict=suspect call=never; agent=maria|jonas call=365; label=complaint call=1095; audio=90

Rules are separated by semicolons and apply in order: for each kind of data, the first rule that names it and whose
conditions all hold decides. Days count from the verdict. `call` is the whole call, erased with proof.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

from callreel.domain.call import Direction
from callreel.domain.verdict import Verdict

LONGEST_DAYS: Final = 36_500


class DataKind(StrEnum):
    """`AUDIO` is every copy of the sound, `TEXT` transcripts, corrections and notes, `NUMBERS` the phone numbers, `CALL` all."""

    AUDIO = "audio"
    TEXT = "text"
    NUMBERS = "numbers"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class Subject:
    """What rules look at. `closed_at` is the time of the verdict, `labels` are names."""

    number: str
    agent: str
    verdict: str
    direction: str
    closed_at: datetime
    labels: frozenset[str] = frozenset()

    def values(self, condition: str) -> Collection[str]:
        """What the patterns of a condition are compared with: one of these must match."""
        return self.labels if condition == "label" else (getattr(self, condition),)


@dataclass(frozen=True, slots=True)
class Rule:
    """`conditions` are patterns by name, all of which must match; `days` None keeps that data."""

    text: str
    conditions: Mapping[str, tuple[str, ...]]
    days: Mapping[DataKind, int | None]

    def matches(self, subject: Subject) -> bool:
        return all(
            any(fnmatchcase(value, pattern) for value in subject.values(name) for pattern in patterns)
            for name, patterns in self.conditions.items()
        )

    def names_label(self, name: str) -> bool:
        """Whether a call with this label meets the rule's condition on labels."""
        return any(fnmatchcase(name, pattern) for pattern in self.conditions.get("label", ()))


@dataclass(frozen=True, slots=True)
class Expiry:
    """When data goes, and the rule that says so."""

    at: datetime
    rule: Rule


_CHOICES: Final[Mapping[str, frozenset[str] | None]] = MappingProxyType(
    {
        "number": None,
        "agent": None,
        "verdict": frozenset({*Verdict, "none"}),
        "direction": frozenset(Direction),
        "label": None,
    }
)


def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules in `text`, in order. Raises ValueError with what is wrong."""
    return tuple(_rule(part.strip()) for part in text.split(";") if part.strip())


def expiries(rules: Sequence[Rule], subject: Subject) -> dict[DataKind, Expiry]:
    """When each kind of data of a call goes; kinds that are kept are left out."""
    found: dict[DataKind, Expiry] = {}
    decided: set[DataKind] = set()
    for rule in rules:
        if not rule.matches(subject):
            continue
        for kind, days in rule.days.items():
            if kind not in decided and days is not None:
                found[kind] = Expiry(subject.closed_at + timedelta(days=days), rule)
            decided.add(kind)
    return found


def shortest_days(rules: Sequence[Rule]) -> int | None:
    """No data goes before this many days after a verdict; None if nothing ever goes."""
    return min((days for rule in rules for days in rule.days.values() if days is not None), default=None)


def _rule(text: str) -> Rule:
    conditions: dict[str, tuple[str, ...]] = {}
    days: dict[DataKind, int | None] = {}
    for part in text.split():
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise ValueError(f"expected name=value, got {part!r} in {text!r}")
        if name in _CHOICES:
            conditions[name] = _patterns(name, value)
        elif name in list(DataKind):
            days[DataKind(name)] = _days(name, value)
        else:
            known = ", ".join([*_CHOICES, *DataKind])
            raise ValueError(f"expected one of {known}, got {name!r} in {text!r}")
    if not days:
        raise ValueError(f"expected days for {', '.join(DataKind)}, got none in {text!r}")
    return Rule(text, conditions, days)


def _patterns(name: str, value: str) -> tuple[str, ...]:
    patterns = tuple(part for part in value.split("|") if part)
    choices = _CHOICES[name]
    wrong = [pattern for pattern in patterns if choices is not None and pattern not in choices]
    if wrong and choices is not None:
        raise ValueError(f"expected {name} as one of {', '.join(sorted(choices))}, got {wrong[0]!r}")
    return patterns


def _days(name: str, value: str) -> int | None:
    if value == "never":
        return None
    if not (value.isascii() and value.isdecimal() and 1 <= int(value) <= LONGEST_DAYS):
        raise ValueError(f"expected {name}=never or 1 to {LONGEST_DAYS} days, got {value!r}")
    return int(value)
