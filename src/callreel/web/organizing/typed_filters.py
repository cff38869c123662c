"""Filters that a person typed into the search, as the conditions of the list of calls that its form has too.

Each fault is one line, an InvalidError that begins with the filter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Final, TypeVar

from sqlalchemy import Connection

from callreel.domain.call import Role
from callreel.insight.moment_kind import MomentKind
from callreel.store.calls import labels
from callreel.store.calls.call_list import CallFilter
from callreel.store.transcripts import phrase_rules
from callreel.store.transcripts.search_filters import FilterKey, TypedSearch
from callreel.store.transcripts.search_query import parse
from callreel.web.api.time_parameters import start_of
from callreel.web.errors import InvalidError

T = TypeVar("T")

ANY_RULE: Final = "any"
_NO_RULE: Final = -1


@dataclass(frozen=True, slots=True)
class Reader:
    """What the typed filters mean to who typed them. `role_names` are the displayed names of the parties."""

    zone: tzinfo
    role_names: Mapping[Role, str]


def narrowed(conn: Connection, wanted: CallFilter, typed: TypedSearch, reader: Reader) -> CallFilter:
    """The calls of `wanted` that contain the words and match the typed filters. Raises InvalidError."""
    _refuse_faults(typed)
    found = {key: values for key in FilterKey if (values := typed.values(key))}
    since = [_day(FilterKey.AFTER, day, reader.zone) for day in found.pop(FilterKey.AFTER, ())]
    until = [_day(FilterKey.BEFORE, day, reader.zone) for day in found.pop(FilterKey.BEFORE, ())]
    single = {key: _only(key, values) for key, values in found.items()}
    changes = dict[str, object]()
    if (agent := single.get(FilterKey.AGENT)) is not None:
        changes["agent"] = _unless_other(FilterKey.AGENT, agent, wanted.agent)
    if (number := single.get(FilterKey.NUMBER)) is not None:
        for name, value in number_filter(number).items():
            if not value:
                raise InvalidError(f"'{FilterKey.NUMBER}:' expects digits of a number, or a part of a name")
            changes[name] = _unless_other(FilterKey.NUMBER, value, wanted.number or wanted.number_name)
    if (label := single.get(FilterKey.LABEL)) is not None:
        changes["label"] = _unless_other(FilterKey.LABEL, _label(conn, label), wanted.label)
    if (alert := single.get(FilterKey.ALERT)) is not None:
        rule = _rule(conn, alert, wanted.own)
        chosen = wanted.alert_rule or (ANY_RULE if wanted.alert else None)
        if wanted.own is not None and chosen not in (None, rule or ANY_RULE):
            rule = _NO_RULE  # a refusal would say that the typed name is another rule's
        else:
            _unless_other(FilterKey.ALERT, rule or ANY_RULE, chosen)
        changes |= {"alert": rule is None, "alert_rule": rule}
    if (moment := single.get(FilterKey.MOMENT)) is not None:
        changes["moment"] = _unless_other(FilterKey.MOMENT, _moment(moment), wanted.moment)
    party = single.get(FilterKey.PARTY)
    return replace(
        wanted,
        **changes,  # type: ignore[arg-type]
        query=parse(typed.words, None if party is None else _role(party, reader.role_names)),
        since=max([*since, *([wanted.since] if wanted.since else [])], default=None),
        until=min([*until, *([wanted.until] if wanted.until else [])], default=None),
    )


def number_filter(typed: str) -> dict[str, str]:
    """The condition for what was typed for a number: its digits, or with a letter in it a part of the name."""
    party = typed.strip()
    if any(character.isalpha() for character in party):
        return {"number_name": party}
    return {"number": "".join(one for one in party if one in "+0123456789")}


def _refuse_faults(typed: TypedSearch) -> None:
    for one in typed.filters:
        if one.negated:
            raise InvalidError(f"'{one.key}:' cannot be excluded; remove the minus sign before it")
        if not one.value:
            raise InvalidError(
                f"'{one.key}:' expects a value directly after the colon, in quotes if it has spaces"
            )


def _only(key: FilterKey, values: list[str]) -> str:
    if len(values) > 1:
        raise InvalidError(f"'{key}:' has {len(values)} different values; remove all but one")
    return values[0]


def _unless_other(key: FilterKey, value: T, chosen: object) -> T:
    if chosen not in (None, "", value):
        raise InvalidError(f"'{key}:' has another value among the filters; remove one of the two")
    return value


def _day(key: FilterKey, value: str, zone: tzinfo) -> datetime:
    try:
        found = start_of(value, zone)
    except InvalidError:
        found = None
    if found is None:
        raise InvalidError(
            f"'{key}:' expects a day such as 2026-11-22, or a time such as 2026-11-22T12:00:00Z"
        )
    return found


def _label(conn: Connection, name: str) -> int:
    for row in labels.all_labels(conn):
        if row.name.casefold() == name.casefold():
            return row.id
    raise InvalidError(f"'{FilterKey.LABEL}:' names no label of the team")


def _rule(conn: Connection, name: str, own: str | None) -> int | None:
    """The id of a phrase rule, None for any rule. Agents do not learn which rules exist: another name finds no call."""
    for row in phrase_rules.all_rules(conn):
        if row.name.casefold() == name.casefold():
            return row.id
    if name.casefold() == ANY_RULE:
        return None
    if own is not None:
        return _NO_RULE
    raise InvalidError(
        f"'{FilterKey.ALERT}:' names no phrase rule; '{FilterKey.ALERT}:{ANY_RULE}' is an alert of any rule"
    )


def _moment(name: str) -> MomentKind:
    try:
        return MomentKind(name.casefold())
    except ValueError:
        expected = ", ".join(MomentKind)
        raise InvalidError(f"'{FilterKey.MOMENT}:' expects one of {expected}") from None


def _role(name: str, role_names: Mapping[Role, str]) -> Role:
    for role in Role:
        shown = role_names.get(role, role.value)
        if name.casefold() in (role.value, shown.casefold()):
            return role
    expected = " or ".join(role_names.get(role, role.value) for role in Role)
    raise InvalidError(f"'{FilterKey.PARTY}:' expects {expected}")
