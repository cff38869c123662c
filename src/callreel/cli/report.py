"""`callreel report`: the report of a week, as on the page, without numbers, names or words of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from callreel.cli.command import AsJson, offline, print_json
from callreel.domain.errors import SettingsError

if TYPE_CHECKING:
    from callreel.domain.events import Json


def report(
    week: Annotated[
        str | None, typer.Option(help="The week, such as 2026-W48; without it, the last complete one.")
    ] = None,
    zone: Annotated[str, typer.Option(help="Time zone of days and hours, such as Europe/Berlin.")] = "UTC",
    as_json: AsJson = False,
) -> None:
    """Print the report of a week: volume, busiest hours, silences, alerts, verdicts, labels, calls to review.

    Examples:

    - `callreel report`

    - `callreel report --week 2026-W48 --zone Europe/Berlin --json`
    """
    from zoneinfo import ZoneInfo

    from callreel.domain.week import Week
    from callreel.review.weekly import weekly_report

    try:
        reader = ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise SettingsError("expected a zone such as Europe/Berlin") from None
    with offline() as (_, installation):
        today = installation.clock.now().astimezone(reader).date()
        try:
            chosen = Week.of(today).before if week is None else Week.parse(week)
        except ValueError as error:
            raise SettingsError(f"cannot report on the week {week!r}: {error}") from None
        with installation.database.read() as conn:
            found = without_calls(weekly_report(conn, chosen, reader))
    if as_json:
        print_json(found)
        return
    for line in lines(found):
        typer.echo(line)


def without_calls(found: dict[str, Json]) -> dict[str, Json]:
    """The report without the listed calls, which have numbers and names."""
    review = found["to_review"]
    assert isinstance(review, dict)
    return {**found, "to_review": {name: value for name, value in review.items() if name != "calls"}}


def lines(found: dict[str, Json]) -> list[str]:
    """The report as text: counts, and the names of rules and labels."""
    from typing import Any, cast

    one = cast("dict[str, Any]", found)
    volume, silences, before = one["volume"], one["silences"], one["silences_before"]
    review = one["to_review"]
    return [
        f"Week {one['week']}, {one['from']} to {one['to']} ({one['zone']})",
        f"Calls: {volume['calls']} ({volume['calls_before']} the week before)",
        f"Minutes: {volume['minutes']} ({volume['minutes_before']} the week before)",
        *(f"Busiest: {hour['date']} {hour['hour']:02}:00, {hour['calls']} calls" for hour in one["busiest"]),
        f"Silences: {silences['silences']}, {silences['silence_s']} s ({before['silences']}, {before['silence_s']} s the week before)",
        f"Verdicts: {', '.join(f'{name} {count}' for name, count in one['verdicts'].items() if count) or 'none'}",
        *(f"Alerts of {alert['rule']}: {alert['alerts']} in {alert['calls']} calls" for alert in one["alerts"]),
        *(f"Label {label['name']}: {label['calls']} ({label['calls_before']} the week before)" for label in one["labels"]),
        f"Calls to review: {review['total']}"
        + "".join(f", {reason} {count}" for reason, count in review["reasons"].items()),
    ]  # fmt: skip
